"""Deals as events of their contacts, and accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millstream.sources.contract import Column, Row
from millstream.sources.zoho_crm.modules import Field, Module
from millstream.sources.zoho_crm.people import CONTACT_ID
from millstream.sources.zoho_crm.settings import ZohoCrmSettings
from millstream.state.model.declarations import Identifier, People
from millstream.state.model.known_events import deal_events

ACCOUNTS = Module(
    "Accounts",
    (
        Field(name="Account_Name", column="name", optional=False),
        Field(name="Website", column="website"),
        Field(name="Phone", column="phone"),
        Field(name="Industry", column="industry"),
        Field(name="Employees", column="employees", type="double"),
        Field(name="Annual_Revenue", column="annual_revenue", type="double"),
        Field(name="Account_Type", column="account_type"),
        Field(name="Parent_Account", column="parent_account_id"),
        Field(name="Billing_City", column="city"),
        Field(name="Billing_Country", column="country"),
    ),
)
DEALS = Module(
    "Deals",
    (
        Field(name="Deal_Name", column="name", optional=False),
        Field(name="Amount", column="amount", type="double"),
        Field(name="Currency", column="currency", description="ISO 4217."),
        Field(name="Pipeline", column="pipeline"),
        Field(name="Stage", column="stage", optional=False),
        Field(name="Probability", column="probability", type="double", description="In percent."),
        Field(
            name="Closing_Date",
            column="closed_at",
            type="timestamp",
            description="The day it was won or lost; of an open deal, when that is expected.",
        ),
        Field(name="Type", column="deal_type"),
        Field(name="Reason_For_Loss__s", column="lost_reason"),
        Field(name="Lead_Source", column="lead_source"),
        Field(name="Contact_Name", column="contact_id", description="The deal's contact."),
        Field(name="Account_Name", column="account_id", description="The deal's account."),
    ),
)
DEAL_COLUMNS = (*DEALS.columns, Column("outcome", description="`open`, `won`, `lost` or `deleted`.", required=True))
_ABOUT = ("name", "pipeline", "stage", "deal_type", "lost_reason")

# A deal is not a person: it names its contact.
DEAL_PEOPLE = People(
    record="subject",
    identifiers=(Identifier(kind=CONTACT_ID, column="contact_id"),),
    observed_at="created_at",
    events=deal_events(created=("name", "pipeline", "deal_type", "lead_source"), closed=_ABOUT),
)


def finish_deal(row: Mapping[str, Any], settings: ZohoCrmSettings) -> Row:
    """A deal's row with its outcome, by the name of its stage."""
    finished: Row = dict(row)
    if row["deleted"]:
        return finished | {"outcome": "deleted"}
    stage = row.get("stage")
    finished["outcome"] = "won" if stage in settings.won_stages else "lost" if stage in settings.lost_stages else "open"
    if finished["outcome"] != "open":
        finished["closed_at"] = row.get("closed_at") or row.get("modified_at")
    finished["currency"] = row.get("currency") or settings.currency
    return finished
