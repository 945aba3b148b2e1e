"""Mailchimp's jobs: many changes handed over at once, one outcome for each, and never an older value over a newer."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr

from millstream.destinations.contract import DeliveryRow, JobProgress, Outcome
from millstream.destinations.delivery import Delivery
from millstream.destinations.http import Http
from millstream.destinations.mailchimp import Mailchimp, MailchimpSettings
from millstream.destinations.mailchimp.answers import member_id
from millstream.destinations.mailchimp.jobs import JobId
from millstream.destinations.modes import Operation, Status
from millstream.destinations.preview import Look
from millstream.destinations.sending import jobs
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.sandbox.mailchimp.account import Mailchimp as Account
from millstream.state.errors import (
    NotFoundError,
    RefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from millstream.state.http import Retries
from millstream.state.ledger.journal import Journal
from millstream.state.store import DuckDBStore
from tests.destinations.memory import Killed

SYSTEM = "mailchimp"
ROOT = "https://mailchimp.test/3.0"
LINK = "https://files.test/results.tar.gz?signature=1"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    """The stand-in itself, whose jobs take no time unless a test says so."""
    found = sandbox.systems["mailchimp"]
    assert isinstance(found, Account)
    found.batches.reset()
    found.batches.seconds = 0.0
    return found


@pytest.fixture
def mailchimp(sandbox: Sandbox, account: Account) -> Mailchimp:
    return connect(sandbox)


@pytest.fixture
def offline() -> Mailchimp:
    """Against no vendor but ``alone``, with waits too short to notice."""
    made = Mailchimp(MailchimpSettings(base_url=ROOT, api_key=SecretStr("key-us1"), list_id="a1"))
    made._https[""] = Http(
        system=made.name,
        base_url=ROOT,
        auth=made.auth(),
        limit=made.rate_limit,
        classify=made.classify,
        retries=Retries(attempts=2, first_wait=0.001),
    )
    return made


def connect(sandbox: Sandbox) -> Mailchimp:
    given = {"list_id": "a1b2c3d4e5", "base_url": f"{sandbox.url}/mailchimp/3.0", "api_key": "sandbox-mailchimp-us1"}
    return Mailchimp(MailchimpSettings.model_validate(given))


def state(sandbox: Sandbox) -> dict[str, Any]:
    found: dict[str, Any] = requests.get(f"{sandbox.url}/_sandbox/state/mailchimp", timeout=10).json()
    return found


def first_names(sandbox: Sandbox) -> dict[str, str]:
    return {found["email_address"]: found["merge_fields"].get("FNAME", "") for found in state(sandbox)["members"]}


def with_status(sandbox: Sandbox, status: str) -> str:
    found = (one["email_address"] for one in state(sandbox)["members"] if one["status"] == status)
    return str(next(found))


def row(number: int, email: str, **fields: str) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=email, fields=fields, external_id=member_id(email))


def submit(
    mailchimp: Mailchimp, rows: Sequence[DeliveryRow], *, creates: bool = True, label: str = "plan_1-0-9"
) -> str:
    return mailchimp.submit_job(
        Operation.UPDATE, rows, match_key="email", audience_id=None, creates=creates, label=label
    )


def done(mailchimp: Mailchimp, job_id: str, rows: Sequence[DeliveryRow]) -> list[tuple[str, str | None]]:
    """What became of the rows of a job that has ended."""
    assert mailchimp.poll_job(job_id).done
    outcomes = mailchimp.job_outcomes(job_id, Operation.UPDATE, rows)
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


# Rows and their outcomes


def test_a_thousand_changes_take_four_requests(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    rows = [row(number, f"job-{number}@box.example", FNAME="Ana") for number in range(1000)]
    mailchimp.upsert(rows[:1], match_key="email")
    before = mailchimp.calls
    job_id = submit(mailchimp, rows)
    assert set(done(mailchimp, job_id, rows)) == {("accepted", None)}
    assert mailchimp.calls - before == mailchimp.requests_for(Operation.UPDATE, 1000, in_audience=True) == 4
    assert first_names(sandbox)["job-999@box.example"] == "Ana"


def test_each_row_gets_its_own_outcome_and_nobody_is_resubscribed(
    mailchimp: Mailchimp, account: Account, sandbox: Sandbox
) -> None:
    mailchimp.upsert([row(1, "own@box.example")], match_key="email")
    mailchimp.erase([row(2, "gone@box.example")], match_key="email")
    gone, unsubscribed = "to-forget@box.example", with_status(sandbox, "unsubscribed")
    mailchimp.upsert([DeliveryRow(number=1, match_value=gone, fields={})], match_key="email")
    mailchimp.erase([row(1, gone)], match_key="email")
    rows = [
        row(7, "own@box.example", FNAME="Ana"),
        row(3, unsubscribed, FNAME="Ben"),
        row(9, "bad@@example", FNAME="Cem"),
        row(4, gone, FNAME="Dan"),
        row(8, "OWN@box.example", FNAME="Eva"),
    ]
    job_id = submit(mailchimp, rows)
    outcomes = done(mailchimp, job_id, rows)
    sent = [one.operation_id for job in account.batches._jobs.values() for one in job.operations]
    assert sent == [f"plan_1-0-9:{number}" for number in (8, 3, 9, 4)]
    assert outcomes == [
        ("accepted", None),
        ("suppressed", "unsubscribed"),
        ("rejected", "invalid_resource"),
        ("suppressed", "forgotten"),
        ("accepted", None),
    ]
    assert first_names(sandbox)["own@box.example"] == "Eva"
    assert state(sandbox)["resubscribed"] == []


def test_a_job_of_the_mode_update_creates_nobody(mailchimp: Mailchimp, sandbox: Sandbox) -> None:
    known = with_status(sandbox, "subscribed")
    rows = [row(1, known, LNAME="Li"), row(2, "nobody-yet@box.example", LNAME="Li")]
    job_id = submit(mailchimp, rows, creates=False)
    assert done(mailchimp, job_id, rows) == [("accepted", None), ("rejected", "not_on_list")]
    assert "nobody-yet@box.example" not in first_names(sandbox)


def test_a_job_says_how_far_it_is(mailchimp: Mailchimp, account: Account) -> None:
    account.batches.seconds = 3600
    job_id = submit(mailchimp, [row(1, "slow@box.example", FNAME="Ana")])
    assert mailchimp.poll_job(job_id) == JobProgress(done=False, share=0.0)


def archive(*answers: dict[str, object]) -> bytes:
    """What the vendor packs."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as files:
        for number, answer in enumerate(answers):
            data = orjson.dumps([answer])
            entry = tarfile.TarInfo(f"./{number}.json")
            entry.size = len(data)
            files.addfile(entry, io.BytesIO(data))
    return gzip.compress(packed.getvalue())


