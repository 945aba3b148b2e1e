"""The stand-in for Google's Customer Match (Data Manager API and user lists of the Google Ads API), over HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from millstream.sandbox import Sandbox
from millstream.sandbox.google_ads_customer_match import GoogleAdsCustomerMatch
from millstream.sandbox.limits import Window

NAME = "google_ads_customer_match"
OWN, MANAGER, CLIENT, PARTNER, CASINO = "1234567890", "9998887770", "2223334440", "7770001110", "5550001110"
NEWSLETTER, CLIENT_LIST, APP, OWN_IDS, WEBSITE = "800000101", "800000102", "800000103", "800000104", "800000105"
GRANTED = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
REFRESH = {
    "grant_type": "refresh_token",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "sandbox-refresh",
}


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def person(*emails: str, **more: object) -> dict[str, object]:
    return {"userData": {"userIdentifiers": [{"emailAddress": sha(one)} for one in emails]}, **more}


def target(list_id: str = NEWSLETTER, account: str = OWN, **more: object) -> dict[str, object]:
    operating = {"accountType": "GOOGLE_ADS", "accountId": account}
    return {"operatingAccount": operating, "productDestinationId": list_id, **more}


def through(account: str, kind: str = "GOOGLE_ADS") -> dict[str, object]:
    return {"loginAccount": {"accountType": kind, "accountId": account}}


class Client:
    """Speaks to the stand-in and hands back whole answers."""

    def __init__(self, sandbox: Sandbox, refresh_token: str = "sandbox-refresh") -> None:
        self.sandbox = sandbox
        self.url = sandbox.system_url(NAME)
        form = {**REFRESH, "refresh_token": refresh_token}
        token = requests.post(f"{self.url}/token", data=form, timeout=10).json()["access_token"]
        self.headers = {"Authorization": f"Bearer {token}"}
        system = sandbox.systems[NAME]
        assert isinstance(system, GoogleAdsCustomerMatch)
        self.system = system

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, **params: str
    ) -> requests.Response:
        headers = {**self.headers, **(headers or {})}
        return requests.request(method, self.url + path, json=body, headers=headers, params=params, timeout=10)

    def ingest(self, *members: object, to: object = None, **changes: object) -> requests.Response:
        body: dict[str, object] = {
            "destinations": [to or target()],
            "audienceMembers": members,
            "encoding": "HEX",
            "consent": GRANTED,
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
            **changes,
        }
        given = {name: value for name, value in body.items() if value is not None}
        return self.ask("POST", "/v1/audienceMembers:ingest", given)

    def remove(self, *members: object, to: object = None, **changes: object) -> requests.Response:
        body = {"destinations": [to or target()], "audienceMembers": members, "encoding": "HEX", **changes}
        return self.ask("POST", "/v1/audienceMembers:remove", body)

    def status(self, answer: requests.Response) -> Any:
        assert answer.ok, answer.text
        return self.ask("GET", "/v1/requestStatus:retrieve", **answer.json()).json()["requestStatusPerDestination"]

    def create(self, name: str = "Best customers", key_type: str = "CONTACT_ID") -> str:
        info = {"uploadKeyTypes": [key_type]}
        answer = self.ask("POST", lists(), {"displayName": name, "ingestedUserListInfo": info})
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def members(self, list_id: str) -> list[list[str]]:
        state = requests.get(f"{self.sandbox.url}/_sandbox/state/{NAME}", timeout=10).json()
        found: list[list[str]] = state["audiences"][list_id]["members"]
        return found

    def order(self, kind: str, **order: object) -> None:
        body = {"system": NAME, "kind": kind, **order}
        requests.post(f"{self.sandbox.url}/_sandbox/faults", json=body, timeout=10).raise_for_status()


def lists(account: str = OWN) -> str:
    return f"/v1/accountTypes/GOOGLE_ADS/accounts/{account}/userLists"


def refused(answer: requests.Response) -> tuple[int, str, str]:
    error = answer.json()["error"]
    info = [one for one in error.get("details", []) if one["@type"].endswith("ErrorInfo")]
    return answer.status_code, error["status"], info[0]["reason"] if info else ""


def violations(answer: requests.Response) -> list[tuple[str, str]]:
    assert refused(answer) == (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"), answer.text
    details = answer.json()["error"]["details"]
    found = next(one for one in details if one["@type"].endswith("BadRequest"))["fieldViolations"]
    return [(one["field"], one["reason"]) for one in found]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox) -> Client:
    requests.post(f"{running.url}/_sandbox/reset", timeout=10)
    return Client(running)


# Tokens


def encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def test_a_service_account_gets_a_token_for_the_scopes_it_asks_for(client: Client) -> None:
    account = requests.get(f"{client.sandbox.url}/_sandbox/credentials/{NAME}", timeout=10).json()
    key = serialization.load_pem_private_key(account["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    now = int(time.time())
    for scope, wanted in zip(account["sandbox"]["scopes"], (200, 403), strict=True):
        claims = {"iss": account["client_email"], "scope": scope, "aud": account["token_uri"]}
        parts = [{"alg": "RS256", "kid": account["private_key_id"]}, {**claims, "iat": now, "exp": now + 3600}]
        unsigned = b".".join(encoded(json.dumps(part).encode()) for part in parts)
        signed = (unsigned + b"." + encoded(key.sign(unsigned, padding.PKCS1v15(), hashes.SHA256()))).decode()
        form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
        token = requests.post(account["token_uri"], data=form, timeout=10).json()["access_token"]
        assert client.ask("GET", lists(), headers={"Authorization": f"Bearer {token}"}).status_code == wanted


def test_tokens_that_do_not_fit_are_refused(client: Client) -> None:
    assert refused(client.ask("GET", lists(), headers={"Authorization": "Bearer x"}))[:2] == (401, "UNAUTHENTICATED")
    ads_only = Client(client.sandbox, "sandbox-refresh-adwords-only")
    assert refused(ads_only.ingest(person("a"))) == (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
    wrong = requests.post(f"{client.url}/token", data={**REFRESH, "refresh_token": "x"}, timeout=10)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")
    client.order("expire_token")
    assert refused(client.ask("GET", lists()))[0] == 401


# Adding


def test_some_people_are_members_from_the_start(client: Client) -> None:
    assert 50 < len(client.members(NEWSLETTER)) < 110
    assert client.members(NEWSLETTER) == client.members(CLIENT_LIST)
    assert all(member[0].startswith("C-") for member in client.members(OWN_IDS))


def test_members_are_added_and_the_status_tells_numbers_after_a_while(client: Client) -> None:
    client.system.ingestion.seconds = 0.05
    made = client.create()
    phone = {"phoneNumber": sha("+491701")}
    member = {"userData": {"userIdentifiers": [{"emailAddress": sha("a")}, phone]}}
    answer = client.ingest(member, person("b"), to=target(made))
    assert set(answer.json()) == {"requestId"}
    busy = client.status(answer)
    assert [(one["requestStatus"], "audienceMembersIngestionStatus" in one) for one in busy] == [("PROCESSING", False)]
    time.sleep(0.06)
    (done,) = client.status(answer)
    assert done["requestStatus"] == "SUCCESS"
    counts = {"recordCount": "2", "userIdentifierCount": "3", "uploadMatchRateRange": "MATCH_RATE_RANGE_NOT_ELIGIBLE"}
    assert done["audienceMembersIngestionStatus"] == {"userDataIngestionStatus": counts}
    assert done["destination"] == target(made)
    assert client.members(made) == [[sha("a"), sha("+491701")], [sha("b")]]


def test_who_has_not_consented_is_left_out_and_only_the_status_says_so(client: Client) -> None:
    client.system.ingestion.seconds = 0
    made = client.create()
    denied = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_DENIED"}
    rows = [person("a"), person("b", consent=denied), person("c", consent={"adUserData": "CONSENT_GRANTED"})]
    (status,) = client.status(client.ingest(*rows, to=target(made)))
    assert status["requestStatus"] == "PARTIAL_SUCCESS"
    counts = {one["reason"]: one["recordCount"] for one in status["errorInfo"]["errorCounts"]}
    reason = "PROCESSING_ERROR_REASON"
    assert counts == {f"{reason}_DENIED_CONSENT": "1", f"{reason}_NO_CONSENT": "1"}
    assert client.members(made) == [[sha("a")]]
    (status,) = client.status(client.ingest(person("d"), to=target(made), consent=None))
    assert status["requestStatus"] == "FAILED"
    assert len(client.members(made)) == 1


def test_hashes_may_come_in_base64_and_are_the_same_members(client: Client) -> None:
    made = client.create()
    client.ingest(person("a"), to=target(made))
    email = base64.b64encode(hashlib.sha256(b"a").digest()).decode()
    member = {"userData": {"userIdentifiers": [{"emailAddress": email}]}}
    assert client.ingest(member, to=target(made), encoding="BASE64").ok
    assert client.members(made) == [[sha("a")]]
    assert client.remove(member, to=target(made), encoding="BASE64").ok
    assert client.members(made) == []


@pytest.mark.parametrize(
    ("identifiers", "wanted"),
    [
        ([{"emailAddress": "ana@box.example"}], (".user_data.user_identifiers", "INVALID_HEX_ENCODING")),
        ([{"phoneNumber": "abcd"}], ("", "INVALID_SHA256_FORMAT")),
        ([], (".user_data.user_identifiers", "NO_IDENTIFIERS_PROVIDED")),
        ([{}], (".user_data.user_identifiers", "REQUIRED_FIELD_MISSING")),
        ([{"emailAddress": sha("a")}] * 11, (".user_data.user_identifiers", "TOO_MANY_USER_IDENTIFIERS")),
        ([{"address": {"givenName": sha("a")}}], (".user_data.user_identifiers", "REQUIRED_FIELD_MISSING")),
    ],
)
def test_one_bad_member_refuses_the_whole_request_and_is_named(
    client: Client, identifiers: object, wanted: tuple[str, str]
) -> None:
    made = client.create()
    bad = {"userData": {"userIdentifiers": identifiers}}
    found = violations(client.ingest(person("a"), bad, person("b"), to=target(made)))
    assert found == [(f"audience_members.audience_members[1]{wanted[0]}", wanted[1])]
    assert client.members(made) == []


def test_region_and_postal_code_of_an_address_are_not_hashed(client: Client) -> None:
    made = client.create()
    address = {"givenName": sha("ana"), "familyName": sha("may"), "regionCode": "DE", "postalCode": "10115"}
    member = {"userData": {"userIdentifiers": [{"address": address}]}}
    assert client.ingest(member, to=target(made)).ok
    assert client.members(made) == [[f"{sha('ana')} {sha('may')} DE 10115"]]
    address |= {"regionCode": sha("de"), "postalCode": sha("10115")}
    reasons = [reason for _, reason in violations(client.ingest(member, to=target(made)))]
    assert reasons == ["INVALID_FORMAT", "INVALID_POSTAL_CODE"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"encoding": None}, ("encoding", "REQUIRED_FIELD_MISSING")),
        (
            {"termsOfService": None},
            ("terms_of_service.customer_match_terms_of_service_status", "TERMS_AND_CONDITIONS_NOT_SIGNED"),
        ),
        ({"audienceMembers": []}, ("audience_members", "REQUIRED_FIELD_MISSING")),
        ({"audienceMembers": [person("a")] * 10_001}, ("audience_members", "TOO_MANY_AUDIENCE_MEMBERS")),
        ({"destinations": []}, ("destinations", "REQUIRED_FIELD_MISSING")),
        ({"destinations": [target()] * 11}, ("destinations", "TOO_MANY_DESTINATIONS")),
        ({"destinations": [target(reference="x")] * 2}, ("destinations", "DUPLICATE_DESTINATION_REFERENCE")),
        (
            {"destinations": [target("1")]},
            ("destinations.destinations[0].product_destination_id", "INVALID_USER_LIST_ID"),
        ),
        ({"destinations": [target(APP)]}, ("destinations.destinations[0]", "INVALID_USER_LIST_TYPE")),
        ({"destinations": [target(WEBSITE)]}, ("destinations.destinations[0]", "INVALID_USER_LIST_TYPE")),
        (
            {"audienceMembers": [person("a"), {"userIdData": {"userId": "7"}}]},
            ("audience_members", "MULTIPLE_DATA_TYPES_NOT_ALLOWED"),
        ),
    ],
)
def test_requests_that_do_not_fit_are_refused(
    client: Client, changes: dict[str, object], wanted: tuple[str, str]
) -> None:
    members = changes.pop("audienceMembers", [person("a")])
    assert isinstance(members, list)
    before = client.members(NEWSLETTER)
    assert violations(client.ingest(*members, **changes)) == [wanted]
    assert client.members(NEWSLETTER) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": "HEXADECIMAL"},
        {"colour": "red"},
        {"consent": {"adUserData": "GRANTED"}},
        {"audienceMembers": [{"userData": {}, "userIdData": {"userId": "7"}}]},
        {"audienceMembers": [{"userData": {"userIdentifiers": [{"emailAddress": "a", "phoneNumber": "b"}]}}]},
    ],
)
def test_json_that_is_no_such_message_is_refused(client: Client, changes: dict[str, object]) -> None:
    answer = client.ingest(person("a"), **changes)
    assert refused(answer)[:2] == (400, "INVALID_ARGUMENT")
    assert answer.json()["error"]["message"].startswith("Invalid JSON payload received.")


def test_a_rehearsal_changes_nothing_and_has_no_status(client: Client) -> None:
    made = client.create()
    answer = client.ingest(person("a"), to=target(made), validateOnly=True)
    assert answer.ok
    assert client.members(made) == []
    for request_id, wanted in ((answer.json()["requestId"], "INVALID_REQUEST_ID"), ("", "REQUIRED_FIELD_MISSING")):
        asked = client.ask("GET", "/v1/requestStatus:retrieve", requestId=request_id)
        assert violations(asked) == [("request_id", wanted)]


def test_members_can_name_their_destinations(client: Client) -> None:
    client.system.ingestion.seconds = 0
    first, second = client.create("One"), client.create("Two")
    to = [target(first, reference="one"), target(second, reference="two")]
    rows = [person("a", destinationReferences=["one"]), person("b")]
    statuses = client.status(client.ingest(*rows, destinations=to))
    counts = [one["audienceMembersIngestionStatus"]["userDataIngestionStatus"]["recordCount"] for one in statuses]
    assert counts == ["2", "1"]
    assert (client.members(first), client.members(second)) == ([[sha("a")], [sha("b")]], [[sha("b")]])


def test_other_kinds_of_lists_take_other_keys(client: Client) -> None:
    client.system.ingestion.seconds = 0
    device = "0D4F1B1E-53A4-4E11-8B0A-2F0C9F3F2A10"
    answer = client.ingest({"mobileData": {"mobileIds": [device]}}, to=target(APP), encoding=None)
    counts = {"recordCount": "1", "mobileIdCount": "1"}
    assert client.status(answer)[0]["audienceMembersIngestionStatus"] == {"mobileDataIngestionStatus": counts}
    assert client.members(APP) == [[device.lower()]]
    bad = client.ingest({"mobileData": {"mobileIds": [sha("x")]}}, to=target(APP))
    assert violations(bad)[0][1] == "INVALID_MOBILE_ID_FORMAT"
    own_id = {"userIdData": {"userId": "C-999999"}}
    assert client.ingest(own_id, to=target(OWN_IDS), encoding=None, termsOfService=None).ok
    assert ["C-999999"] in client.members(OWN_IDS)


# Removing


def test_a_removal_by_one_key_removes_who_has_it(client: Client) -> None:
    client.system.ingestion.seconds = 0
    made = client.create()
    shared = {"phoneNumber": sha("+12025550100")}
    rows = [{"userData": {"userIdentifiers": [{"emailAddress": sha(one)}, shared]}} for one in "abc"]
    client.ingest(*rows, to=target(made))
    answer = client.remove(rows[0], to=target(made))
    assert client.members(made) == [[sha("b"), shared["phoneNumber"]], [sha("c"), shared["phoneNumber"]]]
    counts = {"recordCount": "1", "userIdentifierCount": "2"}
    assert client.status(answer)[0]["audienceMembersRemovalStatus"] == {"userDataRemovalStatus": counts}
    client.remove({"userData": {"userIdentifiers": [shared]}}, to=target(made))
    assert client.members(made) == []
    assert client.status(client.remove(person("nobody"), to=target(made)))[0]["requestStatus"] == "SUCCESS"


def test_a_removal_knows_neither_consent_nor_terms(client: Client) -> None:
    assert refused(client.remove(person("a"), consent=GRANTED))[:2] == (400, "INVALID_ARGUMENT")


def test_all_members_can_be_removed_or_those_added_before_a_time(client: Client) -> None:
    made = client.create()
    client.ingest(person("old"), person("again"), to=target(made))
    start = datetime.now(UTC)
    client.ingest(person("again"), person("new"), to=target(made))
    body: dict[str, object] = {"destinations": [target(made)], "removeAsOfTime": start.isoformat()}
    assert client.ask("POST", "/v1/audienceMembers:removeAll", body).ok
    assert client.members(made) == [[sha("again")], [sha("new")]]
    late = {**body, "removeAsOfTime": (start + timedelta(days=1)).isoformat()}
    found = violations(client.ask("POST", "/v1/audienceMembers:removeAll", late))
    assert found == [("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME")]
    assert client.ask("POST", "/v1/audienceMembers:removeAll", {"destinations": [target(made)]}).ok
    assert client.members(made) == []


# Accounts


def test_a_clients_account_is_reached_through_its_manager(client: Client) -> None:
    assert refused(client.ingest(person("a"), to=target(CLIENT_LIST, CLIENT)))[:2] == (403, "PERMISSION_DENIED")
    assert client.ingest(person("a"), to=target(CLIENT_LIST, CLIENT, **through(MANAGER))).ok
    assert [sha("a")] in client.members(CLIENT_LIST)
    mismatch = violations(client.ingest(person("a"), to=target(CLIENT_LIST, CLIENT, **through(OWN))))
    assert mismatch == [("destinations.destinations[0].login_account", "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH")]
    assert refused(client.ask("GET", lists(CLIENT)))[0] == 403
    header = {"login-account": f"accountTypes/GOOGLE_ADS/accounts/{MANAGER}"}
    assert client.ask("GET", lists(CLIENT), headers=header).json()["userLists"][0]["id"] == CLIENT_LIST


def test_a_partner_works_only_for_accounts_it_is_linked_with(client: Client) -> None:
    partner = through(PARTNER, "DATA_PARTNER")
    assert client.ingest(person("a"), to=target(NEWSLETTER, OWN, **partner)).ok
    answer = client.ingest(person("a"), to=target(CLIENT_LIST, CLIENT, **partner))
    assert refused(answer) == (403, "PERMISSION_DENIED", "DATA_PARTNER_USER_LIST_MUTATE_NOT_ALLOWED")


def test_an_account_may_be_barred_from_customer_match(client: Client) -> None:
    answer = client.ingest(person("a"), to=target("800000106", CASINO))
    assert refused(answer) == (403, "PERMISSION_DENIED", "NOT_ALLOWLISTED")


# Lists


def test_lists_are_found_by_name_and_page_by_page(client: Client) -> None:
    client.create('Tea and "coffee" AND more')
    wanted = 'display_name = "Tea and \\"coffee\\" AND more" AND membership_status = "OPEN"'
    found = client.ask("GET", lists(), filter=wanted).json()["userLists"]
    assert [one["displayName"] for one in found] == ['Tea and "coffee" AND more']
    first = client.ask("GET", lists(), pageSize="3").json()
    rest = client.ask("GET", lists(), pageSize="3", pageToken=first["nextPageToken"]).json()
    assert [len(first["userLists"]), len(rest["userLists"])] == [3, 2]
    assert "nextPageToken" not in rest
    assert client.ask("GET", lists(), filter='display_name = "none"').json() == {}
    assert violations(client.ask("GET", lists(), filter="size > 3")) == [("filter", "INVALID_ARGUMENT")]


def test_names_of_lists_are_taken_once(client: Client) -> None:
    client.create("Once")
    body = {"displayName": "Once", "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}
    assert refused(client.ask("POST", lists(), body)) == (409, "ALREADY_EXISTS", "ALREADY_EXISTS")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"displayName": ""}, "user_list.display_name"),
        ({"ingestedUserListInfo": {}}, "user_list.ingested_user_list_info.upload_key_types"),
        (
            {"ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}},
            "user_list.ingested_user_list_info.mobile_id_info",
        ),
        ({"membershipDuration": "90000s"}, "user_list.membership_duration"),
        ({"membershipDuration": f"{541 * 86_400}s"}, "user_list.membership_duration"),
    ],
)
def test_incomplete_lists_are_refused(client: Client, changes: dict[str, object], field: str) -> None:
    body = {"displayName": "X", "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}, **changes}
    assert [where for where, _ in violations(client.ask("POST", lists(), body))] == [field]


def test_a_list_can_be_changed_and_deleted(client: Client) -> None:
    one = f"{lists()}/{client.create()}"
    body = {"description": "For us", "displayName": "Not in the mask"}
    changed = client.ask("PATCH", one, body, updateMask="description").json()
    assert (changed["description"], changed["displayName"]) == ("For us", "Best customers")
    keys = {"ingestedUserListInfo": {"uploadKeyTypes": ["USER_ID"]}}
    assert violations(client.ask("PATCH", one, keys))[0][0] == "user_list.ingested_user_list_info"
    assert client.ask("DELETE", one).json() == {}
    assert refused(client.ask("GET", one)) == (404, "NOT_FOUND", "NOT_FOUND")


# The Google Ads API


class Ads(Client):
    """The same with the headers of the Google Ads API."""

    def ads(
        self, path: str, body: object, account: str = OWN, version: str = "v23", **headers: str
    ) -> requests.Response:
        given = {"developer-token": "sandbox-developer-token"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", f"/{version}/customers/{account}/{path}", body, given)

    def search(self, query: str, **headers: str) -> Any:
        answer = self.ads("googleAds:search", {"query": query}, **headers)
        assert answer.ok, answer.text
        return answer.json().get("results", [])


@pytest.fixture
def ads(running: Sandbox) -> Ads:
    requests.post(f"{running.url}/_sandbox/reset", timeout=10)
    return Ads(running)


def failure(answer: requests.Response) -> tuple[int, str]:
    (error,) = answer.json()["error"]["details"][0]["errors"]
    (reason,) = error["errorCode"].values()
    return answer.status_code, reason


def test_lists_can_be_made_and_found_by_the_google_ads_api_too(ads: Ads) -> None:
    new = {"name": "It's VIP", "membershipLifeSpan": "30", "crmBasedUserList": {"uploadKeyType": "CONTACT_INFO"}}
    made = ads.ads("userLists:mutate", {"operations": [{"create": new}]}).json()
    name = made["results"][0]["resourceName"]
    query = "SELECT user_list.id, user_list.crm_based_user_list.upload_key_type FROM user_list"
    wanted = r" WHERE user_list.name = 'It\'s VIP' AND user_list.type = CRM_BASED LIMIT 5"
    (row,) = ads.search(query + wanted)
    assert row["userList"]["resourceName"] == name
    assert row["userList"]["crmBasedUserList"] == {"uploadKeyType": "CONTACT_INFO"}
    assert ads.ingest(person("a"), to=target(row["userList"]["id"])).ok
    assert ads.members(row["userList"]["id"]) == [[sha("a")]]
    stream = ads.ads("googleAds:searchStream", {"query": query + wanted}).json()
    assert stream[0]["results"] == [row]
    assert failure(ads.ads("userLists:mutate", {"operations": [{"create": new}]})) == (400, "NAME_ALREADY_USED")
    renamed = {"update": {"resourceName": name, "name": "VIP"}, "updateMask": "name"}
    assert ads.ads("userLists:mutate", {"operations": [renamed]}).ok
    youngest = ads.search("SELECT user_list.name FROM user_list ORDER BY user_list.id DESC LIMIT 1")
    assert [one["userList"]["name"] for one in youngest] == ["VIP"]
    assert ads.ads("userLists:mutate", {"operations": [{"remove": name}]}).ok
    assert len(ads.search("SELECT user_list.id FROM user_list")) == 4


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT user_list.shoe_size FROM user_list", "UNRECOGNIZED_FIELD"),
        ("SELECT campaign.id FROM campaign", "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE"),
        ("SELECT user_list.id", "UNEXPECTED_END_OF_QUERY"),
        ("SELECT user_list.id FROM user_list WHERE user_list.name ~ 'x'", "UNEXPECTED_INPUT"),
    ],
)
def test_queries_that_are_not_understood_are_refused(ads: Ads, query: str, reason: str) -> None:
    assert failure(ads.ads("googleAds:search", {"query": query})) == (400, reason)
    assert isinstance(ads.ads("googleAds:searchStream", {"query": query}).json(), list)


def test_the_google_ads_api_wants_a_developer_token_and_a_manager(ads: Ads) -> None:
    query = {"query": "SELECT customer.descriptive_name FROM customer"}
    wanted = {
        "": (401, "DEVELOPER_TOKEN_PARAMETER_MISSING"),
        "x": (401, "DEVELOPER_TOKEN_INVALID"),
        "sandbox-developer-token-test": (403, "DEVELOPER_TOKEN_NOT_APPROVED"),
    }
    for token, reason in wanted.items():
        assert failure(ads.ads("googleAds:search", query, developer_token=token)) == reason
    assert failure(ads.ads("googleAds:search", query, CLIENT)) == (403, "USER_PERMISSION_DENIED")
    answer = ads.ads("googleAds:search", query, CLIENT, login_customer_id=MANAGER).json()
    assert answer["results"][0]["customer"]["descriptiveName"] == "Example Outlet"
    assert failure(ads.ads("googleAds:search", query, version="v12")) == (400, "UNSUPPORTED_VERSION")
    header = {"developer-token": "sandbox-developer-token"}
    names = ads.ask("GET", "/v23/customers:listAccessibleCustomers", headers=header).json()["resourceNames"]
    assert f"customers/{OWN}" in names


# Faults and limits


def test_a_used_up_quota_says_which_and_for_how_long(client: Client) -> None:
    client.order("rate_limited", times=1, seconds=1.5)
    answer = client.ingest(person("a"))
    assert refused(answer) == (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED")
    info, retry = answer.json()["error"]["details"]
    assert info["metadata"]["quota_limit"] == "IngestionMutateRequestsPerMinutePerProject"
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.5s"}
    client.order("rate_limited", times=1, policy="google_ads")
    assert failure(client.ask("GET", lists())) == (429, "RESOURCE_TEMPORARILY_EXHAUSTED")


def test_refused_rows_are_named_and_refuse_the_others(client: Client) -> None:
    made = client.create()
    rows = [person(str(number)) for number in range(20)]
    client.order("refuse_rows", share=0.3)
    found = violations(client.ingest(*rows, to=target(made)))
    assert 0 < len(found) < 15
    assert {reason for _, reason in found} == {"INVALID_AUDIENCE_MEMBER"}
    bad = {int(where.partition("members[")[2].rstrip("]")) for where, _ in found}
    assert client.ingest(*(row for number, row in enumerate(rows) if number not in bad), to=target(made)).ok
    assert len(client.members(made)) == 20 - len(bad)


def test_a_write_is_kept_when_its_answer_is_lost(client: Client) -> None:
    made = client.create()
    client.order("reset", when="after", times=1)
    with pytest.raises(requests.ConnectionError):
        client.ingest(person("a"), to=target(made))
    assert client.members(made) == [[sha("a")]]


def test_failures_of_the_vendor(client: Client) -> None:
    for status, kind in ((500, "INTERNAL"), (503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")):
        client.order("server_error", times=1, status=status)
        assert refused(client.ask("GET", lists()))[:2] == (status, kind)
    assert refused(client.ask("GET", "/v1/nothing"))[:2] == (404, "NOT_FOUND")


def test_quotas_are_counted_for_each_kind_of_request() -> None:
    with Sandbox(people=10) as sandbox:
        client = Client(sandbox)
        client.system.quotas["IngestionMutateRequestsPerMinutePerProject"] = Window(1, 60)
        assert client.ingest(person("a")).ok
        answer = client.ingest(person("a"))
        assert refused(answer)[:2] == (429, "RESOURCE_EXHAUSTED")
        assert float(answer.json()["error"]["details"][1]["retryDelay"].rstrip("s")) > 50
        assert client.ask("GET", lists()).ok
