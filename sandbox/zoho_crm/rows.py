"""Records, users and fields as Zoho writes them. The organisation's clock is two hours ahead of UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

from millstream.sandbox.company import Company
from millstream.sandbox.draws import mix, share
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject
from millstream.sandbox.zoho_crm.people import (
    FIRST_ACCOUNT,
    FIRST_CONTACT,
    ORGANISATION,
    Record,
    account_number,
    was_won,
)

TILL_PHONE = "+12025550100"
"""What staff type where they have no number of the customer's own."""
ZONE = timezone(timedelta(hours=2))
USERS = (("Robin", "Rep"), ("Sam", "Seller"), ("Alex", "Admin"))
SOURCES = ("Web Download", "Trade Show", "Employee Referral", "Advertisement", None)
STAGES = ("Qualification", "Needs Analysis", "Closed Won", "Closed Lost", "Negotiation/Review")
LEAD_STATUSES = ("Not Contacted", "Contacted", "Contact in Future", "Junk Lead")
# An account of some age has more of its own fields than one request may ask for.
OWN_FIELDS = tuple(f"Survey_Answer_{number:02d}" for number in range(1, 37))


def stamp(seconds: int | None) -> str | None:
    """A time as Zoho writes it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).astimezone(ZONE).isoformat()


def user(number: int) -> JsonObject:
    """One of the shop's own people, as a record names them."""
    first, last = USERS[number % len(USERS)]
    address = f"{first.lower()}@sales.shop.box.example"
    return {"name": f"{first} {last}", "id": str(ORGANISATION + 1001 + number % len(USERS)), "email": address}


def _common(record: Record) -> JsonObject:
    return {
        "id": str(record.number),
        "Owner": user(record.index),
        "Created_By": user(0),
        "Modified_By": user(record.index),
        "Created_Time": stamp(record.created),
        "Modified_Time": stamp(record.modified),
        "Tag": [{"name": "vip", "id": str(ORGANISATION + 9001), "color_code": None}] if record.index % 7 == 0 else [],
        "Description": None,
    }


def full_row(company: Company, module: str, record: Record) -> JsonObject:
    """A record with all fields of its module."""
    makers = {"Leads": _lead, "Contacts": _contact, "Deals": _deal}
    if module == "Accounts":
        return _account(record)
    return makers[module](company, record)


def _reachable(person: Person, record: Record) -> JsonObject:
    email: str | None
    email, phone = person.email, person.phone
    if phone is None and person.index % 5 == 0:
        phone = TILL_PHONE
    if record.which == 1:
        email, phone = (None, person.phone) if person.second_email is None else (person.second_email, None)
    elif person.index % 4 == 0:
        email = email.capitalize()
    gone = person.subscription == "UNSUBSCRIBED"
    return {
        "First_Name": person.first_name,
        "Last_Name": person.last_name,
        "Full_Name": f"{person.first_name} {person.last_name}",
        "Email": email,
        "Secondary_Email": person.second_email if record.which == 0 and person.index % 2 else None,
        "Phone": phone if not person.phone_is_mobile else None,
        "Mobile": phone if person.phone_is_mobile else None,
        "Email_Opt_Out": gone,
        "Unsubscribed_Mode": "Unsubscribe link" if gone else None,
        "Unsubscribed_Time": stamp(record.modified) if gone else None,
        "Lead_Source": SOURCES[person.index % len(SOURCES)],
        "Customer_ID": person.customer_id if record.which == 0 and person.index % 3 else None,
    }


def _contact(company: Company, record: Record) -> JsonObject:
    person = company.person(record.index)
    number = account_number(record.index)
    return {
        **_common(record),
        **_reachable(person, record),
        "Account_Name": None if number is None else _account_link(number),
        "Date_of_Birth": person.birth_date.isoformat() if person.index % 2 else None,
        "Mailing_City": person.city,
        "Mailing_Country": person.country,
        **dict.fromkeys(OWN_FIELDS),
        "Survey_Answer_36": f"answer {record.index % 9}",
    }


def _lead(company: Company, record: Record) -> JsonObject:
    person = company.person(record.index)
    contact = {"name": f"{person.first_name} {person.last_name}", "id": str(FIRST_CONTACT + record.index * 2)}
    return {
        **_common(record),
        **_reachable(person, record),
        "Company": f"Office {record.index % 40:02d} Ltd",
        "City": person.city,
        "Country": person.country,
        "Lead_Status": LEAD_STATUSES[share(record.bits, 1) % len(LEAD_STATUSES)],
        "Converted__s": record.converted is not None,
        "Converted_Date_Time": stamp(record.converted),
        "Converted_Contact": None if record.converted is None else contact,
        "Converted_Account": None,
        "Converted_Deal": None,
    }


def _account_link(number: int) -> JsonObject:
    return {"name": f"Roastery {number:02d} Ltd", "id": str(FIRST_ACCOUNT + number)}


def _account(record: Record) -> JsonObject:
    return {
        **_common(record),
        "Account_Name": _account_link(record.index)["name"],
        "Website": f"https://roastery{record.index:02d}.example.net",
        "Phone": None,
        "Industry": ("Retail", "Hotels", "Offices")[record.index % 3],
        "Employees": 4 + record.index,
        "Annual_Revenue": 100_000 * (record.index + 1),
        "Billing_City": "Vienna",
        "Billing_Country": "Austria",
    }


