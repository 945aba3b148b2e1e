"""What connectors do with the rows of a batch: values as text, one row a key, one request a row side by side."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, retry_later
from millstream.destinations.kept_identifiers import identifiers_in
from millstream.state.errors import MillstreamError, RetryableError
from millstream.state.privacy import redact

_NUMBER = re.compile(r"[+\d ()./-]+")
_SHORTEST_NUMBER = 7
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?([+-]\d\d(:\d\d)?)?")


def text_value(value: FieldValue) -> str:
    """A value for vendors that take text: ``true``, ``120.5``, no exponent; None and NaN are empty."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        text = format(Decimal(repr(value)), "f")
        return text.removesuffix(".0")
    return str(value)


def text_values(fields: Mapping[str, FieldValue]) -> dict[str, str]:
    """All fields of a row as text."""
    return {name: value if type(value) is str else text_value(value) for name, value in fields.items()}


def moment_of(text: str) -> datetime | None:
    """The moment that a text is, as the store writes moments; None for any other text."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None  # looks like one, and has a thirteenth month
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def rfc3339(text: str) -> str:
    """A moment, as the store writes it, in the form that most vendors read; any other text as it is."""
    moment = moment_of(text)
    return moment.isoformat() if moment else text


def unix_seconds(text: str) -> int | None:
    """Seconds since 1970 of a moment or a day, as the store or a source writes it; None where it is neither."""
    if text.isdecimal() and len(text) > len("20261101"):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def masked(text: str, match_value: str) -> str:
    """The vendor's words without the person: also an address too malformed for ``redact`` to know it as one."""
    if match_value:
        text = re.sub(re.escape(match_value), lambda found: f"{found.group(0)[0]}***", text, flags=re.IGNORECASE)
    return redact(text)


def personal_values(rows: Iterable[DeliveryRow]) -> set[str]:
    """All that rows say of their people, as text: what has to be masked."""
    found: set[str] = set()
    for row in rows:
        kept = (part for _, value in identifiers_in(row.external_id) for part in value.split("|"))
        values = (text_value(value) for value in row.fields.values() if not isinstance(value, bool))
        texts = {row.match_value, *values, *kept}
        found |= texts | {_digits(text) for text in texts}
    return found - {""}


def _digits(text: str) -> str:
    """A phone number as vendors repeat it, which may be without anything but its digits; nothing for other texts."""
    if not _NUMBER.fullmatch(text):
        return ""
    digits = re.sub(r"\D", "", text)
    return digits if len(digits) >= _SHORTEST_NUMBER else ""


def last_of_each(rows: Iterable[DeliveryRow]) -> list[DeliveryRow]:
    """One row a person; the last one wins, because vendors refuse or confuse a key that comes twice."""
    return list({row.key: row for row in rows}.values())


def in_order(rows: Iterable[DeliveryRow], outcomes: Mapping[str, Outcome]) -> list[Outcome]:
    """One outcome for each row, by key: a row that lost to a later one shares the later one's outcome."""
    return [outcomes[row.key] for row in rows]


def send_each(
    rows: Sequence[DeliveryRow], send: Callable[[DeliveryRow], Outcome], *, workers: int
) -> dict[str, Outcome]:
    """Send one request a row, side by side, and keep what was achieved when the vendor gives up in between.

    The first row goes alone, so that a wrong credential costs one request. After an error that may pass, the rows
    not yet sent are left for later instead of each waiting through its own retries.

    Args:
        rows: Rows with different keys.
        send: Sends one row.
        workers: Most requests in flight.

    Returns:
        Outcomes by key.

    Raises:
        MillstreamError: What ``send`` raised, where trying again does not help.
    """
    stopped = threading.Event()

    def one(row: DeliveryRow) -> Outcome:
        if stopped.is_set():
            return retry_later("not_sent", "The vendor could not be reached for another row of the batch.")
        try:
            return send(row)
        except RetryableError as error:
            stopped.set()
            return retry_later("unavailable", error.what)
        except MillstreamError:
            stopped.set()
            raise

    if not rows:
        return {}
    outcomes = {rows[0].key: one(rows[0])}
    if len(rows) > 1:
        keys = [row.key for row in rows[1:]]
        with ThreadPoolExecutor(max_workers=min(workers, len(rows) - 1)) as pool:
            outcomes.update(zip(keys, pool.map(one, rows[1:]), strict=True))
    return outcomes
