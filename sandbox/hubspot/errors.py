"""HubSpot's refusals: the error envelope and the cases that several endpoints share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import uuid4

from millstream.sandbox.system import ApiError, JsonObject

VALIDATION_ERROR = "VALIDATION_ERROR"
OBJECT_NOT_FOUND = "OBJECT_NOT_FOUND"
CONFLICT = "CONFLICT"


def refusal(
    status: int,
    category: str,
    message: str,
    *,
    errors: Sequence[JsonObject] = (),
    context: Mapping[str, list[str]] | None = None,
    sub_category: str | None = None,
) -> ApiError:
    """The general envelope."""
    body: JsonObject = {
        "status": "error",
        "message": message,
        "correlationId": str(uuid4()),
        "category": category,
    }
    if errors:
        body["errors"] = list(errors)
    if context:
        body["context"] = dict(context)
    if sub_category:
        body["subCategory"] = sub_category
    return ApiError(status, body)


def invalid(
    message: str, *, code: str | None = None, where: str | None = None, sub_category: str | None = None
) -> ApiError:
    """400: the request as a whole is not acceptable."""
    detail: JsonObject = {"message": message}
    if code:
        detail["code"] = code
    if where:
        detail["in"] = where
    return refusal(400, VALIDATION_ERROR, message, errors=[detail], sub_category=sub_category)


def missing_object(what: str) -> ApiError:
    """404: no such record, list or property."""
    return refusal(404, OBJECT_NOT_FOUND, f"{what} does not exist")


def rate_limit(policy: str, retry_after: float | None) -> ApiError:
    """429, with the name of the exhausted limit."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return ApiError(
        429,
        {
            "status": "error",
            "message": f"You have reached your {policy.lower()} limit.",
            "errorType": "RATE_LIMIT",
            "correlationId": str(uuid4()),
            "policyName": policy,
        },
        headers,
    )


def row_error(
    category: str,
    message: str,
    *,
    ids: Sequence[str],
    trace_id: str | None = None,
    code: str | None = None,
    field: str | None = None,
) -> JsonObject:
    """One entry of `errors` in a 207 answer."""
    context: dict[str, list[str]] = {"ids": list(ids)}
    if trace_id is not None:
        context["objectWriteTraceId"] = [trace_id]
    detail: JsonObject = {"message": message}
    if code is not None:
        detail["code"] = code
    if field is not None:
        detail["in"] = field
        detail["context"] = {"propertyName": [field]}
    return {
        "status": "error",
        "category": category,
        "message": message,
        "context": context,
        "errors": [detail],
    }
