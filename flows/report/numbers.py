"""Numbers as they are written, and the rule that keeps small groups of people from being told apart.

A group of one to four people that is told by what is true of them (in an audience, in a cohort, reachable, converted)
could name somebody. All that leaves this process, the page, its charts' data, artifacts and JSON, says "fewer than 5".
Counts of things, as records, rows and runs, are told as they are.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

SMALLEST_GROUP = 5
FEW = f"fewer than {SMALLEST_GROUP}"
NOTHING = "\u2013"
MINUS = "\u2212"
_SPELT = {"rfm": "RFM", "nps": "NPS", "sms": "SMS", "email": "e-mail"}


def is_few(people: float) -> bool:
    """Whether a group of so many people is not told."""
    return 0 < people < SMALLEST_GROUP


def people_count(people: int) -> str:
    """``12,345``, ``0`` or ``fewer than 5``."""
    return FEW if is_few(people) else whole(people)


def drawn(people: int) -> int:
    """A count of people as charts draw it: nothing for a group that is not told."""
    return 0 if is_few(people) else people


def whole(value: float) -> str:
    """``12,345``."""
    return f"{value:,.0f}"


def compact(value: float) -> str:
    """``12,345``, ``1.2 M``: short enough for a headline."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:,.1f} M"
    return f"{value:,.0f}"


def share(part: float, of: float) -> str:
    """``12.3 %``; a dash where there is nothing to be a part of."""
    return percent(part / of) if of else NOTHING


def percent(value: float | None) -> str:
    """``12.3 %`` of 0.123; more digits where there is hardly anything."""
    if value is None:
        return NOTHING
    digits = 2 if 0 < abs(value) < 0.01 else 1
    return f"{100 * value:.{digits}f} %".replace("-", MINUS)


def rough(value: float) -> str:
    """``12 %`` of 0.123, for where there is little room."""
    return "< 1 %" if 0 < value < 0.005 else f"{100 * value:.0f} %"


def people_share(part: int, of: int) -> str:
    """A share of people; not told where it would tell a small group's size, or how few are missing from all."""
    if not of or is_few(of) or is_few(part) or is_few(of - part):
        return NOTHING
    return percent(part / of)


def points(value: float | None) -> str:
    """``+1.2`` percentage points of 0.012."""
    return NOTHING if value is None else signed(100 * value, digits=2)


def signed(value: float, *, digits: int = 0) -> str:
    """``+12`` or ``-12``, with the longer sign for minus."""
    return f"{value:+,.{digits}f}".replace("-", MINUS)


def change(now: int, before: int | None) -> str:
    """By how much a group of people grew; small changes are about as few people as small groups."""
    if before is None:
        return NOTHING
    grown = now - before
    if not grown:
        return "0"
    return "little" if abs(grown) < SMALLEST_GROUP else signed(grown)


def figure_value(value: float | None, unit: str, currency: str | None) -> str:
    """A key figure with its unit, as a person reads it."""
    if value is None:
        return NOTHING
    if unit == "share":
        return percent(value)
    if unit == "score":
        return signed(value, digits=0)
    amount = whole(value) if float(value).is_integer() or abs(value) >= 1000 else f"{value:,.2f}"
    if unit == "currency":
        return f"{amount} {currency}" if currency else amount
    return amount


def moment(at: datetime | None) -> str:
    """``22 Nov 2026, 10:15`` in UTC."""
    if at is None:
        return NOTHING
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M}"


def day(when: date | datetime | None) -> str:
    """``22 Nov 2026``."""
    return NOTHING if when is None else f"{when.day} {when:%b %Y}"


def duration(seconds: float | None) -> str:
    """``3.2 s``, ``4 min``, ``2.5 h``."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def words(name: str) -> str:
    """``cart_abandoners`` as ``cart abandoners``, ``rfm_group`` as ``RFM group``."""
    return " ".join(_SPELT.get(word, word) for word in name.split("_"))


def titled(name: str) -> str:
    """The same as it begins a title."""
    text = words(name)
    return text[:1].upper() + text[1:]
