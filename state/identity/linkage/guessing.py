"""Kinds told from contents, for columns whose names tell nothing, such as ``col1``.

Only what no other column is known to be is guessed: a file that names its columns well is read by those names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from millstream.state.identity.linkage.short_names import is_known
from millstream.state.identity.linkage.spelling import birth_date, date_order, fold, is_sex

if TYPE_CHECKING:
    from millstream.state.identity.linkage.kinds import Kind

DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|(19|20)\d{6})([T ].*)?")
_POSTCODE = re.compile(r"\d{5}(-\d{4})?|\d{4} ?[A-Z]{2}|\d{2}-\d{3}|\d{5}-\d{3}|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}", re.I)
_DIGITS = re.compile(r"\d{9,12}")
_WORDS = re.compile(r"[^\W\d_][^\d_]*")
_SAMPLE = 500
_KNOWN_NAMES = 0.2
"""Share of known first names, many of which are of other cultures than the ones we know, in a column of such."""

Columns = Mapping[str, Sequence[str | None]]


def guess_kinds(columns: Columns, found: dict[str, Kind], free: Sequence[str]) -> None:
    """Find a kind for columns that have none, in place.

    Args:
        columns: Values as text by column name.
        found: The kind of each column so far.
        free: Columns whose kind may be guessed.
    """
    samples = {name: _sample(columns[name]) for name in free if found[name] in ("ignore", "other")}
    samples = {name: sample for name, sample in samples.items() if sample}
    known = set(found.values())
    if known.isdisjoint({"first_name", "last_name", "full_name"}):
        _guess_names(samples, found)
    for kind, tells in (("postcode", _is_postcode), ("phone", _is_phone), ("sex", _is_sex)):
        if kind not in known:
            for name, sample in samples.items():
                if found[name] in ("ignore", "other") and tells(sample):
                    found[name] = kind  # type: ignore[assignment]
                    break
    if known.isdisjoint({"birth_date", "birth_year"}):
        _guess_birth_date(samples, found)


def _sample(values: Sequence[str | None]) -> list[str]:
    present = [value.strip() for value in values if value is not None and value.strip()]
    return present[:: max(1, len(present) // _SAMPLE)][:_SAMPLE]


def share(pattern: re.Pattern[str], sample: Sequence[str]) -> float:
    """How much of a sample a pattern matches."""
    return sum(1 for value in sample if pattern.fullmatch(value)) / max(1, len(sample))


def _guess_names(samples: Mapping[str, list[str]], found: dict[str, Kind]) -> None:
    worded = [name for name, sample in samples.items() if share(_WORDS, sample) > 0.9]
    likeness = {name: _share_of_names(samples[name]) for name in worded}
    firsts = [name for name in worded if likeness[name] > _KNOWN_NAMES]
    if not firsts:
        return
    first = max(firsts, key=lambda name: likeness[name])
    if sum(1 for value in samples[first] if len(value.split()) > 1) > len(samples[first]) / 2:
        found[first] = "full_name"
        return
    found[first] = "first_name"
    # The other name stands beside it: behind, as people say it, or before, as lists are sorted.
    order = list(found)
    place = order.index(first)
    for beside in (*order[place + 1 : place + 3], *order[max(0, place - 1) : place]):
        if beside in worded and len(set(samples[beside])) > 0.2 * len(samples[beside]):
            found[beside] = "last_name"
            return


def _share_of_names(sample: Sequence[str]) -> float:
    """How much of a sample has a known first name, in front or behind a comma."""
    words = [fold(value.partition(",")[2] or value).split() for value in sample]
    return sum(1 for each in words if each and is_known(each[0])) / len(sample)


def _is_postcode(sample: Sequence[str]) -> bool:
    return share(_POSTCODE, sample) > 0.85 and share(DATE, sample) < 0.5


def _is_phone(sample: Sequence[str]) -> bool:
    # Keys count up and dates begin alike; of numbers that one can call, neighbours differ in front.
    fronts = {value[:4] for value in sample}
    return share(_DIGITS, sample) > 0.85 and len(fronts) > len(sample) / 10


def _is_sex(sample: Sequence[str]) -> bool:
    values = {value.casefold() for value in sample}
    return 2 <= len(values) <= 4 and sum(1 for value in sample if is_sex(value)) > 0.9 * len(sample)


def _guess_birth_date(samples: Mapping[str, list[str]], found: dict[str, Kind]) -> None:
    """A column of dates that go back far enough to be of births."""
    for name, sample in samples.items():
        if found[name] not in ("ignore", "other") or share(DATE, sample) < 0.8:
            continue
        order = date_order(sample)
        years = sorted(int(year) for year in (birth_date(value, order)[:4] for value in sample) if year.isdigit())
        if len(years) > len(sample) / 2 and years[len(years) // 10] < 1965:
            found[name] = "birth_date"
            return
