"""Requests as they leave, for snapshots: without secrets, and without what differs from run to run."""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest
import requests
from requests.adapters import HTTPAdapter

WIDTH = 120
_LONG_ENOUGH = 4
_OF_THE_CONNECTION = frozenset({"Accept-Encoding", "Connection", "Content-Length", "User-Agent"})

VOLATILE: Mapping[str, str] = {
    # Moments of the run; people of the snapshots live in 2020 and were born before.
    r"\b20(?:2[1-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?": "<time>",
    r"\b20(?:2[1-9]|[3-9]\d)-\d\d-\d\d\b": "<day>",
    r"(?<![\w.-])(?:1[6-9]|2\d)\d{8}(\d{3})?(?![\w.-])": "<time>",
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b": "<uuid>",
    r"(?<=\bsandbox\.)[0-9a-f]{32}\b": "<uuid>",
    r"(?<=appsecret_proof=)[0-9a-f]+": "<signature>",
    r"(?<=ignature=)[0-9a-f]+": "<signature>",
    r"(?<=/batches/|-results/)[0-9a-f]{10}\b": "<job>",
    r"(?<=/custom-lists/)[0-9a-f]+": "<file>",
}
"""What differs from run to run, and what stands there instead."""


class Recorder:
    """Keeps the requests that are made, as plain values.

    Args:
        url: Root of the vendors; it is taken off addresses.
        secrets: Texts that must not be kept.
    """

    def __init__(self, url: str, secrets: Iterable[str]) -> None:
        self._url, self._host = url, url.partition("://")[2]
        self._names = dict.fromkeys(secrets, "<secret>")
        self._seen: list[dict[str, Any]] = []

    def name(self, value: str | None, name: str) -> None:
        """Have an id that an answer gave stand under a name; a short one is a number that stays the same."""
        if value and len(value) >= _LONG_ENOUGH and not value.startswith("["):
            self._names.setdefault(value, f"<{name}>")

    def taken(self) -> list[dict[str, Any]]:
        """What was seen since the last call; a question that was repeated until its answer changed counts once."""
        seen, self._seen = [self.masked(one) for one in self._seen], []
        return [one for at, one in enumerate(seen) if at == 0 or one != seen[at - 1]]

    def see(self, request: requests.PreparedRequest) -> None:
        """Keep a request."""
        told: dict[str, Any] = {
            "request": f"{request.method} {request.url}",
            "headers": sorted(name for name in request.headers if name not in _OF_THE_CONNECTION),
        }
        if request.body:
            told["body"] = _read(request)
        self._seen.append(told)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep all requests that this process makes."""
        send = HTTPAdapter.send

        def seen(adapter: HTTPAdapter, request: requests.PreparedRequest, **options: Any) -> requests.Response:
            self.see(request)
            return send(adapter, request, **options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(HTTPAdapter, "send", seen)
            yield

    def masked(self, value: Any) -> Any:
        """A JSON value with names in place of what is secret or differs from run to run."""
        if isinstance(value, Mapping):
            return {self.masked(key): self.masked(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.masked(inner) for inner in value]
        if isinstance(value, bool) or value is None:
            return value
        text = _masked(str(value).replace(self._url, "").replace(self._host, ""), self._names)
        return value if text == str(value) else text


def _masked(text: str, names: Mapping[str, str]) -> str:
    for value in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w<.-]){re.escape(value)}(?![\w>@-])", lambda _, value=value: names[value], text)  # type: ignore[misc]
    for pattern, name in VOLATILE.items():
        text = re.sub(pattern, name, text)
    return text


def _read(request: requests.PreparedRequest) -> object:
    """The body in the form in which a reader compares it best."""
    content = request.body if isinstance(request.body, bytes) else str(request.body).encode()
    kind = str(request.headers.get("Content-Type", ""))
    if kind.startswith("multipart/"):
        return [
            {
                "part": part.get_param("name", header="content-disposition"),
                "lines": _lines(part.get_payload(decode=True)),
            }
            for part in email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content).walk()
            if not part.is_multipart()
        ]
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(content.decode(), keep_blank_values=True))
    try:
        return json.loads(content)
    except ValueError:
        return _lines(content)


def _lines(content: object) -> list[str]:
    assert isinstance(content, bytes)
    return content.decode().splitlines()


def laid_out(value: Any, *, indent: str = "", before: int = 0) -> str:
    """JSON that reads well in a review: what fits into a line stands in one.

    Args:
        value: What to write.
        indent: What stands before each of its lines but the first.
        before: Letters that stand before its first.
    """
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, (dict, list)) or len(indent) + before + len(line) < WIDTH:
        return line
    deeper = f"{indent}  "
    if isinstance(value, dict):
        heads = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        parts = [
            head + laid_out(inner, indent=deeper, before=len(head))
            for head, inner in zip(heads, value.values(), strict=True)
        ]
    else:
        parts = _side_by_side([laid_out(inner, indent=deeper) for inner in value], WIDTH - len(deeper))
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(deeper + part for part in parts) + f"\n{indent}{last}"


def _side_by_side(parts: list[str], width: int) -> list[str]:
    """As many words in a line as fit into it; what has parts of its own, or is a line of a file, stands alone."""
    lines: list[str] = []
    single = True
    for part in parts:
        stands_alone = part[0] in "[{" or "," in part
        if stands_alone or single or len(lines[-1]) + len(part) + 3 > width:
            lines.append(part)
        else:
            lines[-1] += f", {part}"
        single = stands_alone
    return lines


def texts_in(value: Any) -> Iterator[str]:
    """All texts of a JSON value, as they are and with the escapes of addresses taken out."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield unquote(value)
