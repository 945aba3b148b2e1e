"""Who may import whom, who may talk to whom, and how files are called: the layout that design and README promise."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("state", "sources", "destinations", "flows", "sandbox")
MAY_IMPORT = {
    "state": {"state"},
    "sources": {"sources", "state"},
    "destinations": {"destinations", "state"},
    "flows": {"flows", "sources", "destinations", "state"},
    "sandbox": {"sandbox"},
}
"""The arrows of the design: flows -> {sources, destinations} -> state. The sandbox stands alone."""

STARTS_THE_SANDBOX = ("flows/cli/", "flows/demo/")
HTTP_LIBRARIES = {
    "requests",
    "httpx",
    "urllib3",
    "aiohttp",
    "urllib.request",
    "http.client",
    "dlt.sources.helpers.requests",
}
SPEAKS_HTTP = ("state/http/", "destinations/http.py", "sources/testing/stand_in.py", "destinations/testing/stand_in.py")
"""The engine's session, and what steers the stand-in of a vendor in the contract suites."""

NAMES_A_TYPE = {"requests.auth.AuthBase", "requests.Request", "requests.PreparedRequest", "requests.Response"}
NO_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}


@cache
def files(package: str) -> tuple[Path, ...]:
    """The Python files of a package."""
    return tuple(sorted((ROOT / package).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """A file, parsed."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Every name a file imports, at its top or inside: ``a.b.c`` of ``from a.b import c``."""
    names: list[str] = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{here(path)} imports relative to itself"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def here(path: Path) -> str:
    """A path as a reader knows it."""
    return path.relative_to(ROOT).as_posix()


def everywhere() -> Iterator[Path]:
    """All files of the product."""
    for package in PACKAGES:
        yield from files(package)


def test_there_is_something_to_look_at() -> None:
    assert all(files(package) for package in PACKAGES)
    assert "millstream.state.store.Store" in set(imports(ROOT / "flows" / "steps" / "workspace.py"))


# Who imports whom


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_lies_below_them(package: str) -> None:
    wrong = [
        f"{here(path)}: {name}"
        for path in files(package)
        for name in imports(path)
        if name.startswith("millstream.")
        and name.split(".")[1] not in MAY_IMPORT[package] | {"__version__"}
        and not (name.startswith("millstream.sandbox") and here(path).startswith(STARTS_THE_SANDBOX))
    ]
    assert wrong == []


def test_nobody_imports_a_folder_by_its_bare_name() -> None:
    """That would make a second copy of every class."""
    paths = [*everywhere(), *files("tests"), *files("benchmarks")]
    wrong = [f"{here(path)}: {name}" for path in paths for name in imports(path) if name.split(".")[0] in PACKAGES]
    assert wrong == []


def test_a_connector_never_imports_another() -> None:
    wrong = []
    for side in ("sources", "destinations"):
        names = connectors(side)
        for path in files(side):
            mine = path.relative_to(ROOT / side).parts[0].removesuffix(".py")
            for name in imports(path):
                parts = name.split(".")
                other = parts[2] if parts[:2] == ["millstream", side] and len(parts) > 2 else None
                if mine in names and other in names and other != mine:
                    wrong.append(f"{here(path)}: {name}")
    assert wrong == []


def test_the_engine_knows_no_connector() -> None:
    """Connectors are found by their entry points, built-in ones too."""
    wrong = [
        f"{here(path)}: {name}"
        for side in ("sources", "destinations")
        for package in ("state", "flows", side)
        for path in files(package)
        if path.relative_to(ROOT / package).parts[0].removesuffix(".py") not in connectors(side) or package == "flows"
        for name in imports(path)
        if name.split(".")[:2] == ["millstream", side] and name.split(".")[2] in connectors(side)
    ]
    assert wrong == []


@cache
def connectors(side: str) -> frozenset[str]:
    """Names of the modules or packages of a side that hold a connector."""
    base = {"sources": "Source", "destinations": "Destination"}[side]
    found = set()
    for path in files(side):
        parts = path.relative_to(ROOT / side).parts
        if parts[0] in ("testing", "contract.py"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and any(
                isinstance(of, ast.Subscript) and isinstance(of.value, ast.Name) and of.value.id == base
                for of in node.bases
            ):
                found.add(parts[0].removesuffix(".py"))
    assert found
    return frozenset(found)


# Who talks to what


def test_only_flows_know_prefect() -> None:
    wrong = [
        f"{here(path)}: {name}"
        for package in PACKAGES
        if package != "flows"
        for path in files(package)
        for name in imports(path)
        if name.split(".")[0] == "prefect"
    ]
    assert wrong == []


def test_the_work_of_flows_knows_neither_prefect_nor_the_command_line() -> None:
    """Flows and commands stand above it, and call the same functions."""
    wrong = [
        f"{here(path)}: {name}"
        for folder in ("steps", "dry_runs", "steering", "looking", "showing")
        for path in files(f"flows/{folder}")
        for name in imports(path)
        if name.startswith(("prefect", "millstream.flows.cli", "millstream.flows.artifacts"))
        and name != "prefect.futures.PrefectFuture"
    ]
    assert wrong == []


def test_only_the_store_opens_its_engines() -> None:
    """A scratch database in memory is nobody's store."""
    opened = {
        (here(path), node.func.value.id)
        for path in everywhere()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "connect"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("duckdb", "psycopg2", "psycopg")
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == ":memory:")
    }
    assert opened == {("state/store/duckdb.py", "duckdb"), ("state/store/postgres.py", "psycopg2")}


def test_http_is_spoken_in_one_place() -> None:
    """Connectors give facts to the engine's session. They name requests' types at most; nobody else imports HTTP."""
    wrong = []
    for path in everywhere():
        for name in imports(path):
            if not any(name == library or name.startswith(f"{library}.") for library in HTTP_LIBRARIES):
                continue
            is_engine = here(path).startswith(SPEAKS_HTTP)
            is_local = here(path).startswith("flows/demo/")
            if not (is_engine or is_local or name in NAMES_A_TYPE):
                wrong.append(f"{here(path)}: {name}")
    assert wrong == []


def test_places_of_files_are_opened_in_one_place() -> None:
    """What speaks to buckets and servers of files is no HTTP of ours, so is kept together as well."""
    libraries = {"fsspec", "s3fs", "gcsfs", "adlfs", "paramiko", "boto3", "botocore", "aiobotocore"}
    wrong = [
        f"{here(path)}: {name}"
        for path in everywhere()
        for name in imports(path)
        if name.split(".")[0] in libraries and name != "fsspec.AbstractFileSystem"
    ]
    assert {line.split(":")[0] for line in wrong} == {"state/vendors/files.py"}


def test_no_sessions_are_made_outside_the_engine() -> None:
    wrong = [
        f"{here(path)}: {node.func.attr}"
        for path in everywhere()
        if not here(path).startswith(("state/http/", "sandbox/"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "Session"
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("requests", "httpx")
    ]
    assert wrong == []


# How things are called


def test_files_are_named_after_what_they_hold() -> None:
    assert [here(path) for path in everywhere() if path.stem.lower() in NO_NAMES] == []
    folders = {folder for path in everywhere() for folder in path.relative_to(ROOT).parts[:-1]}
    assert folders & NO_NAMES == set()


def test_flow_files_shadow_no_library() -> None:
    """Prefect puts the folder of a flow's file first on the path: a ``dlt.py`` in it would be imported as dlt."""
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    ours = {"millstream", "flows", "sources", "destinations", "state", "sandbox", "tests", "benchmarks"}
    stems = {path.stem for path in (ROOT / "flows").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert stems & (taken - ours) - {"__init__", "__pycache__"} == set()


def test_at_the_top_of_flows_stand_the_flows_and_nothing_else() -> None:
    """One a file: who opens the folder sees at once which there are."""
    flows = {}
    for path in (ROOT / "flows").glob("*.py"):
        decorated = [node for node in tree(path).body if isinstance(node, ast.FunctionDef) and node.decorator_list]
        called = [one.func for node in decorated for one in node.decorator_list if isinstance(one, ast.Call)]
        flows[path.stem] = sum(isinstance(one, ast.Name) and one.id == "flow" for one in called)
    assert {name: count for name, count in flows.items() if count != 1} == {"__init__": 0}


def test_the_import_name_holds_only_links() -> None:
    folder = ROOT / "millstream"
    links = {path.name: path.readlink().as_posix() for path in folder.iterdir() if path.is_symlink()}
    assert links == {package: f"../{package}" for package in PACKAGES}
    others = {path.name for path in folder.iterdir() if not path.is_symlink()}
    assert others - {"__pycache__"} == {"__init__.py", "py.typed"}
