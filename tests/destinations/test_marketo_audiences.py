"""Marketo's static lists, and that no sync changes whom it may mail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest
import responses

from millstream.destinations.marketo import Marketo
from millstream.destinations.modes import Operation, Status
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError
from tests.destinations.marketo_world import (
    LEADS,
    LIST,
    ROOT,
    connect,
    people,
    person,
    refusal,
    results,
    row,
    settings,
    signed_in,
    skipped,
    standings,
)

BY_NAME = f"{ROOT}/rest/asset/v1/staticList/byName.json"
LISTS = f"{ROOT}/rest/asset/v1/staticLists.json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        running.systems["marketo"].imports.seconds = 0.0  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def marketo(sandbox: Sandbox) -> Marketo:
    return connect(sandbox)


@pytest.fixture
def alone() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        signed_in(vendor)
        yield vendor


@pytest.fixture
def connector(alone: responses.RequestsMock) -> Marketo:
    return Marketo(settings())


# Consent


@pytest.mark.parametrize("as_job", [False, True], ids=["in batches", "as a job"])
def test_whatever_a_sync_does_nobodys_standing_changes(marketo: Marketo, sandbox: Sandbox, as_job: bool) -> None:
    before = standings(sandbox)
    assert {standing for standing, _ in before.values()} > {"unsubscribed", "bounced", "blacklisted", "suspended"}
    times = Counter(one["match"]["email"] for one in people(sandbox))
    rows = [
        row(one["match"]["email"], number, city="Genoa")
        for number, one in enumerate(people(sandbox))
        if times[one["match"]["email"]] == 1
    ]
    into = marketo.ensure_audience(f"Everybody {as_job}")
    if as_job:
        job = marketo.submit_job(
            Operation.ADD, rows, match_key="email", audience_id=into, creates=True, label="everybody"
        )
        marketo.poll_job(job)
        outcomes = marketo.job_outcomes(job, Operation.ADD, rows)
    else:
        marketo.upsert(rows, match_key="email")
        marketo.update(rows, match_key="email")
        outcomes = marketo.add_members(into, rows, match_key="email")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED}
    assert len(list(marketo.read_back(into))) == len(rows)
    marketo.remove_members(into, rows, match_key="email")
    assert standings(sandbox) == before
    assert list(marketo.read_back(into)) == []


@pytest.mark.parametrize("known", [False, True], ids=["by our id", "by Marketo's id"])
def test_who_unsubscribed_gets_no_other_address(marketo: Marketo, sandbox: Sandbox, known: bool) -> None:
    before = standings(sandbox)
    gone, stays = (
        next(one for one in people(sandbox) if one["standing"] == standing and one["match"]["external_id"])
        for standing in ("unsubscribed", "subscribed")
    )
    rows = [
        row(
            one["match"]["external_id"],
            number,
            external_id=str(one["id"]) if known else None,
            email=address,
            city="Genoa",
        )
        for number, (one, address) in enumerate(
            ((gone, f"{uuid4().hex}@box.example"), (stays, stays["match"]["email"]))
        )
    ]
    for write in (marketo.upsert, marketo.update):
        outcomes = write(rows, match_key="external_id")
        assert [outcome.status for outcome in outcomes] == [Status.SUPPRESSED, Status.ACCEPTED]
        assert outcomes[0].code == "unsubscribed"
    assert standings(sandbox) == before
    # Their other fields are written as ever, with the address that Marketo has.
    rows[0] = row(gone["match"]["external_id"], email=gone["match"]["email"].upper(), city="Genoa")
    assert marketo.upsert(rows, match_key="external_id")[0].status is Status.ACCEPTED
    assert standings(sandbox) == before


def test_who_unsubscribed_and_was_merged_gets_no_other_address(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    winner = {"id": 8, "customerId": "C-1", "email": "old@box.example", "unsubscribed": True}
    alone.get(LEADS, json=results())
    alone.get(LEADS, json=results(winner))
    rows = [row("C-1", external_id="5", email="new@box.example"), row("C,2", 2, email="any@box.example")]
    outcomes = connector.upsert(rows, match_key="external_id")
    assert [outcome.code for outcome in outcomes] == ["unsubscribed", "comma_in_key"]
    assert "filterValues=C-1&" in str(alone.calls[-1].request.url)
    assert "POST" not in [call.request.method for call in alone.calls if "leads.json" in str(call.request.url)]


def test_who_unsubscribed_is_unsubscribed_after_being_deleted_and_sent_again(
    marketo: Marketo, sandbox: Sandbox
) -> None:
    email = next(one["match"]["email"] for one in people(sandbox) if one["standing"] == "unsubscribed")
    marketo.erase([row(email)], match_key="email")
    marketo.upsert([row(email)], match_key="email")
    assert person(sandbox, email)["standing"] == "unsubscribed"


# Lists


def test_a_list_that_another_process_makes_meanwhile_is_taken(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    alone.get(BY_NAME, json={"success": True, "warnings": ["No assets found for the given search criteria."]})
    alone.get(BY_NAME, json=results({"id": 7, "name": "VIPs"}))
    alone.post(LISTS, json=refusal("709", "Static list with the name already exists"))
    assert connector.ensure_audience("VIPs") == "7"
    asked = next(call.request for call in alone.calls if call.request.url == LISTS)
    assert asked.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "folder=%7B%22id%22%3A13%2C%22type%22%3A%22Folder%22%7D" in str(asked.body)


def test_a_list_that_cannot_be_made_is_told(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.get(BY_NAME, json=refusal("702", "No data found"))
    alone.post(LISTS, json=refusal("709", "Business rule"))
    with pytest.raises(RefusedError, match="Business rule"):
        connector.ensure_audience("VIPs")
    alone.replace(responses.GET, BY_NAME, json=refusal("701", "name cannot be blank"))
    with pytest.raises(RefusedError, match="blank"):
        connector.ensure_audience("VIPs")


def test_lists_are_made_only_where_a_folder_is_named(sandbox: Sandbox) -> None:
    without, wrong = connect(sandbox, folder_id=None), connect(sandbox, folder_id=99)
    assert without.ensure_audience("Newsletter") == connect(sandbox).ensure_audience("Newsletter") == "1001"
    with pytest.raises(ConfigurationError, match="folder"):
        without.ensure_audience("Never made")
    with pytest.raises(ConfigurationError, match="710"):
        wrong.ensure_audience("Never made")


def test_a_list_that_was_deleted_meanwhile_stops_the_sync(marketo: Marketo) -> None:
    marketo.upsert([row("somebody@box.example")], match_key="email")
    with pytest.raises(NotFoundError, match="1013"):
        marketo.add_members("4444", [row("somebody@box.example")], match_key="email")


def test_somebody_with_several_leads_is_taken_out_with_all_of_them(marketo: Marketo, sandbox: Sandbox) -> None:
    times = Counter(one["match"]["email"] for one in people(sandbox))
    twice = next(email for email, count in times.items() if count > 1)
    ids = [str(one["id"]) for one in people(sandbox) if one["match"]["email"] == twice]
    into = marketo.ensure_audience("Twice")
    marketo.add_members(into, [row(one, external_id=one) for one in ids], match_key="email")
    assert len(list(marketo.read_back(into))) == len(ids)
    marketo.remove_members(into, [row(twice)], match_key="email")
    assert list(marketo.read_back(into)) == []


def test_who_was_merged_into_another_lead_is_taken_out_there(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.delete(LIST, json=results(skipped("1004", "Lead not found", id=5), skipped("1015", "Not in list", id=6)))
    alone.get(LEADS, json=results({"id": 8, "email": "Ana@box.example"}))
    alone.delete(LIST, json=results({"id": 8, "status": "removed"}))
    leavers = [row("ana@box.example", 1, external_id="5"), row("ben@box.example", 2, external_id="6")]
    outcomes = connector.remove_members("7", leavers, match_key="email")
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED] * 2
    assert [call.request.url for call in alone.calls if call.request.method == "DELETE"] == [
        f"{LIST}?id=5&id=6",
        f"{LIST}?id=8",
    ]


def test_memberships_that_marketo_refuses_are_rejected(alone: responses.RequestsMock, connector: Marketo) -> None:
    denied = skipped("1008", "Access denied to partition", id=5)
    alone.post(LIST, json=results(denied))
    rows = [row("ana@box.example", 1, external_id="5"), row("ben@box.example", 2, external_id="6")]
    outcomes = connector.add_members("7", rows, match_key="email")
    assert [(outcome.code, outcome.fault) for outcome in outcomes] == [
        ("1008", "configuration"),
        ("missing_from_answer", "vendor"),
    ]
    alone.delete(LIST, json=results(denied, skipped("1004", "Lead not found", id=6)))
    alone.get(LEADS, json=results({"id": 9, "email": "ben@box.example"}))
    alone.delete(LIST, json=results({**denied, "id": 9}))
    outcomes = connector.remove_members("7", rows, match_key="email")
    assert [outcome.code for outcome in outcomes] == ["1008", "1008"]


def test_who_no_answer_names_is_not_taken_for_out(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.delete(LIST, json=results({"id": 5, "status": "removed"}))
    alone.get(LEADS, json=results({"id": 9, "email": "cy@box.example"}))
    alone.delete(LIST, json=results())
    rows = [
        row("ana@box.example", 1, external_id="5"),
        row("ben@box.example", 2, external_id="6"),
        row("cy@box.example", 3),
    ]
    outcomes = connector.remove_members("7", rows, match_key="email")
    assert [outcome.code for outcome in outcomes] == [None, "missing_from_answer", "missing_from_answer"]


def test_a_long_list_is_read_page_by_page(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.get(LIST, json={**results({"id": 1, "email": "Ana@box.example", "customerId": "C-1"}), "nextPageToken": "a="})
    alone.get(LIST, json=results({"id": 2, "customerId": "C-2"}, {"id": 3}))
    assert list(connector.read_back("7")) == ["ana@box.example", "C-2", "3"]
    assert "nextPageToken=a%3D" in str(alone.calls[-1].request.url)
