"""The Mixpanel connector: its streams, and how it signs in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Source, Stream
from millstream.sources.mixpanel import cohorts, events, profiles
from millstream.sources.mixpanel.errors import classify
from millstream.sources.mixpanel.export import Exports
from millstream.sources.mixpanel.queries import COHORTS, Queries
from millstream.sources.mixpanel.settings import MixpanelSettings
from millstream.state.http import BasicAuth, RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

_SCOPE = "Query API"


class Mixpanel(Source[MixpanelSettings]):
    """Mixpanel: one project."""

    name: ClassVar[str] = "mixpanel"
    title: ClassVar[str] = "Mixpanel"
    category: ClassVar[str] = "analytics"
    docs_url: ClassVar[str] = "https://docs.mixpanel.com/reference/overview"
    api_version: ClassVar[str] = "2.0"
    Settings = MixpanelSettings
    # The limits of each hour are kept by `Exports` and `Queries`, which have one each.
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=3, seconds=1.0)

    def __init__(self, settings: MixpanelSettings) -> None:
        super().__init__(settings)
        self._exports = Exports(settings)
        self._queries = Queries(settings)
        self._profiles = profiles.ProfileReader(settings, self._queries)
        self._cohorts = cohorts.CohortReader(settings, self._queries)

    def auth(self) -> AuthBase:
        """The service account."""
        return BasicAuth(self.settings.username, self.settings.secret)

    def pace(self) -> RateLimit:
        """The limit of each second, with as many requests at once as the settings allow."""
        settings = self.settings
        at_once = max(settings.exports_at_once, settings.queries_at_once)
        return replace(self.rate_limit, requests=settings.requests_per_second, concurrency=at_once)

    def streams(self) -> tuple[Stream, ...]:
        """Events first, which every plan has."""
        settings = self.settings
        streams = (
            Stream(
                name="events",
                description="Something somebody did.",
                primary_key=("event_id",),
                columns=events.event_columns(settings),
                read=self._exports.read,
                shape_columns=self._exports.shape.columns,
                resumable=True,
                people=events.event_people(settings),
            ),
            Stream(
                name="profiles",
                description="A profile: what is known of a person or a device.",
                primary_key=("distinct_id",),
                columns=profiles.profile_columns(settings),
                read=self._profiles.read,
                resumable=True,
                people=profiles.profile_people(settings),
                scope=_SCOPE,
            ),
            Stream(
                name="cohorts",
                description="A cohort of the project.",
                primary_key=("id",),
                columns=cohorts.COHORT_COLUMNS,
                disposition="replace",
                read=self._cohorts.cohorts,
                scope=_SCOPE,
            ),
        )
        return (*streams, self._members()) if settings.cohorts else streams

    def probe(self, pull: Pull) -> None:
        """Export one event of a day that is over."""
        self._exports.look(pull)

    def probe_stream(self, pull: Pull) -> None:
        """Ask for the cohorts, or for a page of profiles."""
        if pull.stream.name == "cohorts":
            self._queries.ask(pull, COHORTS)
        else:
            self._queries.look(pull)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Name what a refusal means: another region, another plan, another time zone, or too many requests."""
        return classify(answer)

    def _members(self) -> Stream:
        return Stream(
            name="cohort_members",
            description="Who is in a cohort that the settings name.",
            primary_key=("cohort_id", "distinct_id"),
            columns=cohorts.MEMBER_COLUMNS,
            disposition="replace",
            read=self._cohorts.members,
            people=cohorts.member_people(self.settings),
            scope=_SCOPE,
        )
