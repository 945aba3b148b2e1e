"""Every error Millstream raises on purpose, grouped by what the engine does about it.

    MillstreamError
    ├── ConfigurationError        stop before anything starts; exit code 2
    ├── PluginError               report the plugin, go on without it
    ├── FatalError                stop this source or sync now, keep what is stored
    │   ├── AuthenticationError       the vendor does not accept the credential
    │   ├── PermissionDeniedError     the credential is valid but lacks a scope or a plan
    │   ├── NotFoundError             the vendor does not know the thing asked for
    │   ├── SchemaError               an answer or a table is not what was declared
    │   ├── QueryError                the store refuses a statement
    │   ├── TimeLimitError            a project's SQL took longer than it may
    │   ├── IncompleteError           fewer rows arrived than the vendor or the reader counted
    │   └── GuardError                a guard stopped a sync before its first request
    ├── RefusedError              the vendor refused this request or these rows (HTTP 400, 409, 422)
    ├── RetryableError            wait and try again
    │   ├── RateLimitedError          told to slow down
    │   ├── UnavailableError          HTTP 5xx
    │   │   └── UnreachableError          no network, a reset, a timeout: no answer at all
    │   ├── MalformedAnswerError      a body that cannot be read, often cut short
    │   └── StoreLockedError          another process writes to the store
    ├── QuotaExhaustedError       a daily budget is used up: keep what was done, go on tomorrow
    └── UnknownOutcomeError       a request that may not be repeated was sent and got no answer

Messages say what happened, the value, what is allowed and the remedy. They never carry a secret or an e-mail
address in clear: text from outside passes ``millstream.state.privacy.redact`` on its way in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from millstream.state.privacy import redact

MANY = 15
"""So many names are read on the way to what comes behind them."""


class MillstreamError(Exception):
    """An error with facts: ``what`` happened, ``where``, the ``allowed`` values and the ``remedy``."""

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: Iterable[str] = (),
        remedy: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = redact(what)
        self.where = where
        self.allowed = tuple(allowed)
        self.remedy = remedy

    def at(self, where: str) -> MillstreamError:
        """Add where it happened (``hubspot.contacts``) unless it is known as closely already, and return self."""
        if self.where is None or where.startswith(f"{self.where}."):
            self.where = where
        return self

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if (self.allowed or self.remedy) and text[-1:] not in ".!?:":
            text += "."
        return text + allowed_and_remedy(self.allowed, self.remedy)


def allowed_and_remedy(allowed: Sequence[str], remedy: str | None) -> str:
    """What is allowed and what to do, to stand behind what happened. A long list stands last, or nobody reads on."""
    said = [f"Allowed: {', '.join(allowed)}."] if allowed else []
    if remedy:
        said.append(f"What to do: {remedy}")
    if len(allowed) > MANY:
        said.reverse()
    return "".join(f" {one}" for one in said)


class ConfigurationError(MillstreamError):
    """The project file, a setting or a command's arguments are wrong."""


class PluginError(MillstreamError):
    """A plugin cannot be imported or does not keep the contract."""


class FatalError(MillstreamError):
    """This source or sync cannot go on; what was stored before stays."""


class AuthenticationError(FatalError):
    """The vendor does not accept the credential."""


class PermissionDeniedError(FatalError):
    """The credential is valid but lacks a scope, a permission or a plan."""


class NotFoundError(FatalError):
    """The vendor does not know the account, list or object asked for."""


class SchemaError(FatalError):
    """An answer or a table does not have the declared columns or types."""


class QueryError(FatalError):
    """The store refuses a statement: a table, column or function is not there, or the text is no SQL."""


class TimeLimitError(FatalError):
    """A project's SQL took longer than it may, and was stopped."""


class IncompleteError(FatalError):
    """Counts differ: fewer rows were read or loaded than were announced."""


class GuardError(FatalError):
    """A guard (largest removal, empty source, size) stopped a sync before its first request."""


class InterruptedRunError(FatalError):
    """The process was asked to stop; what was sent is kept, and the next run goes on."""


class RefusedError(MillstreamError):
    """The vendor refused a request: the data in it, not the credential, is at fault.

    Attributes:
        status: HTTP status of the answer.
        body: The parsed answer, for connectors that map its parts to rows; never printed.
    """

    def __init__(self, what: str, *, status: int, body: object = None, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy)
        self.status = status
        self.body = body


class RetryableError(MillstreamError):
    """Something that may work when tried again.

    Attributes:
        retry_after: Seconds the vendor asked us to wait, or None.
    """

    def __init__(
        self,
        what: str,
        *,
        retry_after: float | None = None,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after = retry_after


class RateLimitedError(RetryableError):
    """The vendor asks us to slow down."""


class UnavailableError(RetryableError):
    """The vendor cannot answer now: HTTP 5xx, or no answer at all."""


class UnreachableError(UnavailableError):
    """No network, a reset connection or a timeout."""


class MalformedAnswerError(RetryableError):
    """A body that is not the JSON it should be."""


class StoreLockedError(RetryableError):
    """Another process holds the store's write lock for longer than we wait."""


class QuotaExhaustedError(MillstreamError):
    """A budget of requests (usually a day's) is used up.

    Attributes:
        resets_in: Seconds until the vendor renews the budget, or None when it does not say.
        after_a_try: Whether the request was sent before, and nobody knows if it was carried out.
    """

    after_a_try = False

    def __init__(self, what: str, *, resets_in: float | None = None, remedy: str | None = None) -> None:
        super().__init__(what, remedy=remedy)
        self.resets_in = resets_in


class UnknownOutcomeError(MillstreamError):
    """A request that may not be repeated was sent and no answer came back."""


MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What code raises that is wrong, or that takes an answer for what it is not; disks and databases raise others."""


def mistaken(error: Exception) -> FatalError:
    """What a connector could not read, or a mistake, by its kind and place: what it says may be somebody's data."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_globals.get('__name__', '?')}, line {place.tb_lineno}" if place else ""
    return FatalError(
        f"Unexpected {type(error).__name__}{where}: an answer was not of the documented shape, or the code is wrong.",
        remedy="run again, which goes on from what is stored; if it stays, report it to who wrote the connector, or "
        "to us.",
    )
