"""What a pacer asks of a budget that several processes share, and how the budget of a credential is called."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from millstream.state.errors import QuotaExhaustedError

if TYPE_CHECKING:
    from millstream.state.http.limit_headers import Said
    from millstream.state.http.pacing import RateLimit

_ROUNDS = 20_000
"""Of the key's derivation: whoever reads the journal cannot try passwords at leisure."""


@dataclass(frozen=True, slots=True)
class Place:
    """A request that may be made now; its number is for ``Budget.answered``."""

    number: int


@dataclass(frozen=True, slots=True)
class Wait:
    """No request may be made now.

    Attributes:
        seconds: When to ask again.
        paused: The vendor has told somebody to wait: begin anew with one request at a time.
    """

    seconds: float
    paused: bool = False


class Budget(Protocol):
    """The budget of one credential. Threads share it; so do, behind it, processes."""

    @property
    def daily_left(self) -> int | None:
        """Requests left today, or None where nobody knows."""

    def take(self) -> Place | Wait:
        """Ask for one request.

        Raises:
            QuotaExhaustedError: The day's budget is used up.
        """

    def meanwhile(self) -> float:
        """Called while a client holds itself back; gives the seconds after which to call again, or infinity."""

    def answered(self, place: Place) -> None:
        """The request was answered, or never will be."""

    def heard(self, place: Place, said: Said, *, throttled: bool) -> None:
        """Take over what the answer to a request said of the vendor's counters, and whether it took the request."""

    def pause(self, seconds: float) -> None:
        """Let nobody make requests for a time."""


def used_up(resets_in: float | None) -> QuotaExhaustedError:
    """The error for a day's budget that is used up."""
    when = f"It renews {moment_in(resets_in)}." if resets_in is not None else "The vendor does not say when it renews."
    return QuotaExhaustedError(
        f"The vendor's budget of requests for today is used up. {when}",
        resets_in=resets_in,
        remedy="run again after the budget renews; what was done so far is kept.",
    )


def asked_to_wait(seconds: float) -> QuotaExhaustedError:
    """The error for a wait that is longer than a run should be held up."""
    return QuotaExhaustedError(
        f"The vendor asks to make no request before a moment that comes {moment_in(seconds)}.",
        resets_in=seconds,
        remedy="run again after that; what was done so far is kept.",
    )


def moment_in(seconds: float) -> str:
    """``in 2 h 5 min (2026-11-24 00:00 UTC)``."""
    minutes = math.ceil(seconds / 60)
    span = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    return f"in {span} ({datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M} UTC)"


class Budgets(Protocol):
    """Where budgets are kept."""

    def of(self, system: str, settings: BaseModel, limit: RateLimit) -> Budget:
        """The budget of the credential in a connector's settings."""


def credential_key(system: str, settings: BaseModel) -> str:
    """A name for the credential in a connector's settings, from which nobody can tell the credential.

    A source and a destination that use one connection have the same.
    """
    host = urlsplit(str(getattr(settings, "base_url", "") or "")).netloc
    secrets = sorted(set(_secrets(settings))) or [settings.model_dump_json()]
    salt = f"{system}\0{host}".encode()
    digest = hashlib.pbkdf2_hmac("sha256", "\0".join(secrets).encode(), salt, _ROUNDS, dklen=12)
    return f"{system}/{digest.hex()}"


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _secrets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _secrets(inner)
