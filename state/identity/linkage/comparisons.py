"""What is compared of two people and which levels of agreement there are, as Splink comparisons.

Each level is SQL over two rows; the first that holds counts. Probabilities given here are where training starts, and
what it falls back to where the data say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millstream.state.identity.linkage.people import People

Dialect = Literal["duckdb", "postgres", "spark"]
Sharing = Literal["nobody", "twins", "household"]


@dataclass(frozen=True)
class Level:
    """One level of agreement.

    Attributes:
        name: What agrees, for people who read why a link was made.
        sql: The condition.
        m: Chance of it where both rows are one person.
        u: Chance of it where they are two.
        exact_of: The field whose value both rows share at this level, so that a rare value may count for more.
        most: The largest m that training may give it; a class of pairs that differ here more often are no matches,
            whatever else they have in common.
    """

    name: str
    sql: str
    m: float
    u: float
    exact_of: str | None = None
    most: float = 1.0


@dataclass(frozen=True)
class Comparison:
    """One thing that is compared.

    Attributes:
        name: Of the comparison.
        missing: Condition under which nothing can be said.
        levels: From the closest to the one where nothing agrees, whose condition is ``ELSE``.
        shared: Who may agree on it though they are two people: nobody, twins, or any household.
    """

    name: str
    missing: str
    levels: tuple[Level, ...]
    shared: Sharing


def comparisons_for(people: People, dialect: Dialect) -> tuple[Comparison, ...]:
    """The comparisons that the fields at hand allow."""
    write = _Writer(dialect)
    found = [
        _first(write, people),
        _plain(write, people, "middle", "middle name", shared="nobody"),
        _last(write, people),
        _birth(write, people),
        _plain(write, people, "sex", "sex", shared="nobody", most=0.15, usual=0.5),
        _nid(write, people),
        _email(write, people),
        _phone(write, people),
        _address(write, people),
        _plain(write, people, "street_2", "address line 2", shared="household"),
        _plain(write, people, "street_3", "address line 3", shared="household"),
        _area(write, people),
        *(
            _plain(write, people, name, f"column {name.removeprefix('other_')}", shared="household")
            for name in people.fields
            if name.startswith("other_")
        ),
    ]
    return tuple(each for each in found if each is not None)


class _Writer:
    """Conditions in the words of one SQL dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def both(self, field: str) -> str:
        return f'("{field}_l" IS NOT NULL AND "{field}_r" IS NOT NULL)'

    def missing(self, *fields: str) -> str:
        return " AND ".join(f'("{field}_l" IS NULL OR "{field}_r" IS NULL)' for field in fields)

    def equal(self, field: str) -> str:
        return f'"{field}_l" = "{field}_r"'

    def edits(self, field: str, most: int, shortest: int = 0) -> str:
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
        left, right = f'"{field}_l"', f'"{other or field}_r"'
        if self.dialect == "postgres":
            longest = f"greatest(length({left}), length({right}))"
            return f"levenshtein({left}, {right}) <= {1.6 * (1 - least):.3f} * {longest}"
        return f"{self._likeness(left, right)} >= {least}"

    def _likeness(self, left: str, right: str) -> str:
        function = "jaro_winkler_similarity" if self.dialect == "duckdb" else "jaro_winkler"
        return f"{function}({left}, {right})"

    def begins(self, field: str, shortest: int = 1) -> str:
        left, right = f'"{field}_l"', f'"{field}_r"'
        return (
            f"(length({left}) >= {shortest} AND length({right}) >= {shortest} AND "
            f"(substr({left}, 1, length({right})) = {right} OR substr({right}, 1, length({left})) = {left}))"
        )

    def close(self, field: str) -> str:
        return f"({self.alike(field, 0.92)} OR {self.edits(field, 1, 4)})"

    def similar(self, field: str) -> str:
        return f"({self.alike(field, 0.84)} OR {self.edits(field, 2, 6)})"

    def exchanged(self) -> str:
        """First and last name in each other's place; one of the four may be missing, one misspelled."""
        one, other = self.alike("first", 0.88, "last"), self.alike("last", 0.88, "first")
        one_roughly, other_roughly = self.alike("first", 0.7, "last"), self.alike("last", 0.7, "first")
        straight = f"({self.alike('first', 0.88)} OR {self.alike('last', 0.88)})"
        both = f"(({one} AND {other_roughly}) OR ({other} AND {one_roughly}))"
        return f"coalesce({both} AND NOT {straight}, FALSE)"


