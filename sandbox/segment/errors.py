"""Segment's refusals: each of its three APIs has an envelope of its own."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError

CODES = {401: "authentication_error", 404: "not_found", 429: "rate_limit_error"}
TYPES = {401: "unauthorized", 403: "forbidden", 404: "not-found", 422: "validation-failure", 429: "too-many-requests"}


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal of the Profile API."""
    code = CODES.get(status, "validation_error" if status == 400 else "invalid_request_error")
    return ApiError(status, {"error": {"code": code, "message": message}}, headers)


def tracking_refusal(status: int, message: str) -> ApiError:
    """A refusal of the Tracking API."""
    return ApiError(status, {"success": False, "message": message})


def public_refusal(status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal of the Public API."""
    error = {"type": TYPES.get(status, "bad-request"), "message": message}
    return ApiError(status, {"errors": [error | {"field": field} if field else error]}, headers)
