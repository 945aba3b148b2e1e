"""Linkage on Spark. It needs pyspark and Java, which few who try Millstream have: without them it is skipped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from millstream.state.errors import ConfigurationError
from millstream.state.identity.linkage import spark
from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.engine import open_backend
from millstream.state.identity.linkage.kinds import Kind
from millstream.state.identity.linkage.linker import link_people
from millstream.state.identity.linkage.people import People, read_people
from millstream.state.identity.linkage.rules import LinkageRules

KINDS: dict[str, Kind] = {"first": "first_name", "last": "last_name", "dob": "birth_date", "mail": "email"}


def some_people(copies: int) -> People:
    """Six people, each several times, some of whom are misspelled."""
    said: dict[str, list[str | None]] = {
        "first": ["Ann", "Anne", "Bo", "Cleo", "Cleo", "Dan"],
        "last": ["Lee", "Lee", "Ray", "Diaz", "Dias", "Fox"],
        "dob": ["1980-01-02", "1980-01-02", "1970-03-04", "1990-05-06", "1990-05-06", "1961-07-08"],
        "mail": ["ann.lee@box.example", "ann.lee@box.example", None, "cleo@box.example", None, "dan@fox.example"],
    }
    return read_people({name: values * copies for name, values in said.items()}, KINDS)


def test_columns_are_named_as_spark_names_them() -> None:
    comparisons = spark.spelled(comparisons_for(some_people(1), "spark"))
    said = " ".join(text for each in comparisons for text in (each.missing, *(level.sql for level in each.levels)))
    assert '"' not in said
    assert "`first_l` = `first_r`" in said


@pytest.fixture(scope="module")
def java() -> Iterator[None]:
    """Spark can start here, and what this module started is stopped."""
    pyspark_sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra linkage-spark)")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, and there is none")
    yield
    if session := pyspark_sql.SparkSession.getActiveSession():
        session.stop()


@pytest.mark.usefixtures("java")
@pytest.mark.filterwarnings("ignore")  # pyspark's own
def test_spark_finds_the_same_people_as_duckdb_and_keeps_nothing() -> None:
    people = some_people(3)
    here = link_people(people, LinkageRules(merge_at=0.5))
    there = link_people(people, LinkageRules(backend="spark", url=SecretStr("local[2]"), merge_at=0.5))
    assert here is not None
    assert there is not None
    assert there.labels.tolist() == here.labels.tolist()
    assert sorted(zip(there.left, there.right, there.weight.round(6), strict=True)) == sorted(
        zip(here.left, here.right, here.weight.round(6), strict=True)
    )
    catalog = open_backend("spark", "local[2]").spark.catalog  # type: ignore[attr-defined]
    assert catalog.listTables() == []


@pytest.mark.usefixtures("java")
@pytest.mark.filterwarnings("ignore")
def test_a_master_that_is_none_is_said() -> None:
    from pyspark.sql import SparkSession  # type: ignore[import-not-found,unused-ignore]

    if session := SparkSession.getActiveSession():
        session.stop()
    with pytest.raises(ConfigurationError, match=r"identity\.linkage\.url: Spark does not start"):
        open_backend("spark", "nonsense://host")
