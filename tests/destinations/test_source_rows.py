"""The rows of a sync as they are packed: what is no number is not sent, and equal rows have equal hashes."""

from __future__ import annotations

import json
from contextlib import closing

from millstream.destinations.planning.source_rows import make_desired
from millstream.destinations.sync import Sync
from millstream.state.ledger.acknowledged import create_tables
from tests.engines import Engine


def test_infinity_and_what_is_no_number_are_sent_as_nothing(engine: Engine) -> None:
    facts = {"destination": "d", "table": "raw.people", "mode": "upsert", "match": {"id": "id"}}
    sync = Sync.model_validate({**facts, "fields": {"n": "n"}, "consent": "not_needed"})
    with closing(engine.connection()) as connection:
        connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.people (id TEXT, n DOUBLE)")
        for number, value in enumerate([0.5, "NaN", "Infinity", "-Infinity", None]):
            connection.execute("INSERT INTO raw.people VALUES (?, CAST(? AS DOUBLE))", [str(number), value])
        create_tables(connection)
        make_desired(connection, "s", sync)
        rows = connection.execute("SELECT fields FROM desired ORDER BY match_value").fetchall()
    assert [json.loads(fields)["n"] for (fields,) in rows] == [0.5, None, None, None, None]
