"""Google's way of refusing: one body for all its APIs, another for the token endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from millstream.sandbox.system import ApiError, JsonObject

STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}


def refusal(status: str, message: str, details: Iterable[JsonObject] = (), code: int | None = None) -> ApiError:
    """The answer with this canonical status."""
    code = STATUSES[status] if code is None else code
    error: JsonObject = {"code": code, "message": message, "status": status}
    found = list(details)
    return ApiError(code, {"error": {**error, "details": found} if found else error})


def invalid(message: str) -> ApiError:
    """Something in the request is wrong."""
    return refusal("INVALID_ARGUMENT", message)


def token_refusal(error: str, description: str, status: int = 400) -> ApiError:
    """The token endpoint says no."""
    return ApiError(status, {"error": error, "error_description": description})
