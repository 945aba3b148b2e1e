"""Typeform's refusals: a code in capitals, a sentence, and details for parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millstream.sandbox.system import ApiError, JsonObject


def refusal(
    status: int,
    code: str,
    description: str,
    *,
    details: Sequence[JsonObject] = (),
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """A refusal in Typeform's envelope."""
    body: JsonObject = {"code": code, "description": description}
    if details:
        body["details"] = list(details)
    return ApiError(status, body, headers)


def invalid(field: str, description: str, place: str = "query") -> ApiError:
    """A parameter that cannot be used."""
    detail: JsonObject = {"code": "INVALID", "description": description, "in": place, "field": field}
    return refusal(400, "VALIDATION_ERROR", f"{field}: {description}", details=[detail])
