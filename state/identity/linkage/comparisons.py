"""What is compared of two people and which levels of agreement there are, as Splink comparisons.

Each level is SQL over two rows; the first that holds counts. Probabilities given here are where training starts, and
what it falls back to where the data say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from millstream.state.identity.linkage.conditions import Dialect, Writer, part
from millstream.state.identity.linkage.people import People

Sharing = Literal["nobody", "namesakes", "twins", "household", "kin"]


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
        shared: Who may agree on it though they are two people: nobody, namesakes of one family (father and son),
            twins, or any household.
        moves: Whether it changes when somebody moves house.
        as_one: Whether two people who share it agree on it as often as one person does: father and son are of one sex.
    """

    name: str
    missing: str
    levels: tuple[Level, ...]
    shared: Sharing
    moves: bool = False
    as_one: bool = False


def comparisons_for(people: People, dialect: Dialect) -> tuple[Comparison, ...]:
    """The comparisons that the fields at hand allow."""
    write = Writer(dialect)
    found = [
        _first(write, people),
        _plain(write, people, "middle", "middle name", shared="nobody"),
        _last(write, people),
        _birth(write, people),
        _suffix(write, people),
        _sex(write, people),
        _nid(write, people),
        _email(write, people),
        _phone(write, people),
        _address(write, people),
        _plain(write, people, "street_2", "address line 2", shared="household", moves=True),
        _plain(write, people, "street_3", "address line 3", shared="household", moves=True),
        _area(write, people),
        _source(write, people),
        *(
            _plain(write, people, name, f"column {name.removeprefix('other_')}", shared="household")
            for name in people.fields
            if name.startswith("other_")
        ),
    ]
    return tuple(each for each in found if each is not None)


def _first(write: Writer, people: People) -> Comparison | None:
    if not people.has("first"):
        return None
    form = write.form_of("first_root", "first_root_2" if people.has("first_root_2") else None)
    exchanged = (Level("first and last name exchanged", write.exchanged(), 0.01, 1e-5),) if people.has("last") else ()
    return Comparison(
        "first name",
        write.missing("first"),
        (
            Level("same", write.equal("first"), 0.8, 0.01, "first"),
            *exchanged,
            Level("forms of one name", form, 0.04, 0.002, most=0.25),
            Level("initial", write.initial("first", "first_root"), 0.01, 0.005),
            Level("close or shortened", f"{write.close('first')} OR {write.begins('first', 2)}", 0.1, 0.01),
            Level("similar", write.similar("first"), 0.03, 0.02),
            Level("differs", "ELSE", 0.03, 0.955, most=0.06),
        ),
        shared="namesakes",
    )


def _last(write: Writer, people: People) -> Comparison | None:
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


def _birth(write: Writer, people: People) -> Comparison | None:
    if not people.has("birth_year"):
        return None
    apart = 'abs("birth_days_l" - "birth_days_r")'
    if not people.has("birth"):
        return _birth_year(write, apart)
    year, month, day = (part("birth", start, length) for start, length in ((1, 4), (6, 2), (9, 2)))
    turned = f"({year[2]} AND {month[0]} = {day[1]} AND {day[0]} = {month[1]})"
    two_parts = f"(({year[2]} AND {month[2]}) OR ({year[2]} AND {day[2]}) OR ({month[2]} AND {day[2]}))"
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
            Level("two digits differ", write.edits("birth", 2), 0.01, 0.02),
            Level("within ten years", f"{apart} <= 3653", 0.01, 0.18, most=0.1),
            Level("differs", "ELSE", 0.01, 0.75, most=0.1),
        ),
        shared="twins",
    )


def _birth_year(write: Writer, apart: str) -> Comparison:
    """Of people whose year is known alone, which is often told from their age and then one too many or too few."""
    return Comparison(
        "birth year",
        write.missing("birth_year"),
        (
            Level("same", write.equal("birth_year"), 0.8, 0.02, "birth_year"),
            Level("within a year", f"{apart} <= 366", 0.06, 0.03),
            Level("one digit differs", write.edits("birth_year", 1), 0.04, 0.1),
            Level("within five years", f"{apart} <= 1827", 0.04, 0.1),
            Level("differs", "ELSE", 0.06, 0.75, most=0.2),
        ),
        shared="twins",
    )


