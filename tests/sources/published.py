"""Example answers that vendors publish: which we know of, and what they hold.

The answers are their vendors' and stay out of this repository. A folder holds them, ``<vendor>/<file>.json``;
docs/sources/published-examples.md says where each is published. Everything written here is ours.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

Json = Any
_VARIABLE = "MILLSTREAM_PUBLISHED_EXAMPLES"
FOLDER = Path(os.environ[_VARIABLE]) if os.environ.get(_VARIABLE) else None
"""Where the answers are; None: they are not on this machine."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One published answer.

    Attributes:
        vendor: Name of the source, and of the folder.
        file: Name of the file, without its ending.
        method: HTTP method of the endpoint that gives it.
        path: The endpoint.
        stream: Stream that reads it.
        records: How many different records it holds; 0: it has none, but the stream cannot do without it.
        at: Where they are in the file; empty: the file is one record.
        key: Where a record has the value that tells it from others.
        column: The column where that value must arrive.
        envelope: Puts a file that is a record, or another endpoint's list, into an answer of this endpoint; None:
            the bytes of the file are served as they are.
        window: Read as a backfill, as only that searches on the first pull.
        refused: An endpoint that this account may not use.
    """

    vendor: str
    file: str
    path: str
    stream: str
    records: int
    method: str = "GET"
    at: str = ""
    key: str = "id"
    column: str = "id"
    envelope: Callable[[Json], Json] | None = None
    window: bool = False
    refused: str = ""

    def __str__(self) -> str:
        return f"{self.vendor}-{self.file}"

    def read(self, folder: Path) -> bytes:
        """The file, as it was published."""
        return (folder / self.vendor / f"{self.file}.json").read_bytes()

    def keys(self, folder: Path) -> list[str]:
        """The different key values of the records."""
        found = at(orjson.loads(self.read(folder)), self.at)
        records = found if isinstance(found, list) else [found]
        return sorted({str(at(record, self.key)) for record in records}) if self.records else []


def at(value: Json, path: str) -> Json:
    """The value at a dotted path; numbers are places in a list."""
    for part in filter(None, path.split(".")):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def hubspot_list(record: Json) -> Json:
    """A record as a page of HubSpot's."""
    return {"results": [record]}


def hubspot_lists(found: Json) -> Json:
    """HubSpot's newer listing of all lists as a page of the search for lists."""
    return {"lists": found["results"], "hasMore": False}


def surveymonkey_list(record: Json) -> Json:
    """A record as a page of SurveyMonkey's."""
    return {"data": [record], "page": 1, "per_page": 100, "total": 1, "links": {}}


def ga4_reports(row: Json) -> Json:
    """A row as a report of one day; the other days of the batch are empty."""
    metrics = [("activeUsers", "TYPE_INTEGER"), ("newUsers", "TYPE_INTEGER"), ("totalRevenue", "TYPE_CURRENCY")]
    report = {
        "dimensionHeaders": [{"name": "date"}],
        "metricHeaders": [{"name": name, "type": kind} for name, kind in metrics],
        "rows": [row],
        "rowCount": 1,
    }
    return {"reports": [report, {}, {}, {}, {}]}


EXPORTS = "/v1beta/properties/1234567/audienceExports"

