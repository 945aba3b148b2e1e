"""What a query of the Google Ads API may be here: `SELECT` of a user list's or an account's fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from millstream.sandbox.system import ApiError

USER_LIST_FIELDS = {
    "user_list.resource_name": "resourceName",
    "user_list.id": "id",
    "user_list.name": "name",
    "user_list.description": "description",
    "user_list.type": "type",
    "user_list.membership_status": "membershipStatus",
    "user_list.membership_life_span": "membershipLifeSpan",
    "user_list.size_for_display": "sizeForDisplay",
    "user_list.size_for_search": "sizeForSearch",
    "user_list.read_only": "readOnly",
    "user_list.access_reason": "accessReason",
    "user_list.crm_based_user_list.upload_key_type": "crmBasedUserList.uploadKeyType",
    "user_list.crm_based_user_list.app_id": "crmBasedUserList.appId",
}
CUSTOMER_FIELDS = {
    "customer.resource_name": "resourceName",
    "customer.id": "id",
    "customer.descriptive_name": "descriptiveName",
    "customer.manager": "manager",
    "customer.status": "status",
}
RESOURCES: Mapping[str, Mapping[str, str]] = {"user_list": USER_LIST_FIELDS, "customer": CUSTOMER_FIELDS}

_QUERY = re.compile(
    r"\s*SELECT\s+(?P<fields>.+?)\s+FROM\s+(?P<resource>\w+)(?:\s+WHERE\s+(?P<where>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>[\w.]+)(?:\s+(?P<way>ASC|DESC))?)?(?:\s+LIMIT\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
_TEXT = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_CONDITION = re.compile(rf"\s*([\w.]+)\s*(=|!=|LIKE\b|IN\b)\s*({_TEXT}|\([^)]*\)|[\w.]+)\s*(?:AND\s+|$)", re.IGNORECASE)

Refusal = Callable[[str, str], ApiError]
Condition = tuple[str, str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Query:
    """A query that was understood; fields by their names in an answer."""

    resource: str
    fields: Sequence[str]
    conditions: Sequence[Condition]
    order: str | None
    descending: bool
    limit: int | None

    def select(self, rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
        """The rows that fit, in order."""
        found = [row for row in rows if all(_fits(row, condition) for condition in self.conditions)]
        if self.order is not None:
            order = self.order
            found.sort(key=lambda row: row.get(order, ""), reverse=self.descending)
        return found[: self.limit]


def read_query(text: str, refused: Refusal) -> Query:
    """Understand a query; `refused` makes the refusal of a reason and a message."""
    match = _QUERY.fullmatch(text)
    if match is None:
        raise refused("UNEXPECTED_END_OF_QUERY", "Error in query: unexpected end of query.")
    resource = match["resource"]
    if resource not in RESOURCES:
        raise refused("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE", f"'{resource}' is not a valid resource name.")
    known = RESOURCES[resource]

    def field(name: str) -> str:
        name = name.strip()
        if name in known:
            return known[name]
        raise refused("UNRECOGNIZED_FIELD", f"Unrecognized field in the query: '{name}'.")

    return Query(
        resource,
        [field(name) for name in match["fields"].split(",")],
        _conditions(match["where"] or "", field, refused),
        field(match["order"]) if match["order"] else None,
        (match["way"] or "").upper() == "DESC",
        int(match["limit"]) if match["limit"] else None,
    )


def _conditions(text: str, field: Callable[[str], str], refused: Refusal) -> list[Condition]:
    conditions: list[Condition] = []
    position = 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None:
            raise refused("UNEXPECTED_INPUT", f"Error in WHERE clause: unexpected input {text[position:]}.")
        values = match[3].strip("()").split(",") if match[3].startswith("(") else [match[3]]
        conditions.append((field(match[1]), match[2].upper(), [_literal(value.strip()) for value in values]))
        position = match.end()
    return conditions


def _literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text[:1] in {"'", '"'} else text


def _fits(row: Mapping[str, str], condition: Condition) -> bool:
    name, operator, wanted = condition
    value = row.get(name, "")
    if operator == "LIKE":
        pattern = ".*".join(re.escape(part) for part in wanted[0].split("%"))
        return re.fullmatch(pattern, value, re.IGNORECASE) is not None
    return (value in wanted) is (operator != "!=")
