"""Describe: compute the traits that are due, hold them against their declarations, and keep them.

Each set is computed into a working table of its own first. What goes wrong there is that set's: its earlier values
stay, and the others go on. What came out well is then written in one transaction.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

import duckdb

from millstream.state.errors import QueryError, TimeLimitError, UnreachableError
from millstream.state.profiles.columns import SQL_TYPES
from millstream.state.sql import quoted
from millstream.state.store import (
    SECONDS,
    column_types,
    count_rows,
    drop_temporary_tables,
    kept_whole,
    time_limit,
    write_arrow,
)
from millstream.state.traits.cards import card_json
from millstream.state.traits.checking import UnfitValuesError, check_values, told
from millstream.state.traits.contract import Context, Result
from millstream.state.traits.files import OTHERS
from millstream.state.traits.keeping import Made, keep
from millstream.state.traits.registry import builds_on, ordered
from millstream.state.traits.relations import Relations, Scope
from millstream.state.traits.report import DescribeReport, SetState, SetStatus
from millstream.state.traits.selects import SETTINGS, bound, read_select
from millstream.state.traits.shipped_names import SHIPPED
from millstream.state.traits.tables import create_trait_tables, set_states, tables_of_sets

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.store import Connection
    from millstream.state.traits.contract import TraitSet
    from millstream.state.traits.rules import TraitRules

_log = logging.getLogger(__name__)

EARLY = 0.1
"""The share of ``every`` by which a set may be computed early: a daily run does not start at the same second."""


def describe(
    connection: Connection,
    sets: Sequence[TraitSet],
    rules: TraitRules,
    *,
    run_id: str,
    now: datetime,
    full: bool = False,
    sql_seconds: float = SECONDS,
) -> DescribeReport:
    """Compute the traits that are due of every profile.

    Args:
        connection: The open store, in no transaction.
        sets: All trait sets of the project; what the store has of others is dropped.
        rules: The section ``traits`` of the project file.
        run_id: Names this run in the history.
        now: The time of the run, aware; nothing later is known.
        full: Compute all sets, due or not.
        sql_seconds: How long the SQL of a set of the project's own may take.

    Raises:
        ConfigurationError: Sets do not fit together.
    """
    started = time.monotonic()
    sets = ordered(sets)
    create_trait_tables(connection)
    run = _Run(connection, sets, rules, now, full=full, sql_seconds=sql_seconds)
    try:
        for one in sets:
            run.states[one.name] = run.state_of(one)
        run.relations.drop()
        states = [run.states[one.name] for one in sets]
        keep(connection, sets, run.made, states, run_id=run_id, now=now)
    finally:
        run.relations.drop()
        drop_temporary_tables(connection, WORKING)
    return DescribeReport(
        profiles=count_rows(connection, "customers.profiles"),
        traits=sum(len(one.traits) for one in sets),
        sets=tuple(states),
        seconds=time.monotonic() - started,
    )


WORKING = "made_"
"""How the names of working tables begin."""


class _Run:
    """One run: what is known of the sets, and what was made of them so far."""

    def __init__(
        self,
        connection: Connection,
        sets: Sequence[TraitSet],
        rules: TraitRules,
        now: datetime,
        *,
        full: bool,
        sql_seconds: float,
    ) -> None:
        self.connection = connection
        self.rules = rules
        self.now = now
        self.full = full
        self.sql_seconds = sql_seconds
        self.by_name = {one.name: one for one in sets}
        self.states = set_states(connection)
        self.stored = tables_of_sets(connection)
        self.made: dict[str, Made] = {}
        profile_traits = {name: kind for one in sets for name, kind in one.profile_traits.items()}
        self.relations = Relations(connection, Scope(rules, now, profile_traits))
        settings = rules.model_dump()
        self.values: Mapping[str, object] = {"as_of": now} | {name: settings[name] for name in SETTINGS}

    def state_of(self, one: TraitSet) -> SetState:
        """Compute a set if it is due, and tell how it went."""
        before = self.states.get(one.name) or SetState(one.name, "failed")
        if one.broken:
            return _changed(before, "failed", one.broken)
        fingerprint = fingerprint_of(one, self.rules)
        if not self._is_due(one, before, fingerprint):
            return _changed(before, "kept", before.message)
        if one.needs and importlib.util.find_spec(one.needs[0]) is None:
            module, extra = one.needs
            return _changed(before, "unavailable", f"It needs {module}: pip install 'millstream[{extra}]'")
        if lacking := [name for name in builds_on(one) if name not in self.made and name not in self.stored]:
            return _changed(before, "failed", f"It builds on {', '.join(lacking)}, which has no values yet.")
        started = time.monotonic()
        made = self._attempted(one)
        if isinstance(made, str):
            return _changed(before, "failed", made)
        self.made[one.name] = made
        return SetState(
            one.name,
            "nothing to learn" if made.nothing_to_learn and not made.columns else "computed",
            made.nothing_to_learn,
            fingerprint,
            self.now,
            time.monotonic() - started,
            made.people,
        )

    def _attempted(self, one: TraitSet) -> Made | str:
        """What came of a set, or in a sentence what went wrong in it. A fault of ours is raised."""
        self.relations.provide(one.inputs)
        for name in builds_on(one):
            self.relations.add(name + OTHERS, self._values_of(self.by_name[name]))
        try:
            with kept_whole(self.connection):
                return self._compute(one)
        except (UnreachableError, duckdb.FatalException):
            raise
        except (QueryError, TimeLimitError, UnfitValuesError, duckdb.Error) as error:
            return told(error, one)
        except (Exception, SystemExit) as error:
            # A function may raise anything.
            if one.compute is None:
                raise
            return told(error, one)

    def _is_due(self, one: TraitSet, before: SetState, fingerprint: str) -> bool:
        if self.full or before.computed_at is None or one.name not in self.stored:
            return True
        if before.status in ("failed", "unavailable", "nothing to learn") or before.fingerprint != fingerprint:
            return True
        passed = self.now - before.computed_at.astimezone(UTC)
        return one.every is None or passed >= one.every * (1 - EARLY) or passed < timedelta(0)

    def _values_of(self, one: TraitSet) -> str:
        """What another set's values are now, as a SELECT."""
        table = quoted(WORKING + one.name)
        if one.name in self.made:
            return f"SELECT * FROM {table}"
        stored = column_types(self.connection, "traits", one.name)
        columns = [
            quoted(name) if name in stored else f"CAST(NULL AS {SQL_TYPES[trait.type]}) AS {quoted(name)}"
            for name, trait in one.traits.items()
        ]
        return f"SELECT {', '.join(['profile_id', *columns])} FROM traits.{quoted(one.name)}"

    def _compute(self, one: TraitSet) -> Made:
        table = WORKING + one.name
        if one.compute is None:
            assert one.sql is not None
            with self._limited(one):
                self._store(one, table, one.sql, tuple(one.traits), bound(read_select(one.sql).values, self.values))
            return Made(table, check_values(self.connection, one, table), columns=tuple(one.traits))
        with self._limited(one), self._watched(one):
            result = one.compute(Context(connection=self.connection, as_of=self.now, rules=self.rules))
        columns = _columns_of(one, result)
        _check_tables(one, result)
        write_arrow(self.connection, "given_rows", result.rows)
        self._store(one, table, "SELECT * FROM given_rows", columns, None)
        self.connection.execute("DROP TABLE given_rows")
        people = check_values(self.connection, one, table)
        return Made(table, people, columns, dict(result.cards), dict(result.tables), result.nothing_to_learn)

    def _limited(self, one: TraitSet) -> AbstractContextManager[None]:
        """A limit of time for what somebody wrote: for its SQL, also for that which a function executes."""
        return time_limit(self.connection, self.sql_seconds, where=one.file) if _is_own(one) else nullcontext()

    @contextmanager
    def _watched(self, one: TraitSet) -> Iterator[None]:
        """Say which function keeps the run waiting: Python that runs in this process cannot be stopped."""
        told = "%s has run for %g seconds; the run and the store wait until it ends."
        watch = threading.Timer(self.sql_seconds, _log.warning, (told, one.file or one.name, self.sql_seconds))
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _store(
        self, one: TraitSet, table: str, query: str, columns: Sequence[str], values: dict[str, object] | None
    ) -> None:
        """Make the working table, each trait in its declared type."""
        chosen = ", ".join(
            f"CAST({quoted(name) if name in columns else 'NULL'} AS {SQL_TYPES[trait.type]}) AS {quoted(name)}"
            for name, trait in one.traits.items()
        )
        self.connection.execute(
            f"""
            CREATE TEMP TABLE {quoted(table)} AS
            SELECT CAST(profile_id AS TEXT) AS profile_id, {chosen} FROM ({query}
            ) AS chosen
            """,
            values,
        )


