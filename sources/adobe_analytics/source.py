"""The Adobe Analytics connector: its streams, and how it signs in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.adobe_analytics.catalogues import Catalogues
from millstream.sources.adobe_analytics.company import DISCOVERY, AdobeAuth, Company, companies
from millstream.sources.adobe_analytics.errors import WINDOW, classify
from millstream.sources.adobe_analytics.reports import ReportReader
from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings
from millstream.sources.contract import Source, Stream
from millstream.state.http import RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer


class AdobeAnalytics(Source[AdobeAnalyticsSettings]):
    """Adobe Analytics: one report suite."""

    name: ClassVar[str] = "adobe_analytics"
    title: ClassVar[str] = "Adobe Analytics"
    category: ClassVar[str] = "analytics"
    docs_url: ClassVar[str] = "https://developer.adobe.com/analytics-apis/docs/2.0/"
    api_version: ClassVar[str] = "2.0"
    Settings = AdobeAnalyticsSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=12, seconds=WINDOW, concurrency=4)

    def __init__(self, settings: AdobeAnalyticsSettings) -> None:
        super().__init__(settings)
        self._company = Company(settings)
        self._reports = ReportReader(settings, self._company)
        self._catalogues = Catalogues(settings, self._company)

    def auth(self) -> AuthBase:
        """A token of the OAuth server-to-server credential."""
        return AdobeAuth(self.settings)

    def pace(self) -> RateLimit:
        """Adobe's limit, or the share of it that the settings give us."""
        settings = self.settings
        return replace(
            self.rate_limit, requests=settings.requests_per_minute // 10, concurrency=settings.requests_at_once
        )

    def streams(self) -> tuple[Stream, ...]:
        """One stream a report, then what reports may be made of."""
        reports = tuple(self._reports.stream(report) for report in self.settings.reports)
        return (*reports, *self._catalogues.streams())

    def probe(self, pull: Pull) -> None:
        """See which companies the credential sees."""
        companies(pull.get(DISCOVERY))

    def probe_stream(self, pull: Pull) -> None:
        """Ask for one row of yesterday's report, or for the catalogue of metrics."""
        for report in self.settings.reports:
            if report.name == pull.stream.name:
                self._reports.look(pull, report)
                return
        self._catalogues.look(pull)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tell what a product profile lacks from a wrong report."""
        return classify(answer)
