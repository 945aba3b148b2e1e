"""The Qualtrics connector: its streams, and how it signs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from millstream.sources.contract import Page, Row, Source, Stream
from millstream.sources.qualtrics import streams
from millstream.sources.qualtrics.definitions import Definitions
from millstream.sources.qualtrics.directory import DirectoryReader
from millstream.sources.qualtrics.errors import CHANGED, classify
from millstream.sources.qualtrics.paging import listing, listings
from millstream.sources.qualtrics.responses import ResponseReader
from millstream.sources.qualtrics.settings import QualtricsSettings
from millstream.state.errors import ConfigurationError, NotFoundError, PermissionDeniedError, SchemaError
from millstream.state.http import RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer


class Qualtrics(Source[QualtricsSettings]):
    """Qualtrics: what one user's token, or one OAuth client, may read."""

    name: ClassVar[str] = "qualtrics"
    title: ClassVar[str] = "Qualtrics"
    category: ClassVar[str] = "survey"
    docs_url: ClassVar[str] = "https://api.qualtrics.com/"
    api_version: ClassVar[str] = "v3"
    Settings = QualtricsSettings
    # The vendor names no headers for its limits; a 429 with Retry-After is kept to.
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=500, seconds=60.0)

    def __init__(self, settings: QualtricsSettings) -> None:
        super().__init__(settings)
        self._listed: list[Mapping[str, Any]] | None = None
        self._definitions = Definitions()
        self._responses = ResponseReader(settings, self._definitions, self._surveys)
        self._directory = DirectoryReader(settings)

    def auth(self) -> AuthBase:
        """The user's token, or one that is fetched with the OAuth client."""
        return self.settings.credential()

    def pace(self) -> RateLimit:
        """The requests a minute that the settings allow."""
        return replace(self.rate_limit, requests=self.settings.requests_per_minute)

    def streams(self) -> tuple[Stream, ...]:
        """Surveys and what they ask first, then who said what, then who can be asked."""
        return (
            streams.surveys_stream(self._read_surveys),
            streams.questions_stream(self._read_questions),
            streams.responses_stream(self._responses.read, self.settings),
            streams.directories_stream(self._directory.directories),
            streams.contacts_stream(self._directory.contacts, self.settings),
            streams.opt_outs_stream(self._directory.opt_outs, self.settings),
        )

    def probe(self, pull: Pull) -> None:
        """See whose the credential is."""
        pull.get("whoami")

    def probe_stream(self, pull: Pull) -> None:
        """List one row of what the stream is about; whether responses may be exported, only an export shows."""
        if pull.stream.name in ("surveys", "questions", "responses"):
            listing(pull, "surveys", {"pageSize": 1})
            return
        found = listing(pull, "directories", {"pageSize": 1}).elements
        if found and pull.stream.name != "directories":
            listing(pull, f"directories/{found[0].get('directoryId')}/contacts", {"pageSize": 1})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The vendor's words, which stand in an envelope."""
        return classify(answer)

    def _read_surveys(self, pull: Pull) -> Iterator[Page]:
        self._listed = None
        yield [_survey(found) for found in self._surveys(pull)]

    def _read_questions(self, pull: Pull) -> Iterator[Page]:
        self._definitions.learn(pull)
        for survey in self._surveys(pull):
            try:
                yield self._definitions.changed(pull, survey)
            except (PermissionDeniedError, NotFoundError) as error:
                pull.warn(f"The questions of survey {survey['id']} were left out: {error.what}")

    def _surveys(self, pull: Pull) -> list[Mapping[str, Any]]:
        """The surveys to read, listed once in a pull.

        Raises:
            ConfigurationError: A survey that the settings name is not there.
        """
        if self._listed is None:
            found = [one for page in listings(pull, "surveys", {}) for one in page.elements]
            if any("id" not in survey for survey in found):
                raise SchemaError("A survey has no id.", remedy=CHANGED)
            wanted, known = self.settings.surveys, {str(survey["id"]) for survey in found}
            unknown = [one for one in wanted or () if one not in known]
            if unknown and found:
                raise ConfigurationError(f"The user sees no survey {unknown[0]!r}.", allowed=sorted(known)[:20])
            self._listed = [one for one in found if wanted is None or str(one["id"]) in wanted]
        return self._listed


def _survey(found: Mapping[str, Any]) -> Row:
    return {
        "id": found.get("id"),
        "name": found.get("name"),
        "owner_id": found.get("ownerId"),
        "is_active": found.get("isActive"),
        "created_at": found.get("creationDate"),
        "modified_at": found.get("lastModified"),
    }
