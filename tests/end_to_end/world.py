"""A whole project against a sandbox, and what its destinations should hold, worked out from the truth alone."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from millstream.flows import steps
from millstream.flows.project import load_project
from millstream.sandbox import Sandbox
from tests.days import today

DEMO = Path(__file__).parents[2] / "examples" / "demo" / "millstream.yaml"
SECRETS = {
    "HUBSPOT_ACCESS_TOKEN": "pat-sandbox-hubspot",
    "GA4_CLIENT_SECRET": "sandbox-secret",
    "GA4_REFRESH_TOKEN": "sandbox-refresh",
    "SURVEYMONKEY_ACCESS_TOKEN": "sandbox-surveymonkey",
    "MAILCHIMP_API_KEY": "sandbox-mailchimp-us1",
}
TAGS = {"promoters_to_mailchimp": "Promoters", "cart_abandoners_to_mailchimp": "Cart abandoners"}
LIST = "Millstream customers"
NOT_ADDRESSABLE = ("unsubscribed", "cleaned")

UNHURRIED = "access_token: {env: HUBSPOT_ACCESS_TOKEN}"
"""The demo's HubSpot credential; a test puts another one here."""

OF_THE_RUN = frozenset({"_pulled_at", "_dlt_load_id", "_dlt_id", "snapshot_at", "href", "modified_at"})
"""Columns of raw tables that say when or from which address a row was pulled, or when we wrote it ourselves."""

ECHOES = ("raw_hubspot.lists", "raw_hubspot.list_memberships")
"""Raw tables in which the list that our own sync keeps shows up, one run later."""

Truth = list[dict[str, Any]]
Ask = Callable[[str], list[tuple[Any, ...]]]


