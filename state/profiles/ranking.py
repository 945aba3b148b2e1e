"""Which of the things said of a profile counts, in SQL: the last step of ``survivorship.py``.

The statement is put together from the strategies that are in use, so that nobody pays for those that are not. Ties
end the same way in every run: the most recent, then the most trusted source, then the record's id, then the value.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.state.sql import number

if TYPE_CHECKING:
    from millstream.state.store import Connection

_LAST = 1_000_000
"""The rank of a source or a value that no rule names."""


def _folded(value: str, read_as: str) -> str:
    """What two values that mean the same have in common; NULL for one that cannot be read as its column's type."""
    kinds = {kind: f"TRY_CAST({value} AS {kind})" for kind in ("BOOLEAN", "DATE", "TIMESTAMPTZ")}
    kinds["DOUBLE"] = number(value)
    readings = " ".join(f"WHEN '{kind}' THEN CAST({read} AS TEXT)" for kind, read in kinds.items())
    return f"CASE {read_as} {readings} ELSE lower({value}) END"


_MEASURE = """
    CASE WHEN rule.strategy = 'longest' THEN CAST(length(said.value) AS DOUBLE)
         WHEN rule.strategy NOT IN ('highest', 'lowest') THEN NULL
         ELSE CASE rule.read_as
                  WHEN 'BOOLEAN' THEN CASE WHEN TRY_CAST(said.value AS BOOLEAN) THEN 1.0 ELSE 0.0 END
                  WHEN 'DATE' THEN CAST(extract(epoch FROM TRY_CAST(said.value AS DATE)) AS DOUBLE)
                  WHEN 'TIMESTAMPTZ' THEN CAST(extract(epoch FROM TRY_CAST(said.value AS TIMESTAMPTZ)) AS DOUBLE)
                  ELSE TRY_CAST(said.value AS DOUBLE)
              END * CASE rule.strategy WHEN 'highest' THEN 1 ELSE -1 END
    END"""


@dataclass(frozen=True)
class _Ranking:
    """The parts of the statement that depend on the rules."""

    strategies: AbstractSet[str]
    ranked_sources: bool

    @property
    def group(self) -> str:
        """What one value is chosen for: a trait of a profile, or each of its values where all are wanted."""
        return "profile, trait, part" if "list" in self.strategies else "profile, trait"

    @property
    def measures(self) -> str:
        """Columns that strategies go by, each NULL or constant for the others."""
        parts = []
        if self.strategies & {"longest", "highest", "lowest"}:
            parts.append(f"{_MEASURE} AS measure")
        if "list" in self.strategies:
            parts.append("CASE WHEN rule.strategy = 'list' THEN lower(said.value) ELSE '' END AS part")
        if self.ranked_sources:
            parts.append(f"coalesce(by_stream.rank, by_source.rank, {_LAST}) AS source_rank")
        return "".join(f", {part}" for part in parts)

    @property
    def sources(self) -> str:
        """The joins that find a record's rank for a trait."""
        if not self.ranked_sources:
            return ""
        return """
            JOIN describe_records AS record ON record.record = said.record
            LEFT JOIN describe_ranks AS by_source
              ON by_source.trait = rule.trait AND by_source.source = record.source
            LEFT JOIN describe_ranks AS by_stream
              ON by_stream.trait = rule.trait AND by_stream.source = record.source || '.' || record.stream"""

    @property
    def counted(self) -> str:
        """A column with how many records say the same, where that matters."""
        if "most_frequent" not in self.strategies:
            return ""
        return """,
            CASE WHEN readable.strategy = 'most_frequent'
                 THEN count(*) OVER (PARTITION BY readable.profile, readable.trait, readable.folded)
                 ELSE 0 END AS bearers"""

    @property
    def restricted(self) -> tuple[str, str]:
        """A column with the rank among the restrictive values, and the join that finds it."""
        if "most_restrictive" not in self.strategies:
            return "", ""
        folded = _folded("value", "read_as")
        return (
            f", coalesce(restrictive.rank, {_LAST}) AS restriction",
            f"""
            LEFT JOIN (SELECT trait, {folded} AS folded, min(rank) AS rank
                       FROM describe_restrictive GROUP BY trait, {folded}) AS restrictive
              ON restrictive.trait = readable.trait AND restrictive.folded = readable.folded""",
        )

    @property
    def order(self) -> str:
        """The best first."""
        parts = ["tier"]
        if "most_restrictive" in self.strategies:
            parts.append("restriction")
        if "source_priority" in self.strategies and self.ranked_sources:
            parts.append("CASE WHEN strategy = 'source_priority' THEN source_rank ELSE 0 END")
        if "most_frequent" in self.strategies:
            parts.append("bearers DESC")
        if self.strategies & {"longest", "highest", "lowest"}:
            parts.append("measure DESC NULLS LAST")
        if "first" in self.strategies:
            parts.append("CASE WHEN strategy = 'first' THEN observed_at END NULLS LAST")
        parts.append("observed_at DESC")
        if self.ranked_sources:
            parts.append("source_rank")
        return ", ".join([*parts, "record", "value"])


def choose(connection: Connection, strategies: AbstractSet[str], *, ranked_sources: bool) -> None:
    """``describe_chosen``: what counts, from ``describe_said`` and the rules.

    Its columns: profile, trait, value, the origin's record and observed_at; and of everything that says the same, case
    aside: confirmed_at, which is the latest time, and support, which is how often it is said.

    Args:
        connection: The open store.
        strategies: Those in use.
        ranked_sources: Whether any source is trusted more than others.
    """
    ranking = _Ranking(strategies, ranked_sources)
    restriction, restrictive = ranking.restricted
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE describe_chosen AS
        WITH readable AS (
            SELECT said.profile, rule.trait, said.record, said.tier, said.value, said.observed_at, rule.strategy,
                   {_folded("said.value", "rule.read_as")} AS folded{ranking.measures}
            FROM describe_said AS said
            JOIN describe_columns AS rule ON rule.name = said.name AND rule.contact = (said.tier > 0){ranking.sources}
        ),
        counted AS (
            SELECT readable.*{restriction}{ranking.counted}
            FROM readable{restrictive}
            WHERE readable.folded IS NOT NULL
        ),
        ranked AS (
            SELECT {ranking.group}, record, value, observed_at, folded,
                   row_number() OVER best_first AS place, first_value(folded) OVER best_first AS best
            FROM counted
            WINDOW best_first AS (PARTITION BY {ranking.group} ORDER BY {ranking.order})
        )
        SELECT profile, trait, max(CASE WHEN place = 1 THEN value END) AS value,
               max(CASE WHEN place = 1 THEN record END) AS record,
               max(CASE WHEN place = 1 THEN observed_at END) AS observed_at,
               max(observed_at) AS confirmed_at, count(*) AS support
        FROM ranked WHERE folded = best
        GROUP BY {ranking.group}
        """
    )
