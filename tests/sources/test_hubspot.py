"""The HubSpot connector: odd answers one at a time, then whole pulls from the sandbox over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import dlt
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.contract import Row, Stream
from millstream.sources.dlt_source import SourcePull
from millstream.sources.hubspot import HubSpot, HubSpotSettings
from millstream.sources.hubspot.contacts import column_of, contact_object
from millstream.sources.hubspot.deals import shape_deal
from millstream.sources.hubspot.email import shape_email_event, shape_status
from millstream.sources.pull import Pull, Window, client_of
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    SchemaError,
)
from millstream.state.http import Retries

API = "https://api.hubapi.com"
CONTACTS = f"{API}/crm/v3/objects/contacts"
SINCE = datetime(2026, 2, 1, 8, 30, tzinfo=UTC)
SINCE_MS = "1769934600000"
QUICK = {"requests_per_second": 10_000, "searches_per_second": 10_000}


def hubspot(**settings: Any) -> HubSpot:
    values = {"access_token": "pat-test", **QUICK, **settings}
    return HubSpot(HubSpotSettings(**values))


def stream_of(source: HubSpot, name: str) -> Stream:
    return next(stream for stream in source.streams() if stream.name == name)


def pull_of(source: HubSpot, name: str, **window: Any) -> Pull:
    client, pacer = client_of(source, retries=Retries(attempts=2, first_wait=0.0))
    return Pull(stream_of(source, name), client, pacer=pacer, **window)


def rows_of(source: HubSpot, name: str, **window: Any) -> list[Row]:
    pull = pull_of(source, name, **window)
    pages = pull.stream.read(pull) if pull.stream.read else pull.pages()
    records = [record for page in pages for record in page]
    if pull.stream.shape_columns:
        columns = pull.stream.shape_columns(records)
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [pull.stream.shape(record) for record in records] if pull.stream.shape else records


def test_records_by_column_are_the_same_as_one_by_one() -> None:
    crm = contact_object(HubSpotSettings(access_token=SecretStr("x")))
    gone = {**contact(3, city=None), "archived": True, "archivedAt": "2026-03-01T00:00:00Z"}
    records = [contact(1, city="Lyon"), {"id": "2"}, gone, contact(4, lastmodifieddate="")]
    columns = crm.shape_columns(records)
    assert "job_title" not in columns, "a property that no record has stays out, so that a renamed one is noticed"
    for number, record in enumerate(records):
        row = crm.shape(record)
        found = {name: values[number] for name, values in columns.items()}
        assert {name: value for name, value in found.items() if value is not None} == {
            name: value for name, value in row.items() if value is not None
        }


def contact(number: int, **properties: str | None) -> dict[str, Any]:
    return {
        "id": str(number),
        "properties": {
            "email": f"person{number}@web.example",
            "lastmodifieddate": "2026-02-01T08:30:00.123Z",
            **properties,
        },
        "createdAt": "2026-01-05T10:00:00.000Z",
        "updatedAt": "2026-02-01T08:30:00.123Z",
        "archived": False,
    }


def page_of(records: list[dict[str, Any]], after: str | None = None, **more: Any) -> dict[str, Any]:
    paging = {"paging": {"next": {"after": after, "link": f"{API}/next"}}} if after else {}
    return {"results": records, **paging, **more}


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def nothing_archived(api: responses.RequestsMock, kind: str = "contacts") -> None:
    query = responses.matchers.query_param_matcher({"archived": "true"}, strict_match=False)
    api.get(f"{API}/crm/v3/objects/{kind}", json=page_of([]), match=[query])


def bodies(api: responses.RequestsMock, ending: str) -> list[dict[str, Any]]:
    return [
        json.loads(call.request.body or "{}")
        for call in api.calls
        if (call.request.url or "").split("?")[0].endswith(ending)
    ]


# -- settings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"client_id": "a", "client_secret": "b"},
        {"access_token": "pat", "client_id": "a", "client_secret": "b", "refresh_token": "c"},
        {"access_token": "pat", "properties": ["not a name"]},
        {"access_token": "pat", "streams": ["subscription_statuses"]},
        {"access_token": "pat", "hapikey": "old"},
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HubSpotSettings(**values)


def test_a_property_whose_name_is_taken_gets_a_column_of_its_own() -> None:
    assert column_of("email") == "email"
    assert column_of("customer_id") == "customer_id"
    assert column_of("deleted") == "property_deleted"
    assert column_of("loyaltyTier__c") == "loyalty_tier_c"


def test_extra_properties_become_identifiers_and_traits() -> None:
    source = hubspot(
        identifiers={"customer_id": "user_id"},
        traits={"plan": "plan", "seats": {"name": "seats_bought", "type": "number"}},
    )
    contacts = stream_of(source, "contacts")
    assert contacts.people is not None
    assert ("user_id", "customer_id") in {(i.kind, i.column) for i in contacts.people.identifiers}
    assert ("seats_bought", "number") in {(t.name, t.type) for t in contacts.people.traits}
    assert {"customer_id", "plan", "seats"} <= {column.name for column in contacts.columns}


def test_every_declaration_names_a_declared_column() -> None:
    for stream in hubspot(email_topics={"Product news": "product"}).streams():
        columns = {column.name for column in stream.columns}
        people = stream.people
        if people is None:
            continue
        said = {item.column for item in people.identifiers}
        said |= {item.column for item in people.traits} | {item.column for item in people.consents}
        said |= {name for name in (people.observed_at, people.deleted, people.country) if name}
        for event in people.events:
            said |= {event.at, *event.properties}
            said |= {n for n in (event.name_column, event.value, event.currency, event.campaign) if n}
            said |= {event.when[0]} if event.when else set()
        assert said <= columns, stream.name


# -- contacts ------------------------------------------------------------------------------------------------


def test_the_first_pull_lists_every_contact_and_then_the_deleted_ones(api: responses.RequestsMock) -> None:
    not_archived = responses.matchers.query_param_matcher(
        {"limit": "100", "properties": ",".join(_asked_of_contacts())}
    )
    second = responses.matchers.query_param_matcher({"after": "2"}, strict_match=False)
    gone = responses.matchers.query_param_matcher({"archived": "true"}, strict_match=False)
    api.get(CONTACTS, json=page_of([contact(1), contact(2)], after="2"), match=[not_archived])
    api.get(CONTACTS, json=page_of([contact(3)]), match=[second])
    deleted = {**contact(4), "archived": True, "archivedAt": "2026-01-20T00:00:00Z"}
    api.get(CONTACTS, json=page_of([deleted]), match=[gone])

    rows = rows_of(hubspot(), "contacts")

    assert [(row["id"], row["deleted"]) for row in rows] == [
        ("1", False),
        ("2", False),
        ("3", False),
        ("4", True),
    ]
    assert rows[3]["archived_at"] == "2026-01-20T00:00:00Z"


def _asked_of_contacts() -> tuple[str, ...]:
    return hubspot()._contact.names


def test_a_later_pull_searches_by_id_from_the_cursor(api: responses.RequestsMock) -> None:
    nothing_archived(api)
    api.post(f"{CONTACTS}/search", json=page_of([contact(7), contact(9)], after="200", total=3))
    api.post(f"{CONTACTS}/search", json=page_of([contact(12)], total=1))

    rows = rows_of(hubspot(), "contacts", since=SINCE)

    assert [row["id"] for row in rows] == ["7", "9", "12"]
    first, second = bodies(api, "/search")
    assert "after" not in second, "paging by offset ends at 10,000 records"
    assert first["sorts"] == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
    filters = {(f["propertyName"], f["operator"]): f["value"] for f in second["filterGroups"][0]["filters"]}
    assert filters == {("hs_object_id", "GT"): "9", ("lastmodifieddate", "GTE"): SINCE_MS}


def test_a_backfill_has_an_upper_bound_too(api: responses.RequestsMock) -> None:
    nothing_archived(api)
    api.post(f"{CONTACTS}/search", json=page_of([], total=0))
    window = Window.of_days(date(2026, 2, 1), date(2026, 2, 2))

    rows_of(hubspot(), "contacts", since=window.since, until=window.until)

    (body,) = bodies(api, "/search")
    assert {
        "propertyName": "lastmodifieddate",
        "operator": "LT",
        "value": str(int(window.until.timestamp() * 1000)),
    } in body["filterGroups"][0]["filters"]


def test_more_properties_than_fit_a_url_are_asked_for_by_search(api: responses.RequestsMock) -> None:
    nothing_archived(api)
    api.post(f"{CONTACTS}/search", json=page_of([contact(1)], total=1))
    names = [f"a_rather_long_property_name_{number}" for number in range(300)]

    rows = rows_of(hubspot(properties=names), "contacts")

    assert [row["id"] for row in rows] == ["1"]
    assert len(bodies(api, "/search")[0]["properties"]) > 300
    assert all(len(call.request.url or "") < 8_000 for call in api.calls)


@pytest.mark.parametrize(
    "answer",
    [
        page_of([contact(1)], total=40),
        page_of([], after="200", total=40),
    ],
    ids=["fewer than counted", "more announced, none given"],
)
def test_a_search_that_breaks_off_is_noticed(api: responses.RequestsMock, answer: dict[str, Any]) -> None:
    nothing_archived(api)
    api.post(f"{CONTACTS}/search", json=answer)
    with pytest.raises(IncompleteError):
        rows_of(hubspot(), "contacts", since=SINCE)


def test_deletions_before_the_window_are_old_news(api: responses.RequestsMock) -> None:
    api.post(f"{CONTACTS}/search", json=page_of([], total=0))
    old = {**contact(1), "archived": True, "archivedAt": (SINCE - timedelta(hours=1)).isoformat()}
    new = {**contact(2), "archived": True, "archivedAt": (SINCE + timedelta(hours=1)).isoformat()}
    api.get(CONTACTS, json=page_of([old, new]))

    assert [row["id"] for row in rows_of(hubspot(), "contacts", since=SINCE)] == ["2"]


def test_a_contact_without_a_numeric_id_stops_the_search(api: responses.RequestsMock) -> None:
    nothing_archived(api)
    record = contact(1)
    del record["id"]
    api.post(f"{CONTACTS}/search", json=page_of([record], after="1", total=2))
    with pytest.raises(SchemaError):
        rows_of(hubspot(), "contacts", since=SINCE)


# -- deals ---------------------------------------------------------------------------------------------------


def deal(number: int, **properties: str | None) -> dict[str, Any]:
    made = contact(number)
    modified = {"hs_lastmodifieddate": "2026-02-01T08:30:00Z", "amount": "120.50"}
    return {**made, "properties": {**modified, **properties}}


def test_the_list_brings_associations_along(api: responses.RequestsMock) -> None:
    nothing_archived(api, "deals")
    record = deal(5)
    record["associations"] = {
        "contacts": {"results": [{"id": "20", "type": "deal_to_contact"}, {"id": "3", "type": "other"}]}
    }
    api.get(f"{API}/crm/v3/objects/deals", json=page_of([record]))

    (row,) = rows_of(hubspot(), "deals")

    assert (row["contact_id"], row["contact_ids"], row["company_ids"]) == ("3", ["3", "20"], [])


def test_searched_deals_ask_for_their_associations(api: responses.RequestsMock) -> None:
    nothing_archived(api, "deals")
    api.post(f"{API}/crm/v3/objects/deals/search", json=page_of([deal(5), deal(6)], total=2))
    contacts = f"{API}/crm/v4/associations/deals/contacts/batch/read"
    more = {"next": {"after": "10"}}
    first = {"from": {"id": "5"}, "to": [{"toObjectId": 10, "associationTypes": []}], "paging": more}
    none = {"category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND"}
    api.post(contacts, status=207, json={"results": [first], "numErrors": 1, "errors": [none]})
    api.post(contacts, json={"results": [{"from": {"id": "5"}, "to": [{"toObjectId": 8}]}]})
    api.post(f"{API}/crm/v4/associations/deals/companies/batch/read", json={"results": []})

    rows = rows_of(hubspot(), "deals", since=SINCE)

    assert [(row["id"], row["contact_id"], row["contact_ids"]) for row in rows] == [
        ("5", "8", ["8", "10"]),
        ("6", None, []),
    ]
    assert bodies(api, "contacts/batch/read")[1] == {"inputs": [{"id": "5", "after": "10"}]}


def test_associations_that_hubspot_could_not_read_stop_the_stream(api: responses.RequestsMock) -> None:
    nothing_archived(api, "deals")
    api.post(f"{API}/crm/v3/objects/deals/search", json=page_of([deal(5)], total=1))
    api.post(
        f"{API}/crm/v4/associations/deals/contacts/batch/read",
        status=207,
        json={"results": [], "errors": [{"category": "INTERNAL_ERROR"}]},
    )
    with pytest.raises(IncompleteError):
        rows_of(hubspot(), "deals", since=SINCE)


@pytest.mark.parametrize(
    ("properties", "outcome"),
    [
        ({"hs_is_closed_won": "true", "hs_is_closed": "true", "dealstage": "48213"}, "won"),
        ({"hs_is_closed_won": "false", "hs_is_closed": "true", "dealstage": "48214"}, "lost"),
        ({"hs_is_closed_won": "false", "hs_is_closed": "false", "dealstage": "closedwon"}, "open"),
        ({"dealstage": "closedwon"}, "won"),
        ({"dealstage": "signed"}, "won"),
        ({"dealstage": "closedlost"}, "lost"),
        ({"dealstage": "appointmentscheduled"}, "open"),
    ],
)
def test_a_deal_is_won_or_lost_by_its_flags_or_its_stage(properties: dict[str, str | None], outcome: str) -> None:
    settings = HubSpotSettings(access_token="pat", won_stages=("closedwon", "signed"))
    record = {**deal(1, **properties), "associated": {"contacts": [], "companies": []}}
    assert shape_deal(record, settings)["outcome"] == outcome
    assert shape_deal({**record, "archived": True}, settings)["outcome"] == "deleted"


# -- e-mail --------------------------------------------------------------------------------------------------


def event(**more: Any) -> dict[str, Any]:
    made = {"id": "e1", "created": 1_769_934_600_000, "recipient": "ana@web.example", "emailCampaignId": 77}
    return {**made, **more}


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({"type": "OPEN"}, "open"),
        ({"type": "OPEN", "filteredEvent": True}, "open filtered"),
        ({"type": "STATUSCHANGE", "portalSubscriptionStatus": "UNSUBSCRIBED"}, "unsubscribed"),
        ({"type": "STATUSCHANGE", "subscriptions": [{"id": 4, "status": "SUBSCRIBED"}]}, "statuschange"),
    ],
)
def test_the_action_of_an_email_event(more: dict[str, Any], action: str) -> None:
    assert shape_email_event(event(**more))["action"] == action


def _query_of(call: responses.Call) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(call.request.url or "").query))


def test_email_events_are_read_from_the_cursor_page_by_page(api: responses.RequestsMock) -> None:
    url = f"{API}/email/public/v1/events"
    api.get(url, json={"hasMore": True, "offset": "abc", "events": [event(type="CLICK")]})
    api.get(url, json={"hasMore": False, "offset": "def", "events": [event(id="e2", type="OPEN")]})

    rows = rows_of(hubspot(), "email_events", since=SINCE)

    assert [row["id"] for row in rows] == ["e1", "e2"]
    first, second = (_query_of(call) for call in api.calls)
    assert first["startTimestamp"] == SINCE_MS
    assert second["offset"] == "abc"


def test_the_first_email_events_start_at_the_start_date(api: responses.RequestsMock) -> None:
    api.get(f"{API}/email/public/v1/events", json={"hasMore": False, "events": []})
    rows_of(hubspot(start_date=date(2026, 2, 1)), "email_events")
    assert _query_of(api.calls[0])["startTimestamp"] == "1769904000000"


def test_email_events_that_lead_nowhere_are_noticed(api: responses.RequestsMock) -> None:
    api.get(f"{API}/email/public/v1/events", json={"hasMore": True, "offset": "abc", "events": []})
    with pytest.raises(IncompleteError):
        rows_of(hubspot(), "email_events", since=SINCE)


def statuses(*pairs: tuple[int, str]) -> dict[str, Any]:
    said = [
        {"subscriptionId": number, "subscriptionName": f"Type {number}", "status": status} for number, status in pairs
    ]
    return {"subscriberIdString": "ana@web.example", "statuses": said}


def test_subscription_types_count_to_topics_and_a_refusal_outweighs() -> None:
    settings = HubSpotSettings(access_token="pat", email_topics={"3": "product", "Type 4": "Events & fairs"})
    row = shape_status(
        statuses((1, "SUBSCRIBED"), (2, "UNSUBSCRIBED"), (3, "SUBSCRIBED"), (4, "NOT_SPECIFIED")), settings
    )
    assert row["topic_marketing"] == "UNSUBSCRIBED"
    assert row["topic_product"] == "SUBSCRIBED"
    assert row["topic_events_fairs"] == "NOT_SPECIFIED"


def test_an_unknown_status_grants_nothing() -> None:
    settings = HubSpotSettings(access_token="pat")
    row = shape_status(statuses((1, "SUBSCRIBED"), (2, "ON_HOLD")), settings)
    assert row["topic_marketing"] is None


def test_a_subscription_without_a_status_stops_the_stream() -> None:
    one = {"subscriberIdString": "a@web.example", "statuses": [{"subscriptionId": 1, "state": "SUBSCRIBED"}]}
    with pytest.raises(SchemaError):
        shape_status(one, HubSpotSettings(access_token="pat"))


def test_subscriptions_are_asked_for_the_contacts_and_changes_just_read(api: responses.RequestsMock) -> None:
    source = hubspot()
    nothing_archived(api)
    api.get(CONTACTS, json=page_of([contact(1), contact(2, email=None)]))
    changed = event(type="STATUSCHANGE", recipient="ben@web.example")
    opened = event(type="OPEN", recipient="eva@web.example")
    api.get(f"{API}/email/public/v1/events", json={"hasMore": False, "events": [changed, opened]})
    path = f"{API}/communication-preferences/v4/statuses/batch/read"
    api.post(path, json={"results": []})
    rows_of(source, "contacts")
    rows_of(source, "email_events")
    rows_of(source, "subscription_statuses")

    (body,) = bodies(api, "statuses/batch/read")
    assert body == {"inputs": ["person1@web.example", "ben@web.example"]}


def test_one_refused_address_does_not_hide_the_consent_of_others(api: responses.RequestsMock) -> None:
    source = hubspot()
    nothing_archived(api)
    api.get(CONTACTS, json=page_of([contact(number) for number in range(1, 6)]))

    def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        asked = json.loads(request.body or "{}")["inputs"]
        if "person3@web.example" in asked:
            return 400, {}, json.dumps({"status": "error", "category": "VALIDATION_ERROR"})
        return 200, {}, json.dumps({"results": [{"subscriberIdString": a, "statuses": []} for a in asked]})

    api.add_callback(responses.POST, f"{API}/communication-preferences/v4/statuses/batch/read", callback=answer)
    rows_of(source, "contacts")

    rows = rows_of(source, "subscription_statuses")

    assert [row["email"] for row in rows] == [f"person{number}@web.example" for number in (1, 2, 4, 5)]


def test_an_account_without_batches_is_asked_about_one_address_after_the_other(api: responses.RequestsMock) -> None:
    source = hubspot()
    nothing_archived(api)
    api.get(CONTACTS, json=page_of([contact(1), contact(2)]))
    path = f"{API}/communication-preferences/v4/statuses"
    api.post(f"{path}/batch/read", status=403, json={"status": "error", "category": "MISSING_SCOPES"})
    said = {"subscriptionId": 1, "status": "SUBSCRIBED", "subscriberIdString": "person1@web.example"}
    api.get(f"{path}/person1@web.example", json={"results": [said, said | {"subscriptionId": 2}]})
    api.get(f"{path}/person2@web.example", status=404, json={"status": "error", "category": "OBJECT_NOT_FOUND"})
    rows_of(source, "contacts")

    rows = rows_of(source, "subscription_statuses")

    assert [(row["email"], row["topic_marketing"]) for row in rows] == [("person1@web.example", "SUBSCRIBED")]
    assert [one["subscriptionId"] for one in rows[0]["statuses"]] == [1, 2]


# -- lists ---------------------------------------------------------------------------------------------------


def test_members_are_read_of_the_named_contact_lists_only(api: responses.RequestsMock) -> None:
    found = [
        {"listId": "1", "name": "Newsletter", "objectTypeId": "0-1"},
        {"listId": "2", "name": "Buyers", "objectTypeId": "0-1"},
        {"listId": "3", "name": "Suppliers", "objectTypeId": "0-2"},
    ]
    api.post(f"{API}/crm/v3/lists/search", json={"lists": found, "hasMore": False, "offset": 3})
    member = {"recordId": "7", "membershipTimestamp": "2026-01-01T00:00:00Z"}
    api.get(f"{API}/crm/v3/lists/2/memberships", json=page_of([member]))

    (row,) = rows_of(hubspot(lists=["Buyers"]), "list_memberships")

    assert row == {
        "list_id": "2",
        "contact_id": "7",
        "list_name": "Buyers",
        "joined_at": "2026-01-01T00:00:00Z",
    }
    with pytest.raises(ConfigurationError, match="Suppliers"):
        rows_of(hubspot(lists=["Suppliers"]), "list_memberships")


def test_lists_are_read_page_by_page(api: responses.RequestsMock) -> None:
    url = f"{API}/crm/v3/lists/search"
    api.post(url, json={"lists": [{"listId": "1"}, {"listId": "2"}], "hasMore": True, "offset": 2})
    api.post(url, json={"lists": [{"listId": "3"}], "hasMore": False, "offset": 3})

    assert [row["id"] for row in rows_of(hubspot(), "lists")] == ["1", "2", "3"]
    assert [body["offset"] for body in bodies(api, "lists/search")] == [0, 2]


# -- errors --------------------------------------------------------------------------------------------------

_SCOPES = {"requiredGranularScopes": ["crm.lists.read", "crm.lists.write"]}


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (429, {"errorType": "RATE_LIMIT", "policyName": "DAILY"}, QuotaExhaustedError, "midnight"),
        (429, {"policyName": "TEN_SECONDLY_ROLLING"}, RateLimitedError, "429"),
        (401, {"category": "EXPIRED_AUTHENTICATION"}, AuthenticationError, "expired"),
        (401, {"category": "INVALID_AUTHENTICATION"}, AuthenticationError, "replace the secret"),
        (
            403,
            {"category": "MISSING_SCOPES", "errors": [{"context": _SCOPES}]},
            PermissionDeniedError,
            "add crm.lists.read, crm.lists.write",
        ),
        (
            403,
            {"category": "MISSING_SCOPES", "errors": [{"context": "{missingScopes=[content]}"}]},
            PermissionDeniedError,
            "add content to",
        ),
        (403, {"category": "MISSING_SCOPES"}, PermissionDeniedError, "docs/sources/hubspot.md"),
        (403, {"category": "BANNED"}, PermissionDeniedError, "403"),
    ],
)
def test_errors_say_what_to_do(
    api: responses.RequestsMock, status: int, body: dict[str, Any], kind: type[MillstreamError], says: str
) -> None:
    api.get(CONTACTS, status=status, json={"status": "error", **body})
    source = hubspot()
    with pytest.raises(kind, match=says):
        source.probe(pull_of(source, "contacts"))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"category": "INVALID_AUTHENTICATION"}, AuthenticationError),
        (403, {"category": "MISSING_SCOPES"}, PermissionDeniedError),
        (429, {"policyName": "DAILY"}, QuotaExhaustedError),
    ],
)
def test_errors_of_paged_requests_are_told_apart_too(
    api: responses.RequestsMock, status: int, body: dict[str, Any], kind: type[MillstreamError]
) -> None:
    api.get(CONTACTS, status=status, json=body)
    with pytest.raises(kind):
        rows_of(hubspot(), "contacts")
    assert len(api.calls) == 1


def test_the_daily_limit_keeps_what_was_read_and_the_place(api: responses.RequestsMock, tmp_path: Path) -> None:
    api.get(CONTACTS, json=page_of([contact(1, **_NOTHING_ELSE)], after="1"))
    api.get(CONTACTS, status=429, json={"policyName": "DAILY"})
    pull = SourcePull(hubspot(streams=["contacts"]))
    pipeline = dlt.pipeline("hubspot_daily", pipelines_dir=str(tmp_path))
    pipeline.extract(pull.dlt_source(), loader_file_format="parquet")
    report = pull.reports["contacts"]
    assert (report.status, report.rows, report.cursor) == ("partial", 1, None)


_NOTHING_ELSE = dict.fromkeys(("phone", "firstname", "lastname", "lifecyclestage", "hs_email_optout"))


def test_the_wait_may_stand_in_the_body(api: responses.RequestsMock) -> None:
    api.get(CONTACTS, status=429, json={"policyName": "SECONDLY", "retry_after": 0.01})
    api.get(CONTACTS, json=page_of([]))
    source = hubspot()
    source.probe(pull_of(source, "contacts"))
    assert len(api.calls) == 2


def test_an_oauth_app_fetches_its_token_and_renews_it_on_401(api: responses.RequestsMock) -> None:
    token = f"{API}/oauth/v1/token"
    api.post(token, json={"access_token": "one", "expires_in": 1800})
    api.post(token, json={"access_token": "two", "expires_in": 1800})
    signed = responses.matchers.header_matcher({"Authorization": "Bearer two"})
    api.get(CONTACTS, json=page_of([]), match=[signed])
    api.get(CONTACTS, status=401, json={"category": "EXPIRED_AUTHENTICATION"})
    source = hubspot(access_token=None, client_id="id", client_secret="secret", refresh_token="again")

    source.probe(pull_of(source, "contacts"))

    assert api.calls[0].request.body == (
        "grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=again"
    )


# -- whole pulls from the sandbox ----------------------------------------------------------------------------


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=300, limits=False) as running:
        yield running


class Account:
    """A pipeline into a DuckDB file from a sandbox's HubSpot."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.base_url = sandbox.system_url("hubspot")
        self.token = {"Authorization": "Bearer pat-sandbox-hubspot"}
        self._pipeline = dlt.pipeline(
            "hubspot_test",
            destination=dlt.destinations.duckdb(str(folder / "store.duckdb")),
            dataset_name="raw_hubspot",
            pipelines_dir=str(folder),
        )

    def pull(self, *, window: Window | None = None, token: str = "pat-sandbox-hubspot", **settings: Any) -> SourcePull:
        source = hubspot(base_url=self.base_url, access_token=token, **settings)
        retries = Retries(first_wait=0.0, longest_wait=0.01)
        pull = SourcePull(source, window=window, retries=retries)
        self._pipeline.run(pull.dlt_source(), loader_file_format="parquet")
        return pull

    def one(self, query: str) -> Any:
        with self._pipeline.sql_client() as client, client.execute_query(query) as cursor:
            (row,) = cursor.fetchall()
        return row[0] if len(row) == 1 else tuple(row)

    def control(self, path: str, body: dict[str, Any]) -> None:
        answer = requests.post(f"{self.sandbox.url}/_sandbox/{path}", json=body, timeout=10)
        answer.raise_for_status()

    def fault(self, **fault: Any) -> None:
        self.control("faults", {"system": "hubspot", **fault})

    def no_faults(self) -> None:
        requests.delete(f"{self.sandbox.url}/_sandbox/faults", timeout=10).raise_for_status()


