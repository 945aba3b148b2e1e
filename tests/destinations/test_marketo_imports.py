"""Marketo's bulk imports: one outcome for each row, no cell whose meaning is not known, nothing submitted twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.marketo import Marketo, imports
from millstream.destinations.marketo.imports import Import
from millstream.destinations.modes import Operation, Status
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    ConfigurationError,
    RefusedError,
    RetryableError,
    UnavailableError,
    UnknownOutcomeError,
)
from tests.destinations.marketo_world import (
    LEADS,
    LIST,
    ROOT,
    connect,
    people,
    refusal,
    results,
    row,
    settings,
    signed_in,
    skipped,
)

BULK = f"{ROOT}/bulk/v1/leads.json"
STATUS = f"{ROOT}/bulk/v1/leads/batch/9.json"
FAILURES = f"{ROOT}/bulk/v1/leads/batch/9/failures.json"
WARNINGS = f"{ROOT}/bulk/v1/leads/batch/9/warnings.json"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        running.systems["marketo"].imports.seconds = 0.0  # type: ignore[attr-defined]
        yield running


@pytest.fixture
def marketo(sandbox: Sandbox) -> Marketo:
    return connect(sandbox)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[responses.RequestsMock]:
    monkeypatch.setattr("millstream.state.http.session.random.uniform", lambda low, high: 0.0)
    monkeypatch.setattr(imports, "sleep_unless_stopped", lambda seconds: None)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        signed_in(vendor)
        yield vendor


@pytest.fixture
def connector(alone: responses.RequestsMock) -> Marketo:
    return Marketo(settings())


def submit(
    marketo: Marketo,
    rows: Sequence[DeliveryRow],
    *,
    operation: Operation = Operation.ADD,
    into: str | None = None,
    creates: bool = True,
    match_key: str = "email",
) -> str:
    return marketo.submit_job(operation, rows, match_key=match_key, audience_id=into, creates=creates, label="plan-1-3")


def imported(marketo: Marketo, rows: Sequence[DeliveryRow], **facts: Any) -> list[Outcome]:
    job = submit(marketo, rows, **facts)
    assert marketo.poll_job(job).done
    return marketo.job_outcomes(job, facts.get("operation", Operation.ADD), rows)


def queued(alone: responses.RequestsMock, **status: object) -> None:
    """The import with id 9, which ended so."""
    alone.post(BULK, json=results({"batchId": 9, "importId": "9", "status": "Queued"}))
    alone.get(STATUS, json=results({"batchId": 9, "status": "Complete", "numOfLeadsProcessed": 3, **status}))


def asked(alone: responses.RequestsMock, url: str) -> list[requests.PreparedRequest]:
    return [call.request for call in alone.calls if str(call.request.url).split("?")[0] == url]


def file_of(alone: responses.RequestsMock) -> list[str]:
    """Lines of the file that was handed over."""
    body = asked(alone, BULK)[0].body
    assert isinstance(body, bytes)
    return body.decode().split("\r\n\r\n", 1)[1].split("\r\n--", 1)[0].splitlines()


def test_a_file_goes_with_its_list_and_holds_those_who_fill_the_same_fields(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    queued(alone)
    rows = [
        row("ana@box.example", 1, firstName='Ana "A", B', visits=3.0),
        row("ben@box.example", 2, firstName=None, visits=1),
        row("cem@box.example", 3, firstName="Null", visits=1),
        row("dan@box.example", 4, visits=1),
        row("eva@box.example", 5, visits=2, firstName="Zoë"),
    ]
    job = submit(connector, rows, into="7")
    assert str(asked(alone, BULK)[0].url) == f"{BULK}?format=csv&lookupField=email&listId=7"
    assert file_of(alone) == [
        "email,firstName,visits",
        'ana@box.example,"Ana ""A"", B",3',
        "eva@box.example,Zoë,2",
    ]
    # The others are written when it is done.
    alone.post(LEADS, json=results(*({"id": number, "status": "updated"} for number in (2, 3, 4))))
    alone.post(LIST, json=results(*({"id": number, "status": "added"} for number in (2, 3, 4))))
    outcomes = connector.job_outcomes(job, Operation.ADD, rows)
    assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED] * 5
    assert [outcome.external_id for outcome in outcomes] == [None, "2", "3", "4", None]


def test_an_update_does_not_put_anyone_into_the_list(alone: responses.RequestsMock, connector: Marketo) -> None:
    queued(alone)
    rows = [row("ana@box.example", external_id="5", firstName="Ana")]
    outcomes = imported(connector, rows, operation=Operation.UPDATE, into="7")
    assert str(asked(alone, BULK)[0].url) == f"{BULK}?format=csv&lookupField=id"
    assert file_of(alone) == ["id,firstName", "5,Ana"]
    assert outcomes[0].external_id == "5"


def test_only_who_is_known_by_id_is_in_the_file_of_a_sync_that_creates_nobody(
    marketo: Marketo, sandbox: Sandbox
) -> None:
    known, unknown, stranger = (f"{uuid4().hex}@box.example" for _ in range(3))
    ids = [outcome.external_id for outcome in marketo.upsert([row(known), row(unknown, 2)], match_key="email")]
    rows = [
        row(known, 1, external_id=ids[0], city="Genoa"),
        row(unknown, 2, city="Genoa"),
        row(stranger, 3, city="Genoa"),
    ]
    outcomes = imported(marketo, rows, operation=Operation.UPDATE, creates=False)
    assert [outcome.code for outcome in outcomes] == [None, None, "not_found"]
    held = {one["match"]["email"]: one["fields"].get("city") for one in people(sandbox)}
    assert (held[known], held[unknown], stranger in held) == ("Genoa", "Genoa", False)


def test_who_failed_or_was_warned_of_has_an_outcome_of_their_own(marketo: Marketo, sandbox: Sandbox) -> None:
    good, wrong, bad = f"{uuid4().hex}@box.example", f"{uuid4().hex}@box.example", "bad@@example"
    into = marketo.ensure_audience(uuid4().hex)
    rows = [row(good, 1, leadScore=1), row(wrong, 2, leadScore="many"), row(bad, 3, leadScore=3)]
    for _ in range(2):
        outcomes = imported(marketo, rows, into=into)
        assert [outcome.status for outcome in outcomes] == [Status.ACCEPTED, Status.REJECTED, Status.REJECTED]
        assert [outcome.code for outcome in outcomes] == [None, "import_failed", "1003"]
        assert bad not in str(outcomes[2].reason)
        assert list(marketo.read_back(into)) == [good]


def test_who_was_only_warned_of_and_is_refused_does_not_stay_in_the_list(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    queued(alone, numOfRowsWithWarning=1)
    alone.get(WARNINGS, body="email,visits,Import Warning Reason\nBen@box.example,2,Odd\n", content_type="text/csv")
    alone.post(LEADS, json=results(skipped("1003", "Invalid data")))
    alone.get(LEADS, json=results({"id": 6, "email": "ben@box.example"}))
    alone.delete(LIST, json=results({"id": 6, "status": "removed"}))
    rows = [row("ana@box.example", 1, visits=1), row("ben@box.example", 2, visits=2)]
    outcomes = imported(connector, rows, into="7")
    assert [outcome.code for outcome in outcomes] == [None, "1003"]
    assert str(asked(alone, LIST)[0].url) == f"{LIST}?id=6"


def test_rows_that_no_file_names_are_asked_about_once_more(alone: responses.RequestsMock, connector: Marketo) -> None:
    queued(alone, numOfRowsFailed=2)
    # A file may lack the columns that are empty in all of its rows.
    alone.get(FAILURES, body="visits,Import Failure Reason\n1,Odd\n", content_type="text/csv")
    alone.post(LEADS, json=results({"id": 5, "status": "updated"}, skipped("1001", "Invalid value")))
    rows = [row("ana@box.example", 1, visits=1), row("ben@box.example", 2, visits="b")]
    assert [outcome.code for outcome in imported(connector, rows)] == [None, "1001"]


def test_who_was_merged_meanwhile_is_written_by_key(alone: responses.RequestsMock, connector: Marketo) -> None:
    queued(alone, numOfRowsFailed=1)
    alone.get(FAILURES, body="id,visits,Import Failure Reason\n5,1,Lead not found\n", content_type="text/csv")
    alone.post(LEADS, json=results(skipped("1004", "Lead not found")))
    alone.post(LEADS, json=results({"id": 8, "status": "updated"}))
    rows = [row("ana@box.example", 1, external_id="5", visits=1), row("ben@box.example", 2, external_id="6", visits=2)]
    outcomes = imported(connector, rows, operation=Operation.UPDATE)
    assert [outcome.external_id for outcome in outcomes] == ["8", "6"]


def test_who_moves_to_another_address_is_in_no_file(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.get(LEADS, json=results({"id": 5, "customerId": "C-1", "email": "old@box.example", "unsubscribed": True}))
    rows = [row("C-1", email="new@box.example")]
    outcomes = imported(connector, rows, match_key="external_id")
    assert (outcomes[0].status, outcomes[0].code) == (Status.SUPPRESSED, "unsubscribed")
    assert asked(alone, BULK) == []


@pytest.mark.parametrize("at", ["the submission", "the end"])
def test_a_file_that_fails_as_a_whole_goes_the_ordinary_way(
    alone: responses.RequestsMock, connector: Marketo, at: str
) -> None:
    if at == "the end":
        queued(alone, status="Failed", message="System error")
    else:
        alone.post(BULK, json=refusal("1003", "Empty file"))
    alone.post(LEADS, json=results({"id": 5, "status": "created"}, {"id": 6, "status": "created"}))
    rows = [row("ana@box.example", 1), row("ben@box.example", 2)]
    assert [outcome.external_id for outcome in imported(connector, rows)] == ["5", "6"]


def test_a_batch_that_is_refused_whole_on_the_ordinary_way_is_halved(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    alone.post(BULK, json=refusal("1003", "Empty file"))
    for answer in (refusal("609", "Invalid JSON"), results({"id": 5, "status": "created"}), refusal("609", "Invalid")):
        alone.post(LEADS, json=answer)
    outcomes = imported(connector, [row("ana@box.example", 1), row("ben@box.example", 2)])
    assert [outcome.code for outcome in outcomes] == [None, "609"]


@pytest.mark.parametrize("code", ["1016", "1019"])
def test_a_full_queue_is_waited_for(alone: responses.RequestsMock, connector: Marketo, code: str) -> None:
    alone.post(BULK, json=refusal(code, "Too many imports"))
    queued(alone)
    assert imported(connector, [row("ana@box.example")])[0].status is Status.ACCEPTED
    alone.replace(responses.POST, BULK, json=refusal(code, "Too many imports"))
    with pytest.raises(UnavailableError):
        submit(Marketo(settings()), [row("ana@box.example")])


def test_a_wrong_mapping_stops_the_sync(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(BULK, json=refusal("1006", "Field 'x' not found"))
    with pytest.raises(ConfigurationError):
        submit(connector, [row("ana@box.example", x=1)])


def test_a_submission_without_an_answer_is_not_repeated(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(BULK, body=requests.ConnectionError("reset"))
    with pytest.raises(UnknownOutcomeError):
        submit(connector, [row("ana@box.example")])
    assert len(asked(alone, BULK)) == 1
    assert connector.find_job("plan-1-3") is None


def test_a_throttled_submission_is_made_again(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(BULK, json=refusal("606"))
    queued(alone)
    assert Import.parse(submit(connector, [row("ana@box.example")])).batch == "9"


def test_imports_into_one_list_come_one_after_the_other(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(BULK, json=results({"batchId": 9, "status": "Queued"}))
    for status in ("Queued", "Importing", "Complete"):
        alone.get(STATUS, json=results({"batchId": 9, "status": status}))
    alone.post(BULK, json=results({"batchId": 10, "status": "Queued"}))
    for number in range(2):
        submit(connector, [row(f"p{number}@box.example")], into="7")
    methods = [call.request.method for call in alone.calls if "/bulk/" in str(call.request.url)]
    assert methods == ["POST", "GET", "GET", "GET", "POST"]


def test_how_far_an_import_is(alone: responses.RequestsMock, connector: Marketo) -> None:
    alone.post(BULK, json=results({"batchId": 9, "status": "Queued"}))
    alone.get(STATUS, json=results({"batchId": 9, "status": "Importing", "numOfLeadsProcessed": 1}))
    job = submit(connector, [row("ana@box.example", 1), row("ben@box.example", 2)])
    progress = connector.poll_job(job)
    assert (progress.done, progress.share) == (False, 0.5)
    assert str(Import.parse(job)) == job
    alone.replace(responses.GET, STATUS, json=refusal("1003", "no such import"))
    with pytest.raises(RefusedError):
        connector.poll_job(job)


def test_many_jobs_side_by_side_do_not_meet(marketo: Marketo) -> None:
    into = marketo.ensure_audience(uuid4().hex)
    groups = [[row(f"{uuid4().hex}@box.example", number) for number in range(5)] for _ in range(4)]
    failures: list[RetryableError] = []

    def work(rows: Sequence[DeliveryRow]) -> None:
        try:
            imported(marketo, rows, into=into)
        except RetryableError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in groups]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert failures == []
    assert sorted(marketo.read_back(into)) == sorted(one.match_value for rows in groups for one in rows)
