"""Every request of every destination, as it leaves: whoever changes one sees in a review what a vendor gets.

``make snapshots`` writes them anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from millstream.destinations.registry import DESTINATIONS
from millstream.destinations.testing.ground import AnyDestination
from millstream.sandbox import Sandbox
from tests.contract.destinations.ground import SandboxContract, quick_jobs
from tests.contract.destinations.recording import Recorder, laid_out, texts_in
from tests.contract.destinations.walk import Walk

FOLDER = Path(__file__).parent / "snapshots"
WRITES = os.environ.get("MILLSTREAM_SNAPSHOTS") == "write"
PEOPLE = 5


@pytest.fixture(scope="module")
def fresh() -> Iterator[Sandbox]:
    """Vendors to whom nobody else has written; each is asked by one test alone, so the order of tests is no matter."""
    with Sandbox(people=PEOPLE, seed=3, today=date(2026, 1, 15), limits=False) as running:
        quick_jobs(running)
        yield running


@pytest.fixture(autouse=True)
def _one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that go side by side have no order."""
    made = ThreadPoolExecutor.__init__
    monkeypatch.setattr(ThreadPoolExecutor, "__init__", lambda pool, *_, **__: made(pool, max_workers=1))


@pytest.mark.parametrize("name", DESTINATIONS.names())
def test_requests_are_as_they_were(name: str, fresh: Sandbox, tmp_path: Path) -> None:
    destination = connected(name, fresh, tmp_path)
    recorder = Recorder(fresh.url, secrets_of(destination))
    text = laid_out(Walk(destination, recorder, tmp_path).all()) + "\n"
    path = FOLDER / f"{name}.json"
    if WRITES:
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{name} has no snapshot; `make snapshots` writes it"
    assert text.splitlines() == path.read_text(encoding="utf-8").splitlines(), "see the docstring of this module"


def test_no_snapshot_is_left_of_a_destination_that_is_gone() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(DESTINATIONS.names())


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_snapshots_hold_no_secret_and_nobody_but_made_up_people(path: Path, fresh: Sandbox, tmp_path: Path) -> None:
    text = "\n".join(texts_in(json.loads(path.read_text(encoding="utf-8"))))
    settings = [connected(name, fresh, tmp_path) for name in DESTINATIONS.names()]
    settings += [contract.make(fresh) for name in DESTINATIONS.names() for contract in contracts_of(name)]
    secrets = {secret for one in settings for secret in secrets_of(one)}
    people = [fresh.truth(index) for index in range(PEOPLE)]
    known = {f"{person['first_name']} {person['last_name']}" for person in people}
    known |= {value for person in people for kind in ("emails", "phones") for value in texts_in(person[kind])}
    assert len(known) > 2 * PEOPLE
    assert [value for value in secrets | known if value in text] == []


def connected(name: str, sandbox: Sandbox, folder: Path) -> AnyDestination:
    """The connector with the settings of its contract; files go into a folder of this machine."""
    connector: Any = DESTINATIONS.load(name)
    if name == "files":
        files: AnyDestination = connector(connector.Settings(url=str(folder)))
        return files
    contract = next(one for one in contracts_of(name) if one.connector is connector)
    made: AnyDestination = contract.make(sandbox)
    return made


def contracts_of(name: str) -> list[type[SandboxContract]]:
    """The contracts of a destination against the sandbox, each with other settings."""
    found = vars(import_module(f"tests.contract.destinations.test_{name}")).values()
    contracts = [one for one in found if isinstance(one, type) and issubclass(one, SandboxContract)]
    return [one for one in contracts if hasattr(one, "facts")]


def secrets_of(destination: AnyDestination) -> set[str]:
    """What a connection keeps to itself."""
    values = (getattr(destination.settings, name) for name in type(destination.settings).model_fields)
    return {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
