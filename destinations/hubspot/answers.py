"""What HubSpot's batch answers mean for rows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, accepted, rejected
from millstream.destinations.rows import masked
from millstream.state.errors import (
    ConfigurationError,
    MillstreamError,
    PermissionDeniedError,
    QuotaExhaustedError,
)

MAPPING_FAULTS = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})
"""Codes that say the mapping is wrong, not a row."""

_CODE = re.compile(r'"error"\s*:\s*"([A-Z_]+)"')


class BatchOutcomes:
    """Maps the parts of a batch answer (200 or 207) to rows.

    A row is known by its ``objectWriteTraceId``, which is its number, else by the id it was sent with, else by the
    contact's e-mail address. Whoever is in no part of the answer was not written.

    Args:
        sent: The rows with the id that each was sent with, in the order of the request.
    """

    def __init__(self, sent: Sequence[tuple[DeliveryRow, str]]) -> None:
        self._sent = sent
        self._keys = [row.key for row, _ in sent]
        self._by_trace = {str(row.number): row.key for row, _ in sent}

    def read(self, answer: Mapping[str, Any]) -> dict[str, Outcome]:
        """Outcomes by match value, one for each row sent."""
        refused: dict[str, Outcome] = {}
        absent = rejected("missing_from_answer", "HubSpot's answer does not name the row.", fault="vendor")
        for fault in answer.get("errors") or ():
            keys = self._keys_of(fault)
            refused.update({key: _refusal(fault, key) for key in keys})
            if not keys:
                absent = _refusal(fault)
        outcomes = dict.fromkeys(self._keys, absent) | refused
        for result in answer.get("results") or ():
            key = self._by_trace.get(str(result.get("objectWriteTraceId"))) or self._key_of(result)
            if key is not None:
                outcomes[key] = accepted(str(result["id"]))
        return outcomes

    @cached_property
    def _by_id(self) -> Mapping[str, str]:
        return {key: row.key for row, sent_id in self._sent for key in (row.key, sent_id)}

    def _key_of(self, result: Mapping[str, Any]) -> str | None:
        """The row of a result without its number."""
        email = str((result.get("properties") or {}).get("email") or "").lower()
        return self._by_id.get(str(result.get("id"))) or self._by_id.get(email)

    def _keys_of(self, fault: Mapping[str, Any]) -> list[str]:
        contexts = [part.get("context") or {} for part in (fault, *(fault.get("errors") or ()))]
        traces = [text for context in contexts for text in _texts(context.get("objectWriteTraceId"))]
        ids = [text.lower() for context in contexts for key in ("ids", "id") for text in _texts(context.get(key))]
        ids += [text.lower() for text in _texts(fault.get("id"))]
        found = [self._by_trace.get(trace) for trace in traces] or [self._by_id.get(sent_id) for sent_id in ids]
        return [key for key in found if key is not None]


def codes_of(fault: Mapping[str, Any]) -> Iterator[str]:
    """The codes in an error: of its parts, and those that HubSpot writes as JSON into the message."""
    for part in fault.get("errors") or ():
        if isinstance(part, Mapping) and part.get("code"):
            yield str(part["code"])
    yield from _CODE.findall(str(fault.get("message") or ""))


def problem_of(status: int, body: Mapping[str, Any]) -> MillstreamError | None:
    """The error that an answer stands for, where HubSpot says more than the HTTP status does."""
    if status == 429 and body.get("policyName") == "DAILY":
        return QuotaExhaustedError(
            "HubSpot's daily budget of requests is used up.",
            remedy="run again after midnight in the account's time zone; what was sent is kept.",
        )
    if status == 403 and body.get("category") == "MISSING_SCOPES":
        scopes = [
            str(scope)
            for fault in body.get("errors") or ()
            for scope in (fault.get("context") or {}).get("requiredGranularScopes") or ()
        ]
        return PermissionDeniedError(
            f"HubSpot refuses: the token lacks a scope ({', '.join(scopes) or body.get('message')}).",
            remedy="add the scope to the app, and install it again or copy the new token.",
        )
    if status == 400 and not MAPPING_FAULTS.isdisjoint(codes_of(body)):
        return ConfigurationError(
            f"HubSpot refuses a mapped property: {body.get('message')}",
            remedy="create the property in HubSpot, or map another.",
        )
    return None


def _refusal(fault: Mapping[str, Any], match_value: str = "") -> Outcome:
    codes = list(codes_of(fault))
    code = codes[0] if codes else str(fault.get("category") or "refused")
    wrong_mapping = not MAPPING_FAULTS.isdisjoint(codes)
    reason = masked(str(fault.get("message") or "HubSpot gave no reason."), match_value)
    return rejected(code.lower(), reason, fault="configuration" if wrong_mapping else "data")


def _texts(value: object) -> list[str]:
    """HubSpot's context values are lists of text; a plain value is taken too."""
    if value is None:
        return []
    return [str(part) for part in value] if isinstance(value, list) else [str(value)]
