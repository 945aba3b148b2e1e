"""What the results in Marketo's answers mean for rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import Outcome, accepted, rejected, retry_later
from millstream.destinations.rows import masked

NOT_FOUND = "1004"
NOT_IN_LIST = "1015"
SEVERAL = "1007"

_CONFIGURATION = frozenset({"1006", "1008", "1009", "1010", "1011", "1018", "1021"})
"""Codes of rows that say the mapping or the settings are wrong, or the API user's rights."""

_EXPLAINED = {
    SEVERAL: " Merge the leads in Marketo, or match by a field that is unique.",
    "1010": " The lead is in another partition than partition_name says.",
    "1021": " Fields of the lead's company are changed at the company, not by a sync.",
}


def reason_of(result: Mapping[str, Any]) -> tuple[str, str] | None:
    """Code and words of a result that was skipped; None for one that was not."""
    reasons: Sequence[Mapping[str, Any]] = result.get("reasons") or ()
    if not reasons:
        return ("skipped", "Marketo gives no reason.") if result.get("status") == "skipped" else None
    return str(reasons[0].get("code") or "skipped"), "; ".join(str(one.get("message") or "") for one in reasons)


def outcome_of(result: Mapping[str, Any], match_value: str) -> Outcome:
    """What a result means for the row that it is about."""
    reason = reason_of(result)
    if reason is None:
        return accepted(str(result["id"]) if result.get("id") is not None else None)
    code, text = reason
    said = masked(text, match_value)
    if code == NOT_FOUND:
        return not_there(said)
    if code.isdigit() and int(code) < 1000:
        # Codes of requests: a fault of the instance while it worked on this one row.
        return retry_later(code, said)
    fault = "configuration" if code in _CONFIGURATION else "data"
    return rejected(code, said + _EXPLAINED.get(code, ""), fault=fault)  # type: ignore[arg-type]


def not_there(said: str = "Lead not found.") -> Outcome:
    """The outcome of somebody whom Marketo does not have."""
    return rejected("not_found", said)


def with_comma() -> Outcome:
    """The outcome of somebody whom Marketo cannot be asked for."""
    return rejected("comma_in_key", "Marketo cannot look up a value that has a comma in it.")


def several() -> Outcome:
    """The outcome of somebody who cannot be told from others."""
    return rejected(SEVERAL, "Several leads have this value." + _EXPLAINED[SEVERAL])
