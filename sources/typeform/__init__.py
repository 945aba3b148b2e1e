"""Typeform: forms, their fields, responses and the answers in them.

Documentation: https://www.typeform.com/developers/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.sources.contract import Endpoint, Page, Row, Source, Stream
from millstream.sources.typeform.definitions import Definitions
from millstream.sources.typeform.responses import ResponseReader
from millstream.sources.typeform.settings import ConsentQuestion, TypeformSettings
from millstream.sources.typeform.streams import answers_stream, fields_stream, forms_stream, responses_stream
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
    SchemaError,
)
from millstream.state.http import Answer, RateLimit
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull

FORMS_A_REQUEST = 200
FORMS_PROBED = 5


class Typeform(Source[TypeformSettings]):
    """Typeform: what one token may read."""

    name = "typeform"
    title = "Typeform"
    category = "survey"
    docs_url = "https://www.typeform.com/developers/"
    api_version = "unversioned"
    Settings = TypeformSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=2, seconds=1.0)

    def __init__(self, settings: TypeformSettings) -> None:
        super().__init__(settings)
        self._listed: list[Mapping[str, Any]] | None = None
        self._definitions = Definitions()
        wanted = settings.streams
        self._reader = ResponseReader(
            settings,
            self._definitions,
            self._forms,
            for_both=wanted is None or {"responses", "answers"} <= set(wanted),
        )

    def auth(self) -> AuthBase:
        """The access token, or one that an OAuth app fetches."""
        return self.settings.credential(f"{self.settings.base_url.rstrip('/')}/oauth/token")

    def pace(self) -> RateLimit:
        """The account's limit a second."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def streams(self) -> tuple[Stream, ...]:
        """Forms and what they ask first, then who said what."""
        return (
            forms_stream(self._read_forms),
            fields_stream(self._read_fields),
            responses_stream(self._reader.responses, self.settings),
            answers_stream(self._reader.answers),
        )

    def probe(self, pull: Pull) -> None:
        """List one form."""
        _forms_page(pull, 1, size=1)

    def probe_stream(self, pull: Pull) -> None:
        """Read one response of a form; some forms may be closed to the token although others are not."""
        if pull.stream.name not in ("responses", "answers"):
            _forms_page(pull, 1, size=1)
            return
        listed = [str(form["id"]) for form in _forms_page(pull, 1, size=FORMS_PROBED)["items"]]
        refused: PermissionDeniedError | None = None
        for form_id in (self.settings.forms or listed)[:FORMS_PROBED]:
            try:
                pull.get(f"forms/{form_id}/responses", {"page_size": 1})
            except PermissionDeniedError as error:
                refused = error
            else:
                return
        if refused is not None:
            raise refused

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The vendor's words: they stand where others have none."""
        code, words = _error(answer)
        what = f"Typeform refused with {code or answer.status_code}: {words or 'no reason given'}"
        if answer.status_code == 401:
            return AuthenticationError(
                what,
                remedy="make a new personal token. A token of the EU data centre works only with base_url "
                "https://api.eu.typeform.com, and one of the US only with https://api.typeform.com.",
            )
        if answer.status_code == 403:
            return PermissionDeniedError(
                what,
                remedy="give the token the scope that the stream needs (forms:read, responses:read) and its user "
                "access to the form's workspace.",
            )
        if answer.status_code == 404 and code:
            return NotFoundError(what, remedy="check the ids of forms and the base_url of the connection.")
        if answer.status_code in (400, 422):
            return RefusedError(what, status=answer.status_code)
        return None

    def _read_forms(self, pull: Pull) -> Iterator[Page]:
        self._definitions.learn(pull)
        self._listed = None
        yield [self._form(pull, form) for form in self._forms(pull)]

    def _form(self, pull: Pull, form: Mapping[str, Any]) -> Row:
        fields = ("id", "title", "type", "created_at", "last_updated_at")
        row: Row = {field: form[field] for field in fields if field in form}
        row |= {
            "is_public": (form.get("settings") or {}).get("is_public"),
            "link": (form.get("_links") or {}).get("display"),
        }
        try:
            definition = self._definitions.of(pull, form)
        except (PermissionDeniedError, NotFoundError) as error:
            pull.warn(f"Form {form['id']} is listed without its fields: {error.what}")
            return row
        current = [field for field in definition["fields"].values() if field["is_current"]]
        return row | {"hidden": definition["hidden"], "field_count": len(current)}

    def _read_fields(self, pull: Pull) -> Iterator[Page]:
        self._definitions.learn(pull)
        for form in self._forms(pull):
            try:
                yield self._definitions.changed_fields(pull, form)
            except (PermissionDeniedError, NotFoundError) as error:
                pull.warn(f"The fields of form {form['id']} were left out: {error.what}")

    def _forms(self, pull: Pull) -> list[Mapping[str, Any]]:
        """The forms to read, listed once in a pull.

        Raises:
            ConfigurationError: A form that the settings name is not listed.
        """
        if self._listed is None:
            listed = {str(form["id"]): form for form in _all_forms(pull)}
            wanted = self.settings.forms
            unknown = [form_id for form_id in wanted or () if form_id not in listed]
            if unknown and listed:
                raise ConfigurationError(
                    f"The token's account has no form {unknown[0]!r}.", allowed=sorted(listed)[:20]
                )
            self._listed = [form for form_id, form in listed.items() if wanted is None or form_id in wanted]
        return self._listed


def _all_forms(pull: Pull) -> Iterator[Mapping[str, Any]]:
    page, pages = 0, 1
    while page < pages:
        page += 1
        body = _forms_page(pull, page, size=FORMS_A_REQUEST)
        for form in body["items"]:
            if "id" not in form:
                raise SchemaError("A form has no id.", remedy="the API may have changed: update the connector.")
            yield form
        pages = int(body.get("page_count") or 0) if body["items"] else 0


def _forms_page(pull: Pull, page: int, *, size: int) -> Any:
    from millstream.sources.pull import records_at

    body = pull.get("forms", {"page": page, "page_size": size})
    records_at(body, Endpoint(path="forms", records="items"))
    return body


def _error(answer: Answer) -> tuple[str, str]:
    """The vendor's error code and its words."""
    if answer.status_code < 400:
        return "", ""
    body = answer.facts()
    details = [
        f"{one.get('field')} {one.get('description')}" for one in body.get("details") or () if isinstance(one, dict)
    ]
    words = "; ".join(filter(None, [str(body.get("description") or ""), *details]))
    return str(body.get("code") or body.get("error") or ""), redact(words)[:300]


__all__ = ["ConsentQuestion", "Typeform", "TypeformSettings"]
