"""Intercom's refusals: a list of coded errors."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal in Intercom's envelope."""
    error = {"code": code, "message": message}
    return ApiError(status, {"type": "error.list", "request_id": "sandbox", "errors": [error]}, headers)


def invalid(message: str) -> ApiError:
    """A parameter or query that cannot be used."""
    return refusal(400, "parameter_invalid", message)
