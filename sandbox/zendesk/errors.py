"""Zendesk's refusals: mostly a name and a description, for some statuses an object."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError


def refusal(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal with a name and a sentence."""
    return ApiError(status, {"error": error, "description": description}, headers)


def not_authenticated() -> ApiError:
    """The credentials are missing or wrong."""
    return ApiError(401, {"error": "Couldn't authenticate you"})


def forbidden(message: str) -> ApiError:
    """The user may not do this."""
    return ApiError(403, {"error": {"title": "Forbidden", "message": message}})


def invalid(name: str, problem: str) -> ApiError:
    """A parameter that cannot be used."""
    return refusal(400, "InvalidValue", f"{name}: {problem}")