HUBSPOT = (
    Example(
        vendor="hubspot",
        file="contacts_list",
        path="/crm/v3/objects/contacts",
        stream="contacts",
        records=1,
        at="results",
    ),
    Example(
        vendor="hubspot",
        file="contacts_search",
        method="POST",
        path="/crm/v3/objects/contacts/search",
        stream="contacts",
        records=2,
        at="results",
        window=True,
    ),
    Example(
        vendor="hubspot",
        file="contact",
        path="/crm/v3/objects/contacts",
        stream="contacts",
        records=1,
        envelope=hubspot_list,
    ),
    Example(
        vendor="hubspot",
        file="companies_search",
        method="POST",
        path="/crm/v3/objects/companies/search",
        stream="companies",
        records=10,
        at="results",
        window=True,
    ),
    Example(
        vendor="hubspot",
        file="deal",
        path="/crm/v3/objects/deals",
        stream="deals",
        records=1,
        envelope=hubspot_list,
    ),
    Example(
        vendor="hubspot",
        file="associations_batch",
        method="POST",
        path="/crm/v4/associations/deals/contacts/batch/read",
        stream="deals",
        # Two records have several associations; the first of both is the same.
        records=1,
        at="results",
        key="to.0.toObjectId",
        column="contact_id",
    ),
    Example(
        vendor="hubspot",
        file="lists_search",
        method="POST",
        path="/crm/v3/lists/search",
        stream="lists",
        records=1,
        at="lists",
        key="listId",
    ),
    Example(
        vendor="hubspot",
        file="lists_all",
        method="POST",
        path="/crm/v3/lists/search",
        stream="lists",
        records=5,
        at="results",
        key="listId",
        envelope=hubspot_lists,
    ),
    Example(
        vendor="hubspot",
        file="list_memberships",
        path="/crm/v3/lists/611/memberships",
        stream="list_memberships",
        # Two, with the same made-up record id.
        records=1,
        at="results",
        key="recordId",
        column="contact_id",
    ),
    Example(
        vendor="hubspot",
        file="email_events",
        path="/email/public/v1/events",
        stream="email_events",
        records=5,
        at="events",
    ),
    Example(
        vendor="hubspot",
        file="subscription_statuses",
        method="POST",
        path="/communication-preferences/v4/statuses/batch/read",
        stream="subscription_statuses",
        records=1,
        at="results",
        key="subscriberIdString",
        column="email",
    ),
    Example(
        vendor="hubspot",
        file="subscription_status",
        path="/communication-preferences/v4/statuses/own@box.example",
        stream="subscription_statuses",
        records=1,
        at="results",
        key="subscriberIdString",
        column="email",
        refused="/communication-preferences/v4/statuses/batch/read",
    ),
    Example(
        vendor="hubspot",
        file="owner",
        path="/crm/v3/owners",
        stream="owners",
        records=1,
        envelope=hubspot_list,
    ),
)

GA4 = (
    Example(
        vendor="ga4",
        file="report_by_country",
        method="POST",
        path="/v1beta/properties/1234567:runReport",
        stream="by_day",
        # It has no date, which our reports always have: it is the answer when we ask for the time zone.
        records=0,
    ),
    Example(
        vendor="ga4",
        file="report_row_of_a_day",
        method="POST",
        path="/v1beta/properties/1234567:batchRunReports",
        stream="by_day",
        records=1,
        key="metricValues.0.value",
        column="active_users",
        envelope=ga4_reports,
    ),
    Example(
        vendor="ga4",
        file="audience_export_create",
        method="POST",
        path=EXPORTS,
        stream="audience_users",
        records=0,
    ),
    Example(vendor="ga4", file="audience_export_get", path=f"{EXPORTS}/123", stream="audience_users", records=0),
    Example(
        vendor="ga4",
        file="audience_export_query",
        method="POST",
        path=f"{EXPORTS}/123:query",
        stream="audience_users",
        records=5,
        at="audienceRows",
        key="dimensionValues.0.value",
        column="device_id",
    ),
)

SURVEYMONKEY = (
    Example(
        vendor="surveymonkey",
        file="survey",
        path="/surveys",
        stream="surveys",
        records=1,
        envelope=surveymonkey_list,
    ),
    Example(
        vendor="surveymonkey",
        file="responses_bulk",
        path="/surveys/1234/responses/bulk",
        stream="responses",
        records=1,
        at="data",
    ),
    Example(
        vendor="surveymonkey",
        file="response_details",
        path="/surveys/1234/responses/bulk",
        stream="answers",
        records=1,
        column="response_id",
        envelope=surveymonkey_list,
    ),
    Example(
        vendor="surveymonkey",
        file="recipient",
        path="/collectors/77/recipients/1234",
        stream="responses",
        records=1,
        key="email",
        column="email",
    ),
    Example(
        vendor="surveymonkey",
        file="recipients",
        path="/collectors/77/recipients",
        stream="responses",
        records=1,
        at="data",
        key="email",
        column="email",
    ),
    Example(
        vendor="surveymonkey",
        file="contact",
        path="/contacts/bulk",
        stream="contacts",
        records=1,
        envelope=surveymonkey_list,
    ),
)

MANIFEST = (*HUBSPOT, *GA4, *SURVEYMONKEY)

UNPUBLISHED = {
    ("ga4", "audiences"): "Google's reference names the fields of an audience and shows no answer with values.",
    ("surveymonkey", "questions"): "The example of a survey's details has comments where its questions would be, and "
    "those of single questions are requests, without the ids that an answer has.",
}
"""Streams without an example, and why."""
