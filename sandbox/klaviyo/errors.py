"""Klaviyo's refusals: JSON:API errors that point at what is wrong."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Literal

from millstream.sandbox.system import ApiError, JsonObject

INVALID = "Invalid input."


def problem(
    status: int,
    code: str,
    title: str,
    detail: str,
    where: str = "/data",
    *,
    kind: Literal["pointer", "parameter"] = "pointer",
) -> JsonObject:
    """One entry of `errors`."""
    return {
        "id": str(uuid.uuid4()),
        "status": status,
        "code": code,
        "title": title,
        "detail": detail,
        "source": {kind: where},
        "links": {},
        "meta": {},
    }


def refusal(problems: Sequence[JsonObject], headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal that lists its problems; the first one says the HTTP status."""
    status = problems[0]["status"]
    return ApiError(status if isinstance(status, int) else 400, {"errors": list(problems)}, headers)


def invalid(detail: str, pointer: str = "/data") -> ApiError:
    """Something in the body cannot be used."""
    return refusal([problem(400, "invalid", INVALID, detail, pointer)])


def invalid_many(problems: Sequence[tuple[str, str]]) -> ApiError:
    """Several things in the body cannot be used: (pointer, what) for each."""
    return refusal([problem(400, "invalid", INVALID, detail, pointer) for pointer, detail in problems])


def invalid_parameter(name: str, detail: str) -> ApiError:
    """A query parameter cannot be used."""
    return refusal([problem(400, "invalid", INVALID, detail, name, kind="parameter")])


def not_found(what: str, pointer: str = "/data") -> ApiError:
    """There is no such thing."""
    return refusal([problem(404, "not_found", "Not found.", f"{what} does not exist.", pointer)])


def duplicate(profile_id: str) -> ApiError:
    """The identifiers given belong to another profile."""
    detail = "Another profile has one of these identifiers already."
    entry = problem(409, "duplicate_profile", "Conflict.", detail, "/data/attributes")
    entry["meta"] = {"duplicate_profile_id": profile_id}
    return refusal([entry])
