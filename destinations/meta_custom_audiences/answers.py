"""What Meta's answers mean: errors for the sync, and the counts of a batch for its rows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from millstream.destinations.contract import Outcome, accepted_async, rejected
from millstream.destinations.meta_custom_audiences.members import Cells, Person
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    UnavailableError,
)
from millstream.state.http import Answer
from millstream.state.privacy import redact

log = logging.getLogger(__name__)

TERMS_PAGE = "https://business.facebook.com/ads/manage/customaudiences/tos/?act="

_THROTTLED = {4, 17, 32, 613, *range(80_000, 80_015)}
_TOKEN = {102, 104, 190, 463, 467}
_PERMISSION = {3, 10, *range(200, 300)}
_PASSING = {1, 2, 341, 368, 5000, 21009}
_TERMS = {2655, 2663}
_OLD_VERSION = 2635
_UPDATE_FAILED = 2650
_PARAMETER = 100
_NO_SUCH_OBJECT = {33}
_GONE = {1487301, 1487366}
_FLAGGED = {1713228, 1713230, 1713231}
_SESSION_IN_THE_WAY = {1870145, 1870147, 1870158}

_RECONNECT = "make a new token of the system user, with ads_management, and give it as the connection's access_token."
_GRANT = "give the system user ads_management, and the ad account with the task to manage its campaigns."


def problem_of(answer: Answer, *, account: str) -> MillstreamError | None:
    """The error that an answer stands for; Meta says most under status 400.

    Args:
        answer: The answer.
        account: The ad account, for where its owner has to go.
    """
    error = answer.facts().get("error")
    if not isinstance(error, dict):
        return None
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    words = _words(error)
    what = f"Meta answered error {code}{f'/{subcode}' if subcode else ''}: {words}"
    if code in _THROTTLED:
        return RateLimitedError(what, retry_after=seconds_to_regain(answer.headers))
    if code in _TOKEN:
        return AuthenticationError(what, remedy=_RECONNECT)
    if "appsecret_proof" in words:
        return AuthenticationError(what, remedy="give app_secret, the secret of the app that the token belongs to.")
    if code in _TERMS or "terms of service" in words.lower():
        page = f"{TERMS_PAGE}{account.removeprefix('act_')}"
        return ConfigurationError(what, remedy=f"have the token's user accept the custom audience terms at {page}")
    if code in _PERMISSION:
        return PermissionDeniedError(what, remedy=_GRANT)
    if subcode in _SESSION_IN_THE_WAY:
        return UnavailableError(
            what, remedy="another replacement of this audience has not ended; it does within hours."
        )
    if code in _PASSING or error.get("is_transient") is True or answer.status_code >= 500:
        return UnavailableError(what)
    return _mistake(code, subcode, what)


def _mistake(code: int, subcode: int, what: str) -> MillstreamError:
    """Errors that stay until somebody does something. Rows are looked at before they are sent, so none means a row."""
    if subcode in _FLAGGED:
        remedy = "Meta restricts the audience; appeal in its Audience Manager, or sync into another audience."
        return ConfigurationError(what, remedy=remedy)
    if code == _OLD_VERSION:
        return ConfigurationError(what, remedy="set the connection's version to one that Meta still serves.")
    if subcode in _GONE or (code == _PARAMETER and subcode in _NO_SUCH_OBJECT):
        return NotFoundError(what, remedy="check ad_account_id, and that the audience is there and shared with it.")
    if code == _UPDATE_FAILED:
        return ConfigurationError(what, remedy="sync into an audience of a customer list, or into one not there yet.")
    return ConfigurationError(what, remedy="this is about the request as a whole; look the code up at Meta.")


def seconds_to_regain(headers: Mapping[str, str]) -> float | None:
    """How long Meta asks to stay away; None where it does not say."""
    minutes = max((_number(one.get("estimated_time_to_regain_access")) for one in _usages(headers)), default=0)
    return minutes * 60.0 or None


def usage(headers: Mapping[str, str]) -> float:
    """The largest share of any budget that is used up, in percent."""
    parts = ("call_count", "total_cputime", "total_time", "acc_id_util_pct")
    return max((_share(one.get(part)) for one in _usages(headers) for part in parts), default=0.0)


def outcomes_of(answer: Mapping[str, Any], people: Sequence[Person]) -> dict[str, Outcome]:
    """Outcomes by key. Meta names some of the rows that it could not read, and counts the others.

    Those that it names are rejected, and all where it read none. The others count as handed over, with the count as
    their reason: to halve the batch until the bad ones are found would cost more calls than they are worth.
    """
    invalid = _number(answer.get("num_invalid_entries"))
    if invalid and invalid >= len(people):
        return {one.key: _invalid(_first(answer)) for one in people}
    samples = {cell: words for cells, words in _samples(answer) for cell in cells}
    named = {one.key: _invalid(samples[one.match]) for one in people if one.match in samples} if samples else {}
    unnamed = max(0, invalid - len(named))
    reason = None
    if unnamed:
        reason = f"Meta counted {unnamed} of {len(people)} rows as invalid without naming them."
        log.warning("meta_custom_audiences: %s", reason)
    return {one.key: named.get(one.key) or accepted_async(one.external_id, reason=reason) for one in people}


def unread(answer: Mapping[str, Any], rows: Sequence[Cells]) -> dict[int, Outcome]:
    """Rows of a removal that Meta could not read, by place: those that it names, or all where it names too few."""
    invalid = _number(answer.get("num_invalid_entries"))
    samples = {cell: words for cells, words in _samples(answer) for cell in cells}
    named = {
        place: _invalid(samples[cell])
        for place, row in enumerate(rows)
        if (cell := next((cell for cell in row.values() if cell in samples), None))
    }
    return named if invalid <= len(named) else {place: _invalid(_first(answer)) for place in range(len(rows))}


def _invalid(words: str) -> Outcome:
    return rejected("invalid_entry", f"Meta cannot read the row: {redact(words)[:200]}")


def _first(answer: Mapping[str, Any]) -> str:
    return next((words for _, words in _samples(answer)), "it gave no reason.")


def _samples(answer: Mapping[str, Any]) -> list[tuple[list[str], str]]:
    """Cells and words of each sample; cells come as the text of a list, or of one of them."""
    samples = answer.get("invalid_entry_samples")
    return [(_cells(text), str(words)) for text, words in samples.items()] if isinstance(samples, dict) else []


def _cells(text: str) -> list[str]:
    try:
        cells = orjson.loads(text)
    except orjson.JSONDecodeError:
        return [text]
    return [str(cell) for cell in cells if cell] if isinstance(cells, list) else [text]


def _usages(headers: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Budgets that an answer tells of; of those by business only that of custom audiences."""
    found: list[Mapping[str, Any]] = []
    for header in ("X-Business-Use-Case-Usage", "X-Ad-Account-Usage", "X-App-Usage"):
        try:
            told = orjson.loads(headers.get(header) or "{}")
        except orjson.JSONDecodeError:
            continue
        if not isinstance(told, dict):
            continue
        lists = [one for one in told.values() if isinstance(one, list)]
        found += [one for part in lists for one in part if isinstance(one, dict) and _is_ours(one)] or [told]
    return found


def _is_ours(one: Mapping[str, Any]) -> bool:
    return str(one.get("type", "custom_audience")) == "custom_audience"


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0


def _share(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0.0


def _words(error: Mapping[str, Any]) -> str:
    parts = (error.get("error_user_title"), error.get("error_user_msg")) if error.get("error_user_msg") else ()
    return " ".join(str(part) for part in (*parts, error.get("message")) if part)[:400]
