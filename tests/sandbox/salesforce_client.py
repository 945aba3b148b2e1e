"""How the tests of the Salesforce stand-in ask it, and read its answers."""

from __future__ import annotations

from typing import Any

import requests

from millstream.sandbox import Sandbox

SESSION = "00D5g0000000001!sandbox-salesforce"
LIMITED = "00D5g0000000001!sandbox-limited"
READ_ONLY = "00D5g0000000001!sandbox-read-only"
ROOT = "/services/data/v66.0"
UPSERT = "/composite/sobjects/Contact/Customer_Id__c"


def call(
    sandbox: Sandbox, method: str, path: str, body: Any = None, token: str = SESSION, **more: Any
) -> requests.Response:
    """A request of the data API, by default with the session that may do everything."""
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    url = sandbox.system_url("salesforce") + ROOT + path
    return requests.request(method, url, headers=headers, json=body, timeout=10, **more)


def many(kind: str, *records: dict[str, Any], whole: bool = False) -> dict[str, Any]:
    """The body that writes many records of one object."""
    return {"allOrNone": whole, "records": [{"attributes": {"type": kind}, **record} for record in records]}


def contact(key: str, **more: Any) -> dict[str, Any]:
    """A contact with all it needs."""
    return {"Customer_Id__c": key, "LastName": "Diaz", **more}


def query(sandbox: Sandbox, soql: str, resource: str = "/query") -> list[dict[str, Any]]:
    """The records of a query, without their attributes."""
    records = call(sandbox, "GET", resource, params={"q": soql}).json()["records"]
    return [{name: value for name, value in record.items() if name != "attributes"} for record in records]


def codes(answer: requests.Response) -> list[str]:
    """Of a collection's answer, `created`, `changed`, `done` or the code of the refusal, row by row."""
    assert answer.status_code == 200, answer.text
    words = {True: "created", False: "changed", None: "done"}
    return [
        words[row.get("created")] if row["success"] else str(row["errors"][0]["statusCode"]) for row in answer.json()
    ]


def refused(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    return answer.status_code, answer.json()[0]["errorCode"]


def told(sandbox: Sandbox, record_id: str) -> dict[str, Any]:
    """What the sandbox tells of one contact or lead."""
    people = requests.get(f"{sandbox.url}/_sandbox/state/salesforce", timeout=10).json()["people"]
    return dict(next(one for one in people if one["id"] == record_id))
