"""Computed traits, and what stands behind predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.flows.showing.markdown import markdown_table

if TYPE_CHECKING:
    from millstream.flows.showing.cells import Row
    from millstream.state.traits.contract import ModelCard
    from millstream.state.traits.report import DescribeReport


def trait_rows(report: DescribeReport) -> list[Row]:
    """One row for each set of traits."""
    return [
        {
            "set": one.name,
            "status": one.status,
            "people": one.people,
            "share": f"{one.people / report.profiles:.0%}" if report.profiles else "",
            "computed": f"{one.computed_at:%Y-%m-%d %H:%M}" if one.computed_at else "",
            "seconds": round(one.seconds, 2),
            "message": one.message,
        }
        for one in report.sets
    ]


def card_text(trait: str, card: ModelCard) -> str:
    """What stands behind a predicted trait, as Markdown."""
    rows = calibration_rows(card)
    text = f"## {trait}\n\n{card.sentence}\n\n" + "\n".join(f"- {line}" for line in card.lines())
    return f"{text}\n\n{markdown_table(rows)}" if rows else text


def calibration_rows(card: ModelCard) -> list[Row]:
    """One row for each group of people that a model foretold alike: what it said, and what came true."""
    return [
        {"predicted": f"{one.predicted:.3g}", "observed": f"{one.observed:.3g}", "people": one.people}
        for one in card.calibration
    ]
