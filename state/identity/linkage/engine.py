"""Splink: comparing pairs, in DuckDB, PostgreSQL or Spark."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from millstream.state.errors import ConfigurationError
from millstream.state.identity.linkage import postgres, spark
from millstream.state.identity.linkage.blocking import find_pairs
from millstream.state.identity.linkage.comparisons import Comparison
from millstream.state.identity.linkage.conditions import Dialect
from millstream.state.identity.linkage.failing import failed, failures
from millstream.state.identity.linkage.people import People

if TYPE_CHECKING:
    from splink.internals.database_api import DatabaseAPISubClass
    from splink.internals.splink_dataframe import SplinkDataFrame

_SAMPLED_PAIRS = 200_000
_AT_ONCE = 2_500_000
"""Pairs compared by one statement: Splink's answer takes some 400 bytes for each."""
_LIKENESS: dict[Dialect, str] = {
    "duckdb": "jaro_winkler_similarity",
    "postgres": "levenshtein",
    "spark": "jaro_winkler",
}
"""A function of each backend without which names cannot be compared."""


@dataclass
class Pairs:
    """Compared pairs of rows.

    Attributes:
        left: Row number of one.
        right: Row number of the other, larger.
        levels: A column for each comparison: -1 where nothing can be said, 0 where nothing agrees, more the closer.
    """

    left: np.ndarray
    right: np.ndarray
    levels: np.ndarray

    def __len__(self) -> int:
        return len(self.left)


class Engine:
    """Compares rows of people with Splink.

    Args:
        people: The rows.
        comparisons: What to compare.
        backend: ``duckdb`` (in memory), ``postgres`` or ``spark``.
        url: Where PostgreSQL or Spark is.
        fresh: Rows of which one must be in each pair; None means all.
        seed: For samples.
    """

    def __init__(
        self,
        people: People,
        comparisons: Sequence[Comparison],
        *,
        backend: Dialect = "duckdb",
        url: str | None = None,
        fresh: Sequence[bool] | None = None,
        seed: int = 1,
    ) -> None:
        self.people = people
        self.comparisons = tuple(comparisons)
        self._api = open_backend(backend, url)
        self._backend = backend
        self._database: Any = getattr(self._api, "_engine", None)
        self._session: Any = getattr(self._api, "spark", None)
        self._loaded: list[str] = []
        self._fresh = fresh
        self._seed = seed

    def candidates(self, most_pairs: int) -> Pairs:
        """Pairs that share a key, compared; all pairs where there are few."""
        return self._compare(*find_pairs(self.people, most_pairs, self._fresh))

    def random_pairs(self, count: int = _SAMPLED_PAIRS) -> Pairs:
        """Pairs drawn at random, compared."""
        random = np.random.default_rng(self._seed)
        left, right = random.integers(0, self.people.size, count), random.integers(0, self.people.size, count)
        return self.compare(np.minimum(left, right), np.maximum(left, right))

    def compare(self, left: np.ndarray, right: np.ndarray) -> Pairs:
        """These pairs, each once, compared."""
        keys = np.unique(left[left != right].astype(np.int64) * self.people.size + right[left != right])
        return self._compare(keys // self.people.size, keys % self.people.size)

    def _compare(self, left: np.ndarray, right: np.ndarray) -> Pairs:
        parts = [slice(first, first + _AT_ONCE) for first in range(0, len(left), _AT_ONCE)]
        some = [self._compare_some(left[part], right[part]) for part in parts]
        if not some:
            return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(self.comparisons)), np.int8))
        columns = ([each.left for each in some], [each.right for each in some], [each.levels for each in some])
        return some[0] if len(some) == 1 else Pairs(*(np.concatenate(column) for column in columns))

    def _compare_some(self, left: np.ndarray, right: np.ndarray) -> Pairs:
        caught = failures(self._backend)
        try:
            found = self._predict(left, right)
        except caught as error:
            with suppress(*caught):  # as far as it still answers
                self._clear()
            raise failed(error, self._backend, self.comparisons, len(left)) from error
        return self._read(found)

    def _predict(self, left: np.ndarray, right: np.ndarray) -> pa.Table:
        """Splink's table of these pairs, with the number of each comparison's level as its weight."""
        from splink import Linker, SettingsCreator

        with quiet():
            table = self._register(self._table())
            comparisons = spark.spelled(self.comparisons) if self._backend == "spark" else self.comparisons
            settings = SettingsCreator.from_path_or_dict(splink_settings(comparisons, numbered=True))
            linker = Linker(table, settings, log_level=None, validate_settings=False)
            pairs = {"match_key": pa.repeat("0", len(left)), "join_key_l": left, "join_key_r": right}
            linker.table_management.register_blocked_pairs_for_predict(self._register(pa.table(pairs)))
            predicted: Any = linker.inference.predict(warning_mode="never")
            found: pa.Table = predicted.as_pyarrow_table()
            management: Any = linker.table_management
            predicted.drop_table_from_database_and_remove_from_cache()
            management.delete_tables_created_by_splink_from_db()
            management.invalidate_cache()
            self._clear()
        return found

    def _register(self, table: pa.Table) -> SplinkDataFrame:
        if self._backend != "postgres":
            return self._api.register(table)
        name = postgres.load(self._database, table)
        self._loaded.append(name)
        return self._api.register(name)

    def _clear(self) -> None:
        if self._loaded:
            postgres.drop(self._database, self._loaded)
            self._loaded = []
        if self._session is not None:
            spark.clear(self._session)

    def _table(self) -> pa.Table:
        people = self.people
        columns: dict[str, pa.Array] = {"unique_id": pa.array(range(people.size), pa.int64())}
        for name, values in people.fields.items():
            columns[name] = pa.array(values, pa.string())
        columns["birth_days"] = pa.array(people.birth_days, pa.int64())
        return pa.table(columns)

    def _read(self, found: pa.Table) -> Pairs:
        left, right = (found[f"unique_id_{side}"].to_numpy() for side in "lr")
        levels = np.empty((len(found), len(self.comparisons)), dtype=np.int8)
        for number in range(len(self.comparisons)):
            levels[:, number] = np.rint(found[f"mw_c{number}"].to_numpy()) - 1
        low, high = np.minimum(left, right), np.maximum(left, right)
        return Pairs(low, high, levels)


