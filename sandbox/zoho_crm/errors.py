"""Zoho's refusals: a code, details, a sentence and the word `error`."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError, JsonObject


def refusal(
    status: int, code: str, message: str, details: JsonObject | None = None, headers: Mapping[str, str] | None = None
) -> ApiError:
    """A refusal in Zoho's envelope."""
    return ApiError(status, {"code": code, "details": details or {}, "message": message, "status": "error"}, headers)


def invalid(name: str, expected: str = "") -> ApiError:
    """A parameter that cannot be used."""
    details: JsonObject = {"param_name": name}
    if expected:
        details["expected_data_type"] = expected
    return refusal(400, "INVALID_DATA", "invalid data", details)


def missing(name: str) -> ApiError:
    """A parameter that must be there and is not."""
    return refusal(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", {"param_name": name})


def bad_token() -> ApiError:
    """The access token is wrong or expired, or belongs to another data centre."""
    return refusal(401, "INVALID_TOKEN", "invalid oauth token")


def bad_scope() -> ApiError:
    """The token was not given what the address needs."""
    return refusal(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
