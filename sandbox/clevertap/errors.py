"""CleverTap's refusals: a status, a text and a number, and for records a number of their own."""

from __future__ import annotations

from millstream.sandbox.system import ApiError, JsonObject


def failed(error: str, code: int) -> JsonObject:
    """The body of a failure; many come with HTTP 200."""
    return {"status": "fail", "error": error, "code": code}


def refusal(status: int, error: str) -> ApiError:
    """A request that is refused as a whole."""
    return ApiError(status, failed(error, status))


class RecordRefused(Exception):
    """One record of an upload that cannot be processed.

    Attributes:
        code: The vendor's number.
        text: What is wrong.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text

    def about(self, record: object) -> JsonObject:
        """The entry of `unprocessed`."""
        return {"status": "fail", "code": self.code, "error": self.text, "record": record}
