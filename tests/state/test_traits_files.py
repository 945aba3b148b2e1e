"""Trait sets as files: what they may say, and what is told of those that say it wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from millstream.state.errors import ConfigurationError
from millstream.state.traits.contract import Trait, TraitSet
from millstream.state.traits.files import read_sql
from millstream.state.traits.registry import ordered, trait_sets
from millstream.state.traits.rules import Propensity, TraitRules
from millstream.state.traits.shipped_names import shipped_names
from tests.state.conftest import Customers
from tests.state.trait_world import DAY, TraitWorld, sql_set

WHOLE = """/*
description: What somebody bought.
inputs: [purchases, profiles]
profile_traits: {birth_date: date}
every: 12h
traits:
  orders: {type: number, unit: orders, description: How many., at_least: 0, required: true}
  size:
    type: text
    description: How large.
    allowed: [small, large]
*/
WITH counted AS (SELECT profile_id, count(*) AS number FROM purchases GROUP BY profile_id)
SELECT profiles.profile_id, counted.number AS orders, 'small' AS size
FROM profiles LEFT JOIN counted USING (profile_id);
"""
HEADER = "/*\ndescription: D.\ninputs: [purchases]\ntraits:\n  x: {type: number, description: X.}\n*/\n"


def read(text: str) -> TraitSet:
    return read_sql(text, name="bought", label="traits/bought.sql")


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value)


def test_a_file_says_all_there_is_to_know() -> None:
    found = read(WHOLE)
    assert (found.name, found.description, found.inputs) == (
        "bought",
        "What somebody bought.",
        ("purchases", "profiles"),
    )
    assert (found.profile_traits, found.every) == ({"birth_date": "date"}, timedelta(hours=12))
    assert found.traits == {
        "orders": Trait(description="How many.", type="number", unit="orders", at_least=0, required=True),
        "size": Trait(description="How large.", type="text", allowed=("small", "large")),
    }
    assert found.sql is not None
    assert found.sql.startswith("WITH counted")
    assert not found.sql.endswith(";")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT 1", "traits/bought.sql:1: the file does not begin with a comment"),
        ("/*\ndescription: [\n*/ SELECT 1", "traits/bought.sql:"),
        (HEADER.replace("inputs", "imputs"), "bought.sql:3: imputs: this key is not known"),
        (HEADER.replace("description: D.\n", ""), "description: this is missing"),
        (HEADER.replace("X.}", "X., at_lest: 1}"), "bought.sql:5: traits.x.at_lest: this key is not known"),
        (HEADER.replace("type: number", "type: money"), "bought.sql:5: traits.x.type"),
        (HEADER.replace("  x:", "  X Y:"), "bought.sql:5: traits.X Y"),
        (HEADER.replace("purchases]", "purchase]"), "bought.sql:3: there is no input 'purchase'"),
        (HEADER.replace("traits:", "every: 1 month\ntraits:"), "bought.sql:4: every: "),
        (HEADER + "SELECT profile_id, 1 AS x FROM", "bought.sql:7: the SQL cannot be read"),
        (HEADER + "\n\nSELECT profile_id,\n1 AS x FROM purchases WHERE (", "bought.sql:10: the SQL cannot be read"),
        (HEADER + "SELECT 1 AS profile_id, 2 AS x; SELECT 1", "there are 2 statements"),
        (HEADER, "there are 0 statements"),
        (HEADER + "DELETE FROM customers.profiles", "the SQL is not a SELECT"),
        (HEADER + "CREATE TABLE a AS SELECT 1 AS profile_id, 1 AS x", "the SQL is not a SELECT"),
        (HEADER + "SELECT 1 AS x", "gives no column profile_id"),
        (HEADER + "SELECT profile_id, 1 AS xx FROM purchases", "gives no column 'x'. What to do: did you mean 'xx'?"),
        (HEADER + "SELECT profile_id, 1 AS x, 2 AS y FROM purchases", "a column 'y', which is not declared"),
        (HEADER + "SELECT profile_id, 1 AS x, 2 AS x FROM purchases", "gives twice the column 'x'"),
        (HEADER + "SELECT * FROM purchases", "says * in place of its columns"),
        (HEADER + "SELECT profile_id, 1 AS x FROM events", "not among the inputs. What to do: add events"),
        (HEADER + "SELECT profile_id, $lapsed AS x FROM purchases", "uses $lapsed; there are $as_of"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_with_its_line(text: str, expected: str) -> None:
    told = refusal(text)
    assert expected in told
    assert "traits/bought.sql" in told


def test_a_common_table_may_bear_the_name_of_a_relation() -> None:
    text = HEADER + "WITH events AS (SELECT profile_id FROM purchases) SELECT profile_id, 1 AS x FROM events"
    assert read(text).inputs == ("purchases",)


def project(folder: Path, **files: str) -> TraitRules:
    """Trait files of a project; ``a_sql`` is ``a.sql``."""
    (folder / "traits").mkdir()
    for name, text in files.items():
        stem, _, ending = name.rpartition("_")
        (folder / "traits" / f"{stem}.{ending}").write_text(text, encoding="utf-8")
    return TraitRules()


def named(sets: tuple[TraitSet, ...]) -> dict[str, TraitSet]:
    return {one.name: one for one in sets}


def test_files_of_a_project_stand_beside_the_shipped_ones(tmp_path: Path) -> None:
    rules = project(tmp_path, mine_sql=HEADER + "SELECT profile_id, 1 AS x FROM purchases")
    found = named(trait_sets(rules, root=tmp_path))
    assert found["mine"].file == "traits/mine.sql"
    assert set(shipped_names()) - {"propensity"} < set(found)


def test_a_file_of_a_project_stands_in_place_of_the_shipped_set_of_its_name(tmp_path: Path) -> None:
    rules = project(tmp_path, purchases_sql=HEADER + "SELECT profile_id, 1 AS x FROM purchases")
    assert list(named(trait_sets(rules, root=tmp_path))["purchases"].traits) == ["x"]


def test_shipped_sets_can_be_left_out() -> None:
    assert "rfm" not in named(trait_sets(TraitRules(without=("rfm",))))
    with pytest.raises(ConfigurationError, match=r"no shipped trait set 'rfn'.*did you mean 'rfm'"):
        trait_sets(TraitRules(without=("rfn",)))


def test_a_trait_of_two_sets_is_told_with_both_files(tmp_path: Path) -> None:
    text = HEADER.replace("  x:", "  orders:") + "SELECT profile_id, 1 AS orders FROM purchases"
    rules = project(tmp_path, mine_sql=text)
    with pytest.raises(
        ConfigurationError, match=r"(?s)traits/mine.sql: the trait 'orders' is computed by .*purchases.sql"
    ):
        trait_sets(rules, root=tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    select = HEADER + "SELECT profile_id, 1 AS x FROM purchases"
    rules = project(tmp_path, mine_sql=select, mine_py="TRAITS = None")
    with pytest.raises(ConfigurationError, match=r"stands in mine.py and in mine.sql"):
        trait_sets(rules, root=tmp_path)


def test_a_file_whose_name_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "traits").mkdir()
    (tmp_path / "traits" / "My Traits.sql").write_text(HEADER, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="'My Traits' cannot be the name of a trait set"):
        trait_sets(TraitRules(), root=tmp_path)


def test_other_files_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    rules = project(tmp_path, README_md="# Ours", _drafts_sql="SELECT")
    assert named(trait_sets(rules, root=tmp_path)) == named(trait_sets(rules))


PYTHON = """
from millstream.state.traits.contract import Context, Result, Trait, TraitSet

