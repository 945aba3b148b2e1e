"""`userLists` of the Data Manager API: finding, making, changing and deleting lists."""

from __future__ import annotations

import re

from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.google_ads_customer_match.accounts import Account, check_access, named
from millstream.sandbox.google_ads_customer_match.errors import Violation, error_info, violated
from millstream.sandbox.google_ads_customer_match.lists import (
    LONGEST_DAYS,
    MOBILE_ID,
    UPLOAD_KEY_TYPES,
    UserList,
    UserLists,
)
from millstream.sandbox.google_ads_customer_match.requests import IngestedUserListInfo, UserListBody
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject

DEFAULT_PAGE, LARGEST_PAGE = 50, 1000
DAY = 86_400
INFO_OF_KEYS = {"CONTACT_ID": "contactIdInfo", "MOBILE_ID": "mobileIdInfo", "USER_ID": "userIdInfo"}

_CONDITION = re.compile(
    r"""\s*([a-z_.]+)\s*(=|!=|:)\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"']+))\s*(AND\s|$)"""
)


class UserListNodes:
    """Handlers for lists themselves."""

    def __init__(self, lists: UserLists) -> None:
        self._lists = lists

    def list_lists(self, call: Call) -> Answer:
        """Lists of an account that fit the filter."""
        account = _account(call)
        rows = [_body(one) for one in self._lists.of_account(account)]
        for name, operator, wanted in _conditions(call.query.get("filter", "")):
            rows = [row for row in rows if _fits(row, name, operator, wanted)]
        size = call.page_limit(min(_number(call, "pageSize") or DEFAULT_PAGE, LARGEST_PAGE))
        start = _number(call, "pageToken")
        body: JsonObject = {"userLists": rows[start : start + size]} if rows else {}
        if start + size < len(rows):
            body["nextPageToken"] = str(start + size)
        return Answer(body)

    def get(self, call: Call) -> Answer:
        """One list."""
        return Answer(_body(self._one(call)))

    def create(self, call: Call) -> Answer:
        """A new list, whose name nobody else in the account may have."""
        account = _account(call)
        given = call.body_as(UserListBody)
        key_type = self._check(given, account)
        if call.query.get("validateOnly") == "true":
            return Answer({})
        made = self._lists.create(account, given.display_name or "", key_type)
        _take(made, given)
        return Answer(_body(made))

    def update(self, call: Call) -> Answer:
        """Change what the mask names, or what is given where there is no mask."""
        user_list = self._one(call)
        given = call.body_as(UserListBody)
        mask = {_snake(name) for name in call.query.get("updateMask", "").split(",") if name}
        fields = mask or given.model_fields_set
        if "ingested_user_list_info" in fields:
            raise violated([Violation("user_list.ingested_user_list_info", "INVALID_ARGUMENT", "It is immutable.")])
        changed = given.model_copy(
            update={name: None for name in UserListBody.model_fields if name not in fields},
        )
        violations = _check_days(changed)
        if changed.display_name is not None and self._lists.is_taken(
            user_list.account, changed.display_name, user_list
        ):
            raise _taken(changed.display_name)
        if violations:
            raise violated(violations)
        _take(user_list, changed)
        return Answer(_body(user_list))

    def delete(self, call: Call) -> Answer:
        """Delete a list."""
        self._lists.delete(self._one(call))
        return Answer({})

    def _one(self, call: Call) -> UserList:
        found = self._lists.get(_account(call), call.params["list_id"])
        if found is None:
            raise refusal("NOT_FOUND", "Resource not found.", [error_info("NOT_FOUND")])
        return found

    def _check(self, given: UserListBody, account: str) -> str:
        violations = _check_days(given)
        if not given.display_name:
            violations.append(Violation("user_list.display_name", "REQUIRED_FIELD_MISSING"))
        info = given.ingested_user_list_info or IngestedUserListInfo()
        path = "user_list.ingested_user_list_info"
        key_types = info.upload_key_types
        if not key_types:
            violations.append(Violation(f"{path}.upload_key_types", "REQUIRED_FIELD_MISSING"))
        elif len(key_types) > 1 or key_types[0] not in UPLOAD_KEY_TYPES:
            violations.append(Violation(f"{path}.upload_key_types", "INVALID_ENUM_VALUE"))
        elif key_types[0] == MOBILE_ID and not {"keySpace", "appId"} <= (info.mobile_id_info or {}).keys():
            violations.append(Violation(f"{path}.mobile_id_info", "REQUIRED_FIELD_MISSING"))
        if violations:
            raise violated(violations)
        if self._lists.is_taken(account, given.display_name or ""):
            raise _taken(given.display_name or "")
        return key_types[0]


