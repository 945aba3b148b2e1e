"""Marketo's envelope: nearly everything comes with status 200, and `success` says whether it went well."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from millstream.sandbox.system import Answer, ApiError, JsonObject

NOTHING_FOUND = "No assets found for the given search criteria."

_numbers = itertools.count(0x8136)


def request_id() -> str:
    """A new id in the vendor's shape: a number, a hash sign, the time in hexadecimal."""
    return f"{next(_numbers) & 0xFFFFF:x}#{int(time.time() * 1000):x}"


def done(result: Sequence[object], **more: object) -> Answer:
    """An answer of the lead database."""
    return Answer({"requestId": request_id(), "result": list(result), "success": True, **more})


def asset(result: Sequence[object]) -> Answer:
    """An answer of the asset API, which leaves `result` out where there is nothing, and only warns."""
    head: JsonObject = {"success": True, "errors": [], "requestId": request_id()}
    if not result:
        return Answer({**head, "warnings": [NOTHING_FOUND]})
    return Answer({**head, "warnings": [], "result": list(result)})


def refused(code: int, message: str) -> ApiError:
    """The whole request is refused, under status 200."""
    errors = [{"code": str(code), "message": message}]
    return ApiError(200, {"requestId": request_id(), "success": False, "errors": errors})


def refused_by_gateway(status: int, title: str) -> ApiError:
    """A refusal from before the API: a page, with a status of its own."""
    error = ApiError(status, f"<html><body><h1>{status} {title}</h1></body></html>".encode())
    error.answer.media_type = "text/html"
    return error


def missing(parameter: str) -> ApiError:
    """A parameter of the lead database is not given."""
    return refused(1002, f"Missing value for required parameter '{parameter}'")


class RowRefused(Exception):
    """One row cannot be done; the others can.

    Attributes:
        code: The vendor's number.
        message: What is wrong.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def skipped(self, **known: object) -> JsonObject:
        """The row's place in `result`."""
        return {**known, "status": "skipped", "reasons": [{"code": str(self.code), "message": self.message}]}


def lead_not_found() -> RowRefused:
    """No lead has this id or key."""
    return RowRefused(1004, "Lead not found")
