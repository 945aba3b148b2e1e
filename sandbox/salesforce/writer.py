"""Writing one record: what a new one must have, what must be unique, what it may refer to, and who may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from millstream.sandbox.faults import FaultOrder, row_is_refused
from millstream.sandbox.salesforce import campaigns
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.ids import number_of
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row, Value, id_of
from millstream.sandbox.salesforce.tokens import FULL, READ_ONLY
from millstream.sandbox.salesforce.values import RowRefused
from millstream.sandbox.system import Call

LOCKED = "UNABLE_TO_LOCK_ROW"
VALIDATION = "FIELD_CUSTOM_VALIDATION_EXCEPTION"


@dataclass(frozen=True, slots=True)
class Hand:
    """Who writes, and under which conditions.

    Attributes:
        user: As `TokenEndpoint.user` names them.
        visible: What they may see of an object.
        keeps_duplicates: Whether they said that likely duplicates are to be saved.
        refusal: The fault that refuses some of the rows.
    """

    user: str
    visible: Callable[[str], Sobject | None]
    keeps_duplicates: bool = False
    refusal: FaultOrder | None = None

    def check_not_refused(self, key: str) -> None:
        """Refuse the row if the fault says so, with the code that stands in its `policy`."""
        order = self.refusal
        if order is None or not row_is_refused(order, key):
            return
        code = order.policy or VALIDATION
        text = "unable to obtain exclusive access to this record" if code == LOCKED else "This row cannot be saved."
        raise RowRefused(code, text)


def hand_of(call: Call, visible: Callable[[str], Sobject | None]) -> Hand:
    """Whose hand a request is."""
    words = call.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower().split(";")
    return Hand(call.caller, visible, "allowsave=true" in words, call.refusal())


class Writer:
    """Inserts, updates, upserts and deletes records one by one.

    Attributes:
        checks_duplicates: Whether the org's rule against duplicates is active; tests may switch it off.
    """

    def __init__(self, records: Records) -> None:
        self._records = records
        self.checks_duplicates = True

    def insert(self, hand: Hand, sobject: Sobject, values: Mapping[Field, Value]) -> str:
        """Make a record; gives its id."""
        if hand.user == READ_ONLY or (hand.user != FULL and sobject.name == "Campaign"):
            text = f"entity type cannot be inserted: {sobject.name}"
            raise RowRefused("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", text)
        _check_writable(values, new=True)
        row = {field.name: value for field, value in values.items()}
        hand.check_not_refused(row_key(row))
        _check_complete(sobject, row, row)
        self._check_references(values)
        self._check_unique(sobject, values, "")
        if sobject.name == "CampaignMember":
            campaigns.complete(self._records, row)
        if sobject.name in ("Contact", "Lead") and self.checks_duplicates and not hand.keeps_duplicates:
            self._check_duplicates(sobject, row)
        row = campaigns.defaults(sobject) | {name: value for name, value in row.items() if value is not None}
        number = self._records.overlay.next_number()
        self._records.write(sobject, number, row, new=True)
        return id_of(sobject.name, number)

    def update(self, hand: Hand, sobject: Sobject, text: str, values: Mapping[Field, Value]) -> str:
        """Change a record; what is not given stays."""
        row = self.existing(sobject, text)
        if hand.user == READ_ONLY:
            raise RowRefused("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        _check_writable(values, new=False)
        given = {field.name: value for field, value in values.items()}
        hand.check_not_refused(row_key(given | {"Id": row["Id"]}))
        if sobject.name == "Lead" and row["IsConverted"]:
            raise RowRefused("CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead")
        _check_complete(sobject, row | given, given)
        self._check_references(values)
        self._check_unique(sobject, values, str(row["Id"]))
        if sobject.name == "CampaignMember":
            campaigns.respond(given)
        self._records.write(sobject, _number(sobject, str(row["Id"])), given)
        return str(row["Id"])

    def upsert(self, hand: Hand, sobject: Sobject, key: Field, values: Mapping[Field, Value]) -> tuple[str, bool]:
        """Change the record with this key, or make it; gives its id and whether it is new."""
        value = values.get(key)
        rest = {field: one for field, one in values.items() if field.name != key.name}
        if key.name == "Id":
            if value is None:
                return self.insert(hand, sobject, rest), True
            return self.update(hand, sobject, str(value), rest), False
        if value is None:
            raise RowRefused("MISSING_ARGUMENT", f"{key.name} not specified", [key.name])
        hand.check_not_refused(str(value))
        found = self._records.with_value(sobject.name, key.name, str(value))
        quiet = Hand(hand.user, hand.visible, hand.keeps_duplicates)
        if not found:
            return self.insert(quiet, sobject, values), True
        if len(found) > 1:
            ids = ", ".join(str(row["Id"]) for row in found)
            text = f"{key.name}: more than one record found for external id field: [{ids}]"
            raise RowRefused("DUPLICATE_EXTERNAL_ID", text, [key.name])
        return self.update(quiet, sobject, str(found[0]["Id"]), rest), False

    def delete(self, hand: Hand, sobject: Sobject, text: str, *, purge: bool = False) -> str:
        """Put a record into the recycle bin; its campaign memberships go with it."""
        row = self.existing(sobject, text)
        if hand.user == READ_ONLY:
            raise RowRefused("INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id")
        hand.check_not_refused(str(row["Id"]))
        if sobject.name in ("Contact", "Lead", "Campaign"):
            campaigns.remove_members(self._records, str(row["Id"]), purge=purge)
        campaigns.remove(self._records, sobject.name, _number(sobject, str(row["Id"])), purge=purge)
        return str(row["Id"])

    def existing(self, sobject: Sobject, text: str) -> Row:
        """The record with this id, which must not be deleted."""
        if number_of(sobject.prefix, text) is None:
            raise RowRefused("MALFORMED_ID", f"malformed id {text}", ["Id"])
        row = self._records.by_id(sobject, text)
        if row is None:
            raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
        if row["IsDeleted"]:
            raise RowRefused("ENTITY_IS_DELETED", "entity is deleted")
        return row

    def _check_references(self, values: Mapping[Field, Value]) -> None:
        for field, value in values.items():
            if not field.target or value is None:
                continue
            targets = [self._records.schema.find(name) for name in field.target.split("/")]
            if field.target in ("User", "Individual"):
                continue
            target = next((one for one in targets if one is not None and str(value).startswith(one.prefix)), None)
            if target is None:
                text = f"{field.relationship} ID: id value of incorrect type: {value}"
                raise RowRefused("MALFORMED_ID", text, [field.name])
            row = self._records.by_id(target, str(value))
            if row is None:
                raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [field.name])
            if row["IsDeleted"]:
                raise RowRefused("ENTITY_IS_DELETED", "entity is deleted", [field.name])

    def _check_unique(self, sobject: Sobject, values: Mapping[Field, Value], own_id: str) -> None:
        for field, value in values.items():
            if not field.unique or value is None:
                continue
            for row in self._records.with_value(sobject.name, field.name, str(value)):
                if row["Id"] != own_id:
                    text = f"duplicate value found: {field.name} duplicates value on record with id: {row['Id']}"
                    raise RowRefused("DUPLICATE_VALUE", text, [field.name])

    def _check_duplicates(self, sobject: Sobject, row: Row) -> None:
        """The org's rule: a new person with the address and the last name of another is likely the same."""
        if row.get("Email") is None:
            return
        for other in self._records.with_value(sobject.name, "Email", str(row["Email"])):
            if str(other["LastName"]).lower() == str(row["LastName"]).lower():
                raise _likely_duplicate(sobject, str(other["Id"]))


