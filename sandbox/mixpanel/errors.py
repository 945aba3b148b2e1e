"""Mixpanel's refusals."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError


def refusal(status: int, error: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal in Mixpanel's envelope."""
    return ApiError(status, {"error": error, "status": "error"}, headers)