def ended(alone: responses.RequestsMock) -> None:
    job = {"id": "b1", "status": "finished", "total_operations": 1, "response_body_url": LINK}
    alone.get(f"{ROOT}/batches/b1", json=job)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"status_code": 429, "response": "<html>slow down</html>"}, ("retry_later", "unavailable")),
        ({"status_code": 503, "response": ""}, ("retry_later", "unavailable")),
        ({"status_code": 401, "response": '{"title": "API Key Invalid"}'}, ("retry_later", "unavailable")),
        ({"status_code": 400, "response": '{"title": "Invalid Resource"}'}, ("rejected", "invalid_resource")),
        ({"status_code": 200, "operation_id": "plan_2-0-9:1"}, ("retry_later", "not_in_results")),
    ],
    ids=["throttle", "outage", "key", "row", "of another plan"],
)
def test_an_answer_of_an_operation_is_read(
    offline: Mailchimp, alone: responses.RequestsMock, answer: dict[str, object], expected: tuple[str, str]
) -> None:
    ended(alone)
    alone.get(LINK, body=archive({"operation_id": "plan_1-0-9:1", **answer}))
    assert done(offline, "plan_1-0-9@b1", [row(1, "ana@box.example")]) == [expected]


def test_the_key_does_not_go_to_the_store_of_the_results(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    ended(alone)
    alone.get(LINK, body=archive())
    offline.job_outcomes("plan_1-0-9@b1", Operation.UPDATE, [])
    assert [("Authorization" in call.request.headers) for call in alone.calls] == [True, False]


@pytest.mark.parametrize("status", [403, 404])
def test_rows_whose_results_are_gone_are_tried_again(
    offline: Mailchimp, alone: responses.RequestsMock, status: int
) -> None:
    ended(alone)
    alone.get(LINK, status=status, body="<Error/>")
    assert done(offline, "plan_1-0-9@b1", [row(1, "ana@box.example")]) == [("retry_later", "results_gone")]


def test_a_job_that_the_vendor_forgot_counts_as_refused(mailchimp: Mailchimp) -> None:
    with pytest.raises(RefusedError, match="no longer knows"):
        mailchimp.poll_job("plan_1-0-9@ffff")


def test_a_missing_list_is_not_taken_for_missing_people(offline: Mailchimp, alone: responses.RequestsMock) -> None:
    ended(alone)
    alone.get(LINK, body=archive({"operation_id": "plan_1-0-9:1", "status_code": 404, "response": "{}"}))
    alone.get(f"{ROOT}/lists/a1", status=404, json={"title": "Resource Not Found"})
    with pytest.raises(NotFoundError, match="no list"):
        done(offline, "plan_1-0-9@b1", [row(1, "ana@box.example")])


# Jobs whose submission got no answer


@pytest.mark.parametrize("seconds", [0.0, 0.05], ids=["ended", "running"])
def test_a_job_whose_answer_is_lost_is_found_and_not_sent_again(
    mailchimp: Mailchimp, account: Account, faults: Any, seconds: float
) -> None:
    account.batches.seconds = seconds
    rows = [row(1, "lost@box.example", FNAME="Ana")]
    submit(mailchimp, rows, label="plan_0-0-1")
    faults(kind="reset", when="after", method="POST", path="/batches$", times=1)
    job_id = submit(mailchimp, rows)
    while not mailchimp.poll_job(job_id).done:
        pass
    assert done(mailchimp, job_id, rows) == [("accepted", None)]
    assert len(account.batches._jobs) == 2


def test_a_job_that_never_came_is_not_found(mailchimp: Mailchimp, faults: Any) -> None:
    assert mailchimp.find_job("plan_1-0-9") is None
    faults(kind="reset", when="before", method="POST", path="/batches$", times=1)
    with pytest.raises(UnknownOutcomeError):
        submit(mailchimp, [row(1, "never@box.example", FNAME="Ana")])


def test_jobs_of_others_are_waited_for_and_their_results_are_not_taken_for_ours(
    mailchimp: Mailchimp, account: Account
) -> None:
    account.batches.seconds = 3600
    for label in ("plan_0-0-1", "plan_0-1-1"):
        submit(mailchimp, [row(1, "other@box.example", FNAME="Old")], label=label)
    found = mailchimp.find_job("plan_1-0-9")
    assert found is not None
    first = account.batches._jobs[JobId.parse(found).ids[0]]
    assert not mailchimp.poll_job(found).done
    first.results = []
    assert not mailchimp.poll_job(found).done
    account.batches.seconds = 0.0
    assert done(mailchimp, found, [row(1, "other@box.example")]) == [("retry_later", "not_in_results")]


# A whole sync


def made_by(connector: type[Mailchimp], sandbox: Sandbox) -> Any:
    """Makes the connector, as delivery wants it."""
    return lambda: connector(connect(sandbox).settings)


class Mortal(Mailchimp):
    """Dies at a look after its job."""

    def poll_job(self, job_id: str) -> JobProgress:
        raise Killed


class Unlucky(Mailchimp):
    """Dies between the answer to a submission and the journal."""

    def submit_job(self, *given: Any, **facts: Any) -> str:
        super().submit_job(*given, **facts)
        raise Killed


class Lost(Mailchimp):
    """Cannot look for its jobs."""

    def find_job(self, label: str) -> str | None:
        raise UnreachableError("No answer.")


class Blind(Mailchimp):
    """Cannot be asked after its jobs."""

    def job_outcomes(self, job_id: str, operation: Operation, rows: Sequence[DeliveryRow]) -> list[Outcome]:
        raise NotFoundError("gone")


def a_sync(sandbox: Sandbox, folder: Path) -> Delivery:
    facts = {"destination": "mailchimp", "table": "crm.wanted", "mode": "upsert", "consent": "not_needed"}
    return Delivery(
        name="sync",
        sync=Sync.model_validate({**facts, "fields": {"FNAME": "name"}}),
        destination=made_by(Mailchimp, sandbox),
        store=DuckDBStore(folder / "store.duckdb"),
        journal=Journal("sqlite:///journal.sqlite", root=folder),
        plans=folder / "plans",
    )


def want(delivery: Delivery, name: str) -> None:
    with delivery.store.open() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
        connection.execute("DROP TABLE IF EXISTS crm.wanted")
        connection.execute(
            f"CREATE TABLE crm.wanted AS SELECT 'whole-' || i || '@box.example' AS email, '{name}' AS name"
            " FROM range(600) AS numbers(i)"
        )


def test_a_run_that_dies_while_waiting_is_gone_on_with(
    sandbox: Sandbox, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 0.01)
    delivery = a_sync(sandbox, tmp_path)
    want(delivery, "Old")
    assert delivery.activate("run 1").accepted == 600
    want(delivery, "Shown")
    preview = delivery.plan("look", Look(requests=True))
    assert preview.forecast is not None
    assert preview.forecast.requests == 4
    (shown,) = preview.requests
    assert (shown.method, shown.url.rsplit("/", 1)[1], shown.rows_each) == ("POST", "batches", 1000)
    assert "Shown" not in str(shown.body)
    assert "whole-" not in str(shown.body)
    want(delivery, "New")
    delivery.destination = made_by(Mortal, sandbox)
    with pytest.raises(Killed):
        delivery.activate("run 2")
    # Somebody has to look at the credential: until then the job stays as it is, and nothing is sent over it.
    want(delivery, "Newest")
    delivery.destination = made_by(Blind, sandbox)
    blind = delivery.activate("run 3")
    assert (blind.status, blind.ok, type(blind.error)) == ("stopped", False, NotFoundError)
    delivery.destination = made_by(Mailchimp, sandbox)
    report = delivery.activate("run 4")
    assert (report.recovered, report.accepted, report.status) == (600, 600, "completed")
    assert len(account.batches._jobs) == 2
    assert {name for email, name in first_names(sandbox).items() if email.startswith("whole-")} == {"Newest"}
    delivery.journal.close()


def test_a_job_whose_id_was_not_kept_is_found_before_anything_is_sent(
    sandbox: Sandbox, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 0.01)
    delivery = a_sync(sandbox, tmp_path)
    want(delivery, "Found")
    delivery.activate("run 1")
    want(delivery, "Sought")
    delivery.destination = made_by(Unlucky, sandbox)
    with pytest.raises(Killed):
        delivery.activate("run 2")
    delivery.destination = made_by(Lost, sandbox)
    lost = delivery.activate("run 3")
    assert (lost.status, lost.ok, lost.planned, type(lost.error)) == ("stopped", False, None, UnreachableError)
    delivery.destination = made_by(Mailchimp, sandbox)
    report = delivery.activate("run 4")
    assert (report.recovered, report.status, len(account.batches._jobs)) == (600, "completed", 1)
    assert report.planned is not None
    assert report.planned.operations == 0
    delivery.journal.close()


def test_a_refused_row_of_a_job_stands_alone(sandbox: Sandbox, account: Account, tmp_path: Path, faults: Any) -> None:
    delivery = a_sync(sandbox, tmp_path)
    want(delivery, "Old")
    delivery.activate("run 1")
    want(delivery, "Newer")
    faults(kind="refuse_rows", share=0.05)
    report = delivery.activate("run 2")
    assert 0 < report.rejected < 100
    assert report.accepted + report.rejected == 600
    assert Status.RETRY_LATER.value not in report.codes
    delivery.journal.close()
