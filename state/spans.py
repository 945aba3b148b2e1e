"""Spans of time in settings."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

_SPAN = re.compile(r"\s*(\d+)\s*(h|d|w|hours?|days?|weeks?)\s*")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def timespan(text: str) -> timedelta:
    """``12h``, ``30d`` or ``6 weeks`` as a span of time.

    Raises:
        ValueError: Anything else. Months are left out on purpose: they differ in length.
    """
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no span of time; write hours, days or weeks, such as 12h, 30d, 6w")
    try:
        return timedelta(**{_UNITS[match[2][0]]: int(match[1])})
    except OverflowError:
        raise ValueError(f"{text!r} is too long a span of time") from None


def _checked(text: str) -> str:
    timespan(text)
    return text


Span = Annotated[str, AfterValidator(_checked)]
"""A setting that is a span of time, such as ``30d``."""
