"""Audit: look at all of it, keep what was found, and hold it against the project's thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta

from millstream.state.quality.completeness import completeness
from millstream.state.quality.conformance import conformance
from millstream.state.quality.consistency import consistency
from millstream.state.quality.daily_counts import OddDay, keep_daily_counts
from millstream.state.quality.freshness import freshness
from millstream.state.quality.integrity import integrity
from millstream.state.quality.looking import Finding, Look
from millstream.state.quality.rules import Dimension, Threshold
from millstream.state.quality.tables import create_quality_tables
from millstream.state.quality.uniqueness import uniqueness
from millstream.state.quality.validity import validity

CHECKS: Mapping[Dimension, Callable[[Look], list[Finding]]] = {
    "completeness": completeness,
    "validity": validity,
    "uniqueness": uniqueness,
    "freshness": freshness,
    "consistency": consistency,
    "conformance": conformance,
    "integrity": integrity,
}
"""What is looked at, by dimension."""


@dataclass(frozen=True)
class Judgement:
    """How a threshold fares.

    Attributes:
        name: The threshold's name in the project file.
        broken: Findings below it, the worst first.
        checked: Findings that it is about.
        at_least: The share that was to be reached.
        owner: Who looks after it.
    """

    name: str
    broken: tuple[Finding, ...]
    checked: int
    at_least: float
    owner: str | None

    @property
    def ok(self) -> bool:
        """Whether there was something to look at, and all of it is good enough."""
        return self.checked > 0 and not self.broken

    def told(self) -> str:
        """In words, without personal data."""
        if not self.checked:
            return "There is nothing that it is about: see `millstream audit` for what there is."
        if not self.broken:
            return f"All of it reaches {self.at_least:.1%}."
        worst = self.broken[0]
        place = " ".join(filter(None, (worst.source, worst.subject)))
        more = f" ({len(self.broken) - 1} more are below it)" if len(self.broken) > 1 else ""
        return (
            f"The {worst.dimension} of {place} is {worst.score:.1%}, less than {self.at_least:.1%}: "
            f"{worst.failed:,} of {worst.checked:,}{more}."
        )


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        findings: All checks, by dimension.
        judgements: How the thresholds fare.
        odd_days: Days with odd counts among those that were counted now.
        odd_yesterday: Those of the last whole day; of sources that are late, of the last one that is whole.
    """

    findings: tuple[Finding, ...]
    judgements: tuple[Judgement, ...]
    odd_days: tuple[OddDay, ...]
    odd_yesterday: tuple[OddDay, ...]


def audit(look: Look, *, run_id: str) -> Audit:
    """Look at everything, and keep it under the run.

    Args:
        look: The open store, in a transaction, with what the project says.
        run_id: Names the run in the history.
    """
    create_quality_tables(look.connection)
    odd = keep_daily_counts(look.connection, as_of=look.as_of, limit=look.rules.anomalies.limit)
    findings = [finding for check in CHECKS.values() for finding in check(look)]
    _keep(look, findings, run_id)
    _forget_old(look)
    today, late = look.as_of.astimezone(UTC).date(), look.rules.anomalies.late_days
    return Audit(
        tuple(findings),
        tuple(judge(name, one, findings, look.rules.owner) for name, one in look.rules.thresholds.items()),
        tuple(odd),
        tuple(day for day in odd if day.day == today - timedelta(days=late.get(day.source, 1))),
    )


def judge(name: str, threshold: Threshold, findings: Sequence[Finding], owner: str | None) -> Judgement:
    """Hold findings against a threshold."""
    mine = [
        one
        for one in findings
        if one.dimension == threshold.dimension
        and (threshold.source is None or _sources(threshold.source) == _sources(one.said_by))
        and threshold.subject in (None, one.subject)
    ]
    broken = sorted((one for one in mine if one.score < threshold.at_least), key=lambda one: one.score)
    return Judgement(name, tuple(broken), len(mine), threshold.at_least, threshold.owner or owner)


def _sources(said_by: str) -> frozenset[str]:
    """Of two that are compared it does not matter which is named first."""
    return frozenset(said_by.split(" / "))


def _keep(look: Look, findings: Sequence[Finding], run_id: str) -> None:
    if findings:
        look.connection.executemany(
            "INSERT INTO customers.quality (as_of, run_id, dimension, source, subject, checked, failed, score) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (look.as_of, run_id, one.dimension, one.source, one.subject, one.checked, one.failed, one.score)
                for one in findings
            ],
        )


def _forget_old(look: Look) -> None:
    look.connection.execute(
        "DELETE FROM customers.quality WHERE as_of < ?", [look.as_of - timedelta(days=look.rules.keep_days)]
    )
