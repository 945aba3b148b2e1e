"""SurveyMonkey: surveys, their questions, responses with answers, and the contacts invited, from the API v3.

Documentation: https://api.surveymonkey.com/v3/docs
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.sources.contract import Page, Row, Source, Stream
from millstream.sources.surveymonkey.paging import listing, listings
from millstream.sources.surveymonkey.responses import ResponseReader
from millstream.sources.surveymonkey.settings import SurveyMonkeySettings
from millstream.sources.surveymonkey.streams import (
    answers_stream,
    contacts_stream,
    questions_stream,
    responses_stream,
    surveys_stream,
)
from millstream.sources.surveymonkey.structure import Structures
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    SchemaError,
)
from millstream.state.http import Answer, BearerAuth, RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull

SURVEYS_A_REQUEST = 1000
CONTACTS_A_REQUEST = 100
SURVEY_FIELDS = "response_count,date_created,date_modified,language,question_count"
CONTACT_STATUSES = ("active", "optout", "bounced")
"""The vendor lists contacts by status and does not say the status in the row."""

_HEADER = "X-Ratelimit-App-Global-"

_TOKEN_REMEDIES = {
    "1010": "set the connection's access token.",
    "1011": "the token is not valid: copy it again from the app's settings.",
    "1012": "the token has expired: deploy the app (a draft's token lives 90 days) or make a new one.",
    "1013": "the account's owner has revoked the app: let them authorise it again.",
    "1052": "the token's user is deleted: use a token of a user who is there.",
    "1053": "the token's user is deleted: use a token of a user who is there.",
}
_PERMISSION_REMEDIES = {
    "1014": "grant the app the scope named here (answers need responses_read_detail), or leave the stream out.",
    "1015": "the account's plan does not include this (answers need a paid plan): upgrade it, or leave the stream out.",
    "1016": "the token's user has no access to it: share it with that user, or leave the stream out.",
}


class SurveyMonkey(Source[SurveyMonkeySettings]):
    """SurveyMonkey: one account."""

    name = "surveymonkey"
    title = "SurveyMonkey"
    category = "survey"
    docs_url = "https://api.surveymonkey.com/v3/docs"
    api_version = "v3"
    Settings = SurveyMonkeySettings
    rate_limit: ClassVar[RateLimit] = RateLimit(
        requests=120,
        seconds=60.0,
        remaining=_HEADER + "Minute-Remaining",
        reset=_HEADER + "Minute-Reset",
        daily_remaining=_HEADER + "Day-Remaining",
        daily_reset=_HEADER + "Day-Reset",
        slack=2.0,
    )

    def __init__(self, settings: SurveyMonkeySettings) -> None:
        super().__init__(settings)
        self._listed: list[Mapping[str, Any]] | None = None
        self._structures = Structures()
        self._reader = ResponseReader(settings, self._structures, self._surveys)

    def auth(self) -> AuthBase:
        """The access token."""
        return BearerAuth(self.settings.access_token, scheme="bearer")

    def pace(self) -> RateLimit:
        """The app's own limit a minute."""
        return replace(self.rate_limit, requests=self.settings.requests_per_minute)

    def streams(self) -> tuple[Stream, ...]:
        """Surveys and what they ask first, then who said what."""
        return (
            surveys_stream(self._read_surveys),
            questions_stream(self._read_questions),
            responses_stream(self._reader.responses, self.settings.identifiers),
            answers_stream(self._reader.answers),
            contacts_stream(self._read_contacts),
        )

    def probe(self, pull: Pull) -> None:
        """List one survey."""
        listing(pull, "surveys", {"per_page": 1})

    def probe_stream(self, pull: Pull) -> None:
        """List one row of what needs the stream's scope."""
        if pull.stream.name == "contacts":
            listing(pull, "contacts/bulk", {"per_page": 1})
            return
        surveys = listing(pull, "surveys", {"per_page": 1}).rows
        if surveys and pull.stream.name in ("responses", "answers"):
            listing(pull, f"surveys/{surveys[0]['id']}/responses/bulk", {"per_page": 1})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tell apart what the vendor says by its error ids: several mean one HTTP status."""
        if answer.status_code not in (401, 403, 404, 410):
            return None
        error_id, words = _error(answer)
        what = f"SurveyMonkey refused with error {error_id}: {words}"
        if error_id in _TOKEN_REMEDIES:
            return AuthenticationError(what, remedy=_TOKEN_REMEDIES[error_id])
        if error_id in _PERMISSION_REMEDIES:
            return PermissionDeniedError(what, remedy=_PERMISSION_REMEDIES[error_id])
        if error_id == "1017":
            return QuotaExhaustedError(what, remedy="the account's own quota is used up: see its plan.")
        if error_id == "1018":
            return ConfigurationError(
                what,
                remedy="the account lives in another region: set base_url to https://api.eu.surveymonkey.com/v3 "
                "or https://api.surveymonkey.ca/v3.",
            )
        return None

    def _read_surveys(self, pull: Pull) -> Iterator[Page]:
        self._listed = None
        yield [dict(survey) for survey in self._surveys(pull, announce=True)]

    def _surveys(self, pull: Pull, *, announce: bool = False) -> list[Mapping[str, Any]]:
        """All surveys, listed once in a pull."""
        if self._listed is None:
            found: list[Mapping[str, Any]] = []
            for page in listings(pull, "surveys", {"per_page": SURVEYS_A_REQUEST, "include": SURVEY_FIELDS}):
                found += page.rows
                total = page.total
            if announce:
                pull.expect(total)
            if any("id" not in survey for survey in found):
                raise SchemaError("A survey has no id.", remedy="the API may have changed: update the connector.")
            self._listed = found
        return self._listed

    def _read_questions(self, pull: Pull) -> Iterator[Page]:
        self._structures.learn(pull)
        for survey in self._surveys(pull):
            yield self._structures.changed(pull, survey)

    def _read_contacts(self, pull: Pull) -> Iterator[Page]:
        for status in CONTACT_STATUSES:
            params = {"per_page": CONTACTS_A_REQUEST, "status": status}
            for number, page in enumerate(listings(pull, "contacts/bulk", params)):
                if number == 0:
                    pull.expect(page.total)
                yield [_contact(found, status) for found in page.rows]


def _contact(found: Mapping[str, Any], status: str) -> Row:
    fields = ("id", "email", "phone_number", "first_name", "last_name", "custom_fields")
    return {field: found[field] for field in fields if field in found} | {"status": status}


def _error(answer: Answer) -> tuple[str, str]:
    """The vendor's error id and its words."""
    error = answer.facts().get("error")
    if not isinstance(error, dict):
        return "", ""
    words = " - ".join(str(error[part]) for part in ("name", "message") if error.get(part))
    return str(error.get("id", "")), words[:300]


__all__ = ["SurveyMonkey", "SurveyMonkeySettings"]
