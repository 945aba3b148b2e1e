"""What the headers of an answer say about limits, in the spellings that vendors use."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.http.pacing import RateLimit

_EPOCH = 1e9
"""No vendor lets anyone wait for thirty years: numbers from here on are moments, in seconds or milliseconds."""

LONGEST_WAIT = 31 * 86_400.0
"""Seconds after which everything is asked anew: no budget lasts longer than a month, and some headers are garbage."""

_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Said:
    """A vendor's own counters as one answer gave them; None: it did not say.

    Attributes:
        allowed: Requests allowed in the short window.
        remaining: Requests left in it.
        resets_in: Seconds until it renews.
        daily_remaining: Requests left today.
        daily_resets_in: Seconds until the day's budget renews.
    """

    allowed: int | None = None
    remaining: int | None = None
    resets_in: float | None = None
    daily_remaining: int | None = None
    daily_resets_in: float | None = None


NOTHING = Said()


def said_by(headers: Mapping[str, str], names: RateLimit) -> Said:
    """Read the headers that a limit names."""
    if not (names.remaining or names.daily_remaining or names.allowed):
        return NOTHING
    return Said(
        allowed=_count(_value(headers, names.allowed)),
        remaining=_count(_value(headers, names.remaining)),
        resets_in=_wait(_value(headers, names.reset)),
        daily_remaining=_count(_value(headers, names.daily_remaining)),
        daily_resets_in=_wait(_value(headers, names.daily_reset)),
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds asked for by ``Retry-After``, which is a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After")
    return _wait(value) if value else None


def _value(headers: Mapping[str, str], name: str | None) -> str | None:
    """A header's value, or that of a parameter in it: ``Name;parameter``."""
    if name is None:
        return None
    name, _, parameter = name.partition(";")
    value = headers.get(name)
    if value is None or not parameter:
        return value
    found = re.search(rf'(?:^|[;,\s]){re.escape(parameter)}\s*=\s*"?([^;,\s"]+)', value)
    return found.group(1) if found else None


def _count(value: str | None) -> int | None:
    """A number of requests; ``18/5000`` says how many of how many were used."""
    if value is None:
        return None
    used, slash, of = value.partition("/")
    try:
        return int(float(of)) - int(float(used)) if slash else int(float(value))
    except (ValueError, OverflowError):
        return None


def _wait(value: str | None) -> float | None:
    """Seconds from now: a number of them, a moment (since 1970, or a date), or a span such as ``6m0s``."""
    seconds = None if value is None else _seconds(value.strip())
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def _seconds(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return _span(value) if _SPAN.match(value) else _until(value)
    if number < _EPOCH:
        return number
    return (number / 1000 if number >= _EPOCH * 1000 else number) - time.time()


def _span(value: str) -> float | None:
    parts = _SPAN.findall(value)
    if "".join(number + unit for number, unit in parts) != value:
        return _until(value)
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _until(value: str) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(value)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return (aware - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            continue
    return None
