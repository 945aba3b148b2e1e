"""From raw tables to the customer model: reads the rows pulled since the last time and rewrites what they said.

Each function makes one step's SQL from a stream's declaration. The steps of a stream:

1. ``incoming``  rows that are new since the stream was last modelled, with their record's id
2. ``said``      identifiers of those rows, normalised
3. records, identifiers, traits, consents and events of those rows are replaced
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.model import subjects
from millstream.state.model.currency import CurrencyRules
from millstream.state.model.declarations import ModelledStream, People
from millstream.state.model.events import happened_select, write_happened
from millstream.state.model.identifiers import forget_outdated_spellings, write_identifiers, write_said
from millstream.state.model.incoming import rows_select, status_said, take_incoming
from millstream.state.model.judging import judge_anew
from millstream.state.model.standard_events import whole_plan
from millstream.state.model.tables import TOLD_BY_RECORDS, create_tables
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.sql import identifier, replaced
from millstream.state.store import column_types

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.store import Connection

_REPLACE_RECORDS = replaced(("record_id",), ("source", "stream", "source_key", "observed_at", "deleted", "modelled_at"))


@dataclass
class ModelReport:
    """What was modelled.

    Attributes:
        rows: Raw rows read.
        unplanned_events: New events outside the plan; 0 for a project that plans none.
        incomplete_events: New events without a required property.
        invalid_events: New events with a property of a wrong type, or whose value is not allowed.
        unconverted_events: New events with a value in a currency for which there is no rate.
    """

    rows: int = 0
    unplanned_events: int = 0
    incomplete_events: int = 0
    invalid_events: int = 0
    unconverted_events: int = 0


def build_model(
    connection: Connection,
    source: str,
    streams: Iterable[ModelledStream],
    *,
    plan: TrackingPlan,
    rules: IdentityRules,
    now: datetime,
    account: str | None = None,
    currency: CurrencyRules | None = None,
) -> ModelReport:
    """Bring the customer model up to date with what was pulled from a source.

    Args:
        connection: Open on the store, inside a transaction.
        source: Name of the source in the project.
        streams: Its streams; those that say nothing of people are passed over.
        plan: Canonical event names, and what events must carry. Events that were stored by another plan are held
            against this one, without their rows being read again.
        rules: How identifiers are spelled, and which mean a person only within one account.
        now: Written as ``modelled_at``.
        account: Name of the vendor's account, which several sources may share; the source's own when left out.
        currency: The base currency of ``value_base``; its rates are those that ``keep_rates`` kept.
    """
    create_tables(connection)
    whole = whole_plan(plan)
    judge_anew(connection, whole)
    report = ModelReport()
    for stream in streams:
        if stream.people is not None:
            model = _StreamModel(
                connection, source, stream, stream.people, whole, rules, now, account or source, currency
            )
            model.build(report)
    if not plan.events:
        report.unplanned_events = 0
    return report


@dataclass
class _StreamModel:
    connection: Connection
    source: str
    stream: ModelledStream
    people: People
    plan: TrackingPlan
    rules: IdentityRules
    now: datetime
    account: str
    currency: CurrencyRules | None

    def build(self, report: ModelReport) -> None:
        columns = self._raw_columns()
        if not columns:
            return
        self._forget_if_declared_anew()
        rows = take_incoming(self.connection, self.source, self.stream, self.people, columns)
        if rows:
            self._normalise_identifiers()
            if self.people.record == "subject":
                self._hear_subjects_anew(columns)
            self._write_records()
            self._write_identifiers()
            if self.people.record == "row":
                self._write_traits_and_consents()
            self._write_events(report)
            self._remember()
        self.connection.execute("DROP TABLE IF EXISTS incoming; DROP TABLE IF EXISTS said; DROP TABLE IF EXISTS filed")
        report.rows += rows

    # -- which rows ------------------------------------------------------------------------------------------

    def _raw_columns(self) -> set[str]:
        return set(column_types(self.connection, f"raw_{self.source}", self.stream.name))

    def _fingerprint(self) -> str:
        """Changes when the stream says something else than before, so that it is modelled anew."""
        kinds = {said.kind for said in self.people.identifiers}
        spelled = self.rules.spelling_fingerprint(kinds)
        account = self.account if any(self.rules.rule(kind).scope == "source" for kind in kinds) else None
        said = repr((self.people, self.stream.primary_key, spelled, account))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def _forget_if_declared_anew(self) -> None:
        known = self.connection.execute(
            "SELECT declaration FROM customers.modelled_streams WHERE source = ? AND stream = ?",
            [self.source, self.stream.name],
        ).fetchone()
        if known is None or known[0] == self._fingerprint():
            return
        forget_outdated_spellings(self.connection)
        mine = "SELECT record_id FROM customers.records WHERE source = $source AND stream = $stream"
        named = {"source": self.source, "stream": self.stream.name}
        for table in TOLD_BY_RECORDS:
            self.connection.execute(f"DELETE FROM customers.{table} WHERE record_id IN ({mine})", named)
        self.connection.execute("DELETE FROM customers.events WHERE source = $source AND stream = $stream", named)
        # Records stay, marked deleted until they are said again, so that the graph notices their going.
        self.connection.execute(
            """
            UPDATE customers.records SET deleted = true, modelled_at = $now
            WHERE source = $source AND stream = $stream
            """,
            {**named, "now": self.now},
        )
        self.connection.execute(
            "DELETE FROM customers.modelled_streams WHERE source = $source AND stream = $stream", named
        )

    def _remember(self) -> None:
        self.connection.execute(
            f"""
            INSERT INTO customers.modelled_streams
            SELECT $source, $stream, max(_pulled_at), $declaration FROM incoming
            {replaced(("source", "stream"), ("pulled_at", "declaration"))}
            """,
            {"source": self.source, "stream": self.stream.name, "declaration": self._fingerprint()},
        )

    # -- identifiers -----------------------------------------------------------------------------------------

    def _normalise_identifiers(self) -> None:
        stream = f"{self.source}.{self.stream.name}"
        write_said(self.connection, self.people, self.rules, stream=stream, account=self.account)

    def _hear_subjects_anew(self, columns: set[str]) -> None:
        """A row that was corrected or deleted may have been the only one to say something of whom it named."""
        subjects.find_filed(self.connection, self.source, self.stream.name)
        if subjects.find_doubted(self.connection):
            rows = rows_select(self.source, self.stream, self.people, columns)
            subjects.add_rows_of_doubted(self.connection, self.people, self.rules, rows, account=self.account)
            self._normalise_identifiers()
            subjects.forget_doubted(self.connection, self.source, self.stream.name, self.now)
            subjects.find_filed(self.connection, self.source, self.stream.name)

    def _write_records(self) -> None:
        if self.people.record == "row":
            self.connection.execute(
                f"""
                INSERT INTO customers.records
                SELECT _record_id, $source, $stream, _key, _observed_at, _is_deleted, $now FROM incoming
                {_REPLACE_RECORDS}
                """,
                self._facts(),
            )
            return
        # A record that is named again is written anew only when that is news: later, or with another identifier.
        self.connection.execute(
            f"""
            INSERT INTO customers.records
            WITH named AS (
                SELECT said.record_id, max(_observed_at) AS observed_at
                FROM said JOIN incoming ON said.row_id = incoming._record_id GROUP BY said.record_id
            ), news AS (
                SELECT said.record_id FROM said LEFT JOIN customers.identifiers AS known
                    ON known.record_id = said.record_id AND known.kind = said.kind AND known.value = said.value
                WHERE known.record_id IS NULL
            )
            SELECT named.record_id, $source, $stream, substr(named.record_id, strpos(named.record_id, ':') + 1),
                greatest(named.observed_at, coalesce(known.observed_at, named.observed_at)), false, $now
            FROM named LEFT JOIN customers.records AS known ON known.record_id = named.record_id
            WHERE known.record_id IS NULL OR known.deleted OR known.observed_at < named.observed_at
                OR named.record_id IN (SELECT record_id FROM news)
            {_REPLACE_RECORDS}
            """,
            self._facts(),
        )

    def _write_identifiers(self) -> None:
        if self.people.record == "row":
            self._delete_incoming("identifiers")
            self._delete_incoming("unheard_identifiers")
        write_identifiers(self.connection)

    # -- what is true of them ----------------------------------------------------------------------------------

    def _write_traits_and_consents(self) -> None:
        self._delete_incoming("traits")
        self._delete_incoming("consents")
        for trait in self.people.traits:
            column = identifier(trait.column)
            self.connection.execute(
                f"""
                INSERT INTO customers.traits
                SELECT _record_id, $name, CAST({column} AS TEXT), $type, _observed_at FROM incoming
                WHERE length(CAST({column} AS TEXT)) > 0 AND NOT _is_deleted
                """,
                {"name": trait.name, "type": trait.type},
            )
        for consent in self.people.consents:
            status = status_said(consent)
            self.connection.execute(
                f"""
                INSERT INTO customers.consents
                SELECT _record_id, $channel, $topic, {status}, _observed_at FROM incoming
                WHERE {status} IS NOT NULL AND (NOT _is_deleted OR {status} = 'denied')
                """,
                {"channel": consent.channel, "topic": consent.topic},
            )

    # -- what they did -----------------------------------------------------------------------------------------

    def _write_events(self, report: ModelReport) -> None:
        if not self.people.events:
            return
        if self.people.record == "row":
            subjects.find_filed(self.connection, self.source, self.stream.name)
        self.connection.execute(
            """
            DELETE FROM customers.events
            WHERE source = $source AND stream = $stream AND event_id IN (SELECT event_id FROM filed)
            """,
            {"source": self.source, "stream": self.stream.name},
        )
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE happened AS {happened_select(self.people)}",
            {"source": self.source, "stream": self.stream.name},
        )
        if self.people.record == "subject":
            subjects.mark_changed(self.connection, self.now)
        counts = write_happened(self.connection, self.plan, self.currency)
        report.unplanned_events += counts.unplanned
        report.incomplete_events += counts.incomplete
        report.invalid_events += counts.invalid
        report.unconverted_events += counts.unconverted
        self.connection.execute("DROP TABLE happened")

    # -- shared ------------------------------------------------------------------------------------------------

    def _delete_incoming(self, table: str) -> None:
        self.connection.execute(f"DELETE FROM customers.{table} WHERE record_id IN (SELECT _record_id FROM incoming)")

    def _facts(self) -> dict[str, object]:
        return {"source": self.source, "stream": self.stream.name, "now": self.now}
