"""The result of looking whether something can be used: a source, a destination, the store, an audience, a sync."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from millstream.state.errors import (
    MISTAKES,
    AuthenticationError,
    MillstreamError,
    PermissionDeniedError,
    RateLimitedError,
    RetryableError,
    mistaken,
)

Problem = Literal["credentials", "permission", "network", "limit", "other"]


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One thing that was looked at.

    Attributes:
        name: ``hubspot``, or ``hubspot.email_events`` for a stream that needs a permission of its own.
        kind: ``settings``, ``source``, ``destination``, ``store``, ``journal``, ``linkage``, ``identity``, ``traits``,
            ``audience`` or ``sync``.
        ok: Whether it can be used.
        problem: Which kind of problem it is: wrong credentials, a missing permission, no network, a limit, other.
        detail: What was seen, without secrets.
        remedy: What to do.
    """

    name: str
    kind: str
    ok: bool
    problem: Problem | None = None
    detail: str = ""
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def run_check(name: str, kind: str, attempt: Callable[[], object]) -> CheckResult:
    """Try something and say what came of it."""
    try:
        attempt()
    except MillstreamError as error:
        why = error
    except MISTAKES as error:
        why = mistaken(error)
    else:
        return CheckResult(name=name, kind=kind, ok=True)
    return CheckResult(name=name, kind=kind, ok=False, problem=_problem(why), detail=why.what, remedy=why.remedy)


def _problem(error: MillstreamError) -> Problem:
    if isinstance(error, AuthenticationError):
        return "credentials"
    if isinstance(error, PermissionDeniedError):
        return "permission"
    if isinstance(error, RateLimitedError):
        return "limit"
    return "network" if isinstance(error, RetryableError) else "other"
