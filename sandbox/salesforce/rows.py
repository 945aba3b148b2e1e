"""One record of each object as a plain row: datetimes as seconds since 1970, dates as text, None for nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from millstream.sandbox.company import Company
from millstream.sandbox.draws import mix, share
from millstream.sandbox.person import Person
from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.objects import OBJECTS
from millstream.sandbox.salesforce.tables import (
    CAMPAIGNS,
    DAY,
    OFFICES,
    RESPONSE_CHANCE,
    Table,
    Tables,
    campaign_start,
    numbers_of,
)

Value = str | int | float | bool | None | dict[str, str | None]
Row = dict[str, Value]

TILL_PHONE = "+12025550100"
"""What staff type where they have no number of the customer's own."""
OWNERS = 3
STAGES = (("Closed Won", 100), ("Closed Won", 100), ("Closed Lost", 0), ("Prospecting", 10), ("Negotiation/Review", 90))
SOURCES = ("Web", "Phone Inquiry", "Partner Referral", None)
CAMPAIGN_KINDS = ("Email", "Webinar", "Trade Show")


def make_row(company: Company, tables: Tables, name: str, place: int) -> Row:
    """The record at a place of an object's table, all fields of it."""
    table = tables.by_object[name]
    number, created, stamp = (int(column[place]) for column in (table.number, table.created, table.stamp))
    row: Row = {**OBJECTS[name].blank()}
    row |= {"Id": id_of(name, number), "IsDeleted": bool(table.deleted[place])}
    row |= MAKERS[name](company, tables, table, place)
    # Salesforce's own upkeep touches a record without anybody having changed it.
    modified = stamp - 120 if number % 7 == 0 and stamp - 120 > created else stamp
    row |= {"CreatedDate": created, "LastModifiedDate": modified, "SystemModstamp": stamp}
    return row


def id_of(name: str, number: int) -> str:
    """The id of a record."""
    return record_id(OBJECTS[name].prefix, number)


def _owner(index: int) -> str:
    return record_id("005", index % OWNERS)


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


def _account_of(index: int) -> str | None:
    return id_of("Account", index % OFFICES) if index % 4 == 0 else None


