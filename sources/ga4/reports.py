"""Reports: a day at a time, five days a request, in the property's own calendar."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from millstream.sources.contract import Column, Cursor, Page, Row, Stream
from millstream.sources.ga4.settings import SCOPE
from millstream.state.errors import ConfigurationError, MalformedAnswerError, QuotaExhaustedError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.ga4.settings import GoogleAnalytics4Settings, Report
    from millstream.sources.pull import Pull

log = logging.getLogger(__name__)

DAYS_A_REQUEST = 5
"""``batchRunReports`` takes no more."""

FIRST_PAGE = 10_000
NEXT_PAGE = 100_000
DEFAULT_DAYS = 30
OTHER = "(other)"
"""Google's name for the rest, where a report has more rows than it keeps."""

WESTMOST = "Etc/GMT+12"
"""Where a day ends last: with it, an unknown time zone cannot make us read a day too early."""

WHOLE_NUMBERS = frozenset(
    {
        "active1DayUsers",
        "active28DayUsers",
        "active7DayUsers",
        "activeUsers",
        "addToCarts",
        "checkouts",
        "ecommercePurchases",
        "engagedSessions",
        "eventCount",
        "firstTimePurchasers",
        "itemsAddedToCart",
        "itemsPurchased",
        "itemsViewed",
        "newUsers",
        "screenPageViews",
        "sessions",
        "totalPurchasers",
        "totalUsers",
        "transactions",
    }
)
"""Metrics of TYPE_INTEGER. A column's type must be known before the first answer; all others are ``double``."""

FLAGS = (
    Column("currency_code", description="Currency of amounts (ISO 4217).", optional=True),
    Column("time_zone", description="The property's time zone; days are its days.", optional=True),
    Column("subject_to_thresholding", "bool", "Google may have held back rows about few people."),
    Column("data_loss_from_other_row", "bool", "Some dimension values were put together as (other)."),
    Column("is_other", "bool", "This row is such a rest: one of its dimensions is (other)."),
    Column("samples_read_count", "bigint", "Events the figures were computed from, when sampled.", optional=True),
    Column("sampling_space_size", "bigint", "Events there were, when sampled.", optional=True),
)
"""What Google says about how far the figures can be trusted; kept with every row."""


class Quota:
    """What the property still allows, as its last answer said."""

    def __init__(self) -> None:
        self._tokens: int | None = None
        self._server_errors: int | None = None

    def note(self, answer: Mapping[str, Any]) -> None:
        """Take over the counts in an answer."""
        counts = answer.get("propertyQuota") or {}
        if "tokensPerDay" in counts:
            # protobuf leaves out a zero, so that an exhausted budget has no "remaining" at all.
            self._tokens = int(counts["tokensPerDay"].get("remaining", 0))
        if "serverErrorsPerProjectPerHour" in counts:
            self._server_errors = int(counts["serverErrorsPerProjectPerHour"].get("remaining", 0))

    def check(self) -> None:
        """Ask for one more report.

        Raises:
            QuotaExhaustedError: The day's tokens are used up.
        """
        if self._tokens is not None and self._tokens <= 0:
            raise QuotaExhaustedError(
                "The property's tokens for today (tokensPerDay) are used up.",
                remedy="run again tomorrow, or ask for fewer reports; what was read so far is kept.",
            )

    def after_server_error(self) -> int | None:
        """How many more server errors the property allows within the hour; None when it has not said."""
        if self._server_errors is not None:
            self._server_errors -= 1
        return self._server_errors


