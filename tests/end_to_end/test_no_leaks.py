"""Nobody is named, and no secret is told, by what runs leave behind: output, logs at their most talkative, artifacts,
the journal.

Files that a destination writes and the store hold people: they are what it is all for.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import requests
import sqlalchemy as sa

from millstream.destinations.registry import DESTINATIONS
from millstream.flows import steps
from millstream.flows.artifacts import writing
from millstream.flows.artifacts.publishing import publish_sync
from millstream.flows.project import load_project
from millstream.flows.showing.markdown import markdown_table
from millstream.flows.showing.syncs import sync_rows
from millstream.sandbox import Sandbox
from millstream.state.ledger.outcomes import unpacked
from tests.contract.destinations.ground import quick_jobs
from tests.end_to_end.every_destination import EveryDestination
from tests.end_to_end.test_faults import HASTY

pytestmark = pytest.mark.slow

NOISY = Path(__file__).with_name("noisy.py")
STAYS = ("zq-90001x", "Zebulonia", "Quartermaine", "zebulonia.quartermaine@leakbox.example", "+12025550171")
LEAVES = ("fx-90002x", "Fitzwilliam", "Xanthopoulos", "Fitz.Xantho@leakbox.example", "+1 202 555 0172")
COMES = ("nn-90009x", "Nicodemus", "Northanger", "nico.north+news@leakbox.example", "(202) 555-0179")
MALFORMED = ("mm 90005x", "Wilhelmina", "Malvolio", "wilhelmina-malvolio@@leakbox", "555-WILHELMINA")
Person = tuple[str, str, str, str, str]
PEOPLE: tuple[Person, ...] = (STAYS, LEAVES, COMES, MALFORMED)
WRONG = "wrong0secret0of0a0leak-us1"


@dataclass
class Traces:
    """What runs left behind, by where it was found.

    Attributes:
        texts: All of it.
        secrets: What was secret.
    """

    texts: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def places_of(self, values: Iterable[str]) -> list[str]:
        """Where any of these values stands in clear, with what stands around it."""
        forms = {form for value in values for form in (value, quote(value, safe=""), quote_plus(value), digits(value))}
        pattern = re.compile("|".join(re.escape(form) for form in sorted(forms) if form), re.IGNORECASE)
        return [
            f"{place}: …{text[max(0, found.start() - 80) : found.end() + 20]!r}…"
            for place, text in self.texts.items()
            for found in pattern.finditer(text)
        ]


def digits(value: str) -> str:
    """A phone number without signs; nothing of other values."""
    number = re.sub(r"[^0-9]", "", value)
    return number if len(number) >= 7 else ""


def encoded(secret: str) -> set[str]:
    """A secret as it stands within Basic credentials, wherever it begins there."""
    texts = [base64.b64encode(b"x" * before + secret.encode()).decode() for before in range(3)]
    # Letters at both ends also hold bits of what stands beside it.
    return {text[4 : len(text) - 4] for text in texts if len(text) > 16}


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    """What is left of plans and runs, good ones and bad ones, to every destination."""
    with Sandbox(people=20, seed=3, limits=False) as sandbox, pytest.MonkeyPatch.context() as patch:
        quick_jobs(sandbox)
        project = EveryDestination(tmp_path_factory.mktemp("leaks") / "project", sandbox)
        for name in [name for name in os.environ if name.startswith("MILLSTREAM_") or name == "PREFECT_API_URL"]:
            patch.delenv(name)
        for name, value in project.environment.items():
            patch.setenv(name, value)
        traces = Traces(secrets={*project.environment.values(), WRONG})
        go_through(project, traces, patch)
        yield traces


def go_through(project: EveryDestination, traces: Traces, patch: pytest.MonkeyPatch) -> None:
    """Run, let people change and vendors refuse, run with wrong credentials; keep all that is left behind."""
    want(project, "Ann", STAYS, LEAVES, MALFORMED)
    traces.texts["good run"] = told_here(project)
    want(project, "Maria", STAYS, COMES, MALFORMED)
    with faults(project.sandbox, kind="refuse_rows", share=1.0):
        traces.texts["refused run"] = told_by(project, "plan --requests", "activate --debug", "rejected")
    want(project, "Lou", STAYS, LEAVES, MALFORMED)
    with faults(project.sandbox, kind="server_error", after=2):
        patch.setattr("millstream.state.http.session.Retries", HASTY)
        traces.texts["run into errors"] = told_here(project)
    want(project, "Kim", STAYS, LEAVES, MALFORMED)  # so that there is something to send, whatever went through before
    for name in project.environment:
        patch.setenv(name, WRONG)
    traces.texts["wrong credentials"] = told_by(project, "activate --debug")
    traces.texts |= dict(kept_by(project))


def want(project: EveryDestination, second_name: str, *people: Person) -> None:
    """Have these people in the store; each has something new, so is sent."""
    project.want([(one[0], f"{one[1]} {second_name}", *one[2:]) for one in people])


def told_by(project: EveryDestination, *commands: str) -> str:
    """All that commands print and log, in a process of their own."""
    arguments = [sys.executable, "-X", "dev", str(NOISY), *commands]
    ended = subprocess.run(arguments, cwd=project.folder, capture_output=True, text=True, check=False, timeout=240)
    return ended.stdout + ended.stderr


@contextmanager
def faults(sandbox: Sandbox, **fault: object) -> Iterator[None]:
    """Have every vendor do something wrong meanwhile."""
    for name in DESTINATIONS.names():
        if name in sandbox.systems:
            order = {"system": name, **fault}
            requests.post(f"{sandbox.url}/_sandbox/faults", json=order, timeout=10).raise_for_status()
    yield
    requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)


def told_here(project: EveryDestination) -> str:
    """What a run in this process logs, reports, and would show in Prefect's UI."""
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch, logged(told):
        for kind in ("table", "link"):
            patch.setattr(writing, f"create_{kind}_artifact", lambda *given, **facts: told.append(f"{given} {facts}"))
        workspace = steps.Workspace.open(load_project(project.folder))
        reports = steps.activate_all(workspace, DESTINATIONS.names(), run_id=steps.new_run_id())
        workspace.journal.close()
        for report in reports:
            publish_sync("leaks", report, docs_url="https://example.com")
    told += [markdown_table(sync_rows(reports)), *(str(one.as_json()) for one in reports)]
    return "\n".join(told)


