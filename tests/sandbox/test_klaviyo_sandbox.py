"""The Klaviyo stand-in, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from millstream.sandbox import Sandbox
from millstream.sandbox.klaviyo import Klaviyo

KEY, REVISION = "pk_sandbox_klaviyo", "2026-07-15"
ROWS = "/data/attributes/profiles/data"
IMPORTS = "/profile-bulk-import-jobs"


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, **headers: str) -> None:
        self.sandbox = sandbox
        self.headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": REVISION, **headers}
        system = sandbox.systems["klaviyo"]
        assert isinstance(system, Klaviyo)
        self.system = system
        system.later.seconds = 0.02

    def ask(self, method: str, path: str, body: object = None, **params: object) -> requests.Response:
        url = f"{self.sandbox.system_url('klaviyo')}/api{path}"
        headers = {name: value for name, value in self.headers.items() if value}
        return requests.request(method, url, headers=headers, json=body, params=params, timeout=30)  # type: ignore[arg-type]

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        answer = self.ask("GET", path, **(params or {}))
        assert answer.ok, answer.text
        return answer.json()

    def import_rows(self, *rows: Mapping[str, object], lists: tuple[str, ...] = ()) -> requests.Response:
        profiles = [row if "attributes" in row else {"type": "profile", "attributes": row} for row in rows]
        data: dict[str, object] = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}
        if lists:
            data["relationships"] = {"lists": {"data": [{"type": "list", "id": one} for one in lists]}}
        return self.ask("POST", IMPORTS, {"data": data})

    def imported(self, *rows: Mapping[str, object], lists: tuple[str, ...] = ()) -> Any:
        answer = self.import_rows(*rows, lists=lists)
        assert answer.status_code == 202, answer.text
        return self.finished(answer.json()["data"]["id"])

    def finished(self, job_id: str) -> Any:
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            job = self.get(f"{IMPORTS}/{job_id}")["data"]
            if job["attributes"]["status"] == "complete":
                return job
            time.sleep(0.01)
        raise AssertionError("the job did not finish")

    def profile(self, email: str) -> Any:
        params = {"filter": f'equals(email,"{email}")', "additional-fields[profile]": "subscriptions"}
        (found,) = self.get("/profiles", params)["data"]
        return found

    def consent(self, email: str) -> Any:
        return self.profile(email)["attributes"]["subscriptions"]["email"]["marketing"]

    def wish(self, consent: str, *rows: Mapping[str, object], list_id: str | None = None) -> requests.Response:
        kind = "create" if consent == "SUBSCRIBED" else "delete"
        wanted = {"email": {"marketing": {"consent": consent}}}
        profiles = [{"type": "profile", "attributes": {"subscriptions": wanted, **row}} for row in rows]
        data: dict[str, object] = {
            "type": f"profile-subscription-bulk-{kind}-job",
            "attributes": {"profiles": {"data": profiles}},
        }
        if list_id is not None:
            data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
        answer = self.ask("POST", f"/profile-subscription-bulk-{kind}-jobs", {"data": data})
        time.sleep(0.03)
        return answer

    def state(self) -> Any:
        return requests.get(f"{self.sandbox.url}/_sandbox/state/klaviyo", timeout=30).json()

    def people(self, standing: str, *, on: str | None = None, off: str | None = None) -> list[Any]:
        return [
            one
            for one in self.state()["people"]
            if one["standing"] == standing
            and not one["written"]
            and (on is None or on in one["audiences"])
            and off not in one["audiences"]
        ]

    def order(self, kind: str, **order: object) -> None:
        body = {"system": "klaviyo", "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


@pytest.fixture
def client(shared: Sandbox) -> Iterator[Client]:
    yield Client(shared)
    requests.delete(f"{shared.url}/_sandbox/faults", timeout=10).raise_for_status()


def pointers(answer: requests.Response) -> list[str]:
    assert answer.status_code == 400, answer.text
    return [error["source"]["pointer"] for error in answer.json()["errors"]]


# Who may ask, and how


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Klaviyo-API-Key pk_wrong"}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 401),
        ({"revision": ""}, 400),
        ({"revision": "latest"}, 400),
        ({"revision": "2026-07-16"}, 400),
        ({"revision": "2023-10-15"}, 200),
        ({"revision": "2023-10-15", "X-Klaviyo-Revision-Fall-Forward-Opt-Out": "1"}, 410),
        ({"revision": "2025-01-15"}, 200),
    ],
)
def test_key_and_revision_are_required(shared: Sandbox, headers: dict[str, str], status: int) -> None:
    answer = Client(shared, **headers).ask("GET", "/accounts")
    assert answer.status_code == status
    assert status == 200 or answer.json()["errors"][0]["status"] == status


def test_a_key_does_what_its_scopes_say(shared: Sandbox) -> None:
    reader = Client(shared, Authorization="Klaviyo-API-Key pk_sandbox_klaviyo_read")
    assert reader.ask("GET", "/lists").status_code == 200
    refused = reader.ask("POST", "/lists", {"data": {"type": "list", "attributes": {"name": "X"}}})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (403, "permission_denied")


def test_an_app_renews_its_token_as_basic_client(shared: Sandbox) -> None:
    url = f"{shared.system_url('klaviyo')}/oauth/token"
    form = {"grant_type": "refresh_token", "refresh_token": "sandbox-refresh"}
    assert requests.post(url, data=form, timeout=10).status_code == 401
    answer = requests.post(url, data=form, auth=("sandbox-client", "sandbox-secret"), timeout=10).json()
    app = Client(shared, Authorization=f"Bearer {answer['access_token']}")
    assert app.ask("GET", "/accounts").status_code == 200
    shared.systems["klaviyo"].tokens.expire_issued()
    assert app.ask("GET", "/accounts").status_code == 401


def test_there_are_people_of_all_standings_before_any_sync(client: Client) -> None:
    state = client.state()
    found = {one["standing"] for one in state["people"]}
    assert found >= {"subscribed", "unsubscribed", "bounced", "spam", "suppressed", "invalid", "never_subscribed"}
    assert {"Newsletter", "VIP customers"} <= set(state["audiences"].values())


# Bulk imports


def test_a_bulk_import_creates_updates_and_puts_on_a_list(client: Client) -> None:
    known = client.people("subscribed", off="VIP customers")[0]
    job = client.imported(
        {"email": "new.one@shop.web.example", "external_id": "n-1", "properties": {"ltv": 12.5}},
        {"email": known["match"]["email"].upper(), "title": "Regular"},
        lists=("VipCst",),
    )
    counts = [job["attributes"][name] for name in ("total_count", "completed_count", "failed_count")]
    assert counts == [2, 2, 0]
    assert client.profile("new.one@shop.web.example")["attributes"]["properties"] == {"ltv": 12.5}
    updated = client.profile(known["match"]["email"])
    assert (updated["id"], updated["attributes"]["title"]) == (known["id"], "Regular")
    ids = [row["id"] for row in client.get(f"{IMPORTS}/{job['id']}/relationships/profiles")["data"]]
    on_list = {row["id"] for row in all_pages(client, "/lists/VipCst/relationships/profiles")}
    assert known["id"] in ids
    assert set(ids) <= on_list


def all_pages(client: Client, path: str, **params: object) -> list[Any]:
    page = client.get(path, {"page[size]": 5, **params})
    rows = list(page["data"])
    while page["links"]["next"]:
        page = requests.get(page["links"]["next"], headers=client.headers, timeout=10).json()
        rows += page["data"]
    return rows


def test_an_import_says_nothing_about_consent(client: Client) -> None:
    standings = ("subscribed", "unsubscribed", "bounced", "suppressed", "never_subscribed")
    chosen = [client.people(standing)[0] for standing in standings]
    client.imported(*({"email": one["match"]["email"]} for one in chosen), lists=("NwsLtr",))
    after = {one["id"]: one for one in client.state()["people"]}
    assert [after[one["id"]]["standing"] for one in chosen] == list(standings)
    assert all("Newsletter" in after[one["id"]]["audiences"] for one in chosen)


def test_malformed_members_refuse_the_whole_import_with_a_pointer_to_each(client: Client) -> None:
    good = {"email": "not.saved@shop.web.example"}
    bad = [{"email": "no-address"}, {"email": "a@shop.web.example", "phone_number": "0151 5"}, {"first_name": "Nobody"}]
    answer = client.import_rows(good, *bad)
    assert pointers(answer) == [
        f"{ROWS}/1/attributes/email",
        f"{ROWS}/2/attributes/phone_number",
        f"{ROWS}/3/attributes/",
    ]
    assert pointers(client.import_rows(good, {"email": "b@shop.web.example", "loyalty": 1})) == [
        f"{ROWS}/1/attributes/loyalty"
    ]
    assert pointers(client.import_rows({"email": "b@shop.web.example", "first_name": 7})) == [
        f"{ROWS}/0/attributes/first_name"
    ]
    assert pointers(client.import_rows({"email": " c@shop.web.example"})) == [f"{ROWS}/0/attributes/email"]
    assert client.get("/profiles", {"filter": 'equals(email,"not.saved@shop.web.example")'})["data"] == []


def test_an_import_has_limits_of_size(client: Client) -> None:
    many = [{"email": f"m{number}@shop.web.example"} for number in range(10_001)]
    assert pointers(client.import_rows(*many)) == [ROWS]
    large = {"email": "large@shop.web.example", "properties": {"text": "x" * 100_001}}
    assert pointers(client.import_rows({"email": "ok@shop.web.example"}, large)) == [f"{ROWS}/1"]
    huge = [{"email": f"h{number}@shop.web.example", "properties": {"text": "x" * 90_000}} for number in range(60)]
    assert client.import_rows(*huge).status_code == 413
    assert pointers(client.import_rows({"email": "x@shop.web.example"}, lists=("Nowher",))) == ["/data"]


def test_rows_fail_one_by_one_and_their_errors_come_in_pages(client: Client) -> None:
    one, other = [person["match"]["email"] for person in client.people("subscribed")[:2]]
    client.imported({"email": one, "external_id": "clash-1"}, {"email": other})
    rows = [{"email": other, "external_id": "clash-1", "first_name": f"N{number}"} for number in range(7)]
    job = client.imported({"email": "fine@shop.web.example"}, *rows)
    assert (job["attributes"]["completed_count"], job["attributes"]["failed_count"]) == (1, 7)
    errors = all_pages(client, f"{IMPORTS}/{job['id']}/import-errors")
    assert [row["attributes"]["source"]["pointer"] for row in errors] == [
        f"{ROWS}/{number}/attributes" for number in range(1, 8)
    ]
    assert errors[0]["attributes"]["original_payload"]["external_id"] == "clash-1"


def test_a_job_is_queued_then_processing_and_expires(client: Client) -> None:
    client.system.later.seconds = 0.2
    job_id = client.import_rows({"email": "slow@shop.web.example"}).json()["data"]["id"]
    seen = [client.get(f"{IMPORTS}/{job_id}")["data"]["attributes"]["status"]]
    assert client.get("/profiles", {"filter": 'equals(email,"slow@shop.web.example")'})["data"] == []
    time.sleep(0.12)
    seen.append(client.get(f"{IMPORTS}/{job_id}")["data"]["attributes"]["status"])
    assert seen == ["queued", "processing"]
    client.finished(job_id)
    client.system.imports.kept_seconds, kept = 0.0, client.system.imports.kept_seconds
    assert client.ask("GET", f"{IMPORTS}/{job_id}/import-errors").status_code == 404
    client.system.imports.kept_seconds = kept


def test_a_null_clears_alone_but_not_in_bulk(client: Client) -> None:
    email = "nulls@shop.web.example"
    client.imported({"email": email, "title": "Dr", "properties": {"ltv": 1, "old": 2}})
    meta = {"patch_properties": {"unset": ["old"]}}
    attributes: dict[str, object] = {"email": email, "title": None, "properties": {"ltv": None}}
    client.imported({"type": "profile", "attributes": attributes, "meta": meta})
    kept = client.profile(email)["attributes"]
    assert (kept["title"], kept["properties"]) == ("Dr", {"ltv": 1})
    answer = client.ask("POST", "/profile-import", {"data": {"type": "profile", "attributes": attributes}})
    cleared = answer.json()["data"]["attributes"]
    assert (answer.status_code, cleared["title"], cleared["properties"]) == (200, None, {})


# Profiles one by one


def test_profile_import_tells_new_from_known_and_refuses_a_clash(client: Client) -> None:
    def send(**attributes: object) -> requests.Response:
        return client.ask("POST", "/profile-import", {"data": {"type": "profile", "attributes": attributes}})

    assert send(email="single@shop.web.example", phone_number="+12025550111").status_code == 201
    assert send(email="Single@shop.web.example", external_id="s-1").status_code == 200
    assert send(email="second@shop.web.example").status_code == 201
    clash = send(email="second@shop.web.example", external_id="s-1")
    assert (clash.status_code, clash.json()["errors"][0]["code"]) == (409, "duplicate_profile")
    assert send(first_name="Nobody").status_code == 400


def test_creating_who_is_there_is_refused_with_the_id(client: Client) -> None:
    known = client.people("bounced")[0]
    body = {"data": {"type": "profile", "attributes": {"email": known["match"]["email"]}}}
    answer = client.ask("POST", "/profiles", body)
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["meta"]["duplicate_profile_id"] == known["id"]


def test_an_update_goes_to_one_profile(client: Client) -> None:
    known = client.people("never_subscribed")[0]
    body = {"data": {"type": "profile", "id": known["id"], "attributes": {"organization": "Shop"}}}
    answer = client.ask("PATCH", f"/profiles/{known['id']}", body)
    assert answer.json()["data"]["attributes"]["organization"] == "Shop"
    assert client.ask("PATCH", "/profiles/01HK1AVSANDB0X999999999999", body).status_code == 404


def test_profiles_are_found_by_filter_and_read_in_pages(client: Client) -> None:
    people = [one for one in client.state()["people"] if one["match"]["external_id"]][:3]
    wanted = ",".join(f'"{one["match"]["external_id"]}"' for one in people)
    found = client.get(
        "/profiles", {"filter": f"any(external_id,[{wanted}])", "fields[profile]": "email,location.city"}
    )
    assert [row["id"] for row in found["data"]] == [one["id"] for one in people]
    assert set(found["data"][0]["attributes"]) == {"email", "location"}
    phone = next(one for one in client.state()["people"] if one["match"]["phone"])
    by_phone = client.get("/profiles", {"filter": f"equals(phone_number,'{phone['match']['phone']}')"})
    assert [row["id"] for row in by_phone["data"]] == [phone["id"]]
    assert len({row["id"] for row in all_pages(client, "/profiles")}) == len(client.state()["people"])
    reason = "subscriptions.email.marketing.suppression.reason"
    bounced = all_pages(client, "/profiles", filter=f'equals({reason},"HARD_BOUNCE")')
    assert {row["id"] for row in bounced} == {
        one["id"] for one in client.state()["people"] if one["standing"] == "bounced"
    }


@pytest.mark.parametrize(
    "params",
    [
        {"filter": 'contains(email,"a")'},
        {"filter": 'equals(first_name,"a")'},
        {"filter": "equals(email"},
        {"page[size]": 101},
        {"page[cursor]": "???"},
        {"fields[profile]": "emial"},
        {"limit": 3},
    ],
)
def test_queries_that_do_not_exist_are_refused_by_parameter(client: Client, params: dict[str, object]) -> None:
    answer = client.ask("GET", "/profiles", **params)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["source"] == {"parameter": next(iter(params))}


# Lists


def test_lists_come_in_tens_and_are_found_by_name(client: Client) -> None:
    assert len(client.get("/lists")["data"]) == 10
    (found,) = client.get("/lists", {"filter": 'equals(name,"Event 2025")'})["data"]
    assert found["id"] == "Ev2025"
    body = {"data": {"type": "list", "attributes": {"name": "Twice"}}}
    ids = {client.ask("POST", "/lists", body).json()["data"]["id"] for _ in range(2)}
    assert len(ids) == 2
    assert {row["id"] for row in client.get("/lists", {"filter": 'equals(name,"Twice")'})["data"]} == ids
    assert [client.ask("DELETE", f"/lists/{one}").status_code for one in ids] == [204, 204]
    assert client.ask("POST", "/lists", {"data": {"type": "list", "attributes": {}}}).status_code == 400


def test_members_come_and_go_without_a_change_of_consent(client: Client) -> None:
    person = client.people("unsubscribed", off="VIP customers")[0]
    member = {"data": [{"type": "profile", "id": person["id"]}]}
    path = "/lists/VipCst/relationships/profiles"
    assert client.ask("POST", path, member).status_code == 204
    query = {"filter": f'equals(email,"{person["match"]["email"]}")', "fields[profile]": "email,joined_group_at"}
    (row,) = client.get("/lists/VipCst/profiles", query)["data"]
    assert row["attributes"]["joined_group_at"]
    assert "VipCst" in {one["id"] for one in client.get(f"/profiles/{person['id']}/lists")["data"]}
    assert client.ask("DELETE", path, member).status_code == 204
    assert client.get("/lists/VipCst/profiles", query)["data"] == []
    assert client.consent(person["match"]["email"])["consent"] == "UNSUBSCRIBED"


def test_membership_is_refused_for_strangers_unknown_lists_and_too_many(client: Client) -> None:
    known = client.state()["people"][0]["id"]
    refs = [{"type": "profile", "id": known}, {"type": "profile", "id": "01HK1AVSANDB0X999999999999"}]
    answer = client.ask("POST", "/lists/Ev2025/relationships/profiles", {"data": refs})
    assert (answer.status_code, answer.json()["errors"][0]["source"]["pointer"]) == (404, "/data/1/id")
    assert client.get("/lists/Ev2025/relationships/profiles")["data"] == []
    assert client.ask("POST", "/lists/Nowher/relationships/profiles", {"data": refs[:1]}).status_code == 404
    assert client.ask("POST", "/lists/Ev2025/relationships/profiles", {"data": refs[:1] * 1001}).status_code == 400


# Consent


def test_subscribing_brings_back_who_left(client: Client) -> None:
    left = client.people("unsubscribed")[0]["match"]["email"]
    bounced = client.people("bounced")[0]["match"]["email"]
    assert client.consent(left)["can_receive_email_marketing"] is False
    assert client.wish("SUBSCRIBED", {"email": left}, {"email": bounced}).status_code == 202
    assert client.consent(left)["consent"] == "SUBSCRIBED"
    assert client.consent(left)["suppression"] == []
    assert [one["reason"] for one in client.consent(bounced)["suppression"]] == ["HARD_BOUNCE"]


def test_a_list_that_asks_first_does_not_subscribe_at_once(client: Client) -> None:
    email = client.people("never_subscribed")[0]["match"]["email"]
    client.wish("SUBSCRIBED", {"email": email}, list_id="NwsLtr")
    assert client.consent(email)["consent"] == "NEVER_SUBSCRIBED"


def test_unsubscribing_from_a_list_is_global_for_who_is_not_on_it(client: Client) -> None:
    member = client.people("subscribed", on="VIP customers")[0]["match"]["email"]
    other = client.people("subscribed", off="VIP customers")[0]["match"]["email"]
    rows = ({"email": member}, {"email": other}, {"email": "stranger@shop.web.example"})
    assert client.wish("UNSUBSCRIBED", *rows, list_id="VipCst").status_code == 202
    assert client.consent(member)["consent"] == "SUBSCRIBED"
    assert [one["list_id"] for one in client.consent(member)["list_suppressions"]] == ["VipCst"]
    assert client.consent(other)["consent"] == "UNSUBSCRIBED"
    assert [one["reason"] for one in client.consent("stranger@shop.web.example")["suppression"]] == ["UNSUBSCRIBE"]


def test_consent_jobs_refuse_what_they_cannot_take(client: Client) -> None:
    many = [{"email": f"w{number}@shop.web.example"} for number in range(1001)]
    assert pointers(client.wish("SUBSCRIBED", *many)) == [ROWS]
    assert pointers(client.wish("UNSUBSCRIBED", *many[:101])) == [ROWS]
    named = {"email": "w@shop.web.example", "first_name": "W"}
    assert pointers(client.wish("SUBSCRIBED", named)) == [f"{ROWS}/0/attributes/first_name"]
    assert pointers(client.wish("SUBSCRIBED", {"phone_number": "+12025550112"})) == [f"{ROWS}/0/attributes/email"]
    unknown = client.wish("SUBSCRIBED", {"email": "w@shop.web.example"}, list_id="Nowher")
    assert pointers(unknown) == ["/data/relationships/list/data/id"]


def test_suppression_by_hand_comes_and_goes(client: Client) -> None:
    email = client.people("subscribed")[0]["match"]["email"]

    def send(kind: str, *emails: str) -> requests.Response:
        rows = [{"type": "profile", "attributes": {"email": one}} for one in emails]
        data = {"type": f"profile-suppression-bulk-{kind}-job", "attributes": {"profiles": {"data": rows}}}
        return client.ask("POST", f"/profile-suppression-bulk-{kind}-jobs", {"data": data})

    job = send("create", email).json()["data"]
    time.sleep(0.03)
    read = client.get(f"/profile-suppression-bulk-create-jobs/{job['id']}")["data"]["attributes"]
    assert (read["status"], read["completed_count"]) == ("complete", 1)
    assert client.consent(email)["consent"] == "SUBSCRIBED"
    assert client.consent(email)["can_receive_email_marketing"] is False
    send("delete", email)
    time.sleep(0.03)
    assert client.consent(email)["can_receive_email_marketing"] is True
    assert send("create", *[f"s{number}@shop.web.example" for number in range(101)]).status_code == 400


def test_erasure_takes_one_identifier_and_a_moment(client: Client) -> None:
    person = client.people("subscribed", on="Newsletter")[0]

    def erase(profile: dict[str, object]) -> int:
        attributes = {"profile": {"data": {"type": "profile", **profile}}}
        body = {"data": {"type": "data-privacy-deletion-job", "attributes": attributes}}
        return client.ask("POST", "/data-privacy-deletion-jobs", body).status_code

    both = {"id": person["id"], "attributes": {"email": person["match"]["email"]}}
    assert [erase(both), erase({})] == [400, 400]
    counted = {"additional-fields[list]": "profile_count"}
    before = client.get("/lists/NwsLtr", counted)["data"]["attributes"]["profile_count"]
    assert erase({"attributes": {"email": person["match"]["email"]}}) == 202
    time.sleep(0.03)
    assert client.get("/lists/NwsLtr", counted)["data"]["attributes"]["profile_count"] == before - 1
    assert client.ask("GET", f"/profiles/{person['id']}").status_code == 404
    assert person["id"] not in {row["id"] for row in all_pages(client, "/lists/NwsLtr/relationships/profiles")}
    assert erase({"attributes": {"email": "nobody@shop.web.example"}}) == 202


# Faults and limits


def test_rows_can_be_refused_one_by_one_or_with_their_batch(client: Client) -> None:
    rows = [{"email": f"r{number}@shop.web.example"} for number in range(40)]
    client.order("refuse_rows", share=0.3)
    failed = client.imported(*rows)["attributes"]["failed_count"]
    assert 0 < failed < 40
    requests.delete(f"{client.sandbox.url}/_sandbox/faults", timeout=10)
    client.order("refuse_rows", share=0.3, whole_batch=True)
    assert len(pointers(client.import_rows(*rows))) == failed


def test_a_write_whose_answer_is_lost_is_remembered(client: Client) -> None:
    client.order("reset", path=f"{IMPORTS}$", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.import_rows({"email": "lost@shop.web.example"})
    time.sleep(0.03)
    assert client.profile("lost@shop.web.example")["id"]


def test_limits_are_of_each_endpoint_and_a_refusal_has_only_retry_after() -> None:
    with Sandbox(people=20) as sandbox:
        client = Client(sandbox)
        answers = [client.ask("GET", IMPORTS) for _ in range(11)]
        assert [answer.status_code for answer in answers] == [200] * 10 + [429]
        assert answers[0].headers["RateLimit-Limit"] == "150"
        assert answers[0].headers["RateLimit-Remaining"] == "149"
        assert answers[-1].headers["Retry-After"] == "1"
        assert "RateLimit-Limit" not in answers[-1].headers
        assert answers[-1].json()["errors"][0]["code"] == "throttled"
        assert client.ask("GET", "/lists").status_code == 200
