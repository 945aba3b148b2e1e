"""What an audit found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.flows.steps.auditing import AuditReport


def dimension_rows(report: AuditReport) -> list[Row]:
    """One row for each dimension: how much was looked at, and what fares worst."""
    rows: list[Row] = []
    for dimension in dict.fromkeys(one.dimension for one in report.findings):
        mine = [one for one in report.findings if one.dimension == dimension]
        worst = min(mine, key=lambda one: one.score)
        failing = sum(1 for one in mine if one.failed)
        rows.append(
            {
                "dimension": dimension,
                "checks": len(mine),
                "not all good": failing,
                "worst": f"{worst.said_by}: {worst.subject}" if failing else "",
                "good": f"{worst.score:.1%}",
            }
        )
    return rows


def finding_rows(report: AuditReport, dimension: str | None = None) -> list[Row]:
    """One row for each check, the worst of each dimension first."""
    found = [one for one in report.findings if dimension in (None, one.dimension)]
    return [
        {
            "dimension": one.dimension,
            "source": one.said_by,
            "subject": one.subject,
            "checked": one.checked,
            "failed": one.failed,
            "good": f"{one.score:.1%}",
        }
        for one in sorted(found, key=lambda one: (one.dimension, one.score, one.source, one.subject))
    ]


def threshold_rows(report: AuditReport) -> list[Row]:
    """One row for each threshold of the project."""
    return [
        {
            "threshold": one.name,
            "state": "reached" if one.ok else "BROKEN",
            "owner": one.owner,
            "what": one.told(),
        }
        for one in report.judgements
    ]


def odd_day_rows(report: AuditReport) -> list[Row]:
    """One row for each odd day that was found, the latest first."""
    return [
        {
            "day": one.day.isoformat(),
            "source": one.source,
            "stream": one.stream,
            "what": one.name or one.kind,
            "rows": one.rows,
            "expected": round(one.expected),
            "times the usual spread": f"{one.score:+.1f}",
        }
        for one in sorted(report.odd_days, key=lambda one: (one.day, abs(one.score)), reverse=True)
    ]
