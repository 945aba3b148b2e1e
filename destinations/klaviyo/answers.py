"""What Klaviyo's error answers mean: for the sync, and for single rows by the pointers in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import Outcome, rejected
from millstream.destinations.rows import masked
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from millstream.state.http import Answer

_LIST_OF_JOB = "/data/relationships/lists"
_ITEM = re.compile(r"/data(?:/attributes/profiles/data)?/(\d+)(?:/|$)")


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, with the vendor's words; None leaves it to its HTTP status."""
    status = answer.status_code
    if status not in {400, 401, 403, 404, 409, 410}:
        return None
    faults = faults_of(answer.facts())
    what = f"Klaviyo answered HTTP {status}: {_words(faults[0]) if faults else 'it gave no reason.'}"
    if status == 401:
        return AuthenticationError(what, remedy="replace the private API key, or the refresh token, of the connection.")
    if status == 403:
        return PermissionDeniedError(
            what,
            remedy="give the key the scopes profiles, lists and accounts, and data-privacy for erasure.",
        )
    if status == 410:
        return ConfigurationError(what, remedy="set the connection's revision to one that Klaviyo still serves.")
    of_list = any(_pointer(fault).startswith(_LIST_OF_JOB) for fault in faults)
    if of_list or (status == 404 and not items_of(faults)):
        return NotFoundError(what, remedy="check that the list is still there, and the ids and the base_url.")
    return RefusedError(what, status=status, body=answer.said())


def faults_of(body: object) -> Sequence[Mapping[str, Any]]:
    """The errors in an answer."""
    faults = body.get("errors") if isinstance(body, dict) else None
    return [fault for fault in faults if isinstance(fault, dict)] if isinstance(faults, list) else []


def items_of(faults: Sequence[Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Errors by the place, in the request, of the profile that they point to."""
    found = ((item_of(fault), fault) for fault in reversed(faults))
    return {place: fault for place, fault in found if place is not None}


def item_of(fault: Mapping[str, Any]) -> int | None:
    """The place of the profile that an error points to; None where it points elsewhere."""
    place = _ITEM.match(_pointer(fault))
    return int(place.group(1)) if place else None


def refusal(fault: Mapping[str, Any], match_value: str) -> Outcome:
    """The outcome of a row that an error is about."""
    code = re.sub(r"\W+", "_", str(fault.get("code") or "refused").lower())
    return rejected(code, masked(_words(fault), match_value))


def refusal_of(error: RefusedError, match_value: str) -> Outcome:
    """The outcome of a request for one person that was refused."""
    faults = faults_of(error.body)
    return refusal(faults[0], match_value) if faults else rejected(str(error.status), error.what)


def _pointer(fault: Mapping[str, Any]) -> str:
    source = fault.get("source")
    return str(source.get("pointer") or "") if isinstance(source, dict) else ""


def _words(fault: Mapping[str, Any]) -> str:
    words = str(fault.get("detail") or fault.get("title") or "it gave no reason.")
    place = _pointer(fault).rpartition("/attributes/")[2]
    return f"{place}: {words}" if place and place[0] != "/" else words
