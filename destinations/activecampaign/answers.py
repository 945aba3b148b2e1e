"""What ActiveCampaign's answers mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from millstream.destinations.contract import Outcome, rejected, suppressed
from millstream.destinations.rows import masked
from millstream.state.errors import (
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
)
from millstream.state.http import Answer

_A_MINUTE = 60.0

NOT_SUBSCRIBABLE: Mapping[str, tuple[str, str]] = {
    "0": ("unconfirmed", "The person has not confirmed the subscription to the list."),
    "2": ("unsubscribed", "The person unsubscribed from the list."),
    "3": ("bounced", "Mail to the address bounced; ActiveCampaign no longer sends to it."),
}
"""Statuses on a list of people who must not be subscribed to it, with the code and the reason of their outcome."""


def problem_of(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, where it is another than its HTTP status says."""
    if answer.status_code == 403:
        return _forbidden(answer)
    said = answer.facts() if answer.status_code == 400 else {}
    if "rate limit" in str(said.get("message", "")).lower():
        # Imports have a limit of their own, which is told as a bad request.
        return RateLimitedError("ActiveCampaign takes no more imports in this minute.", retry_after=_A_MINUTE)
    return None


def _forbidden(answer: Answer) -> MillstreamError:
    """A key that is none, and one of a user who may not do it, are both told as 403 without more."""
    method, path = answer.request.method, urlsplit(str(answer.request.url)).path
    if method == "GET":
        return AuthenticationError(
            "ActiveCampaign does not take the API key.",
            remedy="copy URL and key anew from Settings, Developer; the user needs the permission to see contacts.",
        )
    made = path.rstrip("/").rsplit("/", 1)[-1]
    what = "delete contacts" if method == "DELETE" else f"write {made}"
    return PermissionDeniedError(
        f"The API key is refused to {what}.",
        remedy="give the user's group the permission in Settings, Users and Groups, or take another user's key.",
    )


def refusal_of(error: RefusedError, email: str) -> Outcome:
    """The outcome of a request for one person that was refused (422, 400)."""
    body = error.body if isinstance(error.body, dict) else {}
    faults = [fault for fault in body.get("errors") or () if isinstance(fault, dict)]
    texts = [" ".join(str(fault.get(key) or "") for key in ("title", "detail")).strip() for fault in faults]
    reason = masked(" ".join(texts) or str(body.get("message") or "ActiveCampaign gave no reason."), email)
    if "exclusion" in reason.lower() or "excluded" in reason.lower():
        return suppressed("excluded", reason)
    code = str(faults[0].get("code") or faults[0].get("title") or "") if faults else ""
    return rejected(re.sub(r"\W+", "_", code.lower()).strip("_") or f"http_{error.status}", reason)


def is_duplicate(error: RefusedError) -> bool:
    """Whether something was refused because it is there already."""
    body = error.body if isinstance(error.body, dict) else {}
    text = " ".join(f"{fault.get('code')} {fault.get('title')}" for fault in body.get("errors") or ()).lower()
    return "duplicate" in text or "already" in text


@contextmanager
def suppress_duplicates() -> Iterator[None]:
    """Go on where something was refused because it is there already."""
    try:
        yield
    except RefusedError as error:
        if not is_duplicate(error):
            raise


def refused_places(error: RefusedError, rows: int) -> set[int]:
    """Places of an import's contacts that may be those it was refused for; none where no contact is named.

    The vendor's documents do not say whether it counts from 0 or from 1, so both places are meant.
    """
    body: Mapping[str, Any] = error.body if isinstance(error.body, dict) else {}
    named = [str(one.get("contact")) for one in body.get("failureReasons") or () if isinstance(one, dict)]
    places = {int(place) for place in named if place.isdigit()}
    return {near for place in places for near in (place - 1, place) if 0 <= near < rows}
