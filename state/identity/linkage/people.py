"""People as linkage sees them: the values of each row, by kind, in one spelling.

First and last names are put in their places here: where most rows that bear a word bear it as a last name, a row that
has it as first name was filled in the wrong way round.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from millstream.state.identity.linkage import spelling
from millstream.state.identity.linkage.kinds import Kind
from millstream.state.identity.linkage.placeholders import drop_placeholders
from millstream.state.identity.linkage.short_names import root, second_root

Values = list[str | None]
_MOST_OTHERS = 6
_FIRST_SHARE = 0.2
_SWAP_ROUNDS = 15
_OLDEST = 130
_TOLD = 2000
"""The year in which ages are taken to have been told; any is as good, for only differences count."""


@dataclass
class People:
    """Rows of people, one list for each field, all of one length; what is not known is None.

    Attributes:
        size: How many rows.
        fields: ``first``, ``first_root`` and ``first_root_2`` (of which it may be a short form), ``middle``, ``last``,
            ``suffix``, ``sex``, ``birth`` (``YYYY-MM-DD``), ``birth_year`` (also told from ages), ``email``,
            ``email_local``, ``phone``, ``nid``, ``street``, ``house``, ``postcode``, ``city``, ``region``, ``source``,
            ``other_1`` and so on: those that any row has.
        birth_days: The day of birth, or the middle of its year, as a number, for differences.
    """

    size: int
    fields: dict[str, Values] = field(default_factory=dict)
    birth_days: list[int | None] = field(default_factory=list)

    def has(self, *names: str) -> bool:
        """Whether all of these fields are there."""
        return all(name in self.fields for name in names)


def read_people(columns: Mapping[str, Sequence[str | None]], kinds: Mapping[str, Kind]) -> People:
    """Spell out what columns of known kinds say of people.

    Args:
        columns: Values as text by column name, all of one length.
        kinds: The kind of each column.
    """
    by_kind: dict[Kind, list[Sequence[str | None]]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(columns[name])
    size = len(next(iter(columns.values()))) if columns else 0
    fields: dict[str, Values] = {}
    _read_names(by_kind, fields, size)
    for name, kind, spell in _PLAIN:
        if kind in by_kind:
            fields[name] = _first_said([_spelled(values, spell) for values in by_kind[kind]])
    _read_places(by_kind, fields)
    births = _births(by_kind, size)
    years = [value if value and len(value) == 4 else None for value in births]
    fields["birth"] = [value if value and len(value) > 4 else None for value in births]
    for number, values in enumerate(by_kind.get("other", [])[:_MOST_OTHERS], 1):
        fields[f"other_{number}"] = _spelled(values, spelling.fold)
    if "first" in fields and "last" in fields:
        fields["first"], fields["last"] = put_in_place(fields["first"], fields["last"])
    drop_placeholders(fields)
    fields["birth_year"] = [
        day.partition("-")[0] if day else year for day, year in zip(fields["birth"], years, strict=True)
    ]
    if "email" in fields:
        fields["email_local"] = _spelled(fields["email"], spelling.email_local)
    if "first" in fields:
        fields["first_root"] = _spelled(fields["first"], root)
        fields["first_root_2"] = _spelled(fields["first"], second_root)
    known = {name: values for name, values in fields.items() if any(value is not None for value in values)}
    return People(size, known, _birth_days(fields["birth"], fields["birth_year"]))


def _birth_days(births: Values, years: Values) -> list[int | None]:
    """The number of each day of birth; the middle of the year where no more than that is known."""
    said = [birth or (f"{year}-07-01" if year else None) for birth, year in zip(births, years, strict=True)]
    days = {value: spelling.days(value) for value in set(said) if value}
    return [days.get(value) if value else None for value in said]


def _one_word(text: str) -> str:
    return spelling.fold(text).replace(" ", "")


_PLAIN: tuple[tuple[str, Kind, Callable[[str], str]], ...] = (
    ("sex", "sex", spelling.sex),
    ("email", "email", spelling.email),
    ("phone", "phone", spelling.phone),
    ("nid", "national_id", spelling.code),
    ("postcode", "postcode", spelling.postcode),
    ("city", "city", _one_word),
    ("region", "region", _one_word),
    ("source", "source", spelling.fold),
)


def _spelled(values: Sequence[str | None], spell: Callable[[str], str]) -> Values:
    known = {value: spell(value) or None for value in set(values) if value}
    return [known.get(value) if value else None for value in values]


def _first_said(columns: Sequence[Values]) -> Values:
    """The first value of each row; a second phone or address stands in where the first is missing."""
    return [next((value for value in row if value is not None), None) for row in zip(*columns, strict=True)]


def _joined_said(columns: Sequence[Values]) -> Values:
    return ["".join(value for value in row if value) or None for row in zip(*columns, strict=True)]


def _read_names(by_kind: Mapping[Kind, list[Sequence[str | None]]], fields: dict[str, Values], size: int) -> None:
    for name, kind in (("first", "first_name"), ("middle", "middle_name"), ("last", "last_name")):
        columns = by_kind.get(kind, [])  # type: ignore[call-overload]
        if columns:
            fields[name] = _joined_said([_spelled(values, spelling.given_name) for values in columns])
    names = [column for kind in _NAMED for column in by_kind.get(kind, [])]
    suffixes = [_spelled(column, lambda text: spelling.suffix(", " + text)) for column in by_kind.get("suffix", [])]
    fields["suffix"] = _first_said([*suffixes, *(_spelled(column, spelling.suffix) for column in names)])
    if "full_name" not in by_kind:
        return
    whole = _first_said([[value.strip() or None if value else None for value in v] for v in by_kind["full_name"]])
    titles = spelling.titles_among(value for value in whole if value)
    parts = {value: spelling.split_name(value, titles) for value in set(whole) if value}
    for name, position in (("first", 0), ("middle", 1), ("last", 2)):
        said = [parts[value][position] or None if value else None for value in whole]
        fields[name] = _first_said([fields.get(name, [None] * size), said])


def _read_places(by_kind: Mapping[Kind, list[Sequence[str | None]]], fields: dict[str, Values]) -> None:
    columns = [*by_kind.get("street", []), *by_kind.get("address", [])]
    parts = {value: spelling.address(value) for values in columns for value in set(values) if value}
    houses = [_spelled(values, _one_word) for values in by_kind.get("house_number", [])]
    streets: list[Values] = []
    for values in columns:
        streets.append([parts[value].street or None if value else None for value in values])
        houses.append([parts[value].house or None if value else None for value in values])
        for name, place in (("postcode", 2), ("city", 3)):
            said = [parts[value][place] or None if value else None for value in values]
            fields[name] = _first_said([fields[name], said]) if name in fields else said
    if streets:
        fields["street"] = streets[0]
        for number, values in enumerate(streets[1:3], 2):
            fields[f"street_{number}"] = values
    if houses:
        fields["house"] = _first_said(houses)


def _births(by_kind: Mapping[Kind, list[Sequence[str | None]]], size: int) -> Values:
    said: list[Values] = []
    for values in by_kind.get("birth_date", []):
        order = spelling.date_order(value for value in values if value)
        said.append(_spelled(values, lambda text, order=order: spelling.birth_date(text, order)))  # type: ignore[misc]
    if "birth_year" in by_kind:
        parts = [_first_number(by_kind[kind]) if kind in by_kind else [None] * size for kind in _BIRTH_PARTS[1:]]
        parts.insert(0, _years(_first_number(by_kind["birth_year"])))
        said.append([_birth_of_parts(*row) for row in zip(*parts, strict=True)])
    return _first_said(said) if said else [None] * size


_NAMED: tuple[Kind, ...] = ("last_name", "full_name", "first_name")
_BIRTH_PARTS: tuple[Kind, ...] = ("birth_year", "birth_month", "birth_day")


def _first_number(columns: Sequence[Sequence[str | None]]) -> Values:
    return [value.strip().removesuffix(".0") or None if value else None for value in columns[0]]


def _years(values: Values) -> Values:
    """Years of birth, also where ages are told."""
    numbers = {value: int(value) for value in set(values) if value and value.isdecimal()}
    ages = sum(1 for number in numbers.values() if number <= _OLDEST)
    if ages < 0.9 * len(numbers):
        return values
    return [str(_TOLD - numbers[value]) if value in numbers else None for value in values]


def _birth_of_parts(year: str | None, month: str | None, day: str | None) -> str | None:
    if not year or not year.isdigit():
        return None
    if not month or not day:
        return f"{year:0>4}"
    return f"{year:0>4}-{month:0>2}-{day:0>2}"


def put_in_place(firsts: Values, lasts: Values) -> tuple[Values, Values]:
    """Give back first and last names with those exchanged that stand in each other's place.

    How often rows are the wrong way round is estimated along with it: where it is never, no row is turned.
    """
    pairs = Counter(zip(firsts, lasts, strict=True))
    pairs.pop((None, None), None)
    chances = dict.fromkeys(pairs, 0.0)
    # A row with one name alone is wrong more often than one with both: who gives one name gives it in the first field.
    sorts = [[pair for pair in pairs if (None in pair) == single] for single in (False, True)]
    shares = [_FIRST_SHARE, _FIRST_SHARE]
    for _ in range(_SWAP_ROUNDS):
        given, family = _places(pairs, chances)
        for number, sort in enumerate(sorts):
            for pair in sort:
                chances[pair] = _turned(pair, chances[pair], given, family, shares[number])
            turned = sum(chances[pair] * pairs[pair] for pair in sort)
            shares[number] = min(0.45, max(1e-4, turned / max(1, sum(pairs[pair] for pair in sort))))
    placed = [pair[::-1] if chances.get(pair, 0) > 0.5 else pair for pair in zip(firsts, lasts, strict=True)]
    return [pair[0] for pair in placed], [pair[1] for pair in placed]


_Pair = tuple[str | None, str | None]


def _places(pairs: Mapping[_Pair, int], chances: Mapping[_Pair, float]) -> tuple[Counter[str], Counter[str]]:
    """How often each word is a first name, and how often a last name."""
    given: Counter[str] = Counter()
    family: Counter[str] = Counter()
    for (first, last), count in pairs.items():
        turned = chances[first, last]
        for word, as_given in ((first, 1 - turned), (last, turned)):
            if word:
                given[word] += count * as_given  # type: ignore[assignment]
                family[word] += count * (1 - as_given)  # type: ignore[assignment]
    return given, family


def _turned(pair: _Pair, before: float, given: Counter[str], family: Counter[str], share: float) -> float:
    """The chance that a row is the wrong way round, from the places where its words stand in other rows."""
    odds = math.log(share / (1 - share))
    first, last = pair
    if first == last:
        return 0.0
    if first:
        odds += math.log(max(0.0, family[first] - before) + 0.5) - math.log(max(0.0, given[first] - 1 + before) + 0.5)
    if last:
        odds += math.log(max(0.0, given[last] - before) + 0.5) - math.log(max(0.0, family[last] - 1 + before) + 0.5)
    return 1 / (1 + math.exp(-odds))
