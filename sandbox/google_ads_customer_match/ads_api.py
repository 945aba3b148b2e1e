"""Of the Google Ads API: finding and making user lists, below a version of its own."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from millstream.sandbox.ga4.errors import refusal
from millstream.sandbox.ga4.requests import Int64, Message
from millstream.sandbox.google_ads_customer_match.accounts import CLIENTS, GOOGLE_ADS, NAMES, OWN, Account
from millstream.sandbox.google_ads_customer_match.lists import LONGEST_DAYS, UserList, UserLists
from millstream.sandbox.google_ads_customer_match.queries import read_query
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject

DEVELOPER_TOKEN = "sandbox-developer-token"  # noqa: S105  made up, and printed in the README
UNAPPROVED_TOKEN = "sandbox-developer-token-test"  # noqa: S105
OLDEST_VERSION, NEWEST_VERSION = 22, 25
CONTACT_INFO = "CONTACT_INFO"
KEY_TYPES = {"CONTACT_INFO": "CONTACT_ID", "MOBILE_ADVERTISING_ID": "MOBILE_ID", "CRM_ID": "USER_ID"}
KEY_TYPE_NAMES = {key_type: name for name, key_type in KEY_TYPES.items()}


class CrmBasedUserList(Message):
    upload_key_type: Literal["CONTACT_INFO", "CRM_ID", "MOBILE_ADVERTISING_ID"] | None = None
    data_source_type: Literal["FIRST_PARTY", "THIRD_PARTY_CREDIT_BUREAU", "THIRD_PARTY_VOTER_FILE"] = "FIRST_PARTY"
    app_id: str = ""


class NewUserList(Message):
    """A list to be made, or what is to be changed of one."""

    resource_name: str = ""
    name: str = ""
    description: str = ""
    membership_life_span: Int64 | None = None
    membership_status: Literal["OPEN", "CLOSED"] = "OPEN"
    integration_code: str = ""
    crm_based_user_list: CrmBasedUserList | None = None


class Operation(Message):
    create: NewUserList | None = None
    update: NewUserList | None = None
    update_mask: str = ""
    remove: str | None = None


class MutateRequest(Message):
    """Body of `userLists:mutate`."""

    operations: list[Operation] = Field(default_factory=list)
    partial_failure: bool = False
    validate_only: bool = False


class SearchRequest(Message):
    """Body of `googleAds:search` and `googleAds:searchStream`."""

    query: str = ""
    page_token: str = ""


def failure(status: str, group: str, reason: str, message: str, index: int | None = None) -> ApiError:
    """A refusal in this API's shape: the reason stands in a group, with the place in the request."""
    error: JsonObject = {"errorCode": {group: reason}, "message": message}
    if index is not None:
        error["location"] = {"fieldPathElements": [{"fieldName": "operations", "index": index}]}
    detail: JsonObject = {
        "@type": f"type.googleapis.com/google.ads.googleads.v{NEWEST_VERSION}.errors.GoogleAdsFailure",
        "errors": [error],
        "requestId": secrets.token_urlsafe(12),
    }
    return refusal(status, "Request contains an invalid argument." if index is not None else message, [detail])