def _sex(write: Writer, people: People) -> Comparison | None:
    plain = _plain(write, people, "sex", "sex", shared="namesakes", most=0.15, usual=0.5)
    return replace(plain, as_one=True) if plain else None


def _nid(write: Writer, people: People) -> Comparison | None:
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


def _email(write: Writer, people: People) -> Comparison | None:
    if not people.has("email"):
        return None
    near = f"({write.alike('email', 0.92)} OR {write.alike('email_local', 0.88)})"
    missing = write.missing("email")
    certain = f"{write.equal('email')} OR {write.edits('email', 1, 8)}"
    named = [write.close(name) for name in ("first", "last") if people.has(name)]
    if people.has("first"):
        named += [write.equal("first_root"), write.begins("first")]
    if named:
        # Addresses are made of names: that those of two namesakes are alike says no more than their names do.
        missing = f"({missing}) OR ({near} AND NOT ({certain}) AND coalesce({' OR '.join(named)}, FALSE))"
    return Comparison(
        "email",
        missing,
        (
            Level("same", write.equal("email"), 0.75, 1e-5, "email"),
            Level("one character differs", write.edits("email", 1, 8), 0.06, 1e-5),
            Level("close", near, 0.05, 0.002, most=0.1),
            Level("differs", "ELSE", 0.1, 0.998),
        ),
        shared="household",
    )


def _phone(write: Writer, people: People) -> Comparison | None:
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


def _address(write: Writer, people: People) -> Comparison | None:
    if not people.has("street"):
        return _plain(write, people, "house", "house number", shared="household", moves=True)
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
        moves=True,
    )


def _area(write: Writer, people: People) -> Comparison | None:
    fields = [name for name in ("postcode", "city", "region") if people.has(name)]
    if not fields:
        return None
    levels: list[Level] = []
    if "postcode" in fields:
        levels.append(Level("same postcode", write.equal("postcode"), 0.65, 0.001, "postcode"))
        levels.append(Level("one character of the postcode differs", _near_postcode(write, people), 0.08, 0.002))
    if "city" in fields:
        levels.append(Level("same city", write.equal("city"), 0.7, 0.02, "city"))
        levels.append(Level("close city", write.similar("city"), 0.08, 0.01))
    if "postcode" in fields:
        start = part("postcode", 1, 3)[2]
        levels.append(Level("postcodes begin alike", start, 0.03, 0.01))
    if "region" in fields:
        levels.append(Level("same region", write.equal("region"), 0.05, 0.1, "region"))
    levels.append(Level("differs", "ELSE", 0.1, 0.85))
    return Comparison("area", write.missing(*fields), tuple(levels), shared="household", moves=True)


def _near_postcode(write: Writer, people: People) -> str:
    """A typing error in a postcode leaves the city what it was; a neighbouring code belongs to another."""
    near = write.edits("postcode", 1, 4)
    if not people.has("city"):
        return near
    return f"({near} AND coalesce({write.similar('city')} OR {write.begins('city')}, TRUE))"


def _suffix(write: Writer, people: People) -> Comparison | None:
    if not people.has("suffix"):
        return None
    return Comparison(
        "suffix",
        write.missing("suffix"),
        (Level("same", write.equal("suffix"), 0.97, 0.5), Level("differs", "ELSE", 0.03, 0.5, most=0.1)),
        shared="nobody",
    )


def _source(write: Writer, people: People) -> Comparison | None:
    """A list that has each person once tells its rows apart; whether it does is learned, at first it says nothing."""
    if not people.has("source"):
        return None
    return Comparison(
        "source",
        write.missing("source"),
        (Level("same", write.equal("source"), 0.3, 0.3), Level("differs", "ELSE", 0.7, 0.7)),
        shared="nobody",
    )


def _plain(
    write: Writer,
    people: People,
    field: str,
    name: str,
    *,
    shared: Sharing,
    most: float = 1.0,
    usual: float = 0.05,
    moves: bool = False,
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
        moves=moves,
    )
