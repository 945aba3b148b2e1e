"""Customer.io's refusals: each of its APIs has envelopes of its own."""

from __future__ import annotations

from millstream.sandbox.system import ApiError, JsonObject


class Problem(Exception):
    """What is wrong with one operation of the Track API's second version.

    Attributes:
        reason: Kind of mistake.
        field: Where it is.
        message: What it is.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.reason = reason
        self.field = field
        self.message = message

    def shown(self) -> JsonObject:
        """As an entry of `errors`."""
        return {"reason": self.reason, "field": self.field, "message": self.message}


def track_v2(*problems: Problem) -> ApiError:
    """A whole request of the second version refused."""
    return ApiError(400, {"errors": [problem.shown() for problem in problems]})


def track(status: int, message: str) -> ApiError:
    """A request of the first version refused."""
    return ApiError(status, {"meta": {"errors": [message]}})


def app(status: int, detail: str) -> ApiError:
    """A request of the App API refused."""
    return ApiError(status, {"errors": [{"detail": detail, "status": str(status)}]})


def bare(status: int, message: str) -> ApiError:
    """What both hosts say before they have looked at a request."""
    return ApiError(status, {"meta": {"error": message}})
