"""Record ids: three characters for the object, a number in base 62, and three that guard the case of the others."""

from __future__ import annotations

import string

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
"""In the order in which ids are sorted."""
GUARDS = string.ascii_uppercase + "012345"
ORG_MARK = "5g0"
BODY = 9


def record_id(prefix: str, number: int) -> str:
    """The 18 character id of the record with this number."""
    body = ""
    for _ in range(BODY):
        number, digit = divmod(number, 62)
        body = DIGITS[digit] + body
    short = prefix + ORG_MARK + body
    return short + guard(short)


def guard(short: str) -> str:
    """The three characters that say which of the fifteen are upper case."""
    letters = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, letter in enumerate(short[start : start + 5]) if letter.isupper())
        letters += GUARDS[bits]
    return letters


def number_of(prefix: str, text: str) -> int | None:
    """The number behind an id of 15 or 18 characters; None where it can be no id of this object."""
    short = text[:15]
    if len(text) not in (15, 18) or not short.startswith(prefix + ORG_MARK):
        return None
    if len(text) == 18 and text[15:].upper() != guard(short):
        return None
    number = 0
    for letter in short[6:]:
        if letter not in DIGITS:
            return None
        number = number * 62 + DIGITS.index(letter)
    return number