def fingerprint_of(one: TraitSet, rules: TraitRules) -> str:
    """Changes with the declaration, the code and the settings; of functions of ours also with our version."""
    declared = {
        "traits": {name: asdict(trait) for name, trait in one.traits.items()},
        "inputs": one.inputs,
        "profile_traits": dict(one.profile_traits),
        "sql": one.sql,
        "code": one.code,
        "rules": rules.model_dump(mode="json", exclude={"folder", "without"}),
        "version": version("millstream") if one.compute else "",
    }
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()[:16]


def _columns_of(one: TraitSet, result: Result) -> tuple[str, ...]:
    """The traits that a function gave values of."""
    rows: pa.Table = result.rows
    given = tuple(name for name in rows.column_names if name != "profile_id")
    strangers = sorted({*given, *result.cards} - set(one.traits))
    if strangers:
        raise UnfitValuesError(f"{', '.join(strangers)}: the set declares no such trait")
    for name, card in result.cards.items():
        try:
            json.dumps(card_json(card), allow_nan=False)
        except ValueError:
            raise UnfitValuesError(f"the model card of {name} has a number that is none") from None
    if "profile_id" not in rows.column_names:
        raise UnfitValuesError("the rows have no column profile_id")
    return given


def _check_tables(one: TraitSet, result: Result) -> None:
    """A project's set may not replace tables that are others'."""
    if _is_own(one):
        for table in result.tables:
            if not table.startswith(f"{one.name}_"):
                raise UnfitValuesError(f"its further table {table!r} should be called {one.name}_..., after the set")


def _is_own(one: TraitSet) -> bool:
    """Whether a set is the project's, and not one that is shipped or follows from other sections."""
    return bool(one.file) and not one.file.startswith(f"{SHIPPED.name}/")


def _changed(before: SetState, status: SetStatus, message: str) -> SetState:
    return SetState(before.name, status, message, before.fingerprint, before.computed_at, before.seconds, before.people)
