"""Marketo's lead fields: looked for, made, and given values of their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import orjson
import pytest
import requests
import responses

from millstream.destinations.marketo import Marketo
from millstream.destinations.modes import Status
from millstream.destinations.needed_fields import consent_fields_among, ensure_fields
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.state.errors import ConfigurationError, RefusedError
from tests.destinations.marketo_world import (
    LEADS,
    ROOT,
    connect,
    person,
    refusal,
    results,
    row,
    settings,
    signed_in,
    skipped,
)

MAKE_FIELD = f"{ROOT}/rest/v1/leads/schema/fields.json"
CONSENT = (
    "unsubscribed",
    "unsubscribedReason",
    "emailInvalid",
    "emailInvalidCause",
    "emailSuspended",
    "blackListed",
    "marketingSuspended",
    "doNotCall",
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=20, limits=False) as running:
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


def sync_of(fields: dict[str, Any], **facts: Any) -> Sync:
    return Sync(destination="marketo", table="raw.people", into="VIP", fields=fields, consent="not_needed", **facts)


def test_fields_that_carry_consent_cannot_be_mapped(marketo: Marketo) -> None:
    assert consent_fields_among(Marketo, CONSENT) == sorted(CONSENT)
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(marketo, "vips", sync_of({"Unsubscribed": "opted_out"}), {"opted_out": "BOOLEAN"})
    assert marketo.calls == 0


def test_fields_are_missing_misspelt_or_not_ours_to_write(marketo: Marketo) -> None:
    assert marketo.missing_fields(["firstName", "noSuchField", "customerId"]) == ["noSuchField"]
    with pytest.raises(ConfigurationError, match="'firstName'"):
        marketo.missing_fields(["firstname"])
    with pytest.raises(ConfigurationError, match="Marketo alone"):
        marketo.missing_fields(["createdAt"])


def test_fields_are_made_with_the_type_of_their_column(marketo: Marketo, sandbox: Sandbox) -> None:
    columns = {"a": "VARCHAR", "b": "DECIMAL(10,2)", "c": "BOOLEAN", "d": "DATE", "e": "TIMESTAMP WITH TIME ZONE"}
    mapped = {f"made{uuid4().hex[:6]}_{column}": column for column in columns}
    ensure_fields(marketo, "vips", sync_of(mapped, create_fields=True), columns)
    described = requests.get(
        f"{sandbox.url}/marketo/rest/v1/leads/describe.json", headers=marketo.auth()(_request()).headers, timeout=10
    ).json()["result"]
    types = {one["rest"]["name"]: one["dataType"] for one in described}
    assert [types[name] for name in mapped] == ["string", "float", "boolean", "date", "datetime"]
    values: dict[str, Any] = dict(
        zip(mapped, ("Zoë", "12.50", "true", "2026-11-01 23:30:00", "2026-11-01 10:00:00+01"), strict=True)
    )
    outcome = marketo.upsert([row("typed@box.example", **values)], match_key="email")[0]
    assert outcome.status is Status.ACCEPTED
    held = person(sandbox, "typed@box.example")["fields"]
    assert marketo._fields.typed({list(mapped)[4]: "2026-11-01 10:00:00"}) == {
        list(mapped)[4]: "2026-11-01T10:00:00+00:00"
    }
    assert [held[name] for name in mapped] == ["Zoë", 12.5, True, "2026-11-01", "2026-11-01T10:00:00+01:00"]


def _request() -> requests.PreparedRequest:
    return requests.Request("GET", "http://any.test").prepare()


def test_a_field_that_another_process_makes_meanwhile_is_taken(
    alone: responses.RequestsMock, connector: Marketo
) -> None:
    alone.post(MAKE_FIELD, json=refusal("1017", "Object already exists"))
    alone.post(MAKE_FIELD, json=results(skipped("1017", "Object already exists", name="loyalty_tier")))
    connector.create_field("loyalty_tier", "text")
    connector.create_field("loyalty_tier", "text")
    made = orjson.loads(alone.calls[-1].request.body)["input"]  # type: ignore[arg-type]
    assert made == [{"displayName": "loyalty tier", "name": "loyalty_tier", "dataType": "string"}]


def test_fields_that_cannot_be_made_stop_the_sync(alone: responses.RequestsMock, connector: Marketo) -> None:
    with pytest.raises(ConfigurationError, match="API name"):
        connector.create_field("2nd tier", "text")
    alone.post(MAKE_FIELD, json=results(skipped("1028", "Max field limit reached", name="tier")))
    with pytest.raises(ConfigurationError, match="Max field limit"):
        connector.create_field("tier", "text")
    alone.replace(responses.POST, MAKE_FIELD, json=refusal("1003", "Invalid data"))
    with pytest.raises(RefusedError):
        connector.create_field("tier", "text")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("12", 12),
        (12.0, 12),
        ("12.0", 12),
        (True, True),
        ("many", "many"),
        (12.5, 12.5),
        ("nan", "nan"),
        ("1e999", "1e999"),
    ],
)
def test_whole_numbers_are_sent_where_they_are_some(
    alone: responses.RequestsMock, connector: Marketo, value: Any, sent: object
) -> None:
    alone.post(LEADS, json=results({"id": 5, "status": "updated"}))
    connector.update([row("ana@box.example", visits=value)], match_key="email")
    assert orjson.loads(alone.calls[-1].request.body)["input"][0]["visits"] == sent  # type: ignore[arg-type]
