"""How the stored events stand to the tracking plan: what it does not know, what they lack, what could not be converted.

Nothing here shows a person: of properties it tells names, types and shapes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.state.model.masking import kind_of, kinds_of, properties_of, shape_of
from millstream.state.model.plan_findings import (
    InSource,
    PlanReport,
    Spelling,
    Unconverted,
    UnknownName,
    Violation,
)
from millstream.state.model.plan_proposal import proposal_text, propose
from millstream.state.model.standard_events import whole_plan
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from millstream.state.model.similar_names import Similar
    from millstream.state.store import Connection

MOST_NAMES = 1_000
"""Unknown names that are looked at one by one, the most frequent first. A source may make up any number."""


def report_on_plan(
    connection: Connection,
    plan: TrackingPlan,
    *,
    converts: bool = False,
    since: datetime | None = None,
    source: str | None = None,
) -> PlanReport:
    """Tell how the stored events stand to the plan that they were judged by.

    Args:
        connection: An open store with the model's tables; temporary tables are made.
        plan: The project's plan.
        converts: Whether the project has a base currency.
        since: Only events that happened from then on; aware.
        source: Only events of this source.
    """
    return _Reader(connection, plan, since, source).read(converts=converts)


@dataclass
class _Reader:
    connection: Connection
    own: TrackingPlan
    since: datetime | None
    source: str | None
    plan: TrackingPlan = field(init=False)
    counts: dict[tuple[str, str], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.plan = whole_plan(self.own)

    def read(self, *, converts: bool) -> PlanReport:
        report = PlanReport()
        self._look()
        self._read_planned(report)
        self._read_unknown(report)
        report.violations = tuple(self._violations())
        if converts:
            report.unconverted, report.without_currency = self._unconverted()
        report.events = report.planned + report.unplanned
        seen = {name for name, _ in self.counts}
        report.unseen = tuple(name for name in self.own.events if name not in seen)
        return report

    def _look(self) -> None:
        """The events in question, counted once by all that tells them apart."""
        conditions, values = ["true"], []
        if self.since is not None:
            conditions.append("happened_at >= CAST(? AS TIMESTAMPTZ)")
            values.append(self.since.isoformat())
        if self.source is not None:
            conditions.append("source = ?")
            values.append(self.source)
        self.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE plan_events AS
            SELECT plan_status, name, original_name, source, violations,
                CASE WHEN value IS NOT NULL AND value_base IS NULL THEN 'no rate'
                    WHEN value IS NOT NULL AND nullif(trim(currency), '') IS NULL THEN 'no currency' END AS conversion,
                upper(nullif(trim(currency), '')) AS currency,
                count(*) AS events, min(happened_at) AS first_seen, max(happened_at) AS last_seen,
                min(event_id) AS example
            FROM customers.events WHERE {" AND ".join(conditions)}
            GROUP BY 1, 2, 3, 4, 5, 6, 7
            """,
            values or None,
        )

    def _rows(self, sql: str, values: Iterable[object] = ()) -> list[tuple[Any, ...]]:
        listed = list(values)
        return self.connection.execute(sql, listed or None).fetchall()

    # -- names ------------------------------------------------------------------------------------------------

    def _read_planned(self, report: PlanReport) -> None:
        found: dict[tuple[str, str], list[InSource]] = {}
        for name, original, source, events, violating in self._rows(
            """
            SELECT name, original_name, source, sum(events), sum(CASE WHEN violations IS NULL THEN 0 ELSE events END)
            FROM plan_events WHERE plan_status <> 'unplanned' GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3
            """
        ):
            report.planned += int(events)
            report.violating += int(violating)
            self.counts[name, source] = self.counts.get((name, source), 0) + int(events)
            if original != name:
                found.setdefault((name, redact(original)), []).append(InSource(source, int(events)))
        report.spellings = tuple(
            Spelling(event, name, sum(one.events for one in sources), tuple(sources))
            for (event, name), sources in found.items()
        )

    def _read_unknown(self, report: PlanReport) -> None:
        self.connection.execute(
            """
            CREATE OR REPLACE TEMP TABLE plan_unknown AS
            SELECT original_name, sum(events) AS events, min(first_seen) AS first_seen, max(last_seen) AS last_seen,
                min(example) AS example
            FROM plan_events WHERE plan_status = 'unplanned' GROUP BY 1
            """
        )
        names, events = self._rows("SELECT count(*), coalesce(sum(events), 0) FROM plan_unknown")[0]
        report.unknown_names, report.unplanned = int(names), int(events)
        most = f"SELECT * FROM plan_unknown ORDER BY events DESC, original_name LIMIT {MOST_NAMES}"
        sources: dict[str, list[InSource]] = {}
        for name, source, count in self._rows(
            f"""
            SELECT most.original_name, source, sum(plan_events.events) FROM plan_events
            JOIN ({most}) AS most ON most.original_name = plan_events.original_name
            WHERE plan_status = 'unplanned' GROUP BY 1, 2 ORDER BY 3 DESC, 2
            """
        ):
            sources.setdefault(name, []).append(InSource(source, int(count)))
        rows = self._rows(
            f"""
            SELECT most.original_name, most.events, first_seen, last_seen, event.properties FROM ({most}) AS most
            JOIN customers.events AS event ON event.event_id = most.example ORDER BY 2 DESC, 1
            """
        )
        proposals, similar = propose(self.plan, [row[0] for row in rows])
        report.proposal = proposal_text(self.own, proposals)
        report.unknown = tuple(_unknown(row, tuple(sources[row[0]]), similar.get(row[0])) for row in rows)

    # -- what they carry --------------------------------------------------------------------------------------

    def _violations(self) -> Iterable[Violation]:
        """One for each event and property, the most frequent first."""
        rows = self._rows(
            """
            SELECT broken.name, violation, broken.source, broken.events, event.properties
            FROM (
                SELECT name, violation, source, sum(events) AS events, min(example) AS example
                FROM (SELECT name, source, events, example, unnest(violations) AS violation FROM plan_events
                      WHERE violations IS NOT NULL) AS each
                GROUP BY 1, 2, 3
            ) AS broken JOIN customers.events AS event ON event.event_id = broken.example
            ORDER BY broken.events DESC, 1, 2, 3
            """
        )
        grouped: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
        for row in rows:
            grouped.setdefault((row[0], row[1]), []).append(row[2:])
        found = [self._violation(name, violation, parts) for (name, violation), parts in grouped.items()]
        return sorted(found, key=lambda one: (-one.events, one.event, one.property))

    def _violation(self, name: str, violation: str, parts: list[tuple[Any, ...]]) -> Violation:
        kind, _, property_name = violation.partition(" ")
        events = sum(int(count) for _, count, _ in parts)
        of_all = sum(count for (event, _), count in self.counts.items() if event == name)
        event = self.plan.events[name]
        planned = event.property(property_name)
        expected = {"missing": "a value", "type": planned.type or "", "value": ", ".join(map(str, planned.allowed))}
        shown = () if kind == "missing" else dict.fromkeys(_found(document, property_name) for _, _, document in parts)
        sources = (InSource(said, int(count), int(count) / self.counts[name, said]) for said, count, _ in parts)
        return Violation(
            event=name,
            owner=event.owner,
            kind=kind,
            property=property_name,
            expected=expected[kind],
            events=events,
            share=events / of_all,
            sources=tuple(sources),
            found=tuple(shown),
        )

    def _unconverted(self) -> tuple[tuple[Unconverted, ...], tuple[Unconverted, ...]]:
        rows = self._rows(
            """
            SELECT conversion, currency, source, name, sum(events), min(first_seen), max(last_seen)
            FROM plan_events WHERE conversion IS NOT NULL GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 2, 3, 4
            """
        )
        without_rate, without_currency = (
            tuple(
                Unconverted(currency and redact(currency), source, redact(name), int(events), first, last)
                for kind, currency, source, name, events, first, last in rows
                if kind == wanted
            )
            for wanted in ("no rate", "no currency")
        )
        return without_rate, without_currency


def _unknown(row: tuple[Any, ...], sources: tuple[InSource, ...], similar: Similar | None) -> UnknownName:
    name, events, first_seen, last_seen, document = row
    alike = (similar.name, similar.reason) if similar else (None, None)
    return UnknownName(
        redact(name), int(events), first_seen, last_seen, sources, kinds_of(properties_of(document)), *alike
    )


def _found(document: str, name: str) -> str:
    """What stands in a property, without what it says: ``text like 99,99``."""
    value = properties_of(document).get(name)
    return f"{kind_of(value)} like {shape_of(value)}" if not isinstance(value, list | dict) else kind_of(value)
