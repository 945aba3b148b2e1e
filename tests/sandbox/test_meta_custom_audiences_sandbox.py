"""The stand-in for Meta's custom audiences, over HTTP."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.limits import Window
from millstream.sandbox.meta_custom_audiences import MetaCustomAudiences

NAME = "meta_custom_audiences"
TOKEN = "EAAsandboxMeta"
ACCOUNT, WITHOUT_TERMS, WITHOUT_ACCESS = "act_1001001001", "act_1001001002", "act_1001001003"
NEWSLETTER, EMAIL_ONLY, FLAGGED = "23850000000000101", "23850000000000102", "23850000000000103"
WEBSITE, OUTLET = "23850000000000104", "23850000000000105"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, token: str = TOKEN, version: str = "v25.0") -> None:
        self.sandbox = sandbox
        self.token = token
        self.version = version
        system = sandbox.systems[NAME]
        assert isinstance(system, MetaCustomAudiences)
        self.system = system

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = f"{self.sandbox.system_url(NAME)}/{self.version}{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        query = {name: str(value) for name, value in params.items()}
        return requests.request(method, url, headers=headers, json=body, params=query, timeout=10)

    def get(self, path: str, **params: object) -> Any:
        answer = self.ask("GET", path, **params)
        assert answer.ok, answer.text
        return answer.json()

    def create(self, name: str = "Best customers", **more: object) -> str:
        body = {"name": name, "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **more}
        answer = self.ask("POST", f"/{ACCOUNT}/customaudiences", body)
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def users(self, method: str, audience: str, schema: object, *data: object, **more: object) -> requests.Response:
        session = {"session": more.pop("session")} if "session" in more else {}
        body = {"payload": {"schema": schema, "data": list(data), **more}, **session}
        return self.ask(method, f"/{audience}/users", body)

    def replace(self, audience: str, session_id: int, seq: int, *emails: str, last: bool) -> requests.Response:
        session = {"session_id": session_id, "batch_seq": seq, "last_batch_flag": last, "estimated_num_total": 9}
        body = {"session": session, "payload": {"schema": ["EMAIL"], "data": [[sha(one)] for one in emails]}}
        return self.ask("POST", f"/{audience}/usersreplace", body)

    def members(self, audience: str) -> list[list[str]]:
        state = requests.get(f"{self.sandbox.url}/_sandbox/state/{NAME}", timeout=10).json()
        found: list[list[str]] = state["audiences"][audience]["members"]
        return found

    def order(self, kind: str, **order: object) -> None:
        body = {"system": NAME, "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


def refused(answer: requests.Response) -> tuple[int, int, int | None]:
    error = answer.json()["error"]
    assert {"message", "type", "code", "fbtrace_id"} <= error.keys()
    return answer.status_code, error["code"], error.get("error_subcode")


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Client:
    requests.post(f"{running.url}/_sandbox/reset", timeout=10)
    return Client(running)


# Who may ask


@pytest.mark.parametrize(
    ("token", "wanted"),
    [
        ("", (400, 104, None)),
        ("nonsense", (400, 190, None)),
        ("EAAsandboxMetaExpired", (400, 190, 463)),
        ("EAAsandboxMetaReadOnly", (403, 294, None)),
        ("EAAsandboxMetaProof", (400, 100, None)),
    ],
)
def test_tokens_that_do_not_fit_are_refused(client: Client, token: str, wanted: tuple[int, int, int | None]) -> None:
    client.token = token
    assert refused(client.users("POST", NEWSLETTER, ["EMAIL"], [sha("a")])) == wanted


def test_a_token_may_stand_in_the_address(client: Client) -> None:
    client.token = ""
    assert client.get(f"/{ACCOUNT}", access_token=TOKEN) == {"id": ACCOUNT}


def test_the_proof_of_the_secret_is_checked_wherever_it_comes(client: Client) -> None:
    client.token = "EAAsandboxMetaProof"
    proof = hmac.new(b"sandbox-meta-app-secret", client.token.encode(), hashlib.sha256).hexdigest()
    assert client.get(f"/{ACCOUNT}", fields="account_status", appsecret_proof=proof)["account_status"] == 1
    client.token = TOKEN
    assert refused(client.ask("GET", f"/{ACCOUNT}", appsecret_proof=proof)) == (400, 100, None)


@pytest.mark.parametrize(("version", "code"), [("v15.0", 2635), ("v99.0", 2500), ("nonsense", 2500)])
def test_versions_pass_away(client: Client, version: str, code: int) -> None:
    client.version = version
    assert refused(client.ask("GET", f"/{ACCOUNT}"))[1] == code


def test_accounts_of_others_cannot_be_seen(client: Client) -> None:
    assert refused(client.ask("GET", f"/{WITHOUT_ACCESS}")) == (403, 200, None)
    assert refused(client.ask("GET", "/act_5")) == (400, 100, 33)
    assert [row["id"] for row in client.get("/me/adaccounts")["data"]] == [ACCOUNT, WITHOUT_TERMS]
    assert {row["permission"] for row in client.get("/me/permissions")["data"]} == {"ads_management", "ads_read"}


def test_terms_have_to_be_accepted_in_the_ad_account(client: Client) -> None:
    body = {"name": "X", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY"}
    assert refused(client.ask("POST", f"/{WITHOUT_TERMS}/customaudiences", body)) == (400, 2655, None)
    assert refused(client.users("POST", OUTLET, ["EMAIL"], [sha("a")])) == (403, 200, 1870034)


# Audiences


def test_audiences_are_found_page_by_page_and_by_name(client: Client) -> None:
    first = client.get(f"/{ACCOUNT}/customaudiences", fields="name", limit=3)
    assert [set(row) for row in first["data"]] == [{"name", "id"}] * 3
    second = client.get(f"/{ACCOUNT}/customaudiences", fields="name", after=first["paging"]["cursors"]["after"])
    assert len(second["data"]) == 1
    assert "next" in first["paging"]
    assert "next" not in second["paging"]
    wanted = json.dumps([{"field": "name", "operator": "EQUAL", "value": "Newsletter readers"}])
    assert [row["id"] for row in client.get(f"/{ACCOUNT}/customaudiences", filtering=wanted)["data"]] == [NEWSLETTER]
    assert refused(client.ask("GET", f"/{ACCOUNT}/customaudiences", fields="approximate_count"))[1] == 100
    assert refused(client.ask("GET", f"/{ACCOUNT}/customaudiences", after="1"))[1] == 100


def test_nothing_keeps_two_audiences_from_having_one_name(client: Client) -> None:
    assert client.create("Twice") != client.create("Twice")


@pytest.mark.parametrize("changed", [{"name": ""}, {"subtype": "WEBSITE"}, {"customer_file_source": "STOLEN"}])
def test_incomplete_audiences_are_refused(client: Client, changed: dict[str, str]) -> None:
    body = {"name": "X", "subtype": "CUSTOM", "customer_file_source": "USER_PROVIDED_ONLY", **changed}
    assert refused(client.ask("POST", f"/{ACCOUNT}/customaudiences", body)) == (400, 100, None)


def test_a_deleted_audience_is_unknown_to_reading_and_told_apart_by_writing(client: Client) -> None:
    audience = client.create()
    assert client.ask("DELETE", f"/{audience}").json() == {"success": True}
    assert refused(client.ask("GET", f"/{audience}")) == (400, 100, 33)
    assert refused(client.users("POST", audience, ["EMAIL"], [sha("a")]))[1] == 1487366
    assert refused(client.users("POST", "4711", ["EMAIL"], [sha("a")])) == (400, 100, 33)


def test_the_number_of_members_is_never_told(client: Client) -> None:
    client.system.audiences.seconds = 0.05
    audience = client.create()
    client.users("POST", audience, ["EMAIL"], [sha("a")])
    fields = "approximate_count_lower_bound,approximate_count_upper_bound,operation_status,delivery_status"
    busy = client.get(f"/{audience}", fields=fields)
    assert (busy["operation_status"]["code"], busy["approximate_count_lower_bound"]) == (441, -1)
    time.sleep(0.06)
    ready = client.get(f"/{audience}", fields=fields)
    assert (ready["operation_status"]["code"], ready["delivery_status"]["code"]) == (200, 300)
    assert ready["approximate_count_upper_bound"] == 1000


# Members


def test_some_people_are_members_from_the_start(client: Client) -> None:
    members = client.members(NEWSLETTER)
    assert 50 < len(members) < 110
    assert members == client.members(FLAGGED)
    assert all(len(value) == 64 for member in members for value in member)


def test_uploads_are_answered_by_counts_and_samples_alone(client: Client) -> None:
    audience = client.create()
    rows = [["42", sha("ana@box.example")], ["43", "ana@box.example"], ["", ""], ["44", sha("B").upper()], ["45", ""]]
    answer = client.users("POST", audience, ["EXTERN_ID", "EMAIL"], *rows).json()
    assert (answer["num_received"], answer["num_invalid_entries"]) == (5, 3)
    assert answer["audience_id"] == audience
    assert answer["session_id"].isdigit()
    assert json.dumps(rows[1], separators=(",", ":")) in answer["invalid_entry_samples"]
    assert client.members(audience) == [["42", sha("ana@box.example")], ["45"]]


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("EMAIL", sha("a"), "a@box.example"),
        ("COUNTRY", sha("de"), "de"),
        ("MADID", "0d4f1b1e-53a4-4e11-8b0a-2f0c9f3f2a10", sha("0d4f1b1e")),
        ("MADID", "0d4f1b1e-53a4-4e11-8b0a-2f0c9f3f2a10", "0D4F1B1E-53A4-4E11-8B0A-2F0C9F3F2A10"),
        ("EXTERN_ID", "C-000001", None),
        ("PHONE", sha("4917012345"), 4917012345),
    ],
)
def test_each_key_has_its_form(client: Client, key: str, good: object, bad: object) -> None:
    answer = client.users("POST", client.create(), [key], [good], [bad]).json()
    assert (answer["num_received"], answer["num_invalid_entries"]) == (2, 1)


def test_raw_values_are_hashed_by_the_vendor_and_hashes_never_twice(client: Client) -> None:
    audience = client.create()
    client.users("POST", audience, ["EMAIL", "PHONE"], [" Ana@Box.example", "+49 (170) 1234"], is_raw=True)
    client.users("POST", audience, ["EMAIL"], [sha("bo@box.example")], is_raw=True)
    assert client.members(audience) == [[sha("ana@box.example"), sha("491701234")], [sha("bo@box.example")]]


def test_a_removal_by_one_key_removes_who_has_it(client: Client) -> None:
    audience = client.create()
    shared = sha("12025550100")
    rows = [[sha("a"), shared, "1"], [sha("b"), shared, "2"], [sha("c"), "", "3"]]
    client.users("POST", audience, ["EMAIL", "PHONE", "EXTERN_ID"], *rows)
    assert client.users("DELETE", audience, ["EMAIL", "PHONE"], [sha("a"), shared]).json()["num_received"] == 1
    assert [member[2] for member in client.members(audience) if len(member) == 3] == ["2"]
    client.users("DELETE", audience, ["EXTERN_ID"], ["3"])
    client.users("DELETE", audience, ["PHONE"], [shared])
    assert client.members(audience) == []
    assert client.users("DELETE", audience, ["EMAIL"], [sha("nobody")]).json()["num_invalid_entries"] == 0


def test_a_new_address_is_another_member_unless_an_own_id_comes_along(client: Client) -> None:
    audience = client.create()
    client.users("POST", audience, ["EMAIL"], [sha("old")])
    client.users("POST", audience, ["EMAIL"], [sha("new")])
    assert len(client.members(audience)) == 2
    client.users("POST", audience, ["EXTERN_ID", "EMAIL"], ["7", sha("first")])
    client.users("POST", audience, ["EXTERN_ID", "EMAIL"], ["7", sha("second")])
    client.users("POST", audience, ["EXTERN_ID", "EMAIL"], ["7", sha("second")])
    assert len(client.members(audience)) == 3
    client.users("DELETE", audience, ["EXTERN_ID"], ["7"])
    assert client.members(audience) == [[sha("old")], [sha("new")]]


def test_names_alone_have_to_fit_as_a_whole(client: Client) -> None:
    audience = client.create()
    client.users("POST", audience, ["FN", "LN", "ZIP"], [sha("ana"), sha("may"), sha("1")], [sha("bo"), sha("may"), ""])
    client.users("DELETE", audience, ["FN", "LN"], [sha("ana"), sha("may")])
    assert client.members(audience) == [[sha("bo"), sha("may")]]


def test_post_with_the_method_delete_removes(client: Client) -> None:
    audience = client.create()
    client.users("POST", audience, ["EMAIL"], [sha("a")])
    payload = json.dumps({"schema": ["EMAIL"], "data": [[sha("a")]]})
    url = f"{client.sandbox.system_url(NAME)}/v25.0/{audience}/users"
    form = {"payload": payload, "method": "delete", "access_token": TOKEN}
    assert requests.post(url, data=form, timeout=10).json()["num_received"] == 1
    assert client.members(audience) == []


def test_a_person_can_be_taken_out_of_all_audiences(client: Client) -> None:
    hashes = client.members(NEWSLETTER)[0]
    body = {"payload": {"schema": ["EMAIL"], "data": [[hashes[0]]]}}
    assert client.ask("DELETE", f"/{ACCOUNT}/usersofanyaudience", body).json()["num_received"] == 1
    assert hashes not in client.members(NEWSLETTER)
    assert [hashes[0]] not in client.members(EMAIL_ONLY)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"schema": ["EMAIL", "SHOE_SIZE"], "data": [[sha("a"), "9"]]}, 100),
        ({"schema": ["EMAIL", "PHONE"], "data": [[sha("a")]]}, 100),
        ({"schema": ["EMAIL"], "data": [sha("a")]}, 100),
        ({"schema": ["EMAIL"], "data": []}, 100),
        ({"schema": "LN_FN", "data": [sha("a")]}, 100),
        ({"schema": ["DATA_PROCESSING_OPTIONS"], "data": [[[]]]}, 100),
        ({"schema": ["EMAIL"], "data": [[sha("a")]], "colour": "red"}, 100),
        ({"schema": ["EMAIL"], "data": [[sha("a")]], "is_raw": "perhaps"}, 100),
        ({"schema": ["EMAIL"], "data": [["x"]] * 10_001}, 105),
    ],
)
def test_malformed_uploads_are_refused_as_a_whole(client: Client, payload: object, code: int) -> None:
    audience = client.create()
    assert refused(client.ask("POST", f"/{audience}/users", {"payload": payload})) == (400, code, None)
    assert client.members(audience) == []


def test_a_payload_is_needed(client: Client) -> None:
    assert refused(client.ask("POST", f"/{NEWSLETTER}/users", {}))[1] == 100
    url = f"{client.sandbox.system_url(NAME)}/v25.0/{NEWSLETTER}/users"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    assert refused(requests.post(url, data="{", headers=headers, timeout=10))[1] == 100


def test_options_of_data_processing_are_a_list_in_each_row(client: Client) -> None:
    audience = client.create()
    schema = ["EMAIL", "DATA_PROCESSING_OPTIONS"]
    answer = client.users("POST", audience, schema, [sha("a"), []], [sha("b"), ["LDU"]]).json()
    assert answer["num_invalid_entries"] == 0
    assert client.members(audience) == [[sha("a")], [sha("b")]]
    assert refused(client.users("POST", audience, schema, [sha("c"), "LDU"]))[1] == 100
    assert refused(client.users("POST", audience, schema, [sha("c"), ["CCPA"]]))[1] == 100


def test_values_are_only_for_audiences_based_on_them(client: Client) -> None:
    schema, rows = ["EMAIL", "LOOKALIKE_VALUE"], ([sha("a"), 44.5], [sha("b"), -1])
    assert refused(client.users("POST", client.create(), schema, *rows))[1] == 100
    assert client.users("POST", client.create(is_value_based=True), schema, *rows).json()["num_invalid_entries"] == 1


def test_an_audience_keeps_to_several_keys_and_a_web_site_takes_none(client: Client) -> None:
    assert refused(client.users("POST", NEWSLETTER, "EMAIL_SHA256", sha("a"))) == (400, 2650, None)
    assert client.users("POST", EMAIL_ONLY, "EMAIL_SHA256", sha("a"), sha("b")).json()["num_received"] == 2
    assert [sha("b")] in client.members(EMAIL_ONLY)
    assert refused(client.users("POST", WEBSITE, ["EMAIL"], [sha("a")])) == (400, 2650, None)


def test_a_flagged_audience_cannot_be_changed(client: Client) -> None:
    assert client.get(f"/{FLAGGED}", fields="operation_status")["operation_status"]["code"] == 471
    for method in ("POST", "DELETE"):
        assert refused(client.users(method, FLAGGED, ["EMAIL"], [sha("a")])) == (400, 100, 1713230)


# Sessions


def test_batches_of_a_session_are_counted_together(client: Client) -> None:
    audience = client.create()
    for seq, last in ((1, False), (2, True)):
        session = {"session_id": 77, "batch_seq": seq, "last_batch_flag": last, "estimated_num_total": 3}
        answer = client.users("POST", audience, ["EMAIL"], [sha(str(seq))], ["bad"], session=session)
        assert answer.json()["session_id"] == "77"
        stage = client.get(f"/{audience}/sessions", fields="stage,num_received,num_invalid_entries")["data"][0]
        assert stage["stage"] == ("ended" if last else "uploading")
    assert (stage["num_received"], stage["num_invalid_entries"]) == ("4", "2")


@pytest.mark.parametrize(
    "session", [{"session_id": "x", "batch_seq": 1}, {"session_id": 1}, {"session_id": 1, "batch_seq": 0}, {"id": 1}, 5]
)
def test_malformed_sessions_are_refused(client: Client, session: object) -> None:
    answer = client.users("POST", NEWSLETTER, ["EMAIL"], [sha("a")], session=session)
    assert refused(answer) == (400, 100, None)


def test_a_replacement_takes_effect_with_its_last_batch(client: Client) -> None:
    audience = client.create()
    client.users("POST", audience, ["EMAIL"], [sha("old")])
    assert client.replace(audience, 5, 1, "a", "b", last=False).json()["num_received"] == 2
    assert client.members(audience) == [[sha("old")]]
    assert refused(client.users("POST", audience, ["EMAIL"], [sha("c")])) == (400, 2650, 1870145)
    assert refused(client.replace(audience, 6, 1, "x", last=True)) == (400, 2650, 1870145)
    assert client.replace(audience, 5, 2, "b", "c", last=True).ok
    assert client.members(audience) == [[sha("a")], [sha("b")], [sha("c")]]


def test_a_replacement_begins_with_its_first_batch_and_has_little_time(client: Client) -> None:
    audience = client.create()
    body = {"payload": {"schema": ["EMAIL"], "data": [[sha("a")]]}}
    assert refused(client.ask("POST", f"/{audience}/usersreplace", body)) == (400, 100, None)
    assert refused(client.replace(audience, 5, 2, "a", last=True)) == (400, 2650, 1870158)
    assert client.replace(audience, 5, 1, "a", last=False).ok
    client.system.audiences.replacing_seconds = 0
    assert refused(client.replace(audience, 5, 2, "b", last=True)) == (400, 2650, 1870158)
    assert client.replace(audience, 6, 1, "b", last=True).ok
    assert client.members(audience) == [[sha("b")]]


# Faults and limits


def test_faults_speak_the_vendors_words(client: Client) -> None:
    client.order("server_error", times=1, status=500)
    assert refused(client.ask("GET", f"/{ACCOUNT}")) == (500, 1, None)
    client.order("server_error", times=1)
    down = client.ask("GET", f"/{ACCOUNT}")
    assert (refused(down), down.json()["error"]["is_transient"]) == ((503, 2, None), True)
    client.order("expire_token", times=1)
    assert refused(client.ask("GET", f"/{ACCOUNT}")) == (400, 190, 463)
    assert refused(client.ask("GET", "/act_1/nothing/here")) == (400, 2500, None)


@pytest.mark.parametrize(("policy", "wanted"), [(None, (400, 80003)), ("17", (400, 17)), ("4", (403, 4))])
def test_throttling_has_codes_and_counts_minutes(client: Client, policy: str | None, wanted: tuple[int, int]) -> None:
    client.order("rate_limited", times=1, seconds=90, policy=policy)
    answer = client.ask("GET", f"/{ACCOUNT}")
    assert refused(answer)[:2] == wanted
    assert "Retry-After" not in answer.headers
    usage = json.loads(answer.headers["X-Business-Use-Case-Usage"])["1001001001"][0]
    assert (usage["call_count"], usage["estimated_time_to_regain_access"]) == (100, 2)
    assert usage["type"] == "custom_audience"


def test_refused_rows_are_counted_as_invalid(client: Client) -> None:
    audience = client.create()
    client.order("refuse_rows", share=0.5)
    rows = [[sha(str(number))] for number in range(40)]
    answers = [client.users("POST", audience, ["EMAIL"], *rows).json() for _ in range(2)]
    invalid = answers[0]["num_invalid_entries"]
    assert 8 < invalid < 32
    assert answers[1]["num_invalid_entries"] == invalid
    assert len(answers[0]["invalid_entry_samples"]) == 5
    assert len(client.members(audience)) == 40 - invalid


def test_a_write_is_kept_when_its_answer_is_lost(client: Client) -> None:
    audience = client.create()
    client.order("reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.users("POST", audience, ["EMAIL"], [sha("a")])
    assert client.members(audience) == [[sha("a")]]


def test_calls_are_counted_against_a_limit() -> None:
    with Sandbox(people=10) as sandbox:
        client = Client(sandbox)
        client.system.calls = Window(4, 3600)
        for used in (25, 50, 75, 100):
            header = client.ask("GET", f"/{ACCOUNT}").headers["X-Business-Use-Case-Usage"]
            assert json.loads(header)["1001001001"][0]["call_count"] == used
        limited = client.ask("GET", f"/{ACCOUNT}")
        assert refused(limited)[:2] == (400, 80003)
        usage = json.loads(limited.headers["X-Business-Use-Case-Usage"])["1001001001"][0]
        assert usage["estimated_time_to_regain_access"] == 60


def test_a_large_company_costs_nothing() -> None:
    with Sandbox(people=1_000_000, limits=False) as sandbox:
        started = time.monotonic()
        assert len(Client(sandbox).members(NEWSLETTER)) > 300
        assert time.monotonic() - started < 1
