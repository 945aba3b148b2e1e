"""Reports as streams: a row for each day and item."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from millstream.sources.adobe_analytics.asking import Asker, Figures, days_between
from millstream.sources.contract import Column, Page, Row, Stream
from millstream.state.model.declarations import Event, Identifier, People, Trait

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.adobe_analytics.company import Company
    from millstream.sources.adobe_analytics.settings import AdobeAnalyticsSettings, Report
    from millstream.sources.pull import Pull

SCOPE = "a product profile of Adobe Analytics with the report suite"
REQUESTS_A_PART = 100
"""Requests after which the days read are stored: a minute at Adobe's pace."""

LOW_TRAFFIC = ("low traffic", "low-traffic", "(low traffic)", "::uniques_exceeded::")
"""Adobe's names for the rest, where a dimension has more items than it keeps."""

NOBODY = ("", "none", "unspecified", "::unspecified::", *LOW_TRAFFIC)

_NAMES_NOBODY = Column("names_nobody", "bool", "No item names anybody, or the row is deleted.")


class ReportReader:
    """Reads the reports of one report suite."""

    def __init__(self, settings: AdobeAnalyticsSettings, company: Company) -> None:
        self._settings = settings
        self._company = company
        self._asker = Asker(settings, company)

    def stream(self, report: Report) -> Stream:
        """The stream of a report."""
        return Stream(
            name=report.name,
            description=f"One row a day and {', '.join(report.dimensions) or 'report suite'}.",
            primary_key=("row_key",),
            columns=_columns(report),
            read=lambda pull: self.read(pull, report),
            resumable=True,
            people=_people(report),
            scope=SCOPE,
        )

    def look(self, pull: Pull, report: Report) -> None:
        """Ask for one row of yesterday."""
        self._asker.look(pull, report, self._yesterday(pull))

    def read(self, pull: Pull, report: Report) -> Iterator[Page | pa.Table]:
        """The days of a pull, each with all of its rows, and the stored rows that are no longer among them."""
        days = list(self._days(pull))
        left_out = requests = 0
        for number, day in enumerate(days):
            found = self._asker.day(pull, report, day)
            if not number:
                pull.say_how_long(found.requests * len(days), per_minute=self._settings.requests_per_minute)
            rows = [self._row(pull, report, day, figures) for figures in found.rows]
            if not found.left_out:
                yield from self._gone(pull, report, day, {str(row["row_key"]) for row in rows})
            self._keep_place(pull, day)
            yield rows
            left_out += found.left_out
            requests += found.requests
            if requests >= REQUESTS_A_PART:
                requests = 0
                yield pull.until_loaded()
        if left_out:
            pull.warn(f"{left_out} items were not broken down: report {report.name} has `most_items`.")

    def _days(self, pull: Pull) -> Iterator[date]:
        """Days to read, the oldest first; never past yesterday in the report suite's time zone."""
        last = self._yesterday(pull)
        if pull.is_backfill:
            assert pull.since is not None
            assert pull.until is not None
            return days_between(pull.since.date(), min(last, (pull.until - timedelta(microseconds=1)).date()))
        read = pull.state.get("read")
        if read is None:
            return days_between(self._settings.start_date or last - timedelta(days=self._settings.first_days - 1), last)
        first = date.fromisoformat(read) - timedelta(days=self._settings.lookback_days - 1)
        pull.since = self._start(pull, first).astimezone(UTC)
        return days_between(first, last)

    def _yesterday(self, pull: Pull) -> date:
        return pull.pulled_at.astimezone(self._company.zone(pull)).date() - timedelta(days=1)

    def _start(self, pull: Pull, day: date) -> datetime:
        return datetime.combine(day, time.min, self._company.zone(pull))

    def _keep_place(self, pull: Pull, day: date) -> None:
        if not pull.is_backfill:
            pull.place = pull.state["read"] = max(pull.state.get("read", ""), day.isoformat())

    def _row(self, pull: Pull, report: Report, day: date, figures: Figures) -> Row:
        ids = [item.item_id for item in figures.items]
        row: Row = {
            "row_key": _row_key(self._settings.rsid, day.isoformat(), *ids),
            "rsid": self._settings.rsid,
            "date": day,
            "day_starts_at": self._start(pull, day),
            "is_low_traffic": any(item.value.lower() in LOW_TRAFFIC for item in figures.items),
            "deleted": False,
        }
        for dimension, item in zip(report.dimensions, figures.items, strict=True):
            row |= {report.column(dimension): item.value, report.item_column(dimension): item.item_id}
            if dimension in report.identifiers:
                row[report.person_column(dimension)] = None if item.value.lower() in NOBODY else item.value
        if report.identifiers:
            row["names_nobody"] = not any(row[report.person_column(dimension)] for dimension in report.identifiers)
        return row | {report.column(name): value for name, value in zip(report.metrics, figures.metrics, strict=True)}

    def _gone(self, pull: Pull, report: Report, day: date, seen: set[str]) -> Iterator[pa.Table]:
        """Stored rows of a day that Adobe no longer gives, since hits were corrected, marked as deleted."""
        import pyarrow as pa

        was_read = pull.is_backfill or day.isoformat() <= pull.state.get("read", "")
        if pull.stored is None or not was_read:
            return
        of_day = {"date": day, "rsid": self._settings.rsid}
        known = pull.stored.rows(report.name, columns=("row_key",), equal=of_day, unequal={"deleted": True})
        gone = [one["row_key"] for one in known.to_pylist() if one["row_key"] not in seen]
        for table in pull.stored.rows_of_keys(report.name, pa.table({"row_key": pa.array(gone, pa.string())})):
            yield _marked(table)


