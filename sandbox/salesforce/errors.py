"""Salesforce's refusals: a list of errors for the data API, one object for the token endpoint."""

from __future__ import annotations

from collections.abc import Sequence

from millstream.sandbox.system import ApiError, JsonObject


def refusal(status: int, code: str, message: str, fields: Sequence[str] = ()) -> ApiError:
    """A refusal of the data API."""
    error: JsonObject = {"message": message, "errorCode": code}
    return ApiError(status, [error | {"fields": list(fields)} if fields else error])


def token_refusal(error: str, description: str) -> ApiError:
    """A refusal of the token endpoint."""
    return ApiError(400, {"error": error, "error_description": description})


def malformed_query(detail: str) -> ApiError:
    """The query cannot be read."""
    return refusal(400, "MALFORMED_QUERY", detail)


def no_such_object(name: str) -> ApiError:
    """An object that is not there, or that the user may not see: a query cannot tell these apart."""
    return refusal(
        400,
        "INVALID_TYPE",
        f"sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append "
        "the '__c' after the entity name.",
    )


def no_such_field(name: str, entity: str) -> ApiError:
    """A field that is not there, or that the user may not see."""
    return refusal(400, "INVALID_FIELD", f"No such column '{name}' on entity '{entity}'.")


def not_found() -> ApiError:
    """No such resource."""
    return refusal(404, "NOT_FOUND", "The requested resource does not exist")


def invalid_session() -> ApiError:
    """The access token is unknown or has expired."""
    return refusal(401, "INVALID_SESSION_ID", "Session expired or invalid")
