"""Conditions over two rows, in the words of each SQL dialect."""

from __future__ import annotations

from typing import Literal

Dialect = Literal["duckdb", "postgres", "spark"]


class Writer:
    """Conditions in the words of one SQL dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def both(self, field: str) -> str:
        """Both rows say something."""
        return f'("{field}_l" IS NOT NULL AND "{field}_r" IS NOT NULL)'

    def missing(self, *fields: str) -> str:
        """Of each of these, a row says nothing."""
        return " AND ".join(f'("{field}_l" IS NULL OR "{field}_r" IS NULL)' for field in fields)

    def equal(self, field: str) -> str:
        """Both say the same."""
        return f'"{field}_l" = "{field}_r"'

    def edits(self, field: str, most: int, shortest: int = 0) -> str:
        """So many edits at most make one of the other; both may have to be of some length."""
        left, right = f'"{field}_l"', f'"{field}_r"'
        if self.dialect == "postgres":
            within = f"levenshtein({left}, {right}) <= {most}"
        else:
            # Counting edits is ten times as dear as this, which every pair within two edits passes.
            within = f"({self._likeness(left, right)} >= 0.75 AND damerau_levenshtein({left}, {right}) <= {most})"
        if not shortest:
            return within
        return f"(length({left}) >= {shortest} AND length({right}) >= {shortest} AND {within})"

    def alike(self, field: str, least: float, other: str | None = None) -> str:
        """So much alike, from 0 to 1; also one field of one row and another of the other."""
        left, right = f'"{field}_l"', f'"{other or field}_r"'
        if self.dialect == "postgres":
            longest = f"greatest(length({left}), length({right}))"
            return f"levenshtein({left}, {right}) <= {1.6 * (1 - least):.3f} * {longest}"
        return f"{self._likeness(left, right)} >= {least}"

    def _likeness(self, left: str, right: str) -> str:
        function = "jaro_winkler_similarity" if self.dialect == "duckdb" else "jaro_winkler"
        return f"{function}({left}, {right})"

    def begins(self, field: str, shortest: int = 1) -> str:
        """One begins with the other."""
        left, right = f'"{field}_l"', f'"{field}_r"'
        return (
            f"(length({left}) >= {shortest} AND length({right}) >= {shortest} AND "
            f"(substr({left}, 1, length({right})) = {right} OR substr({right}, 1, length({left})) = {left}))"
        )

    def initial(self, field: str, root: str) -> str:
        """One is the first letter of the other, or of the name that the other is a form of."""
        sides = (("l", "r"), ("r", "l"))
        told = [
            f'(length("{field}_{one}") = 1 AND (substr("{field}_{other}", 1, 1) = "{field}_{one}" '
            f'OR substr("{root}_{other}", 1, 1) = "{field}_{one}"))'
            for one, other in sides
        ]
        return f"({' OR '.join(told)})"

    def form_of(self, root: str, second: str | None) -> str:
        """Both may stand for one name; a short form of several names has a second root."""
        either = f' OR "{root}_l" = "{second}_r" OR "{second}_l" = "{root}_r"' if second else ""
        return f"({self.equal(root)}{either})"

    def close(self, field: str) -> str:
        """As much alike as after one typing error."""
        return f"({self.alike(field, 0.92)} OR {self.edits(field, 1, 4)})"

    def similar(self, field: str) -> str:
        """As much alike as after two."""
        return f"({self.alike(field, 0.84)} OR {self.edits(field, 2, 6)})"

    def exchanged(self) -> str:
        """First and last name in each other's place; one of the four may be missing, one misspelled."""
        one, other = self.alike("first", 0.88, "last"), self.alike("last", 0.88, "first")
        one_roughly, other_roughly = self.alike("first", 0.7, "last"), self.alike("last", 0.7, "first")
        straight = f"({self.alike('first', 0.88)} OR {self.alike('last', 0.88)})"
        both = f"(({one} AND {other_roughly}) OR ({other} AND {one_roughly}))"
        return f"coalesce({both} AND NOT {straight}, FALSE)"


def part(field: str, start: int, length: int) -> tuple[str, str, str]:
    """A part of a field of one row, of the other, and that both are equal."""
    left, right = (f'substr("{field}_{side}", {start}, {length})' for side in "lr")
    return left, right, f"{left} = {right}"