def compute(context: Context) -> Result:
    raise NotImplementedError

TRAITS = TraitSet(
    name="whatever",
    description="D.",
    traits={"x": Trait(description="X.", type="number")},
    inputs=("purchases",),
    compute=compute,
)
"""


def test_a_python_file_declares_its_traits(tmp_path: Path) -> None:
    found = named(trait_sets(project(tmp_path, mine_py=PYTHON), root=tmp_path))["mine"]
    assert (found.file, list(found.traits), found.code) == ("traits/mine.py", ["x"], PYTHON)
    assert found.compute is not None


def test_a_python_file_may_declare_by_the_rules(tmp_path: Path) -> None:
    text = PYTHON.replace("TRAITS = TraitSet(", "def TRAITS(rules):\n  return TraitSet(").rstrip()
    found = named(trait_sets(project(tmp_path, mine_py=text), root=tmp_path))
    assert list(found["mine"].traits) == ["x"]
    (tmp_path / "traits" / "mine.py").write_text("def TRAITS(rules):\n    return None")
    assert "mine" not in named(trait_sets(TraitRules(), root=tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", r"traits/mine.py: the file has no TRAITS"),
        ("def f(:", r"traits/mine.py:1: the file is not Python"),
        ("\nimport no_such_module_at_all", r"traits/mine.py:2: the file cannot be imported: ModuleNotFoundError"),
        (PYTHON.replace('("purchases",)', '("purchase",)'), r"there is no input 'purchase'"),
        (PYTHON.replace("    compute=compute,\n", ""), r"by either sql or compute"),
        (PYTHON.replace('"x": Trait', '"X": Trait'), r"'X' cannot be the name of a trait"),
        (PYTHON.replace("compute=compute", 'sql="SELECT 1 AS x"'), r"gives no column profile_id"),
    ],
)
def test_what_is_wrong_with_a_python_file_is_told(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        trait_sets(project(tmp_path, mine_py=text), root=tmp_path)


def test_profile_traits_are_read_as_one_type() -> None:
    select = "SELECT profile_id, size AS {} FROM profiles"
    one = sql_set(
        select.format("x"), name="one", inputs=["profiles"], more="profile_traits: {size: text}", x="type: text"
    )
    two = sql_set(
        select.format("y"), name="two", inputs=["profiles"], more="profile_traits: {size: date}", y="type: date"
    )
    with pytest.raises(ConfigurationError, match="'size' of the profiles is read as date, and as text"):
        ordered([one, two])


def test_an_input_of_a_set_that_is_not_there_is_refused() -> None:
    one = sql_set("SELECT profile_id, a AS x FROM order_traits", name="one", inputs=["order_traits"], x="type: text")
    other = sql_set("SELECT profile_id, 1 AS y FROM events", name="orders", y="type: number")
    with pytest.raises(ConfigurationError, match=r"no trait set 'order'.*did you mean 'orders'"):
        ordered([one, other])


def test_propensities_of_the_project_are_traits() -> None:
    assert "propensity" not in named(trait_sets(TraitRules()))
    rules = TraitRules(propensities={"renew": Propensity(event="Order Completed")})
    assert list(named(trait_sets(rules))["propensity"].traits) == ["propensity_renew"]


def test_every_shipped_trait_is_described_and_ends_in_a_full_stop() -> None:
    for one in trait_sets(TraitRules()):
        for name, trait in one.traits.items():
            assert trait.description.endswith("."), f"{one.name}.{name}"


@pytest.mark.parametrize(
    "reached",
    ["read_text('/etc/hosts')", "'/etc/hosts'", "query('SELECT 1')", "information_schema.tables", "duckdb_secrets()"],
)
def test_the_sql_of_a_file_reads_the_store_and_nothing_else(reached: str) -> None:
    select = f"SELECT profile_id, (SELECT count(*) FROM {reached}) AS found FROM profiles"
    with pytest.raises(ConfigurationError, match="store"):
        sql_set(select, inputs=["profiles"], found="type: number")
    with pytest.raises(ConfigurationError, match="not among the inputs"):
        sql_set("SELECT profile_id, passwd AS found FROM pg_shadow", inputs=["profiles"], found="type: text")
    with pytest.raises(ConfigurationError, match="getenv"):
        sql_set("SELECT profile_id, getenv('HOME') AS found FROM profiles", inputs=["profiles"], found="type: text")


DOCS = Path(__file__).parents[2] / "docs" / "traits.md"


@pytest.mark.parametrize(("language", "name"), [("sql", "app.sql"), ("python", "weekends.py")])
def test_the_examples_of_the_docs_work(customers: Customers, tmp_path: Path, language: str, name: str) -> None:
    blocks = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    [example] = [block for block in blocks if "profile_id" in block]
    (tmp_path / "traits").mkdir()
    (tmp_path / "traits" / name).write_text(example, encoding="utf-8")
    world = TraitWorld(customers, root=tmp_path)
    world.person("ana")
    for days in (1, 2, 8):
        world.bought("ana", ago=days * DAY)
        world.did("ana", "Application Opened", ago=days * DAY)
    report = world.describe([one for one in trait_sets(world.rules, root=tmp_path) if one.name == Path(name).stem])
    assert report.ok, report
    shown = ("app_days_30", "app_group") if language == "sql" else ("buys_at_weekends",)
    assert world.values(*shown)["ana"] == ((3.0, "rarely") if language == "sql" else (True,))