def _first(write: _Writer, people: People) -> Comparison | None:
    if not people.has("first"):
        return None
    exchanged = (Level("first and last name exchanged", write.exchanged(), 0.01, 1e-5),) if people.has("last") else ()
    return Comparison(
        "first name",
        write.missing("first"),
        (
            Level("same", write.equal("first"), 0.8, 0.01, "first"),
            *exchanged,
            Level("forms of one name", write.equal("first_root"), 0.04, 0.002),
            Level("initial", f"({write.begins('first')} AND NOT {write.begins('first', 2)})", 0.01, 0.005),
            Level("close or shortened", f"{write.close('first')} OR {write.begins('first', 2)}", 0.1, 0.01),
            Level("similar", write.similar("first"), 0.03, 0.02),
            Level("differs", "ELSE", 0.03, 0.955, most=0.06),
        ),
        shared="nobody",
    )


def _last(write: _Writer, people: People) -> Comparison | None:
    if not people.has("last"):
        return None
    missing = write.missing("last")
    if people.has("first"):
        # That first and last name are exchanged is said once, of the first name.
        missing = f"({missing}) OR {write.exchanged()}"
    return Comparison(
        "last name",
        missing,
        (
            Level("same", write.equal("last"), 0.82, 0.005, "last"),
            Level("close or shortened", f"{write.close('last')} OR {write.begins('last')}", 0.1, 0.005),
            Level("similar", write.similar("last"), 0.03, 0.01),
            Level("differs", "ELSE", 0.04, 0.98, most=0.35),
        ),
        shared="household",
    )


def _birth(write: _Writer, people: People) -> Comparison | None:
    if not people.has("birth_year"):
        return None
    if not people.has("birth"):
        return _plain(write, people, "birth_year", "birth year", shared="twins", most=0.2, usual=0.02)
    year, month, day = (_part("birth", start, length) for start, length in ((1, 4), (6, 2), (9, 2)))
    turned = f"({year[2]} AND {month[0]} = {day[1]} AND {day[0]} = {month[1]})"
    two_parts = f"(({year[2]} AND {month[2]}) OR ({year[2]} AND {day[2]}) OR ({month[2]} AND {day[2]}))"
    apart = 'abs("birth_days_l" - "birth_days_r")'
    return Comparison(
        "birth date",
        write.missing("birth_year"),
        (
            Level("same", write.equal("birth"), 0.85, 0.0002, "birth"),
            Level("one digit or day and month exchanged", f"{write.edits('birth', 1)} OR {turned}", 0.06, 0.0005),
            Level("year alone, the same", f"NOT {write.both('birth')} AND {write.equal('birth_year')}", 0.01, 0.005),
            Level("two of day, month and year", two_parts, 0.03, 0.005),
            Level("within a month", f"{apart} <= 31", 0.01, 0.002),
            Level("within a year", f"{apart} <= 366", 0.02, 0.03),
            Level("within ten years", f"{apart} <= 3653", 0.01, 0.2, most=0.1),
            Level("differs", "ELSE", 0.01, 0.75, most=0.1),
        ),
        shared="twins",
    )


def _part(field: str, start: int, length: int) -> tuple[str, str, str]:
    left, right = (f'substr("{field}_{side}", {start}, {length})' for side in "lr")
    return left, right, f"{left} = {right}"


def _nid(write: _Writer, people: People) -> Comparison | None:
    if not people.has("nid"):
        return None
    return Comparison(
        "national id",
        write.missing("nid"),
        (
            Level("same", write.equal("nid"), 0.9, 1e-6, "nid"),
            Level("one character differs", write.edits("nid", 1), 0.06, 1e-5),
            Level("two characters differ", write.edits("nid", 2, 7), 0.01, 2e-4),
            Level("differs", "ELSE", 0.03, 0.9998, most=0.2),
        ),
        shared="nobody",
    )