def _deal(company: Company, record: Record) -> JsonObject:
    person, more = company.person(record.index), mix(record.bits)
    number = account_number(record.index)
    stage = "Closed Won" if was_won(company, record) else STAGES[share(more, 0) % len(STAGES)]
    closing = datetime.fromtimestamp(record.modified if stage.startswith("Closed") else record.created + 2_592_000, UTC)
    return {
        **_common(record),
        "Deal_Name": f"{person.last_name} {record.which + 1}",
        "Amount": round(50 + share(more, 1) / 40, 2),
        "Stage": stage,
        "Probability": {"Closed Won": 100, "Closed Lost": 0}.get(stage, 40),
        "Closing_Date": closing.date().isoformat(),
        "Type": ("New Business", "Existing Business")[record.which],
        "Lead_Source": SOURCES[record.index % len(SOURCES)],
        "Contact_Name": {
            "name": f"{person.first_name} {person.last_name}",
            "id": str(FIRST_CONTACT + record.index * 2),
        },
        "Account_Name": None if number is None else _account_link(number),
        "Currency": "EUR",
    }


_PERSON_FIELDS = (
    "First_Name:text Last_Name:text Full_Name:text Email:email Secondary_Email:email Phone:phone Mobile:phone "
    "Email_Opt_Out:boolean Unsubscribed_Mode:picklist Unsubscribed_Time:datetime Lead_Source:picklist Customer_ID:text"
)
_COMMON_FIELDS = (
    "Owner:ownerlookup Created_By:ownerlookup Modified_By:ownerlookup Created_Time:datetime Modified_Time:datetime "
    "Tag:text Description:textarea"
)
_OWN = " ".join(f"{name}:text" for name in OWN_FIELDS)
FIELDS = {
    "Leads": f"{_COMMON_FIELDS} {_PERSON_FIELDS} Company:text City:text Country:text Lead_Status:picklist "
    "Converted__s:boolean Converted_Date_Time:datetime Converted_Contact:lookup Converted_Account:lookup "
    "Converted_Deal:lookup",
    "Contacts": f"{_COMMON_FIELDS} {_PERSON_FIELDS} Account_Name:lookup Date_of_Birth:date Mailing_City:text "
    f"Mailing_Country:text {_OWN}",
    "Accounts": f"{_COMMON_FIELDS} Account_Name:text Website:website Phone:phone Industry:picklist Employees:integer "
    "Annual_Revenue:currency Billing_City:text Billing_Country:text",
    "Deals": f"{_COMMON_FIELDS} Deal_Name:text Amount:currency Stage:picklist Probability:integer Closing_Date:date "
    "Type:picklist Lead_Source:picklist Contact_Name:lookup Account_Name:lookup Currency:picklist",
}
_LOOKS_UP = {
    "Account_Name": "Accounts",
    "Contact_Name": "Contacts",
    "Converted_Contact": "Contacts",
    "Converted_Account": "Accounts",
    "Converted_Deal": "Deals",
}
_JSON_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "currency": "double",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
}


def field_types(module: str) -> dict[str, str]:
    """The fields of a module by name."""
    return dict(pair.split(":") for pair in FIELDS[module].split())


def field_rows(module: str) -> list[JsonObject]:
    """What `settings/fields` says of a module."""
    return [_field(module, place, name, kind) for place, (name, kind) in enumerate(field_types(module).items())]


def _field(module: str, place: int, name: str, kind: str) -> JsonObject:
    looks_up = _LOOKS_UP.get(name) if kind == "lookup" else None
    own = name in OWN_FIELDS or name == "Customer_ID"
    return {
        "id": str(ORGANISATION + 20_000 + list(FIELDS).index(module) * 1000 + place),
        "api_name": name,
        "field_label": name.replace("_", " "),
        "display_label": name.replace("_", " "),
        "data_type": kind,
        "json_type": _JSON_TYPES.get(kind, "jsonarray" if name == "Tag" else "string"),
        "length": 255,
        "custom_field": own,
        "visible": True,
        "read_only": name.endswith("_Time") or name.startswith("Converted"),
        "system_mandatory": name in ("Last_Name", "Account_Name", "Deal_Name") and looks_up is None,
        "lookup": {} if looks_up is None else {"module": {"api_name": looks_up, "id": _module_id(looks_up)}},
        "unique": {"casesensitive": "false"} if name == "Customer_ID" else {},
        "external": {"type": "org", "show": True} if name == "Customer_ID" else None,
        "type": "used",
    }


def _module_id(module: str) -> str:
    return str(ORGANISATION + 2000 + list(FIELDS).index(module))


def module_rows() -> list[JsonObject]:
    """What `settings/modules` says."""
    rows: list[JsonObject] = [
        {
            "id": _module_id(name),
            "api_name": name,
            "module_name": name,
            "singular_label": name[:-1],
            "plural_label": name,
            "api_supported": True,
            "generated_type": "default",
            "status": "visible",
            "viewable": True,
        }
        for name in FIELDS
    ]
    quiet: JsonObject = {"api_name": "Home", "module_name": "Home", "api_supported": False, "status": "visible"}
    return [*rows, {**quiet, "id": str(ORGANISATION + 2999), "generated_type": "default", "viewable": False}]


def user_rows() -> list[JsonObject]:
    """The shop's own people."""
    return [
        {
            **user(number),
            "full_name": f"{first} {last}",
            "first_name": first,
            "last_name": last,
            "status": "active",
            "time_zone": "Europe/Vienna",
        }
        for number, (first, last) in enumerate(USERS)
    ]


def system_keys(record: Record) -> JsonObject:
    """What the answer about one record has besides its fields."""
    detail: JsonObject = {}
    if record.converted is not None:
        detail = {"convert_date": stamp(record.converted), "contact": str(FIRST_CONTACT + record.index * 2)}
    return {
        "$converted": record.converted is not None,
        "$converted_detail": detail,
        "$state": "save",
        "$editable": True,
    }


def projected(row: JsonObject, fields: Sequence[str]) -> JsonObject:
    """The asked fields of a record that its module has, and its id."""
    return {**{name: row[name] for name in fields if name in row}, "id": row["id"]}
