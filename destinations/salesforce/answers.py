"""What Salesforce's answers mean: for rows, which have answers of their own in a list, and for whole requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from millstream.destinations.contract import Outcome, accepted, rejected, retry_later
from millstream.destinations.rows import masked
from millstream.state.errors import (
    ConfigurationError,
    MalformedAnswerError,
    MillstreamError,
    PermissionDeniedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.vendors.salesforce import error_of, problem_of

Result = Mapping[str, Any]
"""What became of one row: ``success``, its ``id``, or ``errors``."""

PASSING = frozenset(
    {
        "LIMIT_EXCEEDED",
        "PROCESSING_HALTED",
        "QUERY_TIMEOUT",
        "REQUEST_LIMIT_EXCEEDED",
        "REQUEST_RUNNING_TOO_LONG",
        "SERVER_UNAVAILABLE",
        "STORAGE_LIMIT_EXCEEDED",
        "UNABLE_TO_LOCK_ROW",
        "UNKNOWN_EXCEPTION",
    }
)
"""Codes of what may work later: locks, outages, limits of the organization."""

_SETUP = frozenset(
    {
        "INSUFFICIENT_ACCESS",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INVALID_FIELD",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_TYPE",
    }
)
"""Codes that say that the mapping or the user's rights are wrong, not the row."""

_GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY", "MALFORMED_ID", "NOT_FOUND"})
_ID_FIELDS = frozenset({"Id", "ContactId", "LeadId"})
_TOO_LARGE = re.compile(r"(data value too large: ).*?( \(max length)", re.DOTALL)
_JOB_ERROR = re.compile(r"(?P<code>[A-Z_]+):(?P<message>.*?)(?::(?P<fields>[^:]*?)\s*--)?", re.DOTALL)


def results_of(answer: object, rows: int) -> Sequence[Result]:
    """The results of a collection, which come in the order of its records.

    Raises:
        MalformedAnswerError: It is no list of so many.
    """
    if not isinstance(answer, list) or len(answer) != rows:
        raise MalformedAnswerError(f"Salesforce's answer has not a result for each of {rows} records.")
    return answer


def outcome_of(result: Result, match_value: str) -> Outcome:
    """What the result of a row means."""
    if result.get("success"):
        return accepted(str(result["id"]) if result.get("id") else None)
    code, message, _ = _first(result)
    return refusal(code, message, match_value)


def refusal(code: str, message: str, match_value: str) -> Outcome:
    """The outcome of a row with an error."""
    reason = masked(_TOO_LARGE.sub(r"\1***\2", message) or "Salesforce gave no reason.", match_value)
    if code in PASSING or "UNABLE_TO_LOCK_ROW" in message:
        return retry_later(code.lower(), reason)
    if code == "DUPLICATES_DETECTED":
        reason += " A duplicate rule of the organization keeps the person out; see allow_duplicates."
    return rejected(code.lower() or "refused", reason, fault="configuration" if code in _SETUP else "data")


def is_gone(result: Result) -> bool:
    """Whether the record that was named by its id is not there: deleted, or merged into another."""
    code, _, fields = _first(result)
    return not result.get("success") and code in _GONE and fields <= _ID_FIELDS


def is_duplicate(result: Result) -> bool:
    """Whether what was to be made is there already."""
    return _first(result)[0] == "DUPLICATE_VALUE"


def missing_fields_of(result: Result) -> frozenset[str]:
    """Required fields that a record lacks, where that is all that is wrong with it."""
    code, _, fields = _first(result)
    return fields if code == "REQUIRED_FIELD_MISSING" else frozenset()


def result_of_job_error(text: str) -> Result:
    """An error as a job's results write it, ``CODE:message:field --``, as the result of a collection."""
    found = _JOB_ERROR.fullmatch(text.strip())
    parts = found.groupdict() if found else {"code": "", "message": text, "fields": None}
    fields = (parts["fields"] or "").replace(",", " ").split()
    return {
        "success": False,
        "errors": [{"statusCode": parts["code"], "message": parts["message"], "fields": fields}],
    }


def classify(answer: Answer) -> MillstreamError | None:
    """The error that an answer stands for, or None where its status says it all."""
    problem = problem_of(answer)
    if problem is not None or answer.status_code < 400:
        return problem
    code, words = error_of(answer)
    said = f"Salesforce refuses the request ({code}): {words}"
    if code in PASSING:
        return UnavailableError(said)
    if code == "NOT_FOUND" and "external id field" in words.lower():
        return ConfigurationError(
            said, remedy="set external_id_field to a field of the object that is marked External ID."
        )
    if code.startswith("INSUFFICIENT_ACCESS"):
        return PermissionDeniedError(
            said, remedy="give the user the right named here by its profile or a permission set."
        )
    if code in _SETUP:
        return ConfigurationError(said, remedy="check the mapped fields, and whether the user may edit them.")
    if answer.status_code in (400, 409) and code:
        return RefusedError(said, status=400, body=answer.json())
    return None


def _first(result: Result) -> tuple[str, str, frozenset[str]]:
    """Code, words and fields of a result's first error."""
    first: Mapping[str, Any] = next(iter(result.get("errors") or ()), {})
    code = str(first.get("statusCode") or first.get("errorCode") or "")
    return code, str(first.get("message") or ""), frozenset(first.get("fields") or ())
