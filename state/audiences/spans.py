"""Spans of time and moments, as rules say them: ``12h``, ``30d``, ``6w``, ``2026-01-31``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

from millstream.state.spans import timespan

_LONGEST = timedelta(days=36_525)
"""So that what lies so long ago is still a date."""


def _checked_span(text: str) -> str:
    span = timespan(text)
    if not span:
        raise ValueError(f"{text!r} is no span of time: nothing happens in it")
    if span > _LONGEST:
        raise ValueError(f"{text!r} is too long a span of time")
    return text


Span = Annotated[str, AfterValidator(_checked_span)]


def utc(given: date | datetime | str) -> datetime:
    """A day or moment as a moment in UTC: days begin at midnight, and what names no time zone means UTC.

    Raises:
        ValueError: A text that is neither.
    """
    if isinstance(given, str):
        given = datetime.fromisoformat(given.strip())
    if not isinstance(given, datetime):
        given = datetime(given.year, given.month, given.day, tzinfo=UTC)
    return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)


def is_span(given: date | datetime | str) -> bool:
    """Whether it is a span that counts back from the run, rather than a day or moment."""
    if not isinstance(given, str):
        return False
    try:
        timespan(given)
    except ValueError:
        return False
    return True


def moment(given: date | datetime | str, as_of: datetime) -> datetime:
    """The moment that a span before ``as_of``, a day or a moment stands for."""
    return as_of - timespan(str(given)) if is_span(given) else utc(given)


def _checked_moment(given: date | datetime | str) -> date | datetime | str:
    if is_span(given):
        return _checked_span(str(given))
    try:
        utc(given)
    except (ValueError, OverflowError):
        raise ValueError(f"{given!r} is neither a span such as 30d nor a day such as 2026-01-31") from None
    return given


Moment = Annotated[date | datetime | str, AfterValidator(_checked_moment)]
