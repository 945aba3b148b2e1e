"""Plans as they are looked at: removals by name, requests that are not made, forecasts, and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests as requests_library

from millstream.destinations.contract import Destination
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.mailchimp import Mailchimp
from millstream.destinations.preview import Look, read_plan
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError
from tests.destinations.bench import PEOPLE, Bench, MakeBench

TOKEN = "pat-sandbox-hubspot"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=20, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def bench(a_bench: MakeBench) -> Iterator[Bench]:
    with a_bench() as bench:
        bench.want({PEOPLE[0]: "Anneliese", PEOPLE[1]: "Bartholomew"})
        yield bench


def connector_of(sandbox: Sandbox, name: str) -> Destination[Any]:
    if name == "hubspot":
        return HubSpot(HubSpot.Settings(base_url=f"{sandbox.url}/hubspot", access_token=TOKEN))
    key = "sandbox-mailchimp-us1"
    return Mailchimp(Mailchimp.Settings(base_url=f"{sandbox.url}/mailchimp/3.0", api_key=key, list_id="a1b2c3d4e5"))


@pytest.mark.parametrize(
    ("name", "field", "requests"),
    [
        ("hubspot", "firstname", ["POST /crm/v3/lists", "POST /crm/v3/objects/contacts/batch/upsert", "PUT "]),
        ("mailchimp", "FNAME", ["POST /3.0/lists/a1b2c3d4e5/segments", "POST /3.0/lists/a1b2c3d4e5?", "POST /3.0/"]),
    ],
)
def test_requests_are_shown_and_not_made(
    a_bench: MakeBench, sandbox: Sandbox, name: str, field: str, requests: list[str]
) -> None:
    with a_bench(fields={field: "name"}) as bench:
        bench.want({PEOPLE[0]: "Anneliese", PEOPLE[1]: "Bartholomew"})
        bench.delivery.destination = lambda: connector_of(sandbox, name)
        requests_library.delete(f"{sandbox.url}/_sandbox/requests", timeout=30)
        preview = bench.delivery.plan("run", Look(requests=True))
        shown = [f"{one.method} {one.url.split(name, 1)[1]}" for one in preview.requests]
        assert len(shown) == len(requests)
        assert all(one.startswith(start) for one, start in zip(shown, requests, strict=True))
        text = orjson.dumps(preview.as_json()).decode()
        for secret in (*PEOPLE[:2], "Anneliese", "Bartholomew", TOKEN, "sandbox-mailchimp"):
            assert secret not in text
        made = requests_library.get(f"{sandbox.url}/_sandbox/requests", params={"detail": 1}, timeout=30).json()
        assert {one["method"] for one in made.get("recent", ())} <= {"GET"}


def test_who_would_be_taken_out_is_named_masked_unless_asked(bench: Bench) -> None:
    bench.run()
    bench.want({PEOPLE[1]: "Bartholomew"})
    (removal,) = bench.delivery.plan("run").removals
    assert removal.profile_id == f"profile-{PEOPLE[0]}"
    assert removal.match_value.startswith("p***@***")
    (removal,) = bench.delivery.plan("run", Look(in_clear=True)).removals
    assert removal.match_value == PEOPLE[0]
    assert bench.delivery.plan("run", Look(removals=0)).removals == []


def test_the_forecast_counts_the_least_requests_and_learns_from_runs(bench: Bench) -> None:
    bench.want(dict.fromkeys(PEOPLE, "Ann"))
    forecast = bench.delivery.plan("run").forecast
    assert forecast is not None
    assert (forecast.requests, forecast.learned_from) == (3 + 4, 0)
    assert bench.run().requests == forecast.requests
    bench.want({})
    again = bench.delivery.plan("run").forecast
    assert again is not None
    assert (again.requests, again.learned_from) == (4, 1)


def test_a_saved_plan_is_sent_as_it_was_looked_at(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "plan.parquet"
    bench.delivery.plan("run", Look(save_to=path))
    assert bench.memory.calls == 0
    saved = read_plan(path)
    assert saved.counts == {"add": 2}
    assert bench.delivery.activate("run", saved=saved).accepted == 2
    with pytest.raises(ConfigurationError, match="then 2 to add, now nothing to send"):
        bench.delivery.activate("run", saved=saved)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda bench: bench.want({PEOPLE[0]: "Anneliese"}), "then 2 to add, now 1 to add"),
        (lambda bench: bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"}), "other people or with other values"),
        (
            lambda bench: setattr(
                bench.delivery, "sync", bench.delivery.sync.model_copy(update={"into": "Somebody else"})
            ),
            "changed in the project file",
        ),
    ],
)
def test_a_saved_plan_is_refused_when_something_changed(bench: Bench, tmp_path: Path, change: Any, said: str) -> None:
    path = tmp_path / "plan.parquet"
    bench.delivery.plan("run", Look(save_to=path))
    change(bench)
    with pytest.raises(ConfigurationError, match=said):
        bench.delivery.activate("run", saved=read_plan(path))
    assert bench.memory.calls == 0
    assert bench.journal.unsettled_plans("sync") == []
    assert list(bench.delivery.plans.glob("*")) == []


def test_another_file_is_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Buy milk.")
    with pytest.raises(ConfigurationError, match=r"notes.txt is no plan"):
        read_plan(path)
    with pytest.raises(ConfigurationError, match=r"There is no file .*lost.plan.*plan SYNC --out .*lost.plan"):
        read_plan(tmp_path / "lost.plan")