def _marked(table: pa.Table) -> pa.Table:
    """Rows, as deleted, so that they name nobody."""
    import pyarrow as pa

    for name in ("deleted", "names_nobody"):
        if name in table.column_names:
            marks = pa.array([True] * len(table), pa.bool_())
            table = table.set_column(table.column_names.index(name), name, marks)
    return table


def _columns(report: Report) -> tuple[Column, ...]:
    dimensions = [
        (
            Column(report.column(name), description=f"Dimension {name}."),
            Column(report.item_column(name), description=f"Adobe's id of the item of {name}; names may change."),
        )
        for name in report.dimensions
    ]
    return (
        Column("row_key", description="Hash of the report suite, the day and the items.", required=True),
        Column("rsid", description="Id of the report suite.", required=True),
        Column("date", "date", "Day in the report suite's time zone.", required=True),
        Column("day_starts_at", "timestamp", "Its first moment.", required=True),
        *(column for pair in dimensions for column in pair),
        *(
            Column(report.person_column(name), description=f"{name}, where it names somebody.", optional=True)
            for name in report.identifiers
        ),
        *(
            (Column("names_nobody", "bool", "No item names anybody, or the row is deleted."),)
            if report.identifiers
            else ()
        ),
        *(Column(report.column(name), "double", f"Metric {name}.", optional=True) for name in report.metrics),
        Column("is_low_traffic", "bool", "An item is the rest, of more items than Adobe keeps."),
        Column("deleted", "bool", "No longer in the report: hits of the day were corrected."),
    )


def _people(report: Report) -> People | None:
    if not report.identifiers:
        return None
    event = Event(
        at="day_starts_at",
        name=report.event,
        properties=("date", *(report.column(name) for name in report.metrics)),
        value=report.column(report.value) if report.value else None,
    )
    return People(
        # Traits are those of a row; without any, all days of one person are one record.
        record="row" if report.traits else "subject",
        identifiers=tuple(
            Identifier(kind=kind, column=report.person_column(name)) for name, kind in report.identifiers.items()
        ),
        traits=tuple(Trait(name=trait, column=report.column(name)) for name, trait in report.traits.items()),
        events=(event,) if report.event else (),
        observed_at="day_starts_at",
        deleted="names_nobody",
    )


def _row_key(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
