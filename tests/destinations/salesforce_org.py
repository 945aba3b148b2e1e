"""An organization for tests of the destination Salesforce: the sandbox's, or one of which a test gives each answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import requests
import responses

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.http import Http
from millstream.destinations.salesforce import Salesforce, SalesforceSettings
from millstream.sandbox import Sandbox
from millstream.state.http import Retries

SESSION = "00D5g0000000001!sandbox-salesforce"
READ_ONLY = "00D5g0000000001!sandbox-read-only"
ROOT = "https://acme.my.salesforce.test"
DATA = f"{ROOT}/services/data/v66.0"
COLLECTIONS = f"{DATA}/composite/sobjects"
UPSERT = f"{COLLECTIONS}/Contact/Customer_Id__c"
QUERY = f"{DATA}/query"
JOBS = f"{DATA}/jobs/ingest"
FIELDS = f"{DATA}/tooling/sobjects/CustomField"
CONTACT = "0035g0000000001AAA"
OTHER = "0035g0000000002AAA"
CAMPAIGN = "7015g0000000001AAA"


def connect(sandbox: Sandbox, **facts: object) -> Salesforce:
    """The connector at the sandbox."""
    given = {
        "base_url": f"{sandbox.url}/salesforce",
        "access_token": SESSION,
        "external_id_field": "Customer_Id__c",
        **facts,
    }
    return Salesforce(SalesforceSettings.model_validate(given))


def offline(**facts: object) -> Salesforce:
    """The connector at an organization that only answers what a test says, with waits too short to notice."""
    given = {"base_url": ROOT, "access_token": "a-session", "external_id_field": "Customer_Id__c", **facts}
    made = Salesforce(SalesforceSettings.model_validate(given))
    made._https[""] = Http(
        system=made.name,
        base_url=ROOT,
        auth=made.auth(),
        limit=made.rate_limit,
        classify=made.classify,
        retries=Retries(attempts=2, first_wait=0.001),
    )
    return made


def field(name: str, kind: str = "string", **facts: object) -> dict[str, object]:
    """A field of a description, which the user may write."""
    return {"name": name, "label": name, "type": kind, "updateable": True, "nillable": True, **facts}


STANDARD = (
    field("Id", "id", updateable=False),
    field("LastName", nillable=False),
    field("FirstName"),
    field("Customer_Id__c", externalId=True),
    field("Vip__c", "boolean", label="VIP", nillable=False),
    field("Audiences__c", "multipicklist", restrictedPicklist=True, picklistValues=[{"active": True, "value": "Vip"}]),
)


def described(vendor: responses.RequestsMock, *more: dict[str, object], api_name: str = "Contact") -> None:
    """Have the vendor describe the object, with more fields or others of the same name."""
    fields = {str(one["name"]): one for one in (*STANDARD, *more)}
    vendor.get(f"{DATA}/sobjects/{api_name}/describe", json={"name": api_name, "fields": list(fields.values())})


def taken(record_id: str = CONTACT) -> dict[str, object]:
    """The result of a record that was written."""
    return {"id": record_id, "success": True, "errors": []}


def refused(code: str, message: str = "no", fields: Sequence[str] = ()) -> dict[str, object]:
    """The result of a record that was not."""
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


def found(*rows: Mapping[str, object]) -> dict[str, object]:
    """The answer to a query."""
    return {"totalSize": len(rows), "done": True, "records": list(rows)}


def sent(vendor: responses.RequestsMock, method: str) -> list[Any]:
    """Bodies of the requests by a method."""
    return [orjson.loads(call.request.body or b"null") for call in vendor.calls if call.request.method == method]


def asked(vendor: responses.RequestsMock, at: int = -1) -> dict[str, str]:
    """The query of a request, by the number of the call."""
    return dict(parse_qsl(urlsplit(str(vendor.calls[at].request.url)).query))


def row(number: int, match_value: str, external_id: str | None = None, **fields: Any) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def statuses(outcomes: Iterable[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def people(sandbox: Sandbox, api_name: str = "Contact") -> dict[str, Any]:
    """Everybody of an object, as the sandbox holds them, by record id."""
    state = requests.get(f"{sandbox.url}/_sandbox/state/salesforce", timeout=10).json()
    return {one["id"]: one for one in state["people"] if one["object"] == api_name}


def fields_of(sandbox: Sandbox, external_id: str, api_name: str = "Contact") -> dict[str, Any]:
    """Fields of one person."""
    facts: dict[str, Any] = next(
        one["fields"]
        for one in people(sandbox, api_name).values()
        if one["match"]["external_id"] == external_id and one["standing"] != "deleted"
    )
    return facts


def ask(sandbox: Sandbox, method: str, path: str, body: object) -> Any:
    """A request of somebody else in the organization."""
    url = f"{sandbox.url}/salesforce/services/data/v66.0/{path}"
    answer = requests.request(method, url, json=body, headers={"Authorization": f"Bearer {SESSION}"}, timeout=10)
    assert answer.ok, answer.text
    return answer.json() if answer.content else None
