"""What the company has set up: report suites, and the dimensions, metrics and segments of the main one."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.system import JsonObject

COMPANY_ID = "sandbo0"
COMPANY_NAME = "Sandbox Shop"
ORG_ID = "5A4DB0C5SANDBOX@AdobeOrg"
SUITE = "sandboxshop"
EMPTY_SUITE = "sandboxshopdev"
"""A suite that nothing is sent to."""

HIDDEN_SUITE = "sandboxhr"
"""A suite that no product profile of the credentials lists."""

SUITES: dict[str, JsonObject] = {
    rsid: {"rsid": rsid, "id": rsid, "name": name, "timezoneZoneinfo": "Europe/Berlin"}
    for rsid, name in ((SUITE, "Shop"), (EMPTY_SUITE, "Shop (development)"))
}
SUITE_EXTRAS: JsonObject = {
    "currency": "EUR",
    "calendarType": {"anchorDate": "2024-01-07T00:00:00Z", "type": "GREGORIAN"},
}
SUPPORT = ["oberon", "dataWarehouse"]


@dataclass(frozen=True, slots=True)
class Component:
    """A dimension or metric as it is listed."""

    name: str
    title: str
    type: str
    category: str


DIMENSIONS = {
    one.name: one
    for one in (
        Component("daterangeminute", "Minute", "time", "Time"),
        Component("daterangehour", "Hour", "time", "Time"),
        Component("daterangeday", "Day", "time", "Time"),
        Component("daterangeweek", "Week", "time", "Time"),
        Component("daterangemonth", "Month", "time", "Time"),
        Component("page", "Page", "string", "Content"),
        Component("product", "Product", "string", "Conversion"),
        Component("marketingchannel", "Marketing Channel", "string", "Marketing"),
        Component("campaign", "Tracking Code", "string", "Traffic Sources"),
        Component("mobiledevicetype", "Mobile Device Type", "string", "Audience"),
        Component("browser", "Browser", "string", "Audience"),
        Component("operatingsystem", "Operating Systems", "string", "Audience"),
        Component("geocountry", "Countries", "string", "Audience"),
        Component("geocity", "Cities", "string", "Audience"),
        Component("evar5", "Customer ID", "string", "Conversion"),
        Component("evar6", "Hashed E-mail", "string", "Conversion"),
        Component("evar7", "Plan", "string", "Conversion"),
    )
}
METRICS = {
    one.name: one
    for one in (
        Component("occurrences", "Occurrences", "int", "Traffic"),
        Component("pageviews", "Page Views", "int", "Traffic"),
        Component("visits", "Visits", "int", "Traffic"),
        Component("visitors", "Unique Visitors", "int", "Traffic"),
        Component("bounces", "Bounces", "int", "Traffic"),
        Component("cartadditions", "Cart Additions", "int", "Conversion"),
        Component("orders", "Orders", "int", "Conversion"),
        Component("units", "Units", "int", "Conversion"),
        Component("revenue", "Revenue", "currency", "Conversion"),
        Component("event1", "Sign-ins", "int", "Conversion"),
    )
}
CURRENCY = "currency"
SEGMENTS = {"s300006681_buyers": "Visits with an order", "s300006681_mobile": "Mobile phones"}
BUYERS, MOBILE = SEGMENTS


def dimension_row(one: Component) -> JsonObject:
    """A dimension as the list of dimensions shows it."""
    return {
        "id": f"variables/{one.name}",
        "title": one.title,
        "name": one.title,
        "type": one.type,
        "category": one.category,
        "support": SUPPORT,
        "pathable": one.name == "page",
        "segmentable": True,
        "reportable": ["oberon"],
    }


def metric_row(one: Component) -> JsonObject:
    """A metric as the list of metrics shows it."""
    return {
        "id": f"metrics/{one.name}",
        "title": one.title,
        "name": one.title,
        "type": one.type,
        "category": one.category,
        "support": SUPPORT,
        "allocation": True,
        "precision": 2 if one.type == CURRENCY else 0,
        "calculated": False,
        "segmentable": True,
        "polarity": "negative" if one.name == "bounces" else "positive",
    }


def segment_row(segment_id: str) -> JsonObject:
    """A segment as the list of segments shows it."""
    return {"id": segment_id, "name": SEGMENTS[segment_id], "description": "", "rsid": SUITE, "owner": {"id": 660001}}