@dataclass
class World:
    """A sandbox, and a folder with the demo project wired to it.

    Attributes:
        sandbox: The vendors.
        folder: The project's folder.
        changes: Texts of the project file and what stands there instead.
    """

    sandbox: Sandbox
    folder: Path
    changes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = DEMO.read_text().replace("http://127.0.0.1:8790", self.sandbox.url)
        # The vendor's pace would only make the tests slow.
        text = text.replace(UNHURRIED, f"{UNHURRIED}\n    requests_per_second: 200\n    searches_per_second: 100")
        for old, new in self.changes.items():
            assert old in text, f"the demo project has no {old!r} any more"
            text = text.replace(old, new)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "millstream.yaml").write_text(text)

    def open(self) -> steps.Workspace:
        """The project's workspace, as each run of the command opens it anew."""
        return steps.Workspace.open(load_project(self.folder))

    def run(self, progress: steps.Progress | None = None) -> steps.PipelineReport:
        """All of it once, as ``millstream run``."""
        workspace = self.open()
        try:
            return steps.run_all(workspace, progress=progress)
        finally:
            workspace.journal.close()

    def run_well(self) -> steps.PipelineReport:
        """Run, and insist that all went well."""
        report = self.run()
        assert [str(error) for error in report.errors] == []
        assert report.ok, report.as_json()
        return report

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        """A request to the sandbox's control routes."""
        answer = requests.request(method, f"{self.sandbox.url}/_sandbox{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer

    def order(self, system: str, kind: str, **facts: Any) -> None:
        """Order a fault."""
        self.control("POST", "/faults", {"system": system, "kind": kind, **facts})

    def behave(self) -> None:
        """Take all faults back."""
        self.control("DELETE", "/faults")

    def truth(self) -> Truth:
        """Who is who."""
        return [json.loads(line) for line in self.control("GET", "/truth").iter_lines()]

    def state(self, system: str) -> dict[str, Any]:
        """What a vendor holds."""
        state: dict[str, Any] = self.control("GET", f"/state/{system}").json()
        return state

    def requests_seen(self) -> dict[str, list[dict[str, Any]]]:
        """Requests by system since the last call of ``count_anew``."""
        seen: dict[str, list[dict[str, Any]]] = self.control("GET", "/requests").json()["systems"]
        return seen

    def count_anew(self) -> None:
        """Start counting requests."""
        self.control("DELETE", "/requests")

    @contextmanager
    def asking(self) -> Iterator[Ask]:
        """Asks the store one query after the other: to open it takes longer than to answer."""
        workspace = self.open()
        try:
            with workspace.store.open() as connection:
                yield lambda query: connection.execute(query).fetchall()
        finally:
            workspace.journal.close()

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of one query on the store."""
        with self.asking() as ask:
            return ask(query)


@contextmanager
def demo_world(
    folder: Path, *, changes: Mapping[str, str] | None = None, latency_ms: float = 0, people: int = 300, seed: int = 11
) -> Iterator[World]:
    """A fresh sandbox with the demo project, and its secrets in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        for name in [name for name in os.environ if name.startswith("MILLSTREAM_") or name == "PREFECT_API_URL"]:
            patch.delenv(name)
        with Sandbox(people=people, seed=seed, today=today(), limits=False, latency_ms=latency_ms) as sandbox:
            yield World(sandbox, folder, changes or {})


# What should be, from the truth alone


@dataclass
class Expected:
    """The people each audience should have, by person id, and where they can be reached."""

    customers: set[str]
    promoters: set[str]
    cart_abandoners: set[str]
    detractors: set[str]
    high_value_at_risk: set[str]

    def of(self, tag: str) -> set[str]:
        """The people of a tag's audience."""
        return self.promoters if tag == "Promoters" else self.cart_abandoners


def expected(world: World) -> Expected:
    """What the audiences should be now. Take it before a run: the run itself touches contacts."""
    truth = world.truth()
    modified = contact_times(world, truth)
    return Expected(
        customers={p["person_id"] for p in truth if consents(p) and stage(p, modified) == "customer"},
        promoters={p["person_id"] for p in truth if consents(p) and (p["nps_score"] or 0) >= 9},
        cart_abandoners={p["person_id"] for p in truth if consents(p) and left_a_cart(p) and not just_bought(p)},
        detractors={p["person_id"] for p in truth if p["nps_score"] is not None and p["nps_score"] <= 6},
        high_value_at_risk=good_customers_of_old(truth),
    )


def good_customers_of_old(truth: Truth) -> set[str]:
    """The best quarter by revenue of those who bought often and have not for long: by fifths of all buyers."""
    won = {p["person_id"]: [deal for deal in p["deals"] if deal["stage"] == "closedwon"] for p in truth}
    buyers = {who: deals for who, deals in won.items() if deals}
    revenue = {who: round(sum(float(deal["amount"] or 0) for deal in deals), 2) for who, deals in buyers.items()}
    recency = fifths({who: max(deal["close_ms"] for deal in deals) for who, deals in buyers.items()})
    frequency = fifths({who: len(deals) for who, deals in buyers.items()})
    best = sorted(revenue.values(), reverse=True)[: math.ceil(len(revenue) / 4)]
    # Once cannot_lose and at_risk are taken together, the money adds no condition of its own to either.
    at_risk = {who for who in buyers if recency[who] <= 2 and frequency[who] >= 3}
    return {who for who in at_risk if revenue[who] >= best[-1]}


def fifths(values: Mapping[str, float]) -> dict[str, int]:
    """1 to 5 for everybody, 5 for the largest values; equal values have the same."""
    return {who: 1 + 5 * sum(other < mine for other in values.values()) // len(values) for who, mine in values.items()}


def consents(person: Mapping[str, Any]) -> bool:
    """Whether somebody agreed to marketing e-mail: only a contact can, and an opt-out outweighs it."""
    return bool(person["hubspot_contact_ids"]) and person["subscription"] == "SUBSCRIBED" and not person["email_optout"]


def stage(person: Mapping[str, Any], modified: Mapping[str, str]) -> str | None:
    """The lifecycle stage that counts: that of the contact which changed last."""
    stages: Mapping[str, str] = person["lifecyclestages"]
    return stages[max(stages, key=lambda contact: modified.get(contact, ""))] if stages else None


def left_a_cart(person: Mapping[str, Any]) -> bool:
    """Whether analytics counts somebody among those who left a cart, under a user id that the CRM knows."""
    signed_in = any(device["user_id"] for device in person["ga4_devices"])
    return signed_in and "Cart abandoners" in person["ga4_audiences"]


def just_bought(person: Mapping[str, Any]) -> bool:
    """Whether a deal was won in the last 30 days."""
    since = (datetime.now(UTC) - timedelta(days=30)).timestamp() * 1000
    return any(deal["stage"] == "closedwon" and deal["close_ms"] > since for deal in person["deals"])


def contact_times(world: World, truth: Truth) -> dict[str, str]:
    """When HubSpot says that the contacts of people with more than one were changed, asked without our code."""
    ids = [contact for p in truth if len(p["hubspot_contact_ids"]) > 1 for contact in p["hubspot_contact_ids"]]
    found: dict[str, str] = {}
    for start in range(0, len(ids), 100):
        answer = requests.post(
            f"{world.sandbox.system_url('hubspot')}/crm/v3/objects/contacts/batch/read",
            json={"properties": ["lastmodifieddate"], "inputs": [{"id": one} for one in ids[start : start + 100]]},
            headers={"Authorization": f"Bearer {SECRETS['HUBSPOT_ACCESS_TOKEN']}"},
            timeout=30,
        )
        answer.raise_for_status()
        found |= {one["id"]: one["properties"]["lastmodifieddate"] for one in answer.json()["results"]}
    return found


# What is there


def owners(truth: Truth) -> dict[str, str]:
    """Person ids by address (lower case) and by contact id."""
    by_email = {email.lower(): p["person_id"] for p in truth for email in p["emails"]}
    return by_email | {contact: p["person_id"] for p in truth for contact in p["hubspot_contact_ids"]}


def tagged(world: World, tag: str) -> dict[str, dict[str, Any]]:
    """The Mailchimp members with a tag, by address."""
    return {m["email_address"].lower(): m for m in world.state("mailchimp")["members"] if tag in m["tags"]}


def listed(world: World) -> list[str]:
    """The contact ids on the HubSpot list; it must be there once."""
    lists = [one for one in world.state("hubspot")["lists"] if one["name"] == LIST]
    assert len(lists) == 1, "the list is there once"
    record_ids: list[str] = lists[0]["recordIds"]
    return record_ids


def statuses(world: World) -> dict[str, str]:
    """How everybody stands with Mailchimp, by address."""
    return {member["email_address"].lower(): member["status"] for member in world.state("mailchimp")["members"]}


def check_destinations(world: World, wanted: Expected) -> None:
    """The tags and the list hold exactly the people that they should, each once."""
    truth = world.truth()
    owner = owners(truth)
    for tag in TAGS.values():
        check_tag(truth, [owner[email] for email in tagged(world, tag)], wanted.of(tag), tag)
    on_list = [owner[record_id] for record_id in listed(world)]
    assert_same(on_list, wanted.customers, LIST)


def check_tag(truth: Truth, there: list[str], wanted: Iterable[str], tag: str) -> None:
    """Tagged are those wanted, less those whom Mailchimp may not write to at the address that was sent.

    Somebody who unsubscribed there may still be reached at another address, about which Mailchimp knows nothing.
    """
    people = {person["person_id"]: person for person in truth}
    refused = {one for one in wanted if (people[one]["mailchimp"] or {}).get("status") in NOT_ADDRESSABLE}
    elsewhere = {one for one in refused & set(there) if len(people[one]["emails"]) > 1}
    assert_same(there, (set(wanted) - refused) | elsewhere, tag)


def outcome(world: World) -> dict[str, object]:
    """All that a run leaves, without ids and times that each run makes anew: equal for equal worlds."""
    left: dict[str, object] = {"list": sorted(listed(world)), "standings": statuses(world)}
    for tag in TAGS.values():
        left[tag] = {email: member["merge_fields"] for email, member in tagged(world, tag).items()}
    with world.asking() as ask:
        return left | _stored(ask)


def _stored(ask: Ask) -> dict[str, object]:
    tables = ask(
        """
        SELECT table_schema, table_name, list(column_name ORDER BY ordinal_position) FROM information_schema.columns
        WHERE starts_with(table_schema, 'raw_') AND NOT ends_with(table_schema, '_staging')
            AND NOT starts_with(table_name, '_dlt')
        GROUP BY ALL
        """
    )
    stored: dict[str, object] = {}
    for schema, table, columns in tables:
        if f"{schema}.{table}" in ECHOES:
            continue
        chosen = ", ".join(f'"{column}"' for column in columns if column not in OF_THE_RUN)
        stored[f"{schema}.{table}"] = ask(f'SELECT {chosen} FROM "{schema}"."{table}" ORDER BY ALL')
    people = ask("SELECT profile_id, list(record_id ORDER BY record_id) FROM customers.members GROUP BY ALL")
    records = {profile: tuple(found) for profile, found in people}
    stored["people"] = sorted(records.values())
    members = ask("SELECT audience, profile_id FROM customers.memberships WHERE left_at IS NULL")
    stored["members"] = sorted((audience, records[profile]) for audience, profile in members)
    stored["events"] = ask("SELECT event_id, record_id, name FROM customers.events ORDER BY ALL")
    return stored


def differences(one: dict[str, object], other: dict[str, object]) -> list[str]:
    """The parts in which two outcomes differ."""
    return sorted(part for part in {*one, *other} if one.get(part) != other.get(part))


def assert_same(there: list[str], wanted: set[str], where: str) -> None:
    """Nobody is missing, nobody is there who should not be, nobody twice."""
    missing, strangers = sorted(wanted - set(there)), sorted(set(there) - wanted)
    assert (missing, strangers) == ([], []), f"{where}: missing {missing}, strangers {strangers}"
    assert len(there) == len(set(there)), f"{where}: somebody is there twice"