def _account(call: Call) -> str:
    """The account of the address, if the caller may work with it."""
    account = Account(call.params["account_type"], call.params["account_id"])
    login = named("login-account", call.headers.get("login-account"))
    linked = named("linked-account", call.headers.get("linked-account"))
    check_access(account, login, linked, "login-account")
    return account.number


def _taken(name: str) -> ApiError:
    return refusal("ALREADY_EXISTS", f"There is a list named {name}.", [error_info("ALREADY_EXISTS")], 409)


def _number(call: Call, name: str) -> int:
    text = call.query.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise violated([Violation(_snake(name), "INVALID_NUMBER_FORMAT")])
    return int(text)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", r"_\1", name.strip()).lower()


def _conditions(text: str) -> list[tuple[str, str, str]]:
    conditions, position = [], 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None or match[1] not in _FIELDS:
            raise violated([Violation("filter", "INVALID_ARGUMENT", f"Not understood: {text[position:]}")])
        value = next(value for value in match.group(3, 4, 5) if value is not None)
        conditions.append((match[1], match[2], re.sub(r"\\(.)", r"\1", value)))
        position = match.end()
    return conditions


_FIELDS = {
    "id": "id", "display_name": "displayName", "description": "description", "membership_status": "membershipStatus",
    "integration_code": "integrationCode", "access_reason": "accessReason",
}  # fmt: skip


def _fits(row: JsonObject, name: str, operator: str, wanted: str) -> bool:
    value = str(row.get(_FIELDS[name], ""))
    if operator == ":":
        return wanted.strip("*").lower() in value.lower()
    return (value == wanted) is (operator == "=")


def _check_days(given: UserListBody) -> list[Violation]:
    if given.membership_duration is None:
        return []
    field = "user_list.membership_duration"
    match = re.fullmatch(r"(\d+)s", given.membership_duration)
    if match is None or int(match[1]) % DAY:
        return [Violation(field, "INVALID_ARGUMENT", "It must be whole days, in seconds.")]
    if int(match[1]) > LONGEST_DAYS * DAY:
        return [Violation(field, "INVALID_ARGUMENT", f"It must not be longer than {LONGEST_DAYS} days.")]
    return []


def _take(user_list: UserList, given: UserListBody) -> None:
    user_list.name = given.display_name or user_list.name
    if given.description is not None:
        user_list.description = given.description
    if given.integration_code is not None:
        user_list.integration_code = given.integration_code
    if given.membership_duration is not None:
        user_list.days = int(given.membership_duration.removesuffix("s")) // DAY
    if given.membership_status is not None:
        user_list.is_open = given.membership_status != "CLOSED"
    if given.ingested_user_list_info is not None:
        user_list.app_id = str((given.ingested_user_list_info.mobile_id_info or {}).get("appId", ""))


def _body(user_list: UserList) -> JsonObject:
    size = str(user_list.size)
    body: JsonObject = {
        "name": f"accountTypes/GOOGLE_ADS/accounts/{user_list.account}/userLists/{user_list.list_id}",
        "id": str(user_list.list_id),
        "displayName": user_list.name,
        "description": user_list.description,
        "integrationCode": user_list.integration_code,
        "membershipStatus": "OPEN" if user_list.is_open else "CLOSED",
        "membershipDuration": f"{user_list.days * DAY}s",
        "accessReason": "OWNED",
        "accountAccessStatus": "ENABLED",
        "readOnly": user_list.key_type is None,
        "sizeInfo": {"displayNetworkMembersCount": size, "searchNetworkMembersCount": size},
        "targetNetworkInfo": {"eligibleForDisplay": True, "eligibleForSearch": True},
    }
    if user_list.key_type is not None:
        info: JsonObject = {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"}
        if user_list.app_id:
            info["appId"] = user_list.app_id
        body["ingestedUserListInfo"] = {
            "uploadKeyTypes": [user_list.key_type], INFO_OF_KEYS[user_list.key_type]: info
        }  # fmt: skip
    # What is empty or false is left out, as always in protobuf's JSON.
    return {name: value for name, value in body.items() if value not in ("", False)}