def _email(write: _Writer, people: People) -> Comparison | None:
    if not people.has("email"):
        return None
    near = f"({write.alike('email', 0.92)} OR {write.alike('email_local', 0.88)})"
    missing = write.missing("email")
    certain = f"{write.equal('email')} OR {write.edits('email', 2, 8)}"
    named = [write.close(name) for name in ("first", "last") if people.has(name)]
    if named:
        # Addresses are made of names: that those of two namesakes are alike says no more than their names do.
        missing = f"({missing}) OR ({near} AND NOT ({certain}) AND coalesce({' OR '.join(named)}, FALSE))"
    return Comparison(
        "email",
        missing,
        (
            Level("same", write.equal("email"), 0.75, 1e-5, "email"),
            Level("one or two characters differ", write.edits("email", 2, 8), 0.06, 1e-5),
            Level("close", near, 0.05, 0.002),
            Level("differs", "ELSE", 0.1, 0.998),
        ),
        shared="household",
    )


def _phone(write: _Writer, people: People) -> Comparison | None:
    if not people.has("phone"):
        return None
    return Comparison(
        "phone",
        write.missing("phone"),
        (
            Level("same", write.equal("phone"), 0.75, 1e-5, "phone"),
            Level("one digit differs", write.edits("phone", 1), 0.06, 1e-5),
            Level("two digits differ", write.edits("phone", 2), 0.02, 5e-4),
            Level("differs", "ELSE", 0.17, 0.9995),
        ),
        shared="household",
    )


def _address(write: _Writer, people: People) -> Comparison | None:
    if not people.has("street"):
        return _plain(write, people, "house", "house number", shared="household")
    street, close, house = write.equal("street"), write.close("street"), "FALSE"
    if people.has("house"):
        house = write.equal("house")
    return Comparison(
        "address",
        write.missing("street"),
        (
            Level("same street and number", f"{street} AND {house}", 0.6, 5e-5),
            Level("close street, same number", f"{close} AND {house}", 0.1, 5e-5),
            Level("same street", street, 0.1, 0.001, "street"),
            Level("close street", close, 0.05, 0.002),
            Level("same number", house, 0.05, 0.01),
            Level("similar street", write.similar("street"), 0.02, 0.01),
            Level("differs", "ELSE", 0.08, 0.98),
        ),
        shared="household",
    )


def _area(write: _Writer, people: People) -> Comparison | None:
    fields = [name for name in ("postcode", "city", "region") if people.has(name)]
    if not fields:
        return None
    levels: list[Level] = []
    if "postcode" in fields:
        levels.append(Level("same postcode", write.equal("postcode"), 0.65, 0.001, "postcode"))
        levels.append(Level("one character of the postcode differs", write.edits("postcode", 1, 4), 0.08, 0.002))
    if "city" in fields:
        levels.append(Level("same city", write.equal("city"), 0.7, 0.02, "city"))
        levels.append(Level("close city", write.similar("city"), 0.08, 0.01))
    if "postcode" in fields:
        start = _part("postcode", 1, 3)[2]
        levels.append(Level("postcodes begin alike", start, 0.03, 0.01))
    if "region" in fields:
        levels.append(Level("same region", write.equal("region"), 0.05, 0.1, "region"))
    levels.append(Level("differs", "ELSE", 0.1, 0.85))
    return Comparison("area", write.missing(*fields), tuple(levels), shared="household")


def _plain(
    write: _Writer, people: People, field: str, name: str, *, shared: Sharing, most: float = 1.0, usual: float = 0.05
) -> Comparison | None:
    if not people.has(field):
        return None
    return Comparison(
        name,
        write.missing(field),
        (
            Level("same", write.equal(field), 0.8, usual, field if usual < 0.5 else None),
            Level("close or shortened", f"{write.close(field)} OR {write.begins(field)}", 0.08, 0.02),
            Level("differs", "ELSE", 0.12, 0.98 - usual, most=most),
        ),
        shared=shared,
    )
