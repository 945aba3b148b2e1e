"""An organization as tests of odd answers need it: what it describes, answers and exports, for `responses`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import responses
from pydantic import SecretStr

from millstream.sources.salesforce import Salesforce, SalesforceSettings

ROOT = "https://shop.my.salesforce.test"
DATA = f"{ROOT}/services/data/v66.0"
STAMP = "2026-01-03T11:00:{:02d}.000+0000"
TYPES = {
    "Id": "id",
    "IsDeleted": "boolean",
    "MasterRecordId": "reference",
    "CreatedDate": "datetime",
    "LastModifiedDate": "datetime",
    "SystemModstamp": "datetime",
}
CONTACT = TYPES | {
    "FirstName": "string",
    "LastName": "string",
    "Email": "email",
    "Phone": "phone",
    "HasOptedOutOfEmail": "boolean",
    "DoNotCall": "boolean",
    "MailingAddress": "address",
}
OPPORTUNITY = TYPES | {
    "Name": "string",
    "StageName": "picklist",
    "Amount": "currency",
    "CloseDate": "date",
    "IsClosed": "boolean",
    "IsWon": "boolean",
}
ROLE = TYPES | {"OpportunityId": "reference", "ContactId": "reference", "IsPrimary": "boolean"}


def salesforce(base_url: str = ROOT, **settings: Any) -> Salesforce:
    credential = {"access_token": SecretStr("a-session")}
    if {"client_id", "access_token"} & settings.keys():
        credential = {}
    return Salesforce(SalesforceSettings(base_url=base_url, **{**credential, **settings}))


def a_record(number: int, types: Mapping[str, str] = CONTACT, **more: Any) -> dict[str, Any]:
    """A record with a value in the fields that each has; its number says when it changed."""
    record: dict[str, Any] = dict.fromkeys((name for name, kind in types.items() if kind != "address"))
    record |= {
        "Id": f"003{number:012d}AAA",
        "IsDeleted": False,
        "CreatedDate": "2026-01-02T10:00:00.000+0000",
        "LastModifiedDate": STAMP.format(number),
        "SystemModstamp": STAMP.format(number),
    }
    record |= {name: False for name, kind in types.items() if kind == "boolean"}
    return record | more


def described(types: Mapping[str, str]) -> dict[str, Any]:
    return {"fields": [{"name": name, "type": kind} for name, kind in types.items()]}


def page(*records: Mapping[str, Any], total: int | None = None, more: str | None = None) -> dict[str, Any]:
    body = {"totalSize": len(records) if total is None else total, "done": more is None, "records": list(records)}
    return body if more is None else body | {"nextRecordsUrl": f"/services/data/v66.0/query/{more}"}


def refused(code: str, words: str = "no") -> list[dict[str, Any]]:
    return [{"message": words, "errorCode": code}]


def a_job(number: int, state: str = "JobComplete", rows: int = 0, **more: Any) -> dict[str, Any]:
    made = {"id": f"750{number}", "state": state, "createdDate": "2026-01-03T12:00:00.000+0000"}
    return made | {"numberRecordsProcessed": rows} | more


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Records as a bulk job gives them: empty cells, words for booleans, times that end in Z."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(
            {
                name: "" if value is None else str(value).lower() if isinstance(value, bool) else value
                for name, value in record.items()
            }
        )
    return text.getvalue().replace("+0000", "Z")


def results(vendor: responses.RequestsMock, job: int, records: Sequence[Mapping[str, Any]], then: str = "null") -> None:
    """Have a job give a page of its result."""
    headers = {"Sforce-Locator": then, "Sforce-NumberOfRecords": str(len(records))}
    vendor.get(
        f"{DATA}/jobs/query/750{job}/results",
        body=as_csv(records),
        headers=headers,
        content_type="text/csv; charset=UTF-8",
    )


def queries(vendor: responses.RequestsMock) -> list[str]:
    """The queries asked by REST so far."""
    found = [parse_qs(urlsplit(str(call.request.url)).query).get("q") for call in vendor.calls]
    return [one[0] for one in found if one]
