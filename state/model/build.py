"""From raw tables to the customer model: reads the rows pulled since the last time and rewrites what they said.

Each function makes one step's SQL from a stream's declaration. The steps of a stream:

1. ``incoming``  rows that are new since the stream was last modelled, with their record's id
2. ``said``      identifiers of those rows, normalised
3. records, identifiers, traits, consents and events of those rows are replaced
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from millstream.state.identity.normalise import normalise
from millstream.state.model.declarations import Consent, Identifier, People
from millstream.state.model.events import happened_select, planned_select
from millstream.state.model.tables import create_tables
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.sql import case, identifier, literal, union_all

if TYPE_CHECKING:
    from millstream.state.store import Connection

_KEY_SEPARATOR = "|"
_NOTHING_SAID = (
    "SELECT '' AS record_id, '' AS country, '' AS kind, '' AS original, true AS merges, 0 AS position WHERE false"
)


class ModelledStream(Protocol):
    """What the model needs to know of a stream; a source's ``Stream`` is one."""

    @property
    def name(self) -> str:
        """Name of the raw table."""

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns that make a row unique."""

    @property
    def people(self) -> People | None:
        """What the rows say about people."""


@dataclass
class ModelReport:
    """What was modelled: raw rows read, and events outside the plan or without a required property."""

    rows: int = 0
    unplanned_events: int = 0
    incomplete_events: int = 0


def build_model(
    connection: Connection,
    source: str,
    streams: Iterable[ModelledStream],
    *,
    plan: TrackingPlan,
    default_country: str | None,
    now: datetime,
) -> ModelReport:
    """Bring the customer model up to date with what was pulled from a source.

    Args:
        connection: Open on the store, inside a transaction.
        source: Name of the source in the project.
        streams: Its streams; those that say nothing of people are passed over.
        plan: Canonical event names.
        default_country: ISO 3166 code for phone numbers whose record names no country.
        now: Written as ``modelled_at``.
    """
    create_tables(connection)
    report = ModelReport()
    for stream in streams:
        if stream.people is not None:
            _StreamModel(connection, source, stream, stream.people, plan, default_country, now).build(report)
    return report


@dataclass
class _StreamModel:
    connection: Connection
    source: str
    stream: ModelledStream
    people: People
    plan: TrackingPlan
    default_country: str | None
    now: datetime

    def build(self, report: ModelReport) -> None:
        columns = self._raw_columns()
        if not columns:
            return
        self._forget_if_declared_anew()
        rows = self._take_incoming(columns)
        if rows:
            self._normalise_identifiers()
            self._write_records()
            self._write_identifiers()
            if self.people.record == "row":
                self._write_traits_and_consents()
            self._write_events(report)
            self._remember()
        self.connection.execute("DROP TABLE IF EXISTS incoming; DROP TABLE IF EXISTS said")
        report.rows += rows

    # -- which rows ------------------------------------------------------------------------------------------

    def _raw_columns(self) -> set[str]:
        found = self.connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?",
            [f"raw_{self.source}", self.stream.name],
        ).fetchall()
        return {name for (name,) in found}

    def _fingerprint(self) -> str:
        """Changes when the stream says something else than before, so that it is modelled anew."""
        said = repr((self.people, self.stream.primary_key, self.default_country))
        if self.people.events:
            said += self.plan.model_dump_json()
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def _forget_if_declared_anew(self) -> None:
        known = self.connection.execute(
            "SELECT declaration FROM customers.modelled_streams WHERE source = ? AND stream = ?",
            [self.source, self.stream.name],
        ).fetchone()
        if known is None or known[0] == self._fingerprint():
            return
        mine = "SELECT record_id FROM customers.records WHERE source = $source AND stream = $stream"
        named = {"source": self.source, "stream": self.stream.name}
        for table in ("identifiers", "traits", "consents"):
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
        # The project's default country may have changed, and decides how numbers are read.
        self.connection.execute("DELETE FROM customers.normalised WHERE kind = 'phone'")

    def _take_incoming(self, columns: set[str]) -> int:
        people = self.people
        key = _key(self.stream.primary_key)
        observed = identifier(people.observed_at) if people.observed_at else "NULL"
        deleted = identifier(people.deleted) if people.deleted else "false"
        country = identifier(people.country) if people.country else "NULL"
        denies = " OR ".join(f"{_status(consent)} = 'denied'" for consent in people.consents) or "false"
        missing = "".join(f", NULL AS {identifier(name)}" for name in columns_said(people) if name not in columns)
        self.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE incoming AS
            WITH raw AS (SELECT *{missing} FROM {identifier(f"raw_{self.source}.{self.stream.name}")})
            SELECT *,
                {key} AS _key,
                {literal(f"{self.source}.{self.stream.name}:")} || {key} AS _record_id,
                CAST(coalesce({observed}, _pulled_at) AS TIMESTAMPTZ) AS _observed_at,
                coalesce({deleted}, false) AS _deleted,
                -- Of a deleted record only a refusal still counts, with those whom it is about.
                NOT coalesce({deleted}, false) OR coalesce({denies}, false) AS _identifies,
                coalesce(CAST({country} AS TEXT), '') AS _country
            FROM raw
            WHERE _pulled_at > coalesce((
                SELECT pulled_at FROM customers.modelled_streams WHERE source = $source AND stream = $stream
            ), TIMESTAMPTZ '-infinity')
            """,
            {"source": self.source, "stream": self.stream.name},
        )
        row = self.connection.execute("SELECT count(*) FROM incoming").fetchone()
        return row[0] if row else 0

    def _remember(self) -> None:
        self.connection.execute(
            """
            INSERT OR REPLACE INTO customers.modelled_streams
            SELECT $source, $stream, max(_pulled_at), $declaration FROM incoming
            """,
            {"source": self.source, "stream": self.stream.name, "declaration": self._fingerprint()},
        )

    # -- identifiers -----------------------------------------------------------------------------------------

    def _normalise_identifiers(self) -> None:
        """Make ``said``: one row for each identifier of an incoming row, normalised once for each distinct value."""
        selects = [_said(position, said) for position, said in enumerate(self.people.identifiers)] or [_NOTHING_SAID]
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE said_as AS {union_all(selects)}")
        new = self.connection.execute(
            """
            SELECT DISTINCT kind, country, original FROM said_as
            ANTI JOIN customers.normalised USING (kind, country, original)
            """
        ).fetchall()
        if new:
            values = [normalise(kind, original, country, self.default_country) for kind, country, original in new]
            kinds, countries, originals = (list(column) for column in zip(*new, strict=True))
            normalised = pa.table(  # noqa: F841 - DuckDB finds it by its name
                {
                    "kind": kinds,
                    "country": countries,
                    "original": originals,
                    "value": pa.array(values, pa.string()),
                }
            )
            self.connection.execute("INSERT INTO customers.normalised SELECT * FROM normalised")
        subject = "record_id"
        if self.people.record == "subject":
            stem = literal(f"{self.source}.{self.stream.name}:")
            subject = (
                f"{stem} || first_value(kind || ':' || value) OVER (PARTITION BY record_id ORDER BY position, value)"
            )
        self.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE said AS
            SELECT record_id AS row_id, {subject} AS record_id, kind, value, original, merges
            FROM said_as JOIN customers.normalised USING (kind, country, original)
            WHERE value IS NOT NULL
            """
        )
        self.connection.execute("DROP TABLE said_as")

    def _write_records(self) -> None:
        if self.people.record == "row":
            self.connection.execute(
                """
                INSERT OR REPLACE INTO customers.records
                SELECT _record_id, $source, $stream, _key, _observed_at, _deleted, $now FROM incoming
                """,
                self._facts(),
            )
            return
        # A record that is named again is written anew only when that is news: later, or with another identifier.
        self.connection.execute(
            """
            INSERT OR REPLACE INTO customers.records
            WITH named AS (
                SELECT said.record_id, max(_observed_at) AS observed_at
                FROM said JOIN incoming ON said.row_id = incoming._record_id GROUP BY said.record_id
            ), news AS (
                SELECT record_id FROM said ANTI JOIN customers.identifiers AS known USING (record_id, kind, value)
            )
            SELECT named.record_id, $source, $stream, substr(named.record_id, strpos(named.record_id, ':') + 1),
                greatest(named.observed_at, coalesce(known.observed_at, named.observed_at)), false, $now
            FROM named LEFT JOIN customers.records AS known ON known.record_id = named.record_id
            WHERE known.record_id IS NULL OR known.deleted OR known.observed_at < named.observed_at
                OR named.record_id IN (SELECT record_id FROM news)
            """,
            self._facts(),
        )

    def _write_identifiers(self) -> None:
        if self.people.record == "row":
            self._delete_incoming("identifiers")
        self.connection.execute(
            """
            INSERT INTO customers.identifiers
            SELECT record_id, kind, value, min(original), bool_or(merges)
            FROM said
            WHERE NOT EXISTS (
                SELECT 1 FROM customers.identifiers AS known
                WHERE known.record_id = said.record_id AND known.kind = said.kind AND known.value = said.value
            )
            GROUP BY record_id, kind, value
            """
        )

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
                WHERE length(CAST({column} AS TEXT)) > 0 AND NOT _deleted
                """,
                {"name": trait.name, "type": trait.type},
            )
        for consent in self.people.consents:
            status = _status(consent)
            self.connection.execute(
                f"""
                INSERT INTO customers.consents
                SELECT _record_id, $channel, $topic, {status}, _observed_at FROM incoming
                WHERE {status} IS NOT NULL AND (NOT _deleted OR {status} = 'denied')
                """,
                {"channel": consent.channel, "topic": consent.topic},
            )

    # -- what they did -----------------------------------------------------------------------------------------

    def _write_events(self, report: ModelReport) -> None:
        if not self.people.events:
            return
        self.connection.execute(
            """
            DELETE FROM customers.events WHERE source = $source AND stream = $stream
                AND regexp_replace(event_id, '#[0-9]+$', '') IN (SELECT _record_id FROM incoming)
            """,
            {"source": self.source, "stream": self.stream.name},
        )
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE happened AS {happened_select(self.people)}",
            {"source": self.source, "stream": self.stream.name},
        )
        self.connection.execute(f"INSERT INTO customers.events {planned_select(self.plan)}")
        counted = self.connection.execute(
            f"""
            SELECT count(*) FILTER (WHERE plan_status = 'unplanned'),
                count(*) FILTER (WHERE plan_status LIKE 'missing:%')
            FROM ({planned_select(self.plan)})
            """
        ).fetchone()
        if counted and self.plan.events:
            report.unplanned_events += counted[0]
            report.incomplete_events += counted[1]
        self.connection.execute("DROP TABLE happened")

    # -- shared ------------------------------------------------------------------------------------------------

    def _delete_incoming(self, table: str) -> None:
        self.connection.execute(f"DELETE FROM customers.{table} WHERE record_id IN (SELECT _record_id FROM incoming)")

    def _facts(self) -> dict[str, object]:
        return {"source": self.source, "stream": self.stream.name, "now": self.now}


