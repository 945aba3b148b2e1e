"""Adobe's refusals: one body from the gateway, another from Analytics itself, a third from the token endpoint."""

from __future__ import annotations

from millstream.sandbox.system import ApiError


def gateway_refusal(status: int, code: str, message: str) -> ApiError:
    """Adobe's gateway says no, before Analytics sees the request."""
    return ApiError(status, {"error_code": code, "message": message})


def refusal(status: int, code: str, description: str) -> ApiError:
    """Analytics says no."""
    return ApiError(status, {"errorCode": code, "errorDescription": description, "errorId": "5a1d0b6e-sandbox"})


def invalid(description: str) -> ApiError:
    """Something in the request is wrong."""
    return refusal(400, "invalid_parameters", description)


def token_refusal(error: str, description: str, status: int = 400) -> ApiError:
    """The token endpoint says no."""
    return ApiError(status, {"error": error, "error_description": description})
