"""Audiences as nodes: finding, making, renaming and deleting them."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.meta_custom_audiences.audiences import ACCOUNT_WITHOUT_TERMS, Audience, Audiences
from millstream.sandbox.meta_custom_audiences.errors import graph_error, invalid, no_such_object, terms_for_creating
from millstream.sandbox.meta_custom_audiences.parameters import paged, parameters, selected, structured, truth
from millstream.sandbox.system import Answer, Call

SOURCES = ("USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED")
MOST_AUDIENCES = 500
NODE = "CustomAudience"
OPERATORS = ("EQUAL", "CONTAIN", "IN")


class AudienceNodes:
    """Handlers for audiences themselves."""

    def __init__(self, audiences: Audiences) -> None:
        self._audiences = audiences

    def list_audiences(self, call: Call) -> Answer:
        """The audiences of an ad account, the youngest first."""
        rows = self._audiences.of_account(call.params["account_id"])
        for condition in _conditions(call):
            rows = [audience for audience in rows if _fits(audience, condition)]
        return paged(call, NODE, [audience.body() for audience in rows])

    def create(self, call: Call) -> Answer:
        """A new audience for customer lists."""
        values = parameters(call)
        account_id = call.params["account_id"]
        if account_id == ACCOUNT_WITHOUT_TERMS:
            raise terms_for_creating()
        missing = [name for name in ("name", "subtype", "customer_file_source") if not values.get(name)]
        if missing:
            raise invalid(f"Missing parameter(s): {', '.join(missing)}")
        if values["subtype"] != "CUSTOM":
            raise invalid(f"Param subtype must be CUSTOM for customer lists, got {values['subtype']}.")
        if values["customer_file_source"] not in SOURCES:
            raise invalid(f"Param customer_file_source must be one of {', '.join(SOURCES)}.")
        labels = structured(values, "audience_labels")
        if labels is not None and not isinstance(labels, list):
            raise invalid("Param audience_labels must be an array.")
        if len(self._audiences.of_account(account_id)) >= MOST_AUDIENCES:
            raise graph_error(2654, f"(#2654) Failed to create custom audience: there are {MOST_AUDIENCES} already.")
        is_value_based = truth(values.get("is_value_based", False), "is_value_based")
        audience = self._audiences.create(account_id, _text(values, "name"))
        audience.description = _text(values, "description")
        audience.customer_file_source = str(values["customer_file_source"])
        audience.is_value_based = is_value_based
        return Answer({"id": audience.audience_id})

    def get(self, call: Call) -> Answer:
        """One audience, with the fields asked for."""
        return Answer(selected(call, NODE, self._one(call).body()))

    def update(self, call: Call) -> Answer:
        """Another name or description."""
        audience, values = self._one(call), parameters(call)
        if str(values.get("method", "")).lower() == "delete":
            return self.delete(call)
        if "name" in values:
            audience.name = _text(values, "name")
        if "description" in values:
            audience.description = _text(values, "description")
        return Answer({"success": True})

    def delete(self, call: Call) -> Answer:
        """Delete an audience."""
        self._audiences.delete(self._one(call))
        return Answer({"success": True})

    def _one(self, call: Call) -> Audience:
        audience = self._audiences.get(call.params["audience_id"])
        if audience is None:
            raise no_such_object(call.method, call.params["audience_id"])
        return audience


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name, "")
    if not isinstance(value, str):
        raise invalid(f"Param {name} must be a string.")
    return value


def _conditions(call: Call) -> list[tuple[str, str, object]]:
    given = structured(dict(call.query), "filtering")
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid("Param filtering must be an array.")
    conditions = []
    for one in given:
        if not isinstance(one, dict) or {"field", "operator", "value"} - one.keys():
            raise invalid("Param filtering must hold objects of field, operator and value.")
        if one["field"] not in {"name", "id", "subtype"} or one["operator"] not in OPERATORS:
            raise invalid(f"Filtering field {one['field']} with operation {one['operator']} is not supported")
        conditions.append((str(one["field"]), str(one["operator"]), one["value"]))
    return conditions


def _fits(audience: Audience, condition: tuple[str, str, object]) -> bool:
    name, operator, wanted = condition
    value = str(audience.body()[name])
    if operator == "EQUAL":
        return value == wanted
    if operator == "IN":
        return isinstance(wanted, list) and value in wanted
    return str(wanted).lower() in value.lower()
