"""Property definitions of each object type, and what values they take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

from millstream.sandbox.hubspot.bodies import PropertyCreate
from millstream.sandbox.system import JsonObject

EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
MAX_TEXT = 65_536


@dataclass(frozen=True, slots=True)
class Property:
    """One column of an object type."""

    name: str
    type: str = "string"
    field_type: str = "text"
    label: str = ""
    group: str = ""
    options: tuple[str, ...] = ()
    read_only: bool = False
    unique: bool = False
    custom: bool = False

    def described(self) -> JsonObject:
        """The definition as the API gives it."""
        return {
            "name": self.name,
            "label": self.label or self.name.replace("_", " ").capitalize(),
            "type": self.type,
            "fieldType": self.field_type,
            "description": "",
            "groupName": self.group,
            "options": [
                {"label": option.capitalize(), "value": option, "displayOrder": order, "hidden": False}
                for order, option in enumerate(self.options)
            ],
            "displayOrder": -1,
            "calculated": False,
            "externalOptions": False,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": not self.custom,
            "archived": False,
            "modificationMetadata": {
                "archivable": self.custom,
                "readOnlyDefinition": not self.custom,
                "readOnlyValue": self.read_only,
            },
            "formField": not self.read_only,
        }

    def problem(self, value: str) -> tuple[str, str] | None:
        """Why this value cannot be written: the vendor's code and a message, or None."""
        if self.read_only:
            return "READ_ONLY_VALUE", f"{self.name} is a read only property"
        if value == "":
            return None
        if len(value) > MAX_TEXT:
            return "VALUE_TOO_LONG", f"{self.name} is longer than {MAX_TEXT} characters"
        if self.name == "email" and not EMAIL.fullmatch(value):
            return "INVALID_EMAIL", f"Email address {value} is invalid"
        if self.type == "enumeration":
            chosen = value.split(";") if self.field_type == "checkbox" else [value]
            if not set(chosen) <= set(self.options):
                return "INVALID_OPTION", f"{value} was not one of the allowed options"
        if not _FITS.get(self.type, _anything)(value):
            return f"INVALID_{self.type.upper()}", f"{value} was not a valid {self.type}"
        return None


def created_property(order: PropertyCreate) -> Property:
    """A custom property from a request that has been checked."""
    return Property(
        name=order.name,
        type=order.type,
        field_type=order.field_type,
        label=order.label,
        group=order.group_name,
        options=tuple(option.value for option in order.options),
        unique=order.has_unique_value,
        custom=True,
    )


def _anything(value: str) -> bool:
    del value
    return True


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _is_date(value: str) -> bool:
    if value.lstrip("-").isdigit():
        return int(value) % 86_400_000 == 0
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_datetime(value: str) -> bool:
    if value.lstrip("-").isdigit():
        return True
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_bool(value: str) -> bool:
    return value in {"true", "false"}


_FITS = {"number": _is_number, "date": _is_date, "datetime": _is_datetime, "bool": _is_bool}

_STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")


def _read_only(name: str, kind: str = "string", field_type: str = "text") -> Property:
    return Property(name, kind, field_type, read_only=True)


def _dates(modified: str) -> list[Property]:
    return [
        _read_only("hs_object_id", "number", "number"),
        _read_only("createdate", "datetime", "date"),
        _read_only(modified, "datetime", "date"),
    ]


def standard_properties() -> dict[str, dict[str, Property]]:
    """What the portal has at the start, by object type. `customer_id` is the shop's own property."""
    contacts = [
        *_dates("lastmodifieddate"),
        Property("email"),
        Property("firstname"),
        Property("lastname"),
        Property("phone", "phone_number", "phonenumber"),
        Property("mobilephone", "phone_number", "phonenumber"),
        Property("city"),
        Property("country"),
        Property("date_of_birth"),
        Property("lifecyclestage", "enumeration", "radio", options=_STAGES),
        Property("hubspot_owner_id", "enumeration", "select", options=OWNER_IDS),
        Property("company"),
        Property("hs_additional_emails", "enumeration", "checkbox", read_only=True),
        Property("hs_email_optout", "bool", "booleancheckbox", read_only=True),
        Property("hs_merged_object_ids", "enumeration", "checkbox", read_only=True),
        Property("hs_marketable_status", "enumeration", "select", read_only=True),
        Property("customer_id", label="Shop customer id", custom=True),
    ]
    companies = [
        *_dates("hs_lastmodifieddate"),
        Property("name"),
        Property("domain"),
        Property("city"),
        Property("country"),
        Property("industry"),
    ]
    deals = [
        *_dates("hs_lastmodifieddate"),
        Property("dealname"),
        Property("amount", "number", "number"),
        Property("dealstage", "enumeration", "radio", options=DEAL_STAGES),
        Property("pipeline", "enumeration", "select", options=("default",)),
        Property("closedate", "datetime", "date"),
        Property("deal_currency_code", "enumeration", "select", options=("EUR", "USD")),
        Property("hs_is_closed_won", "bool", "booleancheckbox", read_only=True),
    ]
    groups = {"contacts": "contactinformation", "companies": "companyinformation", "deals": "dealinformation"}
    tables = {"contacts": contacts, "companies": companies, "deals": deals}
    return {
        name: {one.name: _in_group(one, groups[name]) for one in definitions} for name, definitions in tables.items()
    }


def _in_group(one: Property, group: str) -> Property:
    return Property(
        one.name,
        one.type,
        one.field_type,
        one.label,
        group,
        one.options,
        one.read_only,
        one.unique,
        one.custom,
    )


OWNER_IDS = tuple(str(70_001 + number) for number in range(5))
DEAL_STAGES = ("appointmentscheduled", "closedwon", "closedlost")