def row_key(row: Mapping[str, Value]) -> str:
    """By what the fault `refuse_rows` knows a row that is not upserted."""
    named = ("Customer_Id__c", "Email", "Id", "LeadOrContactId", "ContactId", "LeadId", "Name")
    return next((str(row[name]).lower() for name in named if row.get(name) is not None), "")


def _number(sobject: Sobject, text: str) -> int:
    number = number_of(sobject.prefix, text)
    assert number is not None
    return number


def _check_writable(values: Mapping[Field, Value], *, new: bool) -> None:
    described = [(field, field.described()["createable" if new else "updateable"]) for field in values]
    closed = [field.name for field, is_open in described if not is_open]
    if closed:
        text = (
            f"Unable to create/update fields: {', '.join(closed)}. Please check the security settings of this field "
            "and verify that it is read/write for your profile or permission set."
        )
        raise RowRefused("INVALID_FIELD_FOR_INSERT_UPDATE", text, closed)


def _check_complete(sobject: Sobject, whole: Row, given: Row) -> None:
    new = whole is given
    missing = [
        field.name
        for field in sobject.fields
        if field.required and whole.get(field.name) is None and not (field.defaulted and new)
        if new or field.name in given
    ]
    if missing:
        text = f"Required fields are missing: [{', '.join(missing)}]"
        raise RowRefused("REQUIRED_FIELD_MISSING", text, missing)


def _likely_duplicate(sobject: Sobject, other_id: str) -> RowRefused:
    rule = f"Standard_{sobject.name}_Duplicate_Rule"
    match = {
        "entityType": sobject.name,
        "errors": [],
        "matchEngine": "FuzzyMatchEngine",
        "matchRecords": [
            {
                "additionalInformation": [],
                "fieldDiffs": [],
                "matchConfidence": 100.0,
                "record": {"attributes": {"type": sobject.name}, "Id": other_id},
            }
        ],
        "rule": f"Standard_{sobject.name}_Match_Rule_v1_1",
        "size": 1,
        "success": True,
    }
    result = {
        "allowSave": True,
        "duplicateRule": rule,
        "duplicateRuleEntityType": sobject.name,
        "errorMessage": "Use one of these records?",
        "matchResults": [match],
    }
    return RowRefused("DUPLICATES_DETECTED", "Use one of these records?", duplicateResult=result)
