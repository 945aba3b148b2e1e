"""Names and constants in SQL text. Values from outside are bound; only declarations and checked names come here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def identifier(name: str) -> str:
    """A quoted name: ``a.b`` as ``"a"."b"``."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split("."))


def literal(text: str) -> str:
    """A quoted text constant."""
    return "'" + text.replace("'", "''") + "'"


def case(subject: str, choices: Mapping[str, str], otherwise: str = "NULL") -> str:
    """``CASE subject WHEN 'key' THEN 'value' … ELSE otherwise END``."""
    if not choices:
        return otherwise
    branches = " ".join(f"WHEN {literal(key)} THEN {literal(value)}" for key, value in choices.items())
    return f"CASE {subject} {branches} ELSE {otherwise} END"


def union_all(selects: Iterable[str]) -> str:
    """The selects as one."""
    return "\nUNION ALL\n".join(selects)
