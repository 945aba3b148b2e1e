"""Amounts in sentences."""

from __future__ import annotations


def counted(amount: int, one: str, several: str | None = None) -> str:
    """``1 record``, ``2,000 records``; ``several`` where it is not ``one`` with an s."""
    return f"{amount:,} {one if amount == 1 else several or f'{one}s'}"


def people_counted(amount: int) -> str:
    """``1 person``, ``2 people``."""
    return counted(amount, "person", "people")


def who_is_who(records: int, people: int) -> str:
    """``3 records are 1 person``."""
    return f"{counted(records, 'record')} {'is' if records == 1 else 'are'} {people_counted(people)}"
