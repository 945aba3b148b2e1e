"""The rules every write of a contact obeys, alone or in an import, and how a contact is shown."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from millstream.sandbox.activecampaign.errors import missing, unprocessable
from millstream.sandbox.activecampaign.fields import Field
from millstream.sandbox.activecampaign.register import Contact, is_address
from millstream.sandbox.activecampaign.shapes import links, moment, number_in
from millstream.sandbox.system import ApiError, Call, JsonObject

# Addresses the account never takes, whoever writes them: its list of exclusions.
EXCLUDED_DOMAIN = "@excluded.box.example"
NO_DATE = "0000-00-00"
BELONGINGS = (
    "bounceLogs", "contactAutomations", "contactData", "contactGoals", "contactLists", "contactLogs", "contactTags",
    "contactDeals", "deals", "fieldValues", "geoIps", "notes", "organization", "trackingLogs", "scoreValues",
)  # fmt: skip
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*")


def invalid_address(email: str) -> ApiError:
    """The address cannot be one."""
    title = "Email address is not valid." if email else "Email address was not provided."
    return unprocessable(title, "email_invalid" if email else "email_required", "email")


def check_address(email: object) -> str:
    """The address, in the form it is kept in; refused where it is none or one the account excludes."""
    address = email.strip() if isinstance(email, str) else ""
    if not is_address(address):
        raise invalid_address(address)
    if address.lower().endswith(EXCLUDED_DOMAIN):
        raise unprocessable("This email address matches an exclusion pattern.", "email_excluded", "email")
    return address


def values_by_field(rows: object, key: str, definitions: Mapping[int, Field]) -> dict[int, str]:
    """Values by field id out of rows `{key: id, value: ...}`; a field that is not there is refused."""
    if rows is None:
        return {}
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unprocessable("Field values must be an array of objects", "field_invalid", "fieldValues")
    found = {}
    for row in rows:
        definition = definitions.get(number_in(row.get(key)) or 0)
        if definition is None:
            raise missing("Field", row.get(key))
        found[definition.number] = _kept_value(definition, row.get("value"))
    return found


def _kept_value(definition: Field, value: object) -> str:
    if isinstance(value, dict | list):
        raise unprocessable(f"The value of {definition.title} must be text", "field_invalid", "fieldValues")
    text = "" if value is None else str(value)
    if not text:
        return ""
    # What is no date is kept, without a word, as the date that is none.
    if definition.kind == "date" and not _DAY.fullmatch(text[:10]):
        return NO_DATE
    if definition.kind == "datetime" and not _MOMENT.fullmatch(text):
        return f"{NO_DATE} 00:00:00"
    if definition.kind in {"checkbox", "listbox"}:
        return f"||{text.strip('|')}||"
    return text


def set_values(contact: Contact, values: dict[int, str]) -> None:
    """Write field values; an empty one clears the field."""
    for number, value in values.items():
        if value:
            contact.fields[number] = value
        else:
            contact.fields.pop(number, None)


def contact_body(call: Call, contact: Contact) -> JsonObject:
    """A contact as the API shows it: all text, with dates that are none."""
    bounced = 3 in contact.lists.values()
    return {
        "cdate": moment(contact.created_ms),
        "email": contact.email,
        "phone": contact.phone,
        "firstName": contact.first_name,
        "lastName": contact.last_name,
        "orgid": "0",
        "orgname": contact.account_name,
        "segmentio_id": "",
        "bounced_hard": "1" if bounced else "0",
        "bounced_soft": "0",
        "bounced_date": moment(contact.created_ms)[:10] if bounced else NO_DATE,
        "hash": hashlib.md5(f"contact {contact.number}".encode()).hexdigest(),
        "deleted": "0",
        "anonymized": "0",
        "udate": moment(contact.updated_ms),
        "deleted_at": "0000-00-00 00:00:00",
        "scoreValues": [],
        "links": links(call, f"contacts/{contact.number}", *BELONGINGS),
        "id": str(contact.number),
        "organization": None,
    }


def field_value_rows(call: Call, contact: Contact) -> list[JsonObject]:
    """A contact's field values."""
    return [
        {
            "contact": str(contact.number),
            "field": str(number),
            "value": value,
            "cdate": moment(contact.created_ms),
            "udate": moment(contact.updated_ms),
            "links": links(call, f"fieldValues/{contact.number * 1000 + number}", "owner", "field"),
            "id": str(contact.number * 1000 + number),
            "owner": str(contact.number),
        }
        for number, value in sorted(contact.fields.items())
    ]


def contact_list_row(call: Call, contact: Contact, number: int) -> JsonObject:
    """A contact's standing on one list."""
    status = contact.lists[number]
    return {
        "contact": str(contact.number),
        "list": str(number),
        "form": None,
        "seriesid": "0",
        "sdate": moment(contact.created_ms),
        "udate": moment(contact.updated_ms),
        "status": str(status),
        "responder": "1",
        "sync": "0",
        "unsubreason": "" if status == 2 else None,
        "campaign": None,
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "sourceid": "3",
        "links": links(call, f"contactLists/{contact.number * 1000 + number}", "list", "contact"),
        "id": str(contact.number * 1000 + number),
    }


def contact_tag_rows(call: Call, contact: Contact) -> list[JsonObject]:
    """A contact's tags."""
    return [
        {
            "contact": str(contact.number),
            "tag": str(tag),
            "cdate": moment(contact.updated_ms),
            "links": links(call, f"contactTags/{number}", "tag", "contact"),
            "id": str(number),
        }
        for tag, number in sorted(contact.tags.items())
    ]