def _contact(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del tables
    index, second = int(table.index[place]), bool(table.number[place] % 2)
    person = company.person(index)
    merged = second and bool(table.deleted[place])
    email, phone, mobile, customer_id = contact_of(person, second=second)
    return {
        **_person_fields(person, index),
        "MasterRecordId": id_of("Contact", index * 2) if merged else None,
        "AccountId": _account_of(index),
        "Email": email,
        "Phone": phone,
        "MobilePhone": mobile,
        "Title": None if index % 5 else "Buyer",
        "IsEmailBounced": index % 53 == 0 and email is not None,
        "EmailBouncedReason": "550 no such user" if index % 53 == 0 and email is not None else None,
        "EmailBouncedDate": company.today_ms // 1000 - 40 * DAY if index % 53 == 0 and email is not None else None,
        "Birthdate": person.birth_date.isoformat() if index % 3 == 0 else None,
        "MailingCity": person.city,
        "MailingCountry": person.country,
        "MailingAddress": _address(person),
        "Customer_Id__c": customer_id,
    }


def contact_of(person: Person, *, second: bool) -> tuple[str | None, str | None, str | None, str | None]:
    """Address, office and mobile number, and customer id of a person's contact."""
    if second:
        return (
            (None, None, person.phone, None) if person.second_email is None else (person.second_email, None, None, None)
        )
    email = None if person.phone is not None and person.index % 10 == 3 else person.email
    customer_id = person.customer_id if person.index % 3 else None
    if person.phone is None:
        return email, TILL_PHONE if person.index % 5 == 0 else None, None, customer_id
    return (
        (email, None, person.phone, customer_id) if person.phone_is_mobile else (email, person.phone, None, customer_id)
    )


def lead_of(person: Person, *, second: bool) -> tuple[str | None, str | None]:
    """Address and number of a person's lead; a second one has the number alone, or the other address."""
    if second:
        return (None, person.phone) if person.phone is not None else (person.second_email or person.email, None)
    return (person.second_email or person.email, None) if person.index % 2 else (person.email, person.phone)


def _person_fields(person: Person, index: int) -> Row:
    return {
        "LastName": person.last_name,
        "FirstName": person.first_name,
        "HasOptedOutOfEmail": person.subscription == "UNSUBSCRIBED",
        "HasOptedOutOfFax": False,
        "DoNotCall": index % 11 == 0,
        "LeadSource": SOURCES[index % len(SOURCES)],
        "OwnerId": _owner(index),
    }


def _address(person: Person) -> dict[str, str | None]:
    return {
        "city": person.city,
        "country": person.country,
        "geocodeAccuracy": None,
        "latitude": None,
        "longitude": None,
        "postalCode": None,
        "state": None,
        "street": None,
    }


def _lead(company: Company, tables: Tables, table: Table, place: int) -> Row:
    index, number = int(table.index[place]), int(table.number[place])
    second, converted = bool(number % 2), number in tables.converted
    person = company.person(index)
    email, phone = lead_of(person, second=second)
    merged = second and bool(table.deleted[place])
    account = _account_of(index)
    return {
        **_person_fields(person, index),
        "MasterRecordId": id_of("Lead", index * 2) if merged else None,
        "Email": email,
        "Phone": phone,
        "Company": f"Office {index % OFFICES:02d} Ltd" if account else "[not provided]",
        "City": person.city,
        "Country": person.country,
        "Address": _address(person),
        "Status": "Closed - Converted" if converted else ("Open - Not Contacted", "Working - Contacted")[index % 2],
        "Rating": ("Hot", "Warm", "Cold")[index % 3],
        "IsConverted": converted,
        "ConvertedDate": _day(int(table.stamp[place])) if converted else None,
        "ConvertedAccountId": account if converted else None,
        "ConvertedContactId": id_of("Contact", index * 2) if converted else None,
    }


def _account(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del company, tables
    number = int(table.number[place])
    return {
        "MasterRecordId": id_of("Account", 0) if number == OFFICES else None,
        "Name": f"Office {number % OFFICES:02d} Ltd",
        "Type": "Customer",
        "Industry": ("Retail", "Media", "Energy")[number % 3],
        "Website": f"https://office{number % OFFICES:02d}.example.net",
        "BillingCity": "Springfield",
        "BillingCountry": "United States",
        "NumberOfEmployees": 10 + number,
        "OwnerId": _owner(number),
    }


def _opportunity(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del tables
    index, bits = int(table.index[place]), int(table.bits[place])
    won_now = int(table.stamp[place]) > company.today_ms // 1000 and int(table.number[place]) % 2 == 0
    stage, chance = STAGES[0 if won_now else share(bits, 3) % len(STAGES)]
    amount = 20 + share(mix(bits), 0) ** 2 / 40_000_000
    return {
        "AccountId": _account_of(index),
        "Name": f"Order {index + 1}-{int(table.number[place]) % 2 + 1}",
        "StageName": stage,
        "Amount": round(amount * 10, 2),
        "Probability": float(chance),
        "CloseDate": _day(
            int(table.stamp[place]) if stage.startswith("Closed") else company.today_ms // 1000 + 30 * DAY
        ),
        "Type": "New Customer",
        "IsClosed": stage.startswith("Closed"),
        "IsWon": stage == "Closed Won",
        "LeadSource": SOURCES[index % len(SOURCES)],
        "OwnerId": _owner(index),
    }


def _role(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del company, tables
    index, number = int(table.index[place]), int(table.number[place])
    return {
        "OpportunityId": id_of("Opportunity", number),
        "ContactId": id_of("Contact", index * 2),
        "Role": ("Decision Maker", "Business User", None)[index % 3],
        "IsPrimary": True,
    }


def _campaign(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del tables
    number = int(table.number[place])
    start = campaign_start(company, number)
    last = number == CAMPAIGNS - 1
    return {
        "Name": f"Season {number + 1}",
        "Type": CAMPAIGN_KINDS[number % len(CAMPAIGN_KINDS)],
        "Status": "In Progress" if last else "Completed",
        "IsActive": last,
        "StartDate": _day(start),
        "EndDate": _day(start + 40 * DAY),
        "BudgetedCost": 1000.0 * (number + 1),
        "OwnerId": _owner(number),
    }


def _member(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del tables
    index, number, stamp = (int(column[place]) for column in (table.index, table.number, table.stamp))
    lead, campaign = bool(number >> 3 & 1), number & 7
    who = id_of("Lead" if lead else "Contact", index * 2)
    answered = int(table.bits[place]) < RESPONSE_CHANCE or stamp > company.today_ms // 1000
    return {
        "CampaignId": id_of("Campaign", campaign),
        "LeadId": who if lead else None,
        "ContactId": None if lead else who,
        "LeadOrContactId": who,
        "Status": "Responded" if answered else "Sent",
        "HasResponded": answered,
        "FirstRespondedDate": _day(stamp) if answered else None,
    }


def _task(company: Company, tables: Tables, table: Table, place: int) -> Row:
    del company, tables
    index, number, stamp = (int(column[place]) for column in (table.index, table.number, table.stamp))
    kind = ("Call", "Email")[index % 2]
    closed = bool(table.archived[place]) or index % 5 > 0
    of_lead = bool(number >> 1 & 1)
    return {
        "WhoId": id_of("Lead" if of_lead else "Contact", index * 2),
        "AccountId": None if of_lead else _account_of(index),
        "Subject": f"{kind}: follow-up",
        "ActivityDate": _day(stamp),
        "Status": "Completed" if closed else "Not Started",
        "Priority": "Normal",
        "Type": kind,
        "TaskSubtype": kind,
        "CallDurationInSeconds": 60 + index % 600 if kind == "Call" and closed else None,
        "Description": 'What was talked about, in the seller\'s words.\nWith "quotes", commas and a second line.',
        "IsClosed": closed,
        "IsArchived": bool(table.archived[place]),
        "CompletedDateTime": stamp if closed else None,
        "OwnerId": _owner(index),
    }


Maker = Callable[[Company, Tables, Table, int], Row]
MAKERS: dict[str, Maker] = {
    "Account": _account,
    "Campaign": _campaign,
    "CampaignMember": _member,
    "Contact": _contact,
    "Lead": _lead,
    "Opportunity": _opportunity,
    "OpportunityContactRole": _role,
    "Task": _task,
}


def record_ids_of(company: Company, index: int) -> dict[str, list[str]]:
    """The ids of one person's contacts and leads, merged and deleted ones too, for the truth."""
    return {
        "contacts": [id_of("Contact", number) for number in numbers_of(company, index, "Contact")],
        "leads": [id_of("Lead", number) for number in numbers_of(company, index, "Lead")],
    }