def splink_settings(comparisons: Sequence[Comparison], *, numbered: bool = False) -> dict[str, Any]:
    """Splink's settings for these comparisons.

    Args:
        comparisons: What is compared, with the probabilities that the levels bear.
        numbered: Let the weight of each level be its number, from 1, and 0 where nothing can be said. Splink returns
            levels only along with the values compared, but weights without.
    """
    return {
        "link_type": "dedupe_only",
        "unique_id_column_name": "unique_id",
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": True,
        "blocking_rules_to_generate_predictions": [{"blocking_rule": "1 = 1"}] if numbered else [],
        "comparisons": [_splink_comparison(number, each, numbered) for number, each in enumerate(comparisons)],
    }


def _splink_comparison(number: int, comparison: Comparison, numbered: bool) -> dict[str, Any]:
    missing = {"sql_condition": comparison.missing, "label_for_charts": "missing", "is_null_level": True}
    levels = [
        {
            "sql_condition": level.sql,
            "label_for_charts": level.name,
            "m_probability": 0.5 if numbered else level.m,
            "u_probability": 0.5 ** (len(comparison.levels) - place + 1) if numbered else level.u,
        }
        for place, level in enumerate(comparison.levels)
    ]
    return {
        "output_column_name": f"c{number}",
        "comparison_description": comparison.name,
        "comparison_levels": [missing, *levels],
    }


def open_backend(backend: Dialect, url: str | None) -> DatabaseAPISubClass:
    """Splink's way to a database.

    Raises:
        ConfigurationError: Splink, or what it needs for the database, is not installed; or the URL is missing.
    """
    with quiet():
        try:
            if backend == "duckdb":
                import duckdb
                from splink import DuckDBAPI

                return DuckDBAPI(duckdb.connect(":memory:"))
            if backend == "postgres":
                if not url:
                    raise ConfigurationError(
                        "The backend 'postgres' needs a URL.",
                        where="identity.linkage.url",
                        remedy="set it to postgresql://user:password@host/database.",
                    )
                return postgres.open_api(url)
            return spark.open_session(url)
        except ImportError as error:
            extra = {"spark": "linkage-spark", "postgres": "linkage,postgres"}.get(backend, "linkage")
            raise ConfigurationError(
                f"Probabilistic linkage on {backend} needs a library that is not installed: {error.name}.",
                where="identity.linkage",
                remedy=f"pip install 'millstream[{extra}]', or set identity.linkage.enabled to false.",
            ) from error


def probe(backend: Dialect, url: str | None) -> None:
    """See whether Splink can be used there: connect, and compare two names.

    Raises:
        MillstreamError: It cannot, and why.
    """
    from splink.internals.exceptions import SplinkException

    api: Any = open_backend(backend, url)
    try:
        with quiet():
            api.query_sql(f"SELECT {_LIKENESS[backend]}('ann', 'anne') AS likeness").as_record_list()
    except SplinkException as error:
        raise ConfigurationError(
            f"What compares names is missing on {backend}: {str(error).rpartition('Error was: ')[2].splitlines()[0]}",
            where="identity.linkage",
            remedy="with Spark Connect, give the server Splink's archive (docs/identity.md).",
        ) from error
    finally:
        if backend == "postgres":
            api._engine.dispose()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Splink says to itself: its logs name values of people."""
    logger = logging.getLogger("splink")
    before = (logger.level, logger.propagate)
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before[0])
        logger.propagate = before[1]
