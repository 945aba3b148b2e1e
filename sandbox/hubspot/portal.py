"""The state of the made-up HubSpot account: its tables, property definitions, lists and consents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from millstream.sandbox.hubspot.contacts import Contacts
from millstream.sandbox.hubspot.errors import CONFLICT, invalid, refusal
from millstream.sandbox.hubspot.properties import Property, standard_properties
from millstream.sandbox.hubspot.tables import Companies, Deals, Table

if TYPE_CHECKING:
    from millstream.sandbox.company import Company

PORTAL_ID = 4_242_001


def now_ms() -> int:
    """The present moment in milliseconds."""
    return time.time_ns() // 1_000_000


class Portal:
    """What the handlers share."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.contacts = Contacts(company, now_ms)
        self.companies = Companies(company)
        self.deals = Deals(company)
        self.properties = standard_properties()
        self._tables: dict[str, Table] = {}
        for table in (self.contacts, self.companies, self.deals):
            # The API takes the plural name, the singular name and the type id alike.
            for name in (table.name, table.singular, table.type_id):
                self._tables[name] = table

    def table(self, name: str) -> Table:
        """The object type with this name."""
        if name not in self._tables:
            raise invalid(f"Unable to infer object type from: {name}", where="objectType")
        return self._tables[name]

    def add_property(self, type_name: str, definition: Property) -> Property:
        """Add a custom property; names are unique."""
        definitions = self.properties[type_name]
        if definition.name in definitions:
            raise refusal(409, CONFLICT, f"A property named {definition.name} already exists")
        if definition.group not in {one.group for one in definitions.values()}:
            raise invalid(f"property group {definition.group} does not exist", where="groupName")
        if definition.type == "enumeration" and not definition.options:
            raise invalid("an enumeration needs options", where="options")
        definitions[definition.name] = definition
        return definition

    def check_id_property(self, name: str | None) -> None:
        """Refuse an `idProperty` that cannot identify a contact."""
        if name in {None, "hs_object_id", "email"}:
            return
        definition = self.properties["contacts"].get(name or "")
        if definition is None or not definition.unique:
            raise invalid(f"{name} is not a unique property of contacts", where="idProperty")