class ReportReader:
    """Reads the reports of one property; remembers its time zone and the tokens left."""

    def __init__(self, settings: GoogleAnalytics4Settings) -> None:
        self._settings = settings
        self._zone: tzinfo | None = None
        self.quota = Quota()

    def stream(self, report: Report) -> Stream:
        """The stream of a report."""
        names = [column_name(name) for name in (*report.all_dimensions, *report.metrics)]
        taken = {"row_key", "property_id", *(flag.name for flag in FLAGS)}
        for name in names:
            if name in taken or names.count(name) > 1:
                raise ConfigurationError(f"Report {report.name!r} has two columns named {name!r}.", where="source ga4")
        dimensions = tuple(
            Column(column_name(name), description=f"Dimension {name}.")
            for name in report.all_dimensions
            if name != "date"
        )
        metrics = tuple(
            Column(column_name(name), "bigint" if name in WHOLE_NUMBERS else "double", f"Metric {name}.", required=True)
            for name in report.metrics
        )
        return Stream(
            name=report.name,
            description=f"One row a day and {', '.join(report.dimensions) or 'property'}.",
            primary_key=("row_key",),
            columns=(
                Column("row_key", description="Hash of the property, the day and the dimensions.", required=True),
                Column("property_id", description="The property's number.", required=True),
                Column("date", "date", "Day in the property's time zone.", required=True),
                *dimensions,
                *metrics,
                *FLAGS,
            ),
            cursor=Cursor(column="date", lookback=timedelta(days=self._settings.lookback_days), ordered=True),
            read=lambda pull: self.read(pull, report),
            scope=SCOPE,
        )

    def probe(self, pull: Pull) -> None:
        """Ask for one row of yesterday."""
        self._ask_time_zone(pull)

    def read(self, pull: Pull, report: Report) -> Iterator[Page]:
        """Pages of a report, the days in order."""
        days = self._days(pull)
        for first in range(0, len(days), DAYS_A_REQUEST):
            some = days[first : first + DAYS_A_REQUEST]
            bodies = [self._body(report, day, limit=FIRST_PAGE) for day in some]
            for day, answer in zip(some, self._post_batch(pull, bodies), strict=True):
                pull.expect(int(answer.get("rowCount", 0)))
                yield from self._pages(pull, report, day, answer)

    def _pages(self, pull: Pull, report: Report, day: date, answer: Mapping[str, Any]) -> Iterator[Page]:
        """The first answer of a day, then the rest of the day, row by row number."""
        offset = 0
        while rows := answer.get("rows") or []:
            yield self._shape(report, day, answer)
            offset += len(rows)
            if offset >= int(answer.get("rowCount", 0)):
                return
            answer = self._post(pull, self._body(report, day, limit=NEXT_PAGE, offset=offset))

    def _body(self, report: Report, day: date, *, limit: int, offset: int = 0) -> dict[str, Any]:
        body: dict[str, Any] = {
            "dimensions": [{"name": name} for name in report.all_dimensions],
            "metrics": [{"name": name} for name in report.metrics],
            "dateRanges": [{"startDate": day.isoformat(), "endDate": day.isoformat()}],
            # Without an order the pages of a day may overlap.
            "orderBys": [{"dimension": {"dimensionName": name}} for name in report.all_dimensions],
            "limit": limit,
            "returnPropertyQuota": True,
        }
        if offset:
            body["offset"] = offset
        if self._settings.currency_code:
            body["currencyCode"] = self._settings.currency_code
        return body

    def _days(self, pull: Pull) -> list[date]:
        """Days to read, the oldest first; never past yesterday in the property's time zone."""
        if self._zone is None:
            self._zone = _zone(self._ask_time_zone(pull))
        last = pull.pulled_at.astimezone(self._zone).date() - timedelta(days=1)
        if pull.until is not None:
            last = min(last, (pull.until - timedelta(microseconds=1)).date())
        if pull.since is not None:
            first = pull.since.date()
        else:
            first = self._settings.start_date or last - timedelta(days=DEFAULT_DAYS - 1)
        return [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def _ask_time_zone(self, pull: Pull) -> str:
        body = {
            "metrics": [{"name": "activeUsers"}],
            "dateRanges": [{"startDate": "yesterday", "endDate": "yesterday"}],
            "limit": 1,
            "returnPropertyQuota": True,
        }
        return str((self._post(pull, body).get("metadata") or {}).get("timeZone", ""))

    def _post(self, pull: Pull, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._send(pull, "runReport", body)

    def _post_batch(self, pull: Pull, bodies: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        answer = self._send(pull, "batchRunReports", {"requests": list(bodies)})
        reports = answer.get("reports")
        if not isinstance(reports, list) or len(reports) != len(bodies):
            count = len(reports) if isinstance(reports, list) else "no"
            raise MalformedAnswerError(
                f"batchRunReports answered {count} reports for {len(bodies)} requests.",
                remedy="run again; if it stays, the API has changed: update the connector.",
            )
        for report in reports:
            self.quota.note(report)
        return reports

    def _send(self, pull: Pull, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.quota.check()
        answer = pull.post(f"/v1beta/{self._settings.property_name}:{method}", body)
        if not isinstance(answer, dict):
            raise MalformedAnswerError(
                f"{method} answered a {type(answer).__name__}.", remedy="check the base_url of the connection."
            )
        self.quota.note(answer)
        return answer

    def _shape(self, report: Report, day: date, answer: Mapping[str, Any]) -> Page:
        dimensions = _headers(answer, "dimensionHeaders", report.all_dimensions)
        metrics = _headers(answer, "metricHeaders", report.metrics)
        readers = [_number_reader(header) for header in metrics]
        flags = _flags(answer.get("metadata") or {})
        page = []
        for found in answer["rows"]:
            values = _values(found, "dimensionValues", len(dimensions))
            numbers = _values(found, "metricValues", len(metrics))
            row: Row = {column_name(h["name"]): value for h, value in zip(dimensions, values, strict=True)}
            row |= {
                column_name(h["name"]): read(value) for h, read, value in zip(metrics, readers, numbers, strict=True)
            }
            row |= flags | {
                # The request named the day: it stands even where the dimension says (other).
                "date": day,
                "property_id": self._settings.property_id,
                "row_key": row_key(self._settings.property_id, day.isoformat(), *values),
                "is_other": OTHER in values,
            }
            page.append(row)
        if any(row["is_other"] for row in page):
            log.warning("ga4.%s: %s has an (other) row: use fewer dimensions.", report.name, day)
        return page


def column_name(name: str) -> str:
    """The column for an API name: ``sessionDefaultChannelGroup`` -> ``session_default_channel_group``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", words.lower()).strip("_")


def row_key(*parts: str) -> str:
    """A short key for a row that has no id of its own."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name or WESTMOST)
    except (ZoneInfoNotFoundError, ValueError):
        log.warning("ga4: the time zone %r is not known here; days are read half a day later.", name)
        return ZoneInfo(WESTMOST)


def _headers(answer: Mapping[str, Any], key: str, asked: Sequence[str]) -> list[dict[str, str]]:
    headers = answer.get(key) or []
    names = tuple(header.get("name") for header in headers if isinstance(header, dict))
    if names != tuple(asked):
        raise SchemaError(
            f"The report's {key} are {', '.join(map(str, names)) or 'missing'}; asked for {', '.join(asked)}.",
            remedy="the API may have renamed a field: update the report.",
        )
    return list(headers)


def _values(row: Mapping[str, Any], key: str, count: int) -> list[str]:
    values = row.get(key) or []
    if len(values) != count:
        raise SchemaError(
            f"A row has {len(values)} {key} for {count} headers.",
            remedy="the API may have renamed the field: update the connector.",
        )
    # protobuf leaves out an empty text.
    return [str(value.get("value", "")) for value in values]


def _number_reader(header: Mapping[str, str]) -> type[int] | type[float]:
    """How to read a metric's text, by the type its header gives."""
    name, kind = header["name"], header.get("type", "TYPE_FLOAT")
    if kind == "TYPE_INTEGER":
        return int
    if name in WHOLE_NUMBERS:
        raise SchemaError(
            f"Metric {name!r} is a {kind}, not a TYPE_INTEGER.",
            remedy="the API has changed the metric's type: update the connector.",
        )
    return float


def _flags(metadata: Mapping[str, Any]) -> Row:
    sampled = metadata.get("samplingMetadatas") or []
    return {
        "currency_code": metadata.get("currencyCode"),
        "time_zone": metadata.get("timeZone"),
        "subject_to_thresholding": bool(metadata.get("subjectToThresholding", False)),
        "data_loss_from_other_row": bool(metadata.get("dataLossFromOtherRow", False)),
        # int64 is text in protobuf's JSON; one entry for each date range, and there is one.
        "samples_read_count": int(sampled[0].get("samplesReadCount", 0)) if sampled else None,
        "sampling_space_size": int(sampled[0].get("samplingSpaceSize", 0)) if sampled else None,
    }


def moment(text: str) -> datetime:
    """A protobuf timestamp; it may have nanoseconds, of which Python keeps six digits."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
