"""Names and constants in SQL text. Values from outside are bound; only declarations and checked names come here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def quoted(name: str) -> str:
    """A name as SQL writes it, dots and all; the one way in which a name from outside gets into a statement."""
    return '"' + name.replace('"', '""') + '"'


def identifier(name: str) -> str:
    """A quoted name: ``a.b`` as ``"a"."b"``."""
    return ".".join(quoted(part) for part in name.split("."))


def json_path(name: str) -> str:
    """The path of a JSON document's own part of this name, whatever characters it has."""
    return '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def number(text: str) -> str:
    """A text expression as a number: NULL for what is none, also infinity and NaN, which engines spell variously."""
    return finite(f"TRY_CAST({text} AS DOUBLE)")


def finite(double: str) -> str:
    """A DOUBLE expression; NULL where it is infinite or NaN, which would spread to all sums that it goes into."""
    return f"CASE WHEN abs({double}) <= CAST('1e308' AS DOUBLE) THEN {double} END"


def literal(text: str) -> str:
    """A quoted text constant."""
    return "'" + text.replace("'", "''") + "'"


def case(subject: str, choices: Mapping[str, str], otherwise: str = "NULL") -> str:
    """``CASE subject WHEN 'key' THEN 'value' … ELSE otherwise END``."""
    if not choices:
        return otherwise
    branches = " ".join(f"WHEN {literal(key)} THEN {literal(value)}" for key, value in choices.items())
    return f"CASE {subject} {branches} ELSE {otherwise} END"


def replaced(key: Iterable[str], columns: Iterable[str]) -> str:
    """The end of an INSERT whose rows replace those with the same key: ``ON CONFLICT (key) DO UPDATE SET …``."""
    news = ", ".join(f"{quoted(column)} = excluded.{quoted(column)}" for column in columns)
    return f"ON CONFLICT ({', '.join(quoted(column) for column in key)}) DO UPDATE SET {news}"


def union_all(selects: Iterable[str]) -> str:
    """The selects as one."""
    return "\nUNION ALL\n".join(selects)
