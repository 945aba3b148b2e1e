"""The rows of a sync as they are packed: what is no number is not sent, and equal rows have equal hashes."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from millstream.destinations.planning.source_rows import make_desired
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError, TimeLimitError
from millstream.state.ledger.acknowledged import create_tables
from tests.destinations.bench import MakeBench
from tests.engines import Engine

ENDLESS = """(
    WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 2000000000)
    SELECT max(n) FROM counted
)"""


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


def test_an_audience_before_the_first_run_is_told_in_plain_words(engine: Engine) -> None:
    sync = Sync.model_validate(
        {"destination": "d", "audience": "vips", "mode": "mirror", "match": {"email": "email"}, "consent": "not_needed"}
    )
    with closing(engine.connection()) as connection:
        create_tables(connection)
        told = r"^sync s: Nobody has been selected yet. What to do: run `millstream run`"
        with pytest.raises(ConfigurationError, match=told):
            make_desired(connection, "s", sync)


def test_sql_of_a_sync_that_takes_too_long_is_stopped_and_named(a_bench: MakeBench) -> None:
    quick = "SELECT * FROM crm.wanted"
    with a_bench(table=None, sql=f"{quick} WHERE {ENDLESS} > 1") as bench:
        bench.want({"ann@box.example": "Ann"})
        bench.delivery.sql_seconds = 0.2
        told = r"^sync sync: The SQL was stopped after 0.2 seconds.*What to do: .*`sql_seconds`"
        with pytest.raises(TimeLimitError, match=told):
            bench.run()
        with pytest.raises(TimeLimitError, match=told):
            bench.delivery.plan("look")
        assert bench.memory.calls == 0

        bench.delivery.sync = bench.delivery.sync.model_copy(update={"sql": quick})
        assert bench.run().accepted == 1


def test_a_table_may_take_its_time(a_bench: MakeBench) -> None:
    with a_bench(fields={}) as bench:
        bench.want({f"{number}@box.example": "" for number in range(50)})
        bench.delivery.sql_seconds = 0.000001
        assert bench.run().accepted == 50
