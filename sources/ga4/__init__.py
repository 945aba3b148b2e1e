"""Google Analytics 4: daily reports and the members of audiences, from the Data API v1beta.

The API has no events and no names of people: reports are sums, and an audience export holds device and user ids.
Documentation: https://developers.google.com/analytics/devguides/reporting/data/v1
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, ClassVar

from millstream.sources.contract import Source, Stream
from millstream.sources.ga4.audiences import AudienceReader
from millstream.sources.ga4.reports import ReportReader
from millstream.sources.ga4.settings import SCOPE, GoogleAnalytics4Settings, Report
from millstream.state.errors import (
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Answer, RateLimit

if TYPE_CHECKING:
    from requests.auth import AuthBase

    from millstream.sources.pull import Pull

HOUR = 3600.0


class GoogleAnalytics4(Source[GoogleAnalytics4Settings]):
    """Google Analytics 4: one property."""

    name = "ga4"
    title = "Google Analytics 4"
    category = "analytics"
    docs_url = "https://developers.google.com/analytics/devguides/reporting/data/v1"
    api_version = "v1beta"
    Settings = GoogleAnalytics4Settings
    # The API counts tokens, not requests, and says so in the body: this only keeps us from hammering it.
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=600, seconds=60.0)

    def __init__(self, settings: GoogleAnalytics4Settings) -> None:
        super().__init__(settings)
        self._reports = ReportReader(settings)
        self._audiences = AudienceReader(settings)

    def auth(self) -> AuthBase:
        """A token of the service account or of the user's refresh token."""
        return self.settings.credential(SCOPE)

    def streams(self) -> tuple[Stream, ...]:
        """One stream a report, then the audiences and their members."""
        reports = tuple(self._reports.stream(report) for report in self.settings.reports)
        return (*reports, *self._audiences.streams())

    def probe(self, pull: Pull) -> None:
        """Read the property's field catalogue, which needs the same permission as a report and costs no tokens."""
        pull.get(f"/v1beta/{self.settings.property_name}/metadata")

    def probe_stream(self, pull: Pull) -> None:
        """Ask for one row, one audience or one export."""
        if pull.stream.name == "audiences":
            pull.get(self._audiences.list_url, {"pageSize": 1})
        elif pull.stream.name == "audience_users":
            pull.get(f"/v1beta/{self.settings.property_name}/audienceExports", {"pageSize": 1})
        else:
            self._reports.probe(pull)

    def classify(self, answer: Answer) -> MillstreamError | None:
        """Tell the quota buckets, the two kinds of 403 and a bad report apart."""
        status = answer.status_code
        if status >= 500:
            return self._after_server_error(status)
        if status not in (400, 403, 429):
            return None
        words = _words(answer)
        if status == 429:
            return quota_error(words)
        if status == 403:
            return PermissionDeniedError(
                f"Google refuses access to {self.settings.property_name}: {words[:300]}", remedy=_remedy(words)
            )
        return RefusedError(
            f"Google refused the request: {words[:300]}",
            status=status,
            remedy="look up the report's dimensions and metrics in the property's catalogue; "
            "some cannot be combined (the API's checkCompatibility says which).",
        )

    def _after_server_error(self, status: int) -> MillstreamError | None:
        left = self._reports.quota.after_server_error()
        if left is None or left > 0:
            return None
        return QuotaExhaustedError(
            f"Google answered HTTP {status}, and this property allows no more server errors within the hour.",
            resets_in=HOUR,
            remedy="run again in an hour: Google blocks a project for a property after too many of them.",
        )


def quota_error(words: str) -> MillstreamError:
    """The error for a 429, by the bucket that its message names."""
    text = words.lower()
    what = f"Google's quota is used up: {words[:300]}"
    if "concurrent" in text:
        return RateLimitedError(what)
    if "hour" in text:
        # Hourly tokens come back with the clock's next hour; the session waits in pieces it is allowed.
        return RateLimitedError(what, retry_after=HOUR - time.time() % HOUR + 5)
    if re.search(r"\bday\b|daily|perday", text):
        return QuotaExhaustedError(
            what, remedy="run again tomorrow, or ask for fewer reports; what was read so far is kept."
        )
    return RateLimitedError(what, retry_after=60.0 if "minute" in text else None)


def _words(answer: Answer) -> str:
    """What an error body says: its message, and the reasons and limits named in the details."""
    error = answer.facts().get("error")
    if not isinstance(error, dict):
        return ""
    parts = [str(error.get("status", "")), str(error.get("message", ""))]
    for detail in error.get("details") or []:
        if isinstance(detail, dict):
            limit = (detail.get("metadata") or {}).get("quota_limit")
            parts.extend(str(part) for part in (detail.get("reason"), limit) if part)
    return " - ".join(part for part in parts if part)


def _remedy(words: str) -> str:
    if "SERVICE_DISABLED" in words or "has not been used" in words or "disabled" in words:
        return "enable the Google Analytics Data API (for audiences also the Admin API) in the Cloud project."
    if "SCOPE" in words.upper():
        return "give the credential the scope https://www.googleapis.com/auth/analytics.readonly."
    return (
        "add the service account's e-mail (or the user) as a Viewer of the property; "
        "use the numeric property id, not the G-... measurement id."
    )


__all__ = ["GoogleAnalytics4", "GoogleAnalytics4Settings", "Report"]
