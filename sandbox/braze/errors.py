"""Braze's refusals: a sentence, and for some endpoints what is wrong with which object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millstream.sandbox.system import ApiError, JsonObject

NO_VALID_DATA = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields."


def fatal(
    status: int,
    message: str,
    errors: Sequence[JsonObject] = (),
    headers: Mapping[str, str] | None = None,
) -> ApiError:
    """The whole request is refused."""
    body: JsonObject = {"message": message}
    if errors:
        body["errors"] = list(errors)
    return ApiError(status, body, headers)


def bad(message: str) -> ApiError:
    """The request is not as it must be."""
    return fatal(400, message)


class ObjectRefused(Exception):
    """One object of a request cannot be taken; the others can.

    Attributes:
        reason: What the vendor says about it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def pointing(self, array: str, index: int) -> JsonObject:
        """The entry in `errors`."""
        return {"type": self.reason, "input_array": array, "index": index}
