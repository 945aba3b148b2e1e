"""A field of an object: its type, what may be written into it, and how `describe` tells of it."""

from __future__ import annotations

from dataclasses import dataclass

from millstream.sandbox.system import JsonObject

SYSTEM_FIELDS = ("Id", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp", "MasterRecordId")
TEXTS = frozenset({"string", "email", "phone", "picklist", "multipicklist", "textarea", "url", "id", "reference"})
LENGTHS = {
    "id": 18,
    "reference": 18,
    "email": 80,
    "phone": 40,
    "picklist": 255,
    "multipicklist": 4099,
    "url": 255,
    "textarea": 32_000,
}
UNFILTERED = frozenset({"address", "textarea"})
"""Types that cannot stand in WHERE and ORDER BY."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field; there is one object of it, however much of its object a user may see.

    Attributes:
        name: As the API writes it.
        type: In the words of `describe`.
        target: The object that a reference leads to.
        part_of: The compound field it belongs to.
        required: Whether a record must have it.
        defaulted: Whether the org puts a value in where it is required and not given.
        external: Whether records can be upserted by it.
        unique: Whether no two records may share a value of it.
        createable: Whether it can be given to a new record.
        updateable: Whether it can be changed later.
        options: The values of a picklist that takes no others.
        own_length: Longest text, where it is not that of the type.
        label: What people read, where it does not follow from the name.
    """

    name: str
    type: str
    target: str = ""
    part_of: str = ""
    required: bool = False
    defaulted: bool = False
    external: bool = False
    unique: bool = False
    createable: bool = True
    updateable: bool = True
    options: tuple[str, ...] = ()
    own_length: int = 0
    label: str = ""

    @property
    def length(self) -> int:
        """Longest text; 0 for what is no text."""
        return (self.own_length or LENGTHS.get(self.type, 255)) if self.type in TEXTS else 0

    @property
    def relationship(self) -> str:
        """The name by which a record leads to the one it refers to; empty for what is no reference."""
        return self.name.removesuffix("Id") if self.target else ""

    def described(self) -> JsonObject:
        """The field in the words of `describe`."""
        system = self.name in SYSTEM_FIELDS
        return {
            "name": self.name,
            "label": self.label or self.name.removesuffix("__c").replace("_", " "),
            "type": self.type,
            "length": self.length,
            "byteLength": self.length * 3,
            "precision": 18 if self.type in {"currency", "double"} else 0,
            "scale": 2 if self.type in {"currency", "double"} else 0,
            "digits": 8 if self.type == "int" else 0,
            "nillable": not (self.required or system or self.type == "boolean"),
            "custom": self.name.endswith("__c"),
            "calculated": False,
            "createable": self.createable and not system,
            "updateable": self.updateable and not system,
            "defaultedOnCreate": system or self.defaulted or self.type == "boolean",
            "filterable": self.type not in UNFILTERED,
            "sortable": self.type not in UNFILTERED,
            "groupable": self.type not in UNFILTERED | {"datetime"},
            "externalId": self.external,
            "unique": self.unique,
            "idLookup": self.external or self.type in {"id", "email"},
            "compoundFieldName": self.part_of or None,
            "referenceTo": self.target.split("/") if self.target else [],
            "relationshipName": self.relationship or None,
            "picklistValues": [
                {"active": True, "defaultValue": False, "label": option, "value": option} for option in self.options
            ],
            "restrictedPicklist": bool(self.options),
            "deprecatedAndHidden": False,
        }
