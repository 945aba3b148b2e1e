"""The requests that a plan would make, without making them: the connector runs on an HTTP that only writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.hashing import is_sha256
from millstream.destinations.http import Recorded
from millstream.destinations.modes import Leaving, Operation, SyncMode
from millstream.destinations.rows import personal_values, text_value
from millstream.destinations.sending.performing import Performer
from millstream.destinations.sending.plan_rows import AnyDestination, Batch
from millstream.destinations.sync import Sync
from millstream.state.errors import MillstreamError
from millstream.state.privacy import redact_values

ROWS_SHOWN = 2
"""Rows in the body of an example; the real one holds up to a whole batch."""
FROM_AN_ANSWER = "id-from-an-earlier-answer"
"""Stands for ids that only answers tell."""


@dataclass(frozen=True, kw_only=True)
class ExampleRequest:
    """A request as it would be made, for the first rows of its kind.

    Attributes:
        operation: ``add``, ``update``, ``remove``, or ``audience`` for finding or making the list.
        method: HTTP method.
        url: Where to, with its query.
        headers: Names of headers; their values may be secret.
        body: The body, personal data masked.
        rows_each: Most rows that one such request takes.
        note: What could not be told without an answer.
    """

    operation: str
    method: str
    url: str
    headers: tuple[str, ...] = ()
    body: object = None
    rows_each: int = 1
    note: str | None = None


def example_requests(destination: AnyDestination, sync: Sync, batches: Iterator[Batch]) -> list[ExampleRequest]:
    """One example of each kind of request: of each operation, and of each step of it.

    Nothing is sent. What a connector would do with an answer is not known; ids that come from answers are replaced.
    """
    destination.rehearse()
    examples = list(_audience(destination, sync))
    audience_id = FROM_AN_ANSWER if sync.audience_name else None
    performer = Performer(destination, sync, audience_id)
    for operation, of_operation in groupby(batches, key=lambda batch: batch.operation):
        batch = next((batch for batch in of_operation if batch.rows), None)
        if batch is None:
            continue
        rows = batch.rows[:ROWS_SHOWN]
        for work, rows_each in _calls(destination, sync, performer, batch):
            recorded = _record(work)
            if recorded is not None:
                examples.append(_example(operation.value, recorded, rows=rows, rows_each=rows_each))
    return examples


def _calls(
    destination: AnyDestination, sync: Sync, performer: Performer, batch: Batch
) -> Iterator[tuple[Callable[[], object], int]]:
    """The connector's calls for the first rows of a batch, and how many rows one of their requests takes."""
    rows, operation = batch.rows[:ROWS_SHOWN], batch.operation
    if batch.as_job:
        submitted = partial(
            destination.submit_job,
            operation,
            rows,
            match_key=sync.match_key,
            audience_id=FROM_AN_ANSWER if sync.audience_name else None,
            creates=sync.mode is not SyncMode.UPDATE,
            label="plan",
        )
        yield submitted, destination.job_size
        return
    if sync.mode is SyncMode.REPLACE:
        if operation is not Operation.REMOVE:
            yield partial(performer.replace, iter([rows]), label="plan"), destination.batch_size
        return
    for step in performer.steps(operation):
        if step in (performer.write, performer.write_into):
            yield partial(step, rows), 1 if operation in destination.one_by_one else destination.batch_size
        else:
            work = Leaving.LEAVE_AUDIENCE if operation is Operation.REMOVE else Operation.ENROL
            rows_each = 1 if work in destination.one_by_one else destination.membership_batch_size
            yield partial(step, [replace_id(row) for row in rows]), rows_each


def replace_id(row: DeliveryRow) -> DeliveryRow:
    """The row with an id, as it will have once its fields were taken."""
    if row.external_id is not None:
        return row
    return DeliveryRow(number=row.number, match_value=row.match_value, fields=row.fields, external_id=FROM_AN_ANSWER)


def _audience(destination: AnyDestination, sync: Sync) -> Iterator[ExampleRequest]:
    name = sync.audience_name
    if name is None:
        return
    recorded = _record(lambda: destination.ensure_audience(name))
    if recorded is not None:
        made = "Made where the answer says that there is none."
        yield replace(_example("audience", recorded, rows=()), note=made)


def _record(work: Any) -> Recorded | str | None:
    """The first request of some work; the error's text where it fails before one."""
    try:
        work()
    except Recorded as recorded:
        return recorded
    except MillstreamError as error:
        return str(error)
    return None


def _example(
    operation: str, recorded: Recorded | str, *, rows: Sequence[DeliveryRow], rows_each: int = 1
) -> ExampleRequest:
    if isinstance(recorded, str):
        told = redact_values(recorded, personal_values(rows))
        return ExampleRequest(operation=operation, method="", url="", note=f"No request: {told}")
    personal = personal_values(rows)
    reads = recorded.method == "GET"
    return ExampleRequest(
        operation=operation,
        method=recorded.method,
        url=_masked_url(recorded.url, personal),
        headers=recorded.headers,
        body=_masked(recorded.body, personal),
        rows_each=1 if reads else rows_each,
        note="Asked first; what follows depends on the answer." if reads else None,
    )


def _masked_url(url: str, personal: set[str]) -> str:
    parts = urlsplit(url)
    path = "/".join("***" if unquote(part) in personal else part for part in parts.path.split("/"))
    return redact_values(parts._replace(path=path).geturl(), personal)


def _masked(value: Any, personal: set[str]) -> Any:
    """The value with everything about a person replaced, shape and keys kept."""
    if isinstance(value, Mapping):
        return {key: _masked(inner, personal) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(inner, personal) for inner in value]
    if isinstance(value, str) and value.startswith("{"):
        # A job's operations carry their bodies as text.
        with suppress(orjson.JSONDecodeError):
            return orjson.dumps(_masked(orjson.loads(value), personal)).decode()
    if isinstance(value, str) and is_sha256(value):
        return f"{value[:6]}***"
    if isinstance(value, str) and "@" not in value and (value in personal or value.lower() in personal):
        return f"{value[:1]}***"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and text_value(value) in personal:
        return "***"
    return redact_values(value, personal) if isinstance(value, str) else value
