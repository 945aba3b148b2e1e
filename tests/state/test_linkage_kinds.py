"""What columns hold, and what their values say once they are spelled alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from millstream.state.identity.linkage import spelling
from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.engine import Engine
from millstream.state.identity.linkage.kinds import Kind, detect_kinds
from millstream.state.identity.linkage.model import start, train
from millstream.state.identity.linkage.people import read_people

FIRSTS = ["Anna", "Robert", "Daniela", "Thomas", "Xenia", "Peter", "Ulla", "Maria", "Jonas", "Susan"]
LASTS = ["Weber", "Okafor", "Lindqvist", "Marsh", "Novak", "Ibsen", "Ferrari", "Quist", "Ortega", "Banerjee"]
ROWS = 100
Columns = Mapping[str, Sequence[str | None]]


def names(values: list[str]) -> list[str | None]:
    return [values[number * 7 % len(values)] for number in range(ROWS)]


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("họ tên", ["Trần Văn Anh"], "full_name"),
        ("sobrenome", ["Silva"], "last_name"),
        ("huisnummer", ["12", "14"], "house_number"),
        ("姓名", ["王伟"], "full_name"),
        ("title", ["Mr", "Mrs"], "sex"),
        ("title", ["Engineer", "Manager", "Engineer"], "other"),
        ("name_suffix", ["Jr", "Sr"], "suffix"),
        ("sourceid", ["a", "b"] * 20, "source"),
        ("source_dataset", ["a", "b"] * 20, "source"),
        ("gender", ["1", "2", "2"], "sex"),
        ("sourceid", [f"a{number}" for number in range(40)], "ignore"),
    ],
)
def test_a_column_is_known_by_its_name_unless_its_values_object(name: str, values: list[str], kind: Kind) -> None:
    assert detect_kinds({name: values}) == {name: kind}


def test_where_names_of_columns_tell_nothing_their_contents_do() -> None:
    columns: Columns = {
        "col0": [str(number) for number in range(ROWS)],
        "col1": names(FIRSTS),
        "col2": names([f"{last}{end}" for last in LASTS for end in ("", "s", "er", "mann")]),
        "col3": [f"{1940 + number % 60}-03-{1 + number % 28:02}" for number in range(ROWS)],
        "col4": [f"{10115 + 97 * (number % 50)}" for number in range(ROWS)],
        "col5": [f"{(number % 90) * 7919 + 300:05}{number % 90 + 1000}" for number in range(ROWS)],
        "col6": ["male", "female"] * (ROWS // 2),
    }
    found: list[Kind] = ["ignore", "first_name", "last_name", "birth_date", "postcode", "phone", "sex"]
    assert list(detect_kinds(columns).values()) == found


def test_whole_names_are_known_by_their_contents() -> None:
    whole: list[str | None] = [f"{last}, {first}" for first, last in zip(names(FIRSTS), names(LASTS), strict=True)]
    assert detect_kinds({"x": whole, "y": names(LASTS)})["x"] == "full_name"


def test_numbers_of_customers_are_no_telephones() -> None:
    numbers: list[str | None] = [f"{number * 7919 + 300000000}" for number in range(ROWS)]
    assert detect_kinds({"first_name": names(FIRSTS), "customer_id": numbers})["customer_id"] == "ignore"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("12 Main Street, Apt. 4, Springfield, IL 62701-1234", ("mainst", "12", "62701", "springfield")),
        ("Apt 3, 10 High St, London, SW1A 1AA", ("highst", "10", "sw1a1aa", "london")),
        ("12, rue de la Paix, 75001 Paris", ("rdelapaix", "12", "75001", "paris")),
        ("Kerkstraat 5, 1015 CJ Amsterdam", ("kerkst", "5", "1015cj", "amsterdam")),
        ("Hauptstr. 5", ("hauptst", "5", "", "")),
        ("", ("", "", "", "")),
    ],
)
def test_an_address_in_one_line_falls_into_street_and_place(text: str, parts: tuple[str, str, str, str]) -> None:
    assert spelling.address(text) == parts


def test_the_place_in_an_address_stands_in_where_its_own_column_says_nothing() -> None:
    columns: Columns = {"address": ["5 Elm Rd, Leeds, LS1 1AA", "5 Elm Rd, Leeds"], "town": [None, "York"]}
    people = read_people(columns, {"address": "address", "town": "city"})
    assert people.fields["city"] == ["leeds", "york"]
    assert people.fields["postcode"] == ["ls11aa", None]


@pytest.mark.parametrize(
    ("text", "suffix"),
    [("John Smith Jr.", "jr"), ("Smith Sr, John", "sr"), ("Smith, John, III", "iii"), ("Sr Juan Gil", ""), ("Jr", "")],
)
def test_father_and_son_are_told_apart_by_what_stands_behind_their_name(text: str, suffix: str) -> None:
    assert spelling.suffix(text) == suffix


def test_forms_of_address_tell_the_sex_but_titles_do_not() -> None:
    assert [spelling.sex(text) for text in ("Mr.", "Mrs", "Frau", "Dr.", "male", "F")] == ["m", "f", "f", "", "m", "f"]


def test_a_value_that_strangers_bear_is_nobodys() -> None:
    count = 40
    columns: Columns = {
        "first": names(FIRSTS)[:count],
        "last": names(LASTS)[:count],
        "phone": ["030 1234567"] * (count - 2) + ["030 7654321", None],
    }
    people = read_people(columns, {"first": "first_name", "last": "last_name", "phone": "phone"})
    assert people.fields["phone"] == [None] * (count - 2) + ["07654321"[-8:], None]


def test_a_value_in_many_rows_of_one_family_is_its_own() -> None:
    columns: Columns = {
        "first": names(FIRSTS),
        "last": ["Weber"] * ROWS,
        "phone": ["030 1234567"] * ROWS,
    }
    people = read_people(columns, {"first": "first_name", "last": "last_name", "phone": "phone"})
    assert set(people.fields["phone"]) == {"01234567"[-8:]}


def test_a_day_on_which_far_too_many_are_born_is_no_birth_date() -> None:
    days: list[str | None] = [f"{1940 + number}-03-04" for number in range(70)]
    columns: Columns = {
        "first": [FIRSTS[number % 10] for number in range(70 + 50)],
        "dob": [*days, *["1900-01-01"] * 50],
    }
    people = read_people(columns, {"first": "first_name", "dob": "birth_date"})
    assert people.fields["birth"][70:] == [None] * 50
    assert people.fields["birth_year"][69:71] == ["2009", None]


def test_the_first_of_january_of_many_years_stands_for_a_year() -> None:
    days = [f"{1900 + number}-03-{1 + number % 28:02}" for number in range(90)] * 3
    firsts: list[str | None] = [FIRSTS[number % 10] for number in range(270 + 400)]
    columns: Columns = {"first": firsts, "dob": [*days, *[f"{1950 + number % 5}-01-01" for number in range(400)]]}
    people = read_people(columns, {"first": "first_name", "dob": "birth_date"})
    assert None not in people.fields["birth"]


def test_a_postcode_that_differs_by_one_character_is_near_only_in_one_city() -> None:
    kinds: dict[str, Kind] = {"first": "first_name", "zip": "postcode", "town": "city"}
    columns: Columns = {
        "first": ["Ann"] * 4,
        "zip": ["4113", "4123", "4133", "4143"],
        "town": ["Rome", "Bonn", None, "Rom"],
    }
    people = read_people(columns, kinds)
    engine = Engine(people, comparisons_for(people, "duckdb"))
    area = next(place for place, each in enumerate(engine.comparisons) if each.name == "area")
    names = [level.name for level in reversed(engine.comparisons[area].levels)]
    found = engine.compare(np.array([0, 0, 0]), np.array([1, 2, 3]))
    near = "one character of the postcode differs"
    told = {int(right): names[level] for right, level in zip(found.right, found.levels[:, area], strict=True)}
    assert told == {1: "differs", 2: near, 3: near}


def test_father_and_son_are_of_one_sex_as_often_as_one_person() -> None:
    kinds: tuple[Kind, ...] = ("first_name", "last_name", "birth_date", "sex", "street", "postcode")
    rows = [["Ann", "Lee", "1980-01-02", "f", "Elm Road", "12345"], ["Bob", "Roe", None, "m", "Oak Lane", "54321"]]
    columns: Columns = dict(zip(kinds, zip(*rows * 30, strict=True), strict=True))
    people = read_people(columns, {kind: kind for kind in kinds})
    engine = Engine(people, comparisons_for(people, "duckdb"))
    model = train(start(engine.comparisons, people.size), engine.candidates(10_000), None, people.size)
    sex = next(place for place, each in enumerate(model.comparisons) if each.name == "sex")
    namesakes = next(sort for sort in model.sorts if "namesakes" in sort.sharing)
    assert namesakes.h[sex].tolist() == model.m[sex].tolist()


def test_moves_are_reckoned_with_where_an_address_has_several_parts() -> None:
    row: Columns = {"first_name": ["Ann", "Bo"], "last_name": ["Lee", "Ray"], "street": ["Elm Rd 5", "Oak Rd 6"]}
    city: Columns = {"city": ["York", "Leeds"]}
    some, all_ = (read_people(said, detect_kinds(said)) for said in (row, {**row, **city}))
    assert [sort.sharing for sort in start(comparisons_for(some, "duckdb"), 100).sorts] == [("household",)]
    model = start(comparisons_for(all_, "duckdb"), 100)
    assert [sort.sharing for sort in model.sorts] == [("household",), (), ("kin",)]
    assert sum(model.shares) == pytest.approx(1)


def test_of_what_list_a_row_is_says_nothing_before_training() -> None:
    columns: Columns = {"source": ["a", "b"] * 20, "first_name": ["Ann", "Bo"] * 20}
    model = start(comparisons_for(read_people(columns, detect_kinds(columns)), "duckdb"), 40)
    place = [each.name for each in model.comparisons].index("source")
    assert model.m[place].tolist() == model.u[place].tolist()