@pytest.fixture
def account(sandbox: Sandbox, tmp_path: Path) -> Account:
    return Account(sandbox, tmp_path)


def test_a_whole_account_is_loaded_and_then_only_what_changed(account: Account) -> None:
    pull = account.pull(identifiers={"customer_id": "user_id"})
    everyone = int(account.sandbox.company.columns.contact_count.sum())
    assert {report.status for report in pull.reports.values()} == {"complete"}
    assert account.one("SELECT count(*), count(DISTINCT id) FROM contacts") == (everyone, everyone)
    assert account.one("SELECT count(*) FROM subscription_statuses") == everyone
    assert account.one("SELECT count(*) FROM deals WHERE contact_id IS NULL") == 0
    assert account.one("SELECT count(*) FROM contacts WHERE customer_id LIKE 'C-%'") > 0
    assert account.one("SELECT count(*) FROM deals WHERE outcome = 'won' AND closed_at IS NULL") == 0
    listed = account.one("SELECT sum(size) FROM lists WHERE object_type_id = '0-1'")
    assert account.one("SELECT count(*) FROM list_memberships") == listed

    account.control("advance", {"share": 0.05, "seed": 1})
    later = account.pull(identifiers={"customer_id": "user_id"})

    changed = later.reports["contacts"].rows
    assert 10 <= changed < everyone / 2
    assert later.reports["subscription_statuses"].rows >= changed
    now = int(account.sandbox.company.columns.contact_count.sum())
    assert account.one("SELECT count(*) FROM contacts") == now > everyone


