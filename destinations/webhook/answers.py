"""What a receiver's answer means for the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected, retry_later, suppressed
from millstream.destinations.rows import masked
from millstream.destinations.webhook.batches import Batch
from millstream.state.errors import (
    FatalError,
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.http.pacing import retry_after

_LONGEST_REASON = 300
_NOT_FOUND = 404
_GONE = frozenset({_NOT_FOUND, 410})
_NOT_OUR_WAY = frozenset({405, 406, 411, 415, 501})
_BEING_WORKED_ON = 409


def outcomes_of(answer: Answer, batch: Batch) -> dict[str, Outcome]:
    """Outcomes by key: of each row, where the answer has ``results``; else all were taken."""
    results = answer.facts().get("results") if answer.content else None
    if not isinstance(results, list):
        return {row.key: accepted() for row in batch.rows}
    said = {str(one.get("row_id")): one for one in results if isinstance(one, dict)}
    return {row.key: _outcome(said.get(batch.row_id(row)), row) for row in batch.rows}


def _outcome(result: Mapping[str, Any] | None, row: DeliveryRow) -> Outcome:
    if result is None:
        return retry_later("not_in_results", "The receiver's results do not name the row.")
    status = str(result.get("status"))
    if status == "ok":
        return accepted()
    code = str(result.get("code") or status)[:60]
    reason = masked(str(result.get("error") or "The receiver gave no reason."), row.match_value)[:_LONGEST_REASON]
    if status == "retry":
        return retry_later(code, reason)
    if status == "suppressed":
        return suppressed(code, reason)
    return rejected(code, reason)


def problem_of(answer: Answer) -> MillstreamError | None:
    """What means something else here than at a vendor: some statuses, and results that broke off; else None."""
    status, posts = answer.status_code, answer.request.method == "POST"
    if status == _NOT_FOUND and not posts:
        # Many receivers know the address for posts only.
        return RefusedError("The receiver does not answer GET here.", status=status)
    if status in _GONE:
        return NotFoundError(
            f"The webhook is not there any more (HTTP {status}).",
            remedy="check base_url; disable the sync if the receiver was taken down for good.",
        )
    if status in _NOT_OUR_WAY and posts:
        return FatalError(
            f"The receiver does not take JSON by POST (HTTP {status}).", remedy="check base_url of the connection."
        )
    if status == _BEING_WORKED_ON:
        return UnavailableError("The receiver is at this batch already.", retry_after=retry_after(answer.headers))
    return _cut_short(answer) if status < 400 else None


def _cut_short(answer: Answer) -> MillstreamError | None:
    """The error of an answer that begins as JSON and is none: results may be in it, so not all rows were taken."""
    if not answer.content.lstrip().startswith((b"{", b"[")):
        return None
    try:
        answer.json()
    except MalformedAnswerError as error:
        return error
    return None
