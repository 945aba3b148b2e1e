"""What is peculiar to campaigns and their members, and what a new record gets of itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row
from millstream.sandbox.salesforce.values import RowRefused

STATUSES = ("Sent", "Responded")
"""What members of a campaign can be, unless it has been given others; the first is what they are if nothing is said."""
DEFAULTS: dict[str, Row] = {
    "Campaign": {"Status": "Planned"},
    "Lead": {"Status": "Open - Not Contacted"},
    "Task": {"Status": "Not Started", "Priority": "Normal"},
}


def defaults(sobject: Sobject) -> Row:
    """What a new record gets where nothing is given."""
    own = {"OwnerId": record_id("005", 0)} if sobject.field("OwnerId") is not None else {}
    return own | DEFAULTS.get(sobject.name, {})


def complete(records: Records, row: Row) -> None:
    """Put in what follows about a new member of a campaign; there can be one for each person and campaign."""
    contact, lead = row.get("ContactId"), row.get("LeadId")
    if (contact is None) == (lead is None):
        fields = ["LeadId", "ContactId"] if contact is None else ["ContactId"]
        raise RowRefused("FIELD_INTEGRITY_EXCEPTION", "A campaign member is either a lead or a contact", fields)
    who = str(contact if lead is None else lead)
    if lead is not None:
        lead_row = records.by_id(records.schema.objects["Lead"], who)
        if lead_row is not None and lead_row["IsConverted"]:
            raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ["LeadId"])
    if records.member(str(row["CampaignId"]), who) is not None:
        raise RowRefused("DUPLICATE_VALUE", "Already a campaign member.")
    row["LeadOrContactId"] = who
    row["Status"] = row.get("Status") or STATUSES[0]
    respond(row)


def respond(row: Row) -> None:
    """Put in what follows from the status; one that the campaign does not know becomes the first one."""
    if row.get("Status") is None:
        return
    if row["Status"] not in STATUSES:
        row["Status"] = STATUSES[0]
    row["HasResponded"] = row["Status"] == STATUSES[1]
    row["FirstRespondedDate"] = datetime.now(UTC).date().isoformat() if row["HasResponded"] else None


def remove_members(records: Records, owner_id: str, *, purge: bool) -> None:
    """Take a person out of all campaigns, or all out of a campaign."""
    for number in records.members_of(owner_id):
        remove(records, "CampaignMember", number, purge=purge)


def remove(records: Records, name: str, number: int, *, purge: bool) -> None:
    """Put one record into the recycle bin, or take it out for good."""
    records.overlay.remove(name, number, int(time.time()), purge=purge)