def test_subscription_statuses_agree_with_the_newsletter_list(account: Account) -> None:
    account.pull()
    in_both = """
        SELECT count(*) FROM subscription_statuses AS status JOIN contacts USING (email)
        WHERE topic_marketing = 'SUBSCRIBED' AND email_opted_out
    """
    assert account.one(in_both) == 0
    assert account.one("SELECT count(*) FROM subscription_statuses WHERE topic_marketing = 'SUBSCRIBED'") > 0


def test_a_deleted_contact_is_marked_deleted(account: Account) -> None:
    account.pull(streams=("contacts",))
    contact_id = account.one("SELECT min(id) FROM contacts")
    url = f"{account.base_url}/crm/v3/objects/contacts/{contact_id}"
    requests.delete(url, headers=account.token, timeout=10).raise_for_status()

    account.pull(streams=("contacts",))

    assert account.one("SELECT count(*) FROM contacts WHERE deleted") == 1
    assert account.one(f"SELECT deleted FROM contacts WHERE id = '{contact_id}'") is True


def test_a_backfill_reads_its_days_and_keeps_the_place(account: Account) -> None:
    cursor = account.pull(streams=("contacts",)).reports["contacts"].cursor
    first, last = account.one("SELECT min(modified_at)::DATE, max(modified_at)::DATE FROM contacts")
    middle = first + (last - first) // 2
    window = Window.of_days(first, middle)
    expected = account.one(
        f"SELECT count(*) FROM contacts WHERE modified_at < TIMESTAMPTZ '{window.until.isoformat()}'"
    )

    report = account.pull(window=window, streams=("contacts",)).reports["contacts"]

    assert (report.rows, report.cursor) == (expected, None)
    assert account.pull(streams=("contacts",)).reports["contacts"].cursor == cursor


