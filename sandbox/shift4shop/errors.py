"""Shift4Shop's refusals: a list with one error."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.sandbox.system import ApiError


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal in the shop's envelope."""
    return ApiError(status, [{"Key": "Error", "Value": message, "Status": str(status), "Message": message}], headers)