def check_caller(call: Call) -> None:
    """Whether the headers and the address give access; called for every request of this API."""
    version = re.fullmatch(r"v(\d+)", call.params["version"])
    if version is None or not OLDEST_VERSION <= int(version[1]) <= NEWEST_VERSION:
        raise failure("INVALID_ARGUMENT", "requestError", "UNSUPPORTED_VERSION", "The version is not supported.")
    token = call.headers.get("developer-token")
    if not token:
        reason = "DEVELOPER_TOKEN_PARAMETER_MISSING"
        raise failure("UNAUTHENTICATED", "authenticationError", reason, "The developer token is missing.")
    if token == UNAPPROVED_TOKEN:
        reason = "DEVELOPER_TOKEN_NOT_APPROVED"
        raise failure(
            "PERMISSION_DENIED", "authorizationError", reason, "The token is only approved for test accounts."
        )
    if token != DEVELOPER_TOKEN:
        reason = "DEVELOPER_TOKEN_INVALID"
        raise failure("UNAUTHENTICATED", "authenticationError", reason, "The developer token is not valid.")
    customer_id = call.params.get("customer_id")
    if customer_id is None:
        return
    if not customer_id.isdigit():
        raise failure(
            "INVALID_ARGUMENT", "requestError", "INVALID_CUSTOMER_ID", f"Invalid customer ID '{customer_id}'."
        )
    account = Account(GOOGLE_ADS, customer_id)
    login = Account(GOOGLE_ADS, call.headers.get("login-customer-id", customer_id))
    if login not in OWN or (account != login and account not in CLIENTS.get(login, set())):
        message = "The caller does not have permission. A manager's id belongs into the header login-customer-id."
        raise failure("PERMISSION_DENIED", "authorizationError", "USER_PERMISSION_DENIED", message)


class AdsApi:
    """Handlers of the Google Ads API."""

    def __init__(self, lists: UserLists) -> None:
        self._lists = lists

    def list_accessible(self, call: Call) -> Answer:
        """Accounts the caller has access to without a manager."""
        names = sorted(f"customers/{one.number}" for one in OWN)
        return Answer({"resourceNames": names})

    def search(self, call: Call) -> Answer:
        """All rows of a query; the vendor's pages hold 10,000."""
        body = self._found(call)
        body.pop("requestId")
        return Answer(body)

    def search_stream(self, call: Call) -> Answer:
        """The same as an array of chunks; refusals come in an array too."""
        try:
            return Answer([self._found(call)])
        except ApiError as error:
            error.answer.body = [error.answer.body]
            raise

    def mutate(self, call: Call) -> Answer:
        """Make, change or drop lists; one that is wrong refuses all."""
        request = call.body_as(MutateRequest)
        customer_id = call.params["customer_id"]
        if not request.operations:
            raise failure("INVALID_ARGUMENT", "mutateError", "OPERATION_NOT_PERMITTED_FOR_CONTEXT", "No operations.")
        for index, operation in enumerate(request.operations):
            self._check(customer_id, operation, index)
        if request.validate_only:
            return Answer({})
        names = [self._carry_out(customer_id, operation) for operation in request.operations]
        return Answer({"results": [{"resourceName": name} for name in names]})

    def _found(self, call: Call) -> JsonObject:
        request = call.body_as(SearchRequest)
        query = read_query(
            request.query, lambda reason, message: failure("INVALID_ARGUMENT", "queryError", reason, message)
        )
        customer_id = call.params["customer_id"]
        if query.resource == "user_list":
            rows = [_list_row(one) for one in self._lists.of_account(customer_id)]
        else:
            rows = [_customer_row(customer_id)]
        key = "userList" if query.resource == "user_list" else "customer"
        found = [{key: _nested(row, ["resourceName", *query.fields])} for row in query.select(rows)]
        results: JsonObject = {"results": found} if found else {}
        mask = ",".join(f"{key}.{name}" for name in query.fields)
        return {**results, "fieldMask": mask, "requestId": secrets.token_urlsafe(12)}

    def _check(self, customer_id: str, operation: Operation, index: int) -> None:
        def wrong(group: str, reason: str, message: str) -> ApiError:
            return failure("INVALID_ARGUMENT", group, reason, message, index)

        given = operation.create or operation.update
        target = None if operation.create is not None else self._target(customer_id, operation)
        if operation.create is None and target is None:
            raise wrong("mutateError", "RESOURCE_NOT_FOUND", "Resource was not found.")
        if given is None:
            return
        if operation.create is not None:
            if not given.name:
                raise wrong("fieldError", "REQUIRED", "The required field was not present.")
            if given.crm_based_user_list is None:
                raise wrong("userListError", "USER_LIST_TYPE_REQUIRED", "One kind of list must be given.")
        if given.name and self._lists.is_taken(customer_id, given.name, target):
            raise wrong("userListError", "NAME_ALREADY_USED", "The given name is already taken for user list.")
        if given.membership_life_span is not None and given.membership_life_span > LONGEST_DAYS:
            raise wrong("rangeError", "TOO_HIGH", f"Too high: {LONGEST_DAYS} days at most.")

    def _target(self, customer_id: str, operation: Operation) -> UserList | None:
        name = operation.update.resource_name if operation.update is not None else operation.remove or ""
        prefix = f"customers/{customer_id}/userLists/"
        return self._lists.get(customer_id, name.removeprefix(prefix)) if name.startswith(prefix) else None

    def _carry_out(self, customer_id: str, operation: Operation) -> str:
        if operation.create is not None:
            crm = operation.create.crm_based_user_list or CrmBasedUserList()
            key_type = KEY_TYPES[crm.upload_key_type or CONTACT_INFO]
            user_list = self._lists.create(customer_id, operation.create.name, key_type)
            user_list.app_id = crm.app_id
            _take(user_list, operation.create, operation.create.model_fields_set)
            return _resource_name(user_list)
        target = self._target(customer_id, operation)
        if target is None:
            raise failure("INVALID_ARGUMENT", "mutateError", "RESOURCE_NOT_FOUND", "Resource was not found.")
        if operation.update is not None:
            mask = {name.strip() for name in operation.update_mask.split(",")}
            _take(target, operation.update, {re.sub(r"([A-Z])", r"_\1", name).lower() for name in mask})
        else:
            self._lists.delete(target)
        return _resource_name(target)