def test_no_place_is_kept_after_the_pull_began(account: Account) -> None:
    # A record read early may have changed while later ones were read.
    source = hubspot(base_url=account.base_url, access_token="pat-sandbox-hubspot")
    began = datetime(2026, 1, 1, tzinfo=UTC)
    pull = SourcePull(source, pulled_at=began)
    pipeline = dlt.pipeline("hubspot_place", pipelines_dir=str(account._pipeline.pipelines_dir))
    pipeline.extract(pull.dlt_source().with_resources("contacts"))
    assert pull.reports["contacts"].cursor == began.isoformat()


def test_a_missing_scope_skips_its_streams_and_keeps_their_tables(account: Account) -> None:
    account.pull()
    before = account.one("SELECT (SELECT count(*) FROM lists), (SELECT count(*) FROM list_memberships)")

    pull = account.pull(token="pat-sandbox-no-lists")

    assert pull.reports["contacts"].status == "complete"
    assert pull.reports["lists"].status == "skipped"
    assert "add crm.lists.read" in str(pull.reports["lists"].error)
    after = account.one("SELECT (SELECT count(*) FROM lists), (SELECT count(*) FROM list_memberships)")
    assert after == before


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "short_page"},
        {"kind": "truncated", "every": 5},
        {"kind": "html", "every": 5},
        {"kind": "server_error", "every": 4},
        {"kind": "reset", "every": 5, "when": "after"},
        {"kind": "rate_limited", "every": 7, "seconds": 0.01},
    ],
    ids=lambda fault: str(fault["kind"]),
)
def test_faults_on_the_way_lose_no_rows(account: Account, fault: dict[str, Any]) -> None:
    account.fault(**fault)
    pull = account.pull()
    assert {report.status for report in pull.reports.values()} == {"complete"}
    everyone = int(account.sandbox.company.columns.contact_count.sum())
    assert account.one("SELECT count(*) FROM contacts") == everyone
    assert account.one("SELECT count(*) FROM subscription_statuses") == everyone