def _key(columns: Sequence[str]) -> str:
    """One text of a key's columns; where there are several, a separator inside a value is escaped."""
    texts = [f"CAST({identifier(column)} AS TEXT)" for column in columns]
    if len(texts) == 1:
        return texts[0]
    escaped = (f"replace(replace({text}, '%', '%25'), {literal(_KEY_SEPARATOR)}, '%7C')" for text in texts)
    return f" || {literal(_KEY_SEPARATOR)} || ".join(escaped)


def columns_said(people: People) -> list[str]:
    """Every column a declaration reads, once each; a raw table of an older load may lack some."""
    names: list[str | None] = [people.observed_at, people.deleted, people.country]
    names += [said.column for said in people.identifiers]
    names += [trait.column for trait in people.traits]
    names += [consent.column for consent in people.consents]
    for event in people.events:
        names += [event.at, event.name_column, event.value, event.currency, event.campaign, *event.properties]
        names.append(event.when[0] if event.when else None)
    return list(dict.fromkeys(name for name in names if name))


def _status(consent: Consent) -> str:
    """What a row says of a consent; NULL where it says nothing."""
    return case(f"lower(CAST({identifier(consent.column)} AS TEXT))", dict(consent.statuses))


def _said(position: int, said: Identifier) -> str:
    column = f"CAST({identifier(said.column)} AS TEXT)"
    if said.split:
        column = f"unnest(string_split({column}, {literal(said.split)}))"
    country = "_country" if said.kind == "phone" else "''"
    return f"""
        SELECT * FROM (
            SELECT _record_id AS record_id, {country} AS country, {literal(said.kind)} AS kind,
                trim({column}) AS original, {str(said.merges).lower()} AS merges, {position} AS position
            FROM incoming WHERE _identifies
        ) WHERE original <> ''"""