def _take(user_list: UserList, given: NewUserList, fields: set[str]) -> None:
    if "name" in fields:
        user_list.name = given.name
    if "description" in fields:
        user_list.description = given.description
    if "membership_life_span" in fields and given.membership_life_span is not None:
        user_list.days = given.membership_life_span
    if "membership_status" in fields:
        user_list.is_open = given.membership_status == "OPEN"


def _resource_name(user_list: UserList) -> str:
    return f"customers/{user_list.account}/userLists/{user_list.list_id}"


def _list_row(one: UserList) -> dict[str, str]:
    row = {
        "resourceName": _resource_name(one),
        "id": str(one.list_id),
        "name": one.name,
        "description": one.description,
        "type": "CRM_BASED" if one.key_type else "RULE_BASED",
        "membershipStatus": "OPEN" if one.is_open else "CLOSED",
        "membershipLifeSpan": str(one.days),
        "sizeForDisplay": str(one.size),
        "sizeForSearch": str(one.size),
        "readOnly": "false" if one.key_type else "true",
        "accessReason": "OWNED",
    }
    if one.key_type is not None:
        row["crmBasedUserList.uploadKeyType"] = KEY_TYPE_NAMES[one.key_type]
        row["crmBasedUserList.appId"] = one.app_id
    return row


def _customer_row(customer_id: str) -> dict[str, str]:
    return {
        "resourceName": f"customers/{customer_id}",
        "id": customer_id,
        "descriptiveName": NAMES[customer_id],
        "manager": "true" if Account(GOOGLE_ADS, customer_id) in CLIENTS else "false",
        "status": "ENABLED",
    }


def _nested(row: Mapping[str, str], names: list[str]) -> JsonObject:
    """The fields asked for, with those of an inner message inside it; what is empty is left out."""
    body: JsonObject = {}
    for name in names:
        value: object = row.get(name, "")
        if name in {"readOnly", "manager"}:
            value = value == "true"
        outer, _, inner = name.partition(".")
        if not inner:
            body[outer] = value
        elif value:
            found = body.setdefault(outer, {})
            if isinstance(found, dict):
                found[inner] = value
    return {name: value for name, value in body.items() if value != ""}
