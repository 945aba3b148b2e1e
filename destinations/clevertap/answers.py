"""What CleverTap's answers mean for rows: status 200 does not say that all were saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected, retry_later
from millstream.destinations.rows import masked
from millstream.state.errors import AuthenticationError, MillstreamError, PermissionDeniedError, RefusedError
from millstream.state.http import Answer

_TRY_AGAIN = frozenset({555})
"""Codes of a record that say that CleverTap, not the record, is at fault."""


def outcomes_of(answer: Mapping[str, Any], rows: Sequence[DeliveryRow], key_name: str) -> dict[str, Outcome]:
    """Outcomes by key: whoever is not among the ``unprocessed`` was saved.

    Args:
        answer: The answer to an upload.
        rows: Who was uploaded, each once.
        key_name: The identifier that the records have.

    Raises:
        RefusedError: A record was refused, and the answer does not say whose: the batch has to be halved.
    """
    keys = {row.match_value: row.key for row in rows}
    outcomes = {row.key: accepted(row.external_id) for row in rows}
    faults: Sequence[Mapping[str, Any]] = answer.get("unprocessed") or ()
    for fault in faults:
        record = fault.get("record")
        value = str(record.get(key_name) or "") if isinstance(record, dict) else ""
        if value not in keys and len(rows) > 1:
            raise RefusedError("CleverTap refused a record and does not say which.", status=400, body=answer)
        row = next((row for row in rows if row.match_value == value), rows[0])
        outcomes[row.key] = _refusal(fault, row.match_value)
    return outcomes


def not_there() -> Outcome:
    """The outcome of a change of somebody whom CleverTap does not have."""
    return rejected("not_found", "CleverTap has no profile with this identifier, and this mode creates nobody.")


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for; some are under status 200. None leaves it to its HTTP status."""
    facts = answer.facts()
    told = str(facts.get("error") or facts.get("message") or "it gave no reason.")
    status = answer.status_code
    if status == 401:
        return AuthenticationError(
            f"CleverTap does not know the account and passcode here: {told}",
            remedy="check account_id, passcode and region: another region's host knows nobody of this one.",
        )
    if status == 403:
        return PermissionDeniedError(
            f"CleverTap refuses: {told}", remedy="give the passcode access to this API, or ask CleverTap to open it."
        )
    if status == 400 or (status == 200 and facts.get("status") == "fail" and "unprocessed" not in facts):
        return RefusedError(f"CleverTap refused the request: {told}", status=400, body=facts)
    return None


def _refusal(fault: Mapping[str, Any], match_value: str) -> Outcome:
    code = int(fault.get("code") or 0)
    reason = masked(str(fault.get("error") or "CleverTap gave no reason."), match_value)
    if code in _TRY_AGAIN:
        return retry_later(str(code), reason)
    return rejected(str(code) if code else "refused", reason)
