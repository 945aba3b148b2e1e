"""What Customer.io's answers mean for rows and for a sync."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.rows import masked
from millstream.state.errors import AuthenticationError, MillstreamError, RefusedError, UnavailableError
from millstream.state.http import Answer

_IN_USE = 409


def outcomes_of(answer: Mapping[str, Any] | None, sent: Sequence[DeliveryRow]) -> dict[str, Outcome]:
    """Outcomes by key of a batch: whoever is in no error was taken.

    Args:
        answer: The body of a 200 or a 207, which names rows by their place in the batch.
        sent: The rows in the order of the request.
    """
    outcomes = {row.key: accepted() for row in sent}
    stray: Outcome | None = None
    for fault in (answer or {}).get("errors") or ():
        place = fault.get("batch_index")
        if isinstance(place, int) and 0 <= place < len(sent):
            outcomes[sent[place].key] = refusal(fault, sent[place])
        else:
            stray = rejected("error_without_row", _text(fault), fault="vendor")
    if stray is not None:
        # It belongs to one of them, and nobody can tell to whom: all are sent again by the next run.
        return {key: stray if outcome == accepted() else outcome for key, outcome in outcomes.items()}
    return outcomes


def refusal(fault: Mapping[str, Any], row: DeliveryRow) -> Outcome:
    """The outcome of a row that is refused."""
    code = str(fault.get("reason") or "refused").lower()
    return rejected(code, masked(_text(fault), row.match_value))


def refused_alone(error: RefusedError, row: DeliveryRow) -> Outcome:
    """The outcome of the only row of a request that was refused whole."""
    fault = next((part for part in _faults(error.body) if isinstance(part, dict)), {"message": error.what})
    return refusal(fault, row)


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer of either API stands for, where the status alone does not say it."""
    if answer.status_code == 401:
        return AuthenticationError(
            "Customer.io does not accept the key.",
            remedy="check site_id, track_api_key and app_api_key, each of its own API, and the region: keys of one "
            "region are unknown in the other.",
        )
    if answer.status_code == _IN_USE:
        return UnavailableError("Customer.io is working on the segment.")
    if answer.status_code == 400:
        body = answer.said()
        words = " ".join(map(_text, _faults(body))) or "no reason given."
        return RefusedError(f"Customer.io refuses the request: {words}", status=400, body=body)
    return None


def _faults(body: object) -> Iterator[object]:
    """The errors in a body; the two APIs have three shapes for them."""
    if not isinstance(body, dict):
        return
    said = body.get("meta")
    meta = said if isinstance(said, dict) else {}
    yield from body.get("errors") or ()
    yield from meta.get("errors") or ()
    if meta.get("error"):
        yield meta["error"]


def _text(fault: object) -> str:
    if not isinstance(fault, Mapping):
        return f"{fault}."
    field, message = fault.get("field"), fault.get("message") or fault.get("detail") or fault.get("reason")
    return f"{field}: {message}." if field else f"{message or 'no reason given'}."
