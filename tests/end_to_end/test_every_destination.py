"""One audience in every destination at once: each holds exactly its members, and is asked no more than it has to be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from millstream.destinations.registry import DESTINATIONS
from tests.end_to_end.everywhere import FIELDS, NO_CONSENT, PEOPLE, Everywhere, everywhere

LEAVERS = set(range(100, 106))
"""One in a hundred."""

Calls = Mapping[str, list[dict[str, Any]]]

COME, GO = PEOPLE - NO_CONSENT, len(LEAVERS)
WRITES: Mapping[str, tuple[int, int]] = {
    # Fields and membership, or both at once, by the most that the vendor takes in a request; then leaving.
    "activecampaign": (math.ceil(COME / 250), GO),
    "braze": (math.ceil(COME / 75), 1),
    "clevertap": (1, 1),
    "customerio": (1 + 1, 1),
    "google_ads_customer_match": (1, 1),
    "hubspot": (math.ceil(COME / 100) + 1, 1),
    "intercom": (COME + COME, GO),
    "klaviyo": (1, 1),
    "mailchimp": (math.ceil(COME / 500) + math.ceil(COME / 500), 1),
    "marketo": (math.ceil(COME / 300) + math.ceil(COME / 300), 1),
    "meta_custom_audiences": (1, 1),
    "salesforce": (math.ceil(COME / 200) + math.ceil(COME / 200), 1),
    "segment": (1, 1),
    "vero": (COME + COME, GO),
    "webhook": (1, 1),
}
LOOKED_UP: Mapping[str, tuple[int, int]] = {
    # Ids of people who came by an import; tags of those who leave; whether somebody is there, whom a write would make.
    "activecampaign": (math.ceil(COME / 100), GO),
    "clevertap": (0, GO),
    "klaviyo": (math.ceil(COME / 100), 1),
}
ABOUT_THE_ACCOUNT = 4
"""Reads that find the audience and the fields, whatever the number of people."""
MAKES_NO_AUDIENCE = {"braze", "clevertap", "segment", "vero", "webhook"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everywhere]:
    with pytest.MonkeyPatch.context() as monkeypatch, everywhere(tmp_path_factory.mktemp("every"), monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def first(world: Everywhere) -> Calls:
    world.run()
    return calls_of(world)


@pytest.fixture(scope="module")
def later(world: Everywhere, first: Calls) -> Calls:
    """Some left."""
    calls_of(world)  # of the tests themselves
    world.vips -= LEAVERS
    world.run()
    return calls_of(world)


def calls_of(world: Everywhere) -> Calls:
    """Requests since the last call."""
    url = f"{world.sandbox.url}/_sandbox/requests"
    seen: Calls = requests.get(url, timeout=10).json()["systems"]
    requests.delete(url, timeout=10)
    return seen


def written(calls: Calls, system: str) -> int:
    """Requests that change something, sign-in aside."""
    return sum(one["count"] for one in calls[system] if one["method"] != "GET" and not one["route"].endswith("/token"))


def read(calls: Calls, system: str) -> int:
    """Requests that read, looks at jobs aside: how many these are is a matter of time."""
    jobs = ("import/info", "import-jobs/{id}")
    return sum(one["count"] for one in calls[system] if one["method"] == "GET" and not one["route"].endswith(jobs))


def test_no_destination_is_left_out() -> None:
    assert set(FIELDS) == set(DESTINATIONS.names())
    assert set(WRITES) == set(FIELDS) - {"files"}


@pytest.mark.parametrize("system", FIELDS)
def test_it_holds_exactly_the_members(world: Everywhere, first: Calls, system: str) -> None:
    assert first
    assert world.members(system) == world.match_values(system, world.wanted)


@pytest.mark.parametrize("system", FIELDS)
def test_exactly_those_who_left_are_taken_out(world: Everywhere, later: Calls, system: str) -> None:
    assert later
    assert world.members(system) == world.match_values(system, world.wanted)


@pytest.mark.parametrize("system", WRITES)
def test_it_is_asked_no_more_than_its_batches_take(first: Calls, later: Calls, system: str) -> None:
    made = 0 if system in MAKES_NO_AUDIENCE else 1
    come, go = WRITES[system]
    assert come <= written(first, system) - made <= 1.05 * come
    assert go <= written(later, system) <= 1.05 * go
    for calls, people in zip((first, later), LOOKED_UP.get(system, (0, 0)), strict=True):
        assert read(calls, system) <= 1.05 * people + ABOUT_THE_ACCOUNT
