"""Amounts and values in sentences."""

from __future__ import annotations

from datetime import datetime


def counted(amount: int, one: str, several: str | None = None) -> str:
    """``1 record``, ``2,000 records``; ``several`` where it is not ``one`` with an s."""
    return f"{amount:,} {one if amount == 1 else several or f'{one}s'}"


def text_of(value: object) -> str:
    """A value as people read it: whole numbers without a fraction, times to the second, lists by commas."""
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def people_counted(amount: int) -> str:
    """``1 person``, ``2 people``."""
    return counted(amount, "person", "people")


def who_is_who(records: int, people: int) -> str:
    """``3 records are 1 person``."""
    return f"{counted(records, 'record')} {'is' if records == 1 else 'are'} {people_counted(people)}"