@contextmanager
def logged(told: list[str]) -> Iterator[None]:
    """Take down what any logger says, with all of its arguments."""
    root, level, handler = logging.getLogger(), logging.getLogger().level, logging.Handler()
    handler.emit = lambda record: told.append(f"{record.name} {handler.format(record)} {record.args!r}")  # type: ignore[method-assign]
    root.addHandler(handler)
    root.setLevel(1)
    yield
    root.setLevel(level)
    root.removeHandler(handler)


def kept_by(project: EveryDestination) -> Iterator[tuple[str, str]]:
    """The journal's bytes and what its packed columns hold, and all other files beside the store."""
    for path in sorted(project.work.rglob("*")):
        if path.is_file() and not path.name.startswith("store.duckdb"):
            yield str(path.relative_to(project.work)), path.read_bytes().decode("utf-8", errors="replace")
    engine = sa.create_engine(f"sqlite:///{project.work / 'journal.sqlite'}")
    with engine.connect() as journal:
        packed = journal.execute(sa.text("SELECT outcomes FROM batches WHERE outcomes IS NOT NULL")).scalars()
        yield "journal: outcomes", "\n".join(str(unpacked(one)) for one in packed)
    engine.dispose()


UNCHECKED = {"files", "segment"}
"""Destinations that know of no wrong credential: a folder has none, and Segment takes any key without a word."""


@pytest.mark.parametrize("name", DESTINATIONS.names())
def test_there_is_something_to_look_at(traces: Traces, name: str) -> None:
    """Each destination took people, refused some, and refused a wrong credential; else silence would prove nothing."""
    assert re.search(rf"^\| {name} \| (completed|partial) \| [1-9]", traces.texts["good run"], re.MULTILINE)
    if name not in UNCHECKED:
        assert re.search(rf"^{name} +partial +\d+ +[1-9]", traces.texts["refused run"], re.MULTILINE)
        assert re.search(rf"^{name} +stopped", traces.texts["wrong credentials"], re.MULTILINE)
    assert "urllib3.connectionpool" in traces.texts["good run"]
    assert "urllib3.connectionpool" in traces.texts["refused run"]
    assert "UnavailableError" in traces.texts["run into errors"]
    assert len(traces.texts["journal: outcomes"]) > 1_000


def test_no_secret_is_told(traces: Traces) -> None:
    assert len(traces.secrets) > len(DESTINATIONS.names())
    assert traces.places_of({form for secret in traces.secrets for form in (secret, *encoded(secret))}) == []


@pytest.mark.parametrize("column", range(5), ids=["id", "first name", "last name", "address", "phone"])
def test_nobody_is_named(traces: Traces, column: int) -> None:
    assert traces.places_of(person[column] for person in PEOPLE) == []


def test_settled_plans_are_gone(traces: Traces) -> None:
    assert [place for place in traces.texts if place.startswith("plans/")] == []
