"""Keeping what a run computed: values, how each set went, coverage and cards, all in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.profiles.columns import SQL_TYPES
from millstream.state.profiles.people_view import create_people_view, let_columns_go
from millstream.state.sql import quoted
from millstream.state.store import column_types, kept_whole, write_arrow
from millstream.state.traits.cards import card_json
from millstream.state.traits.report import SetState
from millstream.state.traits.tables import tables_of_sets

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.store import Connection
    from millstream.state.traits.contract import ModelCard, TraitSet


@dataclass(frozen=True)
class Made:
    """What was computed of a set.

    Attributes:
        table: The working table that holds it.
        people: How many people have values.
        columns: The traits that have values.
        cards: The models behind them.
        tables: More tables of schema ``customers``.
        nothing_to_learn: Why some or all have none.
    """

    table: str
    people: int
    columns: tuple[str, ...]
    cards: Mapping[str, ModelCard] = field(default_factory=dict)
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    nothing_to_learn: str = ""


def keep(
    connection: Connection,
    sets: Sequence[TraitSet],
    made: Mapping[str, Made],
    states: Sequence[SetState],
    *,
    run_id: str,
    now: datetime,
) -> None:
    """Write what was made of the sets that were due, and put all computed traits together anew."""
    with kept_whole(connection):
        for name, one in made.items():
            connection.execute(f"CREATE OR REPLACE TABLE traits.{quoted(name)} AS SELECT * FROM {quoted(one.table)}")
            for table, rows in one.tables.items():
                write_arrow(connection, f"customers.{table}", rows, temporary=False)
        for name in tables_of_sets(connection) - {one.name for one in sets}:
            connection.execute(f"DROP TABLE traits.{quoted(name)}")
        _put_together(connection, sets)
        _write_states(connection, states)
        _write_traits(connection, sets)
        _write_coverage(connection, sets, run_id, now)
        cards = [
            [now, run_id, trait, json.dumps(card_json(card))]
            for one in made.values()
            for trait, card in one.cards.items()
        ]
        if cards:
            connection.executemany("INSERT INTO customers.model_cards VALUES (?, ?, ?, ?)", cards)
        create_people_view(connection)


def _put_together(connection: Connection, sets: Sequence[TraitSet]) -> None:
    """``customers.computed``: every declared trait has a column, also while it has no values."""
    columns, joins = ["profile.profile_id"], []
    for number, one in enumerate(sets):
        stored = column_types(connection, "traits", one.name)
        for name, trait in one.traits.items():
            sql_type = SQL_TYPES[trait.type]
            known = stored.get(name) == sql_type
            columns.append(
                f"{f'set_{number}.{quoted(name)}' if known else f'CAST(NULL AS {sql_type})'} AS {quoted(name)}"
            )
        if stored:
            joins.append(
                f"LEFT JOIN traits.{quoted(one.name)} AS set_{number} ON set_{number}.profile_id = profile.profile_id"
            )
    kinds = {name: SQL_TYPES[trait.type] for one in sets for name, trait in one.traits.items()}
    let_columns_go(connection, "computed", {"profile_id": "TEXT", **kinds})
    connection.execute(
        f"CREATE OR REPLACE TABLE customers.computed AS SELECT {', '.join(columns)} "
        f"FROM customers.profiles AS profile {' '.join(joins)}"
    )


def _write_states(connection: Connection, states: Sequence[SetState]) -> None:
    connection.execute("DELETE FROM customers.trait_sets")
    rows = [
        [one.name, one.fingerprint, one.computed_at, one.seconds, one.people, one.status, one.message] for one in states
    ]
    if rows:
        connection.executemany(
            """
            INSERT INTO customers.trait_sets (name, fingerprint, computed_at, seconds, people, status, message)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            rows,
        )


def _write_traits(connection: Connection, sets: Sequence[TraitSet]) -> None:
    connection.execute("DELETE FROM customers.computed_traits")
    rows = [
        [name, one.name, trait.type, trait.unit, trait.description]
        for one in sets
        for name, trait in one.traits.items()
    ]
    if rows:
        connection.executemany("INSERT INTO customers.computed_traits VALUES (?, ?, ?, ?, ?)", rows)


def _write_coverage(connection: Connection, sets: Sequence[TraitSet], run_id: str, now: datetime) -> None:
    names = [name for one in sets for name in one.traits]
    if not names:
        return
    counted = connection.execute(
        f"SELECT count(*), {', '.join(f'count({quoted(name)})' for name in names)} FROM customers.computed"
    ).fetchone()
    assert counted is not None
    people, *counts = counted
    rows = [[now, run_id, name, number, number / max(1, people)] for name, number in zip(names, counts, strict=True)]
    connection.executemany("INSERT INTO customers.trait_coverage VALUES (?, ?, ?, ?, ?)", rows)
