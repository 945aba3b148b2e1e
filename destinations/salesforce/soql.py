"""Queries in SOQL: texts as literals, lists that fit into an address, and pages of records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from millstream.destinations.http import Http

Record = Mapping[str, Any]

LONGEST_LIST = 9_000
"""Characters of a list, escaped, that fit into an address together with the rest of a query."""

_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def text_literal(text: str) -> str:
    """A text as SOQL writes it."""
    return f"'{text.translate(_ESCAPES)}'"


def lists_of(literals: Sequence[str]) -> Iterator[str]:
    """Literals as ``(a, b)`` for ``IN``, so many in each as an address takes."""
    piece: list[str] = []
    length = 0
    for literal in literals:
        size = len(quote(literal, safe="")) + 4
        if piece and length + size > LONGEST_LIST:
            yield f"({', '.join(piece)})"
            piece, length = [], 0
        piece.append(literal)
        length += size
    if piece:
        yield f"({', '.join(piece)})"


def records(http: Http, root: str, soql: str) -> Iterator[Record]:
    """The records of all pages.

    Args:
        http: The engine's HTTP for the organization.
        root: Path of the API.
        soql: The query.
    """
    answer = http.get(f"{root}/query", {"q": soql})
    while True:
        yield from answer["records"]
        following = answer.get("nextRecordsUrl")
        if answer.get("done") is not False or not following:
            return
        answer = http.get(str(following))
