"""What is kept of why rows were not taken: the vendor's words, without the people that they are about.

Connectors mask what they know to be somebody's; here it is done once for all, with everything that the rows hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.rows import personal_values
from millstream.state.errors import MillstreamError
from millstream.state.privacy import redact_values


def without_people(outcomes: Sequence[Outcome], rows: Sequence[DeliveryRow]) -> list[Outcome]:
    """The outcomes of these rows, whose reasons name nobody.

    A reason that several rows have may be about any of them, as the path of a request that failed for all.
    """
    told = Counter(outcome.reason for outcome in outcomes if outcome.reason)
    if not told:
        return list(outcomes)
    everybody = personal_values(rows) if any(times > 1 for times in told.values()) else set()
    shared = {reason: redact_values(reason, everybody) for reason, times in told.items() if times > 1}
    return [_unnamed(outcome, row, shared) for outcome, row in zip(outcomes, rows, strict=True)]


def _unnamed(outcome: Outcome, row: DeliveryRow, shared: Mapping[str, str]) -> Outcome:
    if not outcome.reason:
        return outcome
    reason = shared.get(outcome.reason) or redact_values(outcome.reason, personal_values([row]))
    # Connectors may give one outcome to many rows, so it is left as it is.
    return outcome if reason == outcome.reason else replace(outcome, reason=reason)


def name_nobody(error: MillstreamError, rows: Sequence[DeliveryRow]) -> None:
    """Take these people out of an error's words."""
    error.what = redact_values(error.what, personal_values(rows))
