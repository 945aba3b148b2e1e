"""Deliveries and runs: how each sync last ended, why rows were refused, how the last runs ended."""

from __future__ import annotations

from collections.abc import Iterator

from millstream.flows.report.blocks import Block, Missing, Note, Section, Table
from millstream.flows.report.facts.deliveries import DeliveryFacts
from millstream.flows.report.gather import ReportData
from millstream.flows.report.numbers import duration, moment, people_count, whole, words
from millstream.state.ledger.rejected_counts import RejectedCount

_REASONS = 15


def deliveries_section(data: ReportData) -> Section:
    """What was sent, and what became of it."""
    facts, title = data.deliveries, "Deliveries and runs"
    ran = [one for one in facts.syncs if one.status]
    blocks = tuple(_blocks(facts))
    if not ran:
        return Section("deliveries", title, "", blocks)
    well = sum(one.status == "completed" for one in ran)
    refused = sum(one.rejected for one in ran)
    lead = f"{well:,} of {len(ran):,} syncs are in step; {whole(refused)} rows were refused in their last runs."
    return Section("deliveries", title, lead, blocks)


def _blocks(facts: DeliveryFacts) -> Iterator[Block]:
    if any(one.status for one in facts.syncs):
        yield Table(
            "The last run of each sync, in rows",
            ("sync", "destination", "status", "when", "accepted", "rejected", "suppressed", "people there"),
            tuple(
                (words(one.sync), one.destination, one.status or "never ran", moment(one.at), whole(one.accepted),
                 whole(one.rejected), people_count(one.suppressed), people_count(one.held))
                for one in facts.syncs
            ),
            frozenset({4, 5, 6, 7}),
        )  # fmt: skip
    else:
        yield Missing("Here stands what each destination took and refused, once syncs have run.", "millstream activate")
    if facts.reasons:
        yield Table(
            "Rows that are not accepted by now",
            ("sync", "what became of them", "code", "rows"),
            tuple((words(one.sync), words(one.status), one.code, _rows(one)) for one in facts.reasons[:_REASONS]),
            frozenset({3}),
        )
        yield Note("`millstream rejected` shows each of them, with the destination's own words.")
    if facts.runs:
        yield Table(
            "The last runs",
            ("run", "of", "began", "took", "ended"),
            tuple(
                (one.kind, words(one.about) or "all", moment(one.started_at), duration(one.seconds), one.status)
                for one in facts.runs
            ),
            frozenset({3}),
        )
    else:
        yield Missing("No run was made so far.", "millstream run")


def _rows(reason: RejectedCount) -> str:
    """Who is kept back is told of people; what a destination made of rows is told of rows."""
    return people_count(reason.rows) if reason.status == "suppressed" else whole(reason.rows)
