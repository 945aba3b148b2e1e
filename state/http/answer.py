"""A vendor's answer: its body read at once and parsed once, and the vendor's own words in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import requests
import urllib3

from millstream.state.errors import MalformedAnswerError
from millstream.state.privacy import redact


class Answer(requests.Response):
    """A response whose JSON is parsed once, with orjson."""

    _content_consumed: bool
    _parsed: object = None
    _is_parsed = False

    def json(self, **_: object) -> object:
        """The parsed body.

        Raises:
            MalformedAnswerError: The body is not JSON.
        """
        if not self._is_parsed:
            try:
                self._parsed = orjson.loads(self.content)
            except orjson.JSONDecodeError as error:
                kind = self.headers.get("Content-Type", "no content type")
                raise MalformedAnswerError(
                    f"The answer is not valid JSON ({len(self.content)} bytes, {kind}): {error.msg}.",
                    remedy="run again; if it stays, the API or a proxy before it answers with something else.",
                ) from error
            self._is_parsed = True
        return self._parsed

    def said(self) -> Any:
        """The parsed body, or None where it is not JSON: for error answers, which may be anything."""
        try:
            return self.json()
        except MalformedAnswerError:
            return None

    def take_in(self) -> None:
        """Read the body at once; left to itself, ``requests`` does so by ten kilobytes.

        Raises:
            requests.ConnectionError: It broke off.
        """
        if self._content_consumed:
            return
        try:
            self._content = self.raw.read(decode_content=True)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
        self._content_consumed = True

    def facts(self) -> Mapping[str, Any]:
        """The parsed body where it is a JSON object, else nothing."""
        body = self.said()
        return body if isinstance(body, dict) else {}


def reason_of(answer: Answer) -> str:
    """The vendor's own words, where its error body has them in one of the usual places."""
    found = _words(answer.facts())
    return f": {redact(found)[:300]}" if found else "."


def _words(body: Mapping[str, object]) -> str | None:
    error = body.get("error")
    if isinstance(error, dict):
        return _words(error)
    kind = body.get("category") or body.get("status") or body.get("title") or body.get("name")
    text = body.get("message") or body.get("detail") or body.get("error_description") or error
    parts = [str(part) for part in (kind, text) if isinstance(part, str) and part != "error"]
    return " - ".join(parts) or None
