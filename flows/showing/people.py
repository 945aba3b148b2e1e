"""Who is who, and what a dry run of it would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from millstream.flows.showing.audiences import move_rows

if TYPE_CHECKING:
    from millstream.flows.dry_runs.resolving import Rehearsal
    from millstream.flows.showing.cells import Row
    from millstream.flows.steps import ResolveReport
    from millstream.state.identity.changes import Cause, Preview


def people_rows(report: ResolveReport) -> list[Row]:
    """One row with the counts of who is who."""
    return [
        {
            "records": report.records,
            "people": report.profiles,
            "new": report.new,
            "merged": report.merged,
            "split": report.split,
            "values left aside": report.blocked,
            "shared values": report.shared,
            "joins refused": report.refused,
            "households": report.households,
            "to review": report.suggested,
            "values out of date": report.stale,
        }
    ]


def freshness_rows(report: ResolveReport) -> list[Row]:
    """One row for each trait whose values go stale."""
    return [
        {
            "trait": one.trait,
            "believed for days": one.lifetime_days,
            "people": one.profiles,
            "fresh": one.fresh,
            "share": f"{one.share:.0%}",
        }
        for one in report.freshness
        if one.lifetime_days is not None
    ]


def rehearsal_tables(rehearsal: Rehearsal) -> dict[str, list[Row]]:
    """The tables of a dry run, by their heads; without the values, which are personal data."""
    people = rehearsal.people
    return {
        "Counts": [
            {"": name.replace("_", " "), "now": count, "then": people.after[name]}
            for name, count in people.before.items()
        ],
        "People": [{**change_row(people), "values that change": people.turned}],
        "Largest merges": [
            {"profile": one.profile_id, "of profiles": one.profiles, "records": one.records, "by": _kinds(one.causes)}
            for one in people.merges
        ],
        "Largest splits": [
            {
                "profile": one.profile_id,
                "into": one.parts,
                "records": one.records,
                "keeps": one.kept,
                "no longer joined by": _kinds(one.causes),
            }
            for one in people.splits
        ],
        "Audiences": move_rows(rehearsal.audiences),
    }


def change_row(people: Preview) -> Row:
    """How many people would change, and how."""
    return {
        "merged into another": people.merged,
        "lose a part": people.split,
        "new": people.appeared,
        "vanish": people.vanished,
    }


def _kinds(causes: Sequence[Cause]) -> str:
    named = [": ".join(part for part in (cause.kind, cause.reason) if part) for cause in causes]
    return ", ".join(dict.fromkeys(named))
