"""Marketo as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import responses

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.marketo import Marketo
from millstream.destinations.modes import Status
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    ConfigurationError,
)
from tests.destinations.marketo_world import (
    LEADS,
    LIST,
    ROOT,
    connect,
    people,
    person,
    results,
    row,
    settings,
    signed_in,
    skipped,
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def marketo(sandbox: Sandbox) -> Marketo:
    return connect(sandbox)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    """A vendor that answers as the test says; waits between tries take no time."""
    monkeypatch.setattr("millstream.state.http.session.random.uniform", lambda low, high: 0.0)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        signed_in(vendor)
        yield vendor


@pytest.fixture
def connector(alone: responses.RequestsMock) -> Marketo:
    return Marketo(settings())


def new() -> str:
    return f"m-{uuid4().hex[:10]}@box.example"


def upsert(marketo: Marketo, *rows: DeliveryRow, match_key: str = "email") -> Any:
    return marketo.upsert(rows, match_key=match_key)


# Rows


def test_each_row_has_the_outcome_that_marketo_gives_it(marketo: Marketo) -> None:
    outcomes = upsert(
        marketo,
        row(new(), 1, firstName="Ana", leadScore=7.0),
        row("bad@@example", 2),
        row(new(), 3, leadScore="many"),
        row(new(), 4, noSuchField=1),
    )
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED, *[Status.REJECTED] * 3]
    assert [outcome.code for outcome in outcomes] == [None, "1003", "1001", "1006"]
    assert [outcome.fault for outcome in outcomes] == [None, "data", "data", "configuration"]


def test_faults_of_the_instance_at_one_row_are_tried_later(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(LEADS, json=results(skipped("611"), {"status": "skipped"}, skipped("1021", "Company update")))
    outcomes = upsert(connector, row("a@box.example"), row("b@box.example", 2), row("c@box.example", 3))
    assert [outcome.status for outcome in outcomes] == [Status.RETRY_LATER, Status.REJECTED, Status.REJECTED]
    assert outcomes[2].fault == "configuration"


def test_somebody_with_several_leads_is_rejected_unless_it_is_known_which(marketo: Marketo, sandbox: Sandbox) -> None:
    twice = next(
        email for email, times in Counter(one["match"]["email"] for one in people(sandbox)).items() if times > 1
    )
    first = next(one for one in people(sandbox) if one["match"]["email"] == twice)
    outcome = upsert(marketo, row(twice, city="Genoa"))[0]
    assert (outcome.status, outcome.code) == (Status.REJECTED, "1007")
    assert upsert(marketo, row(twice, external_id=str(first["id"]), city="Genoa"))[0].external_id == str(first["id"])
    changed = [one["id"] for one in people(sandbox) if one["fields"].get("city") == "Genoa"]
    assert changed == [first["id"]]
    into = marketo.ensure_audience(new())
    assert marketo.add_members(into, [row(twice)], match_key="email")[0].code == "1007"


def test_who_got_another_address_in_marketo_is_changed_and_not_made_anew(marketo: Marketo, sandbox: Sandbox) -> None:
    before, after = new(), new()
    lead_id = upsert(marketo, row(before, firstName="Ana"))[0].external_id
    marketo.http.post(
        "/rest/v1/leads.json", {"action": "updateOnly", "lookupField": "id", "input": [{"id": lead_id, "email": after}]}
    )
    assert upsert(marketo, row(before, external_id=lead_id, firstName="Bea"))[0].external_id == lead_id
    assert person(sandbox, after)["fields"]["firstName"] == "Bea"
    assert before not in {one["match"]["email"] for one in people(sandbox)}


def test_who_is_gone_by_id_is_written_by_key(marketo: Marketo, sandbox: Sandbox) -> None:
    email = new()
    kept = upsert(marketo, row(email, firstName="Ana"))[0].external_id
    outcomes = upsert(marketo, row(email, external_id="1234567890", firstName="Bea"))
    assert (outcomes[0].status, outcomes[0].external_id) == (Status.ACCEPTED, kept)
    assert marketo.update([row(new(), external_id="1234567890")], match_key="email")[0].code == "not_found"


def test_a_missing_value_is_sent_as_null_and_the_key_only_once(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    alone.post(LEADS, json=results({"id": 5, "status": "updated"}))
    upsert(connector, row("ana@box.example", email="other@box.example", firstName=None, visits="12"))
    assert orjson.loads(alone.calls[-1].request.body) == {  # type: ignore[arg-type]
        "action": "createOrUpdate",
        "lookupField": "email",
        "input": [{"email": "ana@box.example", "firstName": None, "visits": 12}],
    }


def test_people_are_found_by_our_id_where_a_field_holds_it(marketo: Marketo, sandbox: Sandbox) -> None:
    ours, email = uuid4().hex, new()
    outcome = upsert(marketo, row(ours, email=email, firstName="Ana"), match_key="external_id")[0]
    assert person(sandbox, email)["fields"]["customerId"] == ours
    into = marketo.ensure_audience(ours)
    marketo.add_members(into, [row(ours)], match_key="external_id")
    (member,) = marketo.read_members(into)
    assert (member.match_values, member.external_id) == ((email, ours), outcome.external_id)
    with pytest.raises(ConfigurationError, match="external_id"):
        upsert(connect(sandbox, external_id_field=None), row(ours), match_key="external_id")


def test_the_partition_is_named_where_people_are_created(alone: responses.RequestsMock) -> None:
    alone.post(LEADS, json=results({"id": 5, "status": "created"}))
    connector = Marketo(settings(partition_name="Europe"))
    upsert(connector, row("ana@box.example"))
    assert orjson.loads(alone.calls[-1].request.body)["partitionName"] == "Europe"  # type: ignore[arg-type]
    connector.update([row("ana@box.example")], match_key="email")
    assert "partitionName" not in orjson.loads(alone.calls[-1].request.body)  # type: ignore[arg-type]


# Looking up and deleting


def test_many_are_looked_up_in_one_request_and_all_pages_are_read(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    everybody = [row(f"somebody.with.a.long.name.{number}@box.example", number) for number in range(300)]
    page = [{"id": number, "email": one.match_value.upper()} for number, one in enumerate(everybody)]
    alone.post(LEADS, json={**results(*page[:200]), "nextPageToken": "more==", "moreResult": True})
    alone.post(LEADS, json={**results(*page[200:]), "nextPageToken": "end==", "moreResult": False})
    alone.add(responses.DELETE, LIST, json=results(*({"id": one["id"], "status": "removed"} for one in page)))
    outcomes = connector.remove_members("7", everybody, match_key="email")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    looked = [call.request for call in alone.calls if str(call.request.url).startswith(LEADS)]
    assert [request.url for request in looked] == [f"{LEADS}?_method=GET"] * 2
    assert "nextPageToken=more" in str(looked[1].body)
    removed = [call.request for call in alone.calls if call.request.method == "DELETE"]
    assert len(removed) == 1
    assert len(str(removed[0].url)) < 8_000


def test_somebody_is_erased_with_all_leads_that_have_the_address(marketo: Marketo, sandbox: Sandbox) -> None:
    times = Counter(one["match"]["email"] for one in people(sandbox))
    twice = next(email for email, count in times.items() if count > 1)
    outcomes = marketo.erase([row(twice), row(new(), 2), row("a,b", 3)], match_key="email")
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED, Status.ACCEPTED, Status.REJECTED]
    assert outcomes[2].code == "comma_in_key"
    assert marketo.remove_members("1001", [row("a,b")], match_key="email")[0].code == "comma_in_key"
    assert twice not in {one["match"]["email"] for one in people(sandbox)}


def test_who_may_not_be_deleted_is_told(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.get(LEADS, json=results({"id": 5, "email": "ana@box.example"}))
    alone.post(f"{ROOT}/rest/v1/leads/delete.json", json=results(skipped("1008", "Access denied", id=5)))
    (outcome,) = connector.erase([row("ana@box.example", external_id="5")], match_key="email")
    assert (outcome.status, outcome.code) == (Status.REJECTED, "1008")