@pytest.mark.parametrize(
    ("field", "stream", "kept"),
    [
        ("email", "contacts", "SELECT count(email) FROM contacts"),
        ("lastmodifieddate", "contacts", "SELECT count(modified_at) FROM contacts"),
        ("hs_email_optout", "contacts", "SELECT count(email_opted_out) FROM contacts"),
        ("dealstage", "deals", "SELECT count(stage) FROM deals"),
        ("recipient", "email_events", "SELECT count(email) FROM email_events"),
        ("status", "subscription_statuses", "SELECT count(topic_marketing) FROM subscription_statuses"),
    ],
)
def test_a_renamed_field_fails_its_stream_and_spoils_nothing(
    account: Account, field: str, stream: str, kept: str
) -> None:
    streams = ("contacts", stream) if stream == "subscription_statuses" else (stream,)
    account.pull(streams=streams)
    before = account.one(kept)
    account.control("advance", {"share": 0.05, "seed": 1})
    account.fault(kind="rename_field", **{"from": field, "to": "renamed"})

    report = account.pull(streams=streams).reports[stream]

    assert (report.status, type(report.error)) == ("failed", SchemaError)
    assert account.one(kept) == before
    account.no_faults()
    assert account.pull(streams=streams).reports[stream].status == "complete"


@pytest.mark.parametrize(
    ("field", "stream"),
    [("id", "contacts"), ("toObjectId", "deals"), ("listId", "list_memberships"), ("recordId", "list_memberships")],
)
def test_a_lost_key_fails_its_stream_and_no_other(account: Account, field: str, stream: str) -> None:
    account.pull()
    account.control("advance", {"share": 0.2, "seed": 1})
    account.fault(kind="drop_field", field=field)

    reports = account.pull().reports

    assert (reports[stream].status, type(reports[stream].error)) == ("failed", SchemaError)
    assert len(reports) == len(hubspot().streams())


def test_failed_subscriptions_are_asked_for_again(account: Account) -> None:
    streams = ("contacts", "subscription_statuses")
    account.pull(streams=streams)
    account.control("advance", {"share": 0.05, "seed": 1})
    account.fault(kind="rename_field", **{"from": "status", "to": "renamed"})
    changed = account.pull(streams=streams).reports["contacts"].rows
    account.no_faults()
    assert account.pull(streams=streams).reports["subscription_statuses"].rows >= changed


@pytest.fixture
def probing(sandbox: Sandbox) -> Callable[[str, str], None]:
    def probe(token: str, stream: str) -> None:
        source = hubspot(base_url=sandbox.system_url("hubspot"), access_token=token)
        source.probe_stream(pull_of(source, stream))

    return probe


def test_each_stream_can_be_probed(probing: Callable[[str, str], None]) -> None:
    for stream in hubspot().streams():
        probing("pat-sandbox-hubspot", stream.name)
    with pytest.raises(PermissionDeniedError):
        probing("pat-sandbox-no-lists", "list_memberships")
    with pytest.raises(AuthenticationError):
        probing("pat-nobody", "contacts")
