"""The parts of linkage: spelling, blocking, groups, and the model."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Literal

import numpy as np
import psycopg2
import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy import text

from millstream.state.errors import ConfigurationError, FatalError
from millstream.state.identity.linkage import spelling
from millstream.state.identity.linkage.blocking import find_pairs
from millstream.state.identity.linkage.clusters import FORBIDDEN, cluster
from millstream.state.identity.linkage.comparisons import comparisons_for
from millstream.state.identity.linkage.engine import Engine, open_backend, splink_settings
from millstream.state.identity.linkage.kinds import Kind
from millstream.state.identity.linkage.linker import link_people
from millstream.state.identity.linkage.model import start
from millstream.state.identity.linkage.people import put_in_place, read_people
from millstream.state.identity.linkage.postgres import make_engine
from millstream.state.identity.linkage.rules import LinkageRules, odds
from millstream.state.identity.linkage.short_names import root
from millstream.state.identity.linkage.units import Conflicts
from tests.postgres import Server

Columns = Mapping[str, Sequence[str | None]]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("1990-02-13", "1990-02-13"),
        ("13.2.90", "1990-02-13"),
        ("13/02/1990", "1990-02-13"),
        ("19900213", "1990-02-13"),
        ("Feb 13, 1990", "1990-02-13"),
        ("1990-02-13T00:00:00", "1990-02-13"),
        ("1990", "1990"),
        ("unknown", ""),
    ],
)
def test_birth_dates_are_read_in_any_format(text: str, day: str) -> None:
    assert spelling.birth_date(text, spelling.date_order(["13/02/1990"])) == day


def test_dates_are_american_where_some_cannot_be_else() -> None:
    order = spelling.date_order(["02/13/1990", "03/04/1991"])
    assert spelling.birth_date("03/04/1991", order) == "1991-03-04"


def test_whole_names_fall_into_their_parts() -> None:
    assert spelling.split_name("Dr. Ludwig van Beethoven") == ("ludwig", "", "vanbeethoven")
    assert spelling.split_name("Lee, Ann Marie") == ("ann", "marie", "lee")


def test_an_m_is_a_title_only_where_no_other_letters_stand_there() -> None:
    english, french = (
        spelling.titles_among(names) for names in (["M. Roe", "J. Ray", "A. Lee"], ["M. Roe", "Mme Roe"])
    )
    assert spelling.split_name("M. Roe", english) == ("m", "", "roe")
    assert spelling.split_name("M. Roe", french) == ("", "", "roe")
    people = read_people({"name": ["M. Roe", "J. Ray", "A. Lee"]}, {"name": "full_name"})
    assert people.fields["first"] == ["m", "j", "a"]


def test_phones_compare_without_calling_code() -> None:
    assert spelling.phone("+49 30 1234567") == spelling.phone("030/1234567") != ""


def test_names_are_put_in_place_where_most_rows_say_so() -> None:
    firsts: list[str | None] = ["anna", "anna", "ben", "ben", "lee"]
    lasts: list[str | None] = ["lee", "ray", "lee", "ray", "anna"]
    assert put_in_place(firsts, lasts) == (["anna", "anna", "ben", "ben", "anna"], ["lee", "ray", "lee", "ray", "lee"])


def test_who_gives_one_name_alone_gives_it_in_the_first_field() -> None:
    firsts: list[str | None] = ["anna", "ben", "anna", "ben", "anna", "ben", "anna", "ben", "lee", "ray"]
    lasts: list[str | None] = ["lee", "ray", "ray", "lee", "lee", "ray", "lee", "ray", None, None]
    assert put_in_place(firsts, lasts) == ([*firsts[:8], None, None], [*lasts[:8], "lee", "ray"])


def test_short_forms_stand_for_one_name() -> None:
    assert root("bob") == root("robert") != root("bill")
    assert root("xanthippe") == "xanthippe"


def test_letters_of_other_scripts_compare_with_latin_ones() -> None:
    assert spelling.given_name("Наталья") == "natalya"
    assert spelling.given_name("Γιώργος") == spelling.given_name("Giorgos")


def pairs_of(
    columns: Columns, kinds: dict[str, Kind], most: int, fresh: list[bool] | None = None
) -> list[tuple[int, int]]:
    left, right = find_pairs(read_people(columns, kinds), most, fresh)
    return list(zip(left.tolist(), right.tolist(), strict=True))


def test_hot_values_make_no_block() -> None:
    columns: Columns = {"email": ["one@box.example"] * 3000 + ["two@box.example"] * 2}
    assert pairs_of(columns, {"email": "email"}, 1_000_000) == [(3000, 3001)]


def test_a_pair_counts_once_however_many_keys_find_it() -> None:
    names = [f"{letter}{other}" for letter in "bcdfghjklm" for other in "aeiouwxyzq"]
    columns: Columns = {
        "first": [f"{name}na" for name in names for _ in range(20)],
        "last": [f"{name}sen" for name in names for _ in range(20)],
        "mail": [f"{name}{number}@box.example" for name in names for number in range(20)],
    }
    kinds: dict[str, Kind] = {"first": "first_name", "last": "last_name", "mail": "email"}
    wanted = {
        (low, high) for start in range(0, 2000, 20) for high in range(start, start + 20) for low in range(start, high)
    }
    found = pairs_of(columns, kinds, len(wanted) + 1000)
    assert len(found) == len(set(found)) <= len(wanted) + 1000
    assert wanted <= set(found)


def test_of_pairs_one_row_is_fresh() -> None:
    columns: Columns = {"email": [f"{number % 1000}@box.example" for number in range(3000)]}
    fresh = [number == 1500 for number in range(3000)]
    assert {500, 1500, 2500} == {row for pair in pairs_of(columns, {"email": "email"}, 10_000, fresh) for row in pair}


def test_each_fresh_row_meets_all_that_share_its_value() -> None:
    columns: Columns = {"email": [f"{number % 20:05}@box.example" for number in range(4000)]}
    fresh = [number >= 3980 for number in range(4000)]
    found = pairs_of(columns, {"email": "email"}, 10_000, fresh)
    assert sorted(found) == [(low, high) for low in range(3980) for high in [3980 + low % 20]]


def test_where_no_value_tells_people_apart_nobody_is_linked() -> None:
    people = read_people({"sex": ["f", "m"] * 900}, {"sex": "sex"})
    linked = link_people(people, LinkageRules())
    assert linked is not None
    assert linked.labels.tolist() == list(range(1800))


def test_one_person_in_more_rows_than_a_group_holds_falls_into_full_groups() -> None:
    said = {"first": ["Ann"] * 60, "last": ["Lee"] * 60, "mail": ["ann@box.example"] * 60, "dob": ["1980-01-02"] * 60}
    said["city"] = [f"{a}{b}" for a in ("rom", "bonn", "oslo", "lima", "kyiv", "rabat") for b in "abcdefghij"]
    linked = link_people(read_people(said, {**_ANN, "city": "city"}), LinkageRules(max_cluster=20))
    assert linked is not None
    assert np.unique(linked.labels, return_counts=True)[1].tolist() == [20, 20, 20]


def test_equal_rows_are_one_person_however_many_there_are() -> None:
    columns, kinds = _ann_among_others(["Ann", "Lee", "ann@box.example", "1980-01-02"], 3000)
    linked = link_people(read_people(columns, kinds), LinkageRules(max_cluster=20))
    assert linked is not None
    assert set(linked.labels[400:].tolist()) == {400}
    # Each of them is linked to the first, and each link tells why.
    told = (linked.left == 400) & (linked.weight >= odds(0.95))
    assert set(linked.right[told].tolist()) == set(range(401, 3400))
    assert len(linked.left) == len(linked.right) == len(linked.weight) == len(linked.parts) == len(linked.levels)


def test_a_common_name_in_many_rows_is_borne_by_many() -> None:
    columns, kinds = _ann_among_others(["Ann", "Lee", None, None], 3000)
    linked = link_people(read_people(columns, kinds), LinkageRules(merge_at=0.5))
    assert linked is not None
    assert len(set(linked.labels[400:].tolist())) > 2900


def test_equal_rows_that_something_holds_apart_stay_apart() -> None:
    columns, kinds = _ann_among_others(["Ann", "Lee", "ann@box.example", "1980-01-02"], 40)
    sides: list[str | None] = [None] * 400 + ["one"] * 38 + [None, "other"]
    linked = link_people(read_people(columns, kinds), LinkageRules(), apart=Conflicts(sides=[sides]))
    assert linked is not None
    assert set(linked.labels[400:438].tolist()) == {400}
    assert linked.labels[439] != 400


def test_of_equal_rows_fresh_ones_are_compared_too() -> None:
    columns, kinds = _ann_among_others(["Ann", "Lee", "ann@box.example", "1980-01-02"], 40)
    people = read_people(columns, kinds)
    model = replace(start(comparisons_for(people, "duckdb"), 1000), match=0.01)
    fresh = [row == 439 for row in range(440)]
    linked = link_people(people, LinkageRules(), model=model, fresh=fresh, together=[(400, 410), (401, 420)])
    assert linked is not None
    assert linked.labels[439] == linked.labels[410] == 400


def _ann_among_others(ann: list[str | None], times: int) -> tuple[dict[str, list[str | None]], dict[str, Kind]]:
    """Four hundred people, each once; then one row so many times."""
    random = np.random.default_rng(3)
    words = ["".join(random.choice(list("abcdefghijklmnopqrstuvwxyz"), 7)) for _ in range(90)]
    others: list[list[str | None]] = []
    for number in range(400):
        day = f"{random.integers(1930, 2000)}-{random.integers(1, 13):02}-{random.integers(1, 29):02}"
        others.append([words[number % 30], words[30 + number % 59], f"{words[number % 90]}{number}@box.example", day])
    rows = [*others, *([ann] * times)]
    return {name: [row[place] for row in rows] for place, name in enumerate(_ANN)}, _ANN


_ANN: dict[str, Kind] = {"first": "first_name", "last": "last_name", "mail": "email", "dob": "birth_date"}


def test_a_hopeless_pair_that_is_refused_keeps_whole_groups_apart() -> None:
    ann = ["Ann", "Lee", "1980-01-02", "ann@box.example", "0301234567", "12345", None]
    zoe = ["Zoe", "Lee", None, "ann@box.example", "0301234567", "12345", "f"]
    tom = ["Ann", "Quist", "1980-01-02", None, "089765432", "88888", "m"]
    kinds: tuple[Kind, ...] = ("first_name", "last_name", "birth_date", "email", "phone", "postcode", "sex")
    columns = dict(zip(kinds, zip(ann, ann, zoe, ann, ann, tom, strict=True), strict=True))
    people = read_people(columns, {kind: kind for kind in kinds})
    model = replace(start(comparisons_for(people, "duckdb"), 1000), match=0.1)
    rules = LinkageRules(merge_at=0.6)
    free = link_people(people, rules, model=model)
    assert free is not None
    assert free.labels.tolist() == [0] * 6
    assert not ((free.left == 2) & (free.right == 5)).any()
    held = link_people(people, rules, model=model, apart=Conflicts({(2, 5)}))
    assert held is not None
    assert held.labels[2] != held.labels[5]


def grouped(pairs: Mapping[tuple[int, int], float], rows: int, *, most: int = 10, at: float = 1.0) -> list[int]:
    ends = np.array(list(pairs)).reshape(-1, 2)
    labels = cluster(rows, ends[:, 0], ends[:, 1], np.array(list(pairs.values())), at=at, most=most)
    return [int(label) for label in labels]


def test_a_bridge_does_not_hold_two_groups_together() -> None:
    inner = {(0, 1): 9.0, (0, 2): 9.0, (1, 2): 9.0, (3, 4): 9.0, (3, 5): 9.0, (4, 5): 9.0}
    assert grouped({**inner, (2, 3): 20.0}, 6) == [0, 0, 0, 3, 3, 3]


def test_many_weak_pairs_hold_what_one_strong_doubt_would_part() -> None:
    pairs = {(0, 1): 9.0, (0, 2): 9.0, (1, 2): 9.0, (0, 3): 5.0, (1, 3): 5.0, (2, 3): -4.0}
    assert grouped(pairs, 4) == [0, 0, 0, 0]


def test_a_forbidden_pair_keeps_whole_groups_apart() -> None:
    assert grouped({(0, 1): 9.0, (1, 2): 9.0, (0, 2): FORBIDDEN}, 3) in ([0, 0, 2], [0, 1, 1])


def test_no_group_grows_beyond_its_limit() -> None:
    pairs = {(one, other): 9.0 for one in range(4) for other in range(one + 1, 4)}
    assert max(np.bincount(grouped(pairs, 4, most=2))) == 2


def test_groups_do_not_depend_on_the_order_of_pairs() -> None:
    random = np.random.default_rng(3)
    pairs = {(a, b): float(random.normal(0, 6)) for a in range(12) for b in range(a + 1, 12)}
    turned = dict(reversed(pairs.items()))
    assert grouped(pairs, 12) == grouped(turned, 12)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "spark"])
def test_each_backend_gets_conditions_it_understands(dialect: str) -> None:
    people = read_people(
        {"first": ["Ann", "Bo"], "dob": ["1980-01-01", None]}, {"first": "first_name", "dob": "birth_date"}
    )
    settings = str(splink_settings(comparisons_for(people, dialect)))  # type: ignore[arg-type]
    assert ("jaro" in settings) == (dialect != "postgres")


def test_without_splink_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *arguments: object, **options: object) -> object:
        if name.partition(".")[0] == "splink":
            raise ModuleNotFoundError("No module named 'splink'", name="splink")
        return importing(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"millstream\[linkage\]"):
        open_backend("duckdb", None)


def test_postgres_needs_a_url() -> None:
    with pytest.raises(ConfigurationError, match="needs a URL"):
        open_backend("postgres", None)


def tables_of_splink(url: str) -> int:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'splink'")
        return int(cursor.fetchall()[0][0])


def test_postgres_finds_the_same_people_and_keeps_nothing(postgres_server: Server) -> None:
    said = {
        "first": ["Ann", "Anne", "Bo", "Cleo", "Cleo", "Dan"],
        "last": ["Lee", "Lee", "Ray", "Diaz", "Dias", "Fox"],
        "dob": ["1980-01-02", "1980-01-02", "1970-03-04", "1990-05-06", "1990-05-06", "1961-07-08"],
    }
    people = read_people(said, {"first": "first_name", "last": "last_name", "dob": "birth_date"})
    with postgres_server.database() as url:
        linked = link_people(people, LinkageRules(backend="postgres", url=SecretStr(url), merge_at=0.5))
        assert tables_of_splink(url) == 0
    assert linked is not None
    assert linked.labels.tolist() == [0, 0, 2, 3, 3, 5]


@pytest.mark.parametrize("backend", ["duckdb", "postgres"])
def test_a_failure_of_splink_is_said_without_its_words_and_leaves_nothing_there(
    backend: Literal["duckdb", "postgres"], request: pytest.FixtureRequest
) -> None:
    people = read_people({"dob": ["1980-01-02", "1990-05-06"]}, {"dob": "birth_date"})
    (birth,) = comparisons_for(people, backend)
    broken = replace(birth, levels=(replace(birth.levels[0], sql="CAST('Ann' AS INTEGER) = 1"), *birth.levels[1:]))
    with ExitStack() as server:
        url = None
        if backend == "postgres":
            url = server.enter_context(request.getfixturevalue("postgres_server").database())
        with pytest.raises(FatalError) as failure:
            Engine(people, [broken], backend=backend, url=url).compare(np.array([0]), np.array([1]))
        assert url is None or tables_of_splink(url) == 0
    said = str(failure.value)
    assert f"Splink failed on {backend} (" in said
    assert "compared people by birth date (pairs: 1)" in said
    assert "enabled: false" in said
    assert "Ann" not in said


def test_postgres_works_out_each_step_of_splinks_once(postgres_server: Server) -> None:
    with postgres_server.database() as url:
        engine = make_engine(url)
        with engine.connect() as connection:
            plan = connection.execute(
                text("EXPLAIN WITH\n\none as (\n    SELECT 1 AS n\n)\nSELECT n FROM one")
            ).fetchall()
            assert connection.execute(text("SHOW jit")).scalar() == "off"
        engine.dispose()
    assert "CTE one" in str(plan)


def test_a_place_may_be_named_by_reference() -> None:
    rules = LinkageRules.model_validate({"backend": "postgres", "url": {"env": "LINKAGE_URL"}})
    assert rules.place() is None
    assert LinkageRules(url=SecretStr("postgresql://x")).place() == "postgresql://x"
    with pytest.raises(ValidationError):
        LinkageRules.model_validate({"url": {"environment": "LINKAGE_URL"}})
