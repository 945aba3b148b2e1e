"""Qualtrics' envelope around every answer and every refusal, and its pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

from millstream.sandbox.system import Answer, ApiError, Call, JsonObject

LARGEST_PAGE = 100
REQUEST_ID = "sandbox-request"
Row = TypeVar("Row")


def result(value: object) -> Answer:
    """A good answer."""
    return Answer({"result": value, "meta": {"httpStatus": "200 - OK", "requestId": REQUEST_ID}})


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal with Qualtrics' own code."""
    error: JsonObject = {"errorCode": code, "errorMessage": message}
    meta: JsonObject = {"httpStatus": f"{status} - {HTTPStatus(status).phrase}", "error": error}
    return ApiError(status, {"meta": {**meta, "requestId": REQUEST_ID}}, headers)


def invalid(name: str, problem: str) -> ApiError:
    """A parameter that cannot be used."""
    return refusal(400, "RP_0.1", f"Invalid parameter '{name}': {problem}")


def unknown(kind: str, found: str) -> ApiError:
    """A thing that is not there."""
    return refusal(404, "RP_1.0", f"There is no {kind} '{found}'.")


def check_query(call: Call, *allowed: str) -> None:
    """Refuse parameters that the endpoint does not take; their names are case-sensitive."""
    for name in sorted(set(call.query) - set(allowed)):
        raise invalid(name, "not a parameter of this endpoint")
    for name in ("includeEmbedded", "useNewPaginationScheme", "includeCount"):
        if call.query.get(name, "true") not in ("true", "false"):
            raise invalid(name, "must be true or false")


def page(
    call: Call,
    rows: Sequence[Row],
    key: Callable[[Row], str],
    shown: Callable[[Row], JsonObject],
    largest: int = LARGEST_PAGE,
) -> Answer:
    """One page of a list.

    Args:
        call: The request, which may have `pageSize` and `skipToken`.
        rows: All rows, in the order of their keys.
        key: What orders the rows; the token names the key of the last row given, so that rows which disappear
            meanwhile shift nothing.
        shown: How a row is shown.
        largest: The most rows of a page; more are refused.
    """
    text = call.query.get("pageSize", str(largest))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= largest):
        raise invalid("pageSize", f"must be a whole number from 1 to {largest}")
    token = call.query.get("skipToken")
    last = None if token is None else _read_token(token)
    left = [row for row in rows if last is None or key(row) > last]
    given = left[: call.page_limit(int(text))]
    next_page = None
    if len(given) < len(left):
        query = {**call.query, "skipToken": _token(key(given[-1]))}
        next_page = f"{call.base_url}{call.path}?{urlencode(query)}"
    return result({"elements": [shown(row) for row in given], "nextPage": next_page})


def _token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except (ValueError, binascii.Error) as error:
        raise invalid("skipToken", "is none of ours") from error
