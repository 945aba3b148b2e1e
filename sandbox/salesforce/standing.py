"""What the org holds about people, for tests: contacts and leads, how they stand, and in which campaigns they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from millstream.sandbox.salesforce.ids import number_of
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row
from millstream.sandbox.system import JsonObject

UNTOUCHED, MEMBERS = 300, 3000
"""How many people are told of who were never written to, and how many memberships that were there before."""


def people(records: Records) -> JsonObject:
    """Everybody who was written to or was put into a campaign, and some of the others."""
    campaigns: dict[str, str] = {}
    table = records.table("Campaign")
    for place in range(len(table)):
        if not table.deleted[place]:
            row = records.row("Campaign", place)
            campaigns[str(row["Id"])] = str(row["Name"])
    members = _members(records)
    told = []
    for name in ("Contact", "Lead"):
        told += _told(records, name, members)
    return {"people": told, "audiences": campaigns}


def _members(records: Records) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    table, before = records.table("CampaignMember"), 0
    written = records.overlay.of("CampaignMember")
    for place in range(len(table)):
        is_written = int(table.number[place]) in written
        before += not is_written
        if table.deleted[place] or (not is_written and before > MEMBERS):
            continue
        row = records.row("CampaignMember", place)
        found[str(row["LeadOrContactId"])].append(str(row["CampaignId"]))
    return found


def _told(records: Records, name: str, members: Mapping[str, list[str]]) -> list[JsonObject]:
    numbers = dict.fromkeys(records.overlay.of(name), True)
    sobject, table = records.schema.objects[name], records.table(name)
    for number in table.number[:UNTOUCHED].tolist():
        numbers.setdefault(number, False)
    for who in members:
        number = number_of(sobject.prefix, who)
        if number is not None:
            numbers.setdefault(number, False)
    rows = [(records.by_number(name, number), written) for number, written in numbers.items()]
    return [
        _person(name, row, members.get(str(row["Id"]), []), written=written)
        for row, written in rows
        if row is not None and (written or not row["IsDeleted"])
    ]


def _person(name: str, row: Row, audiences: list[str], *, written: bool) -> JsonObject:
    bounced = row.get("IsEmailBounced") or row.get("EmailBouncedReason") is not None
    standing = "unsubscribed" if row["HasOptedOutOfEmail"] else "bounced" if bounced else "subscribed"
    return {
        "match": {
            "email": row["Email"],
            "external_id": row["Customer_Id__c"],
            "phone": row["MobilePhone"] or row["Phone"],
        },
        "id": row["Id"],
        "object": name,
        "standing": "deleted" if row["IsDeleted"] else standing,
        "fields": {key: value for key, value in row.items() if value is not None},
        "audiences": sorted(audiences),
        "written": written,
    }
