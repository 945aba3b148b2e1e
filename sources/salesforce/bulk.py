"""Bulk API 2.0: a query becomes a job, which Salesforce reads in parts side by side, and its result is fetched as CSV.

The job's id and the place in its result stand in the stream's notes before they are needed, so that a pull that was
killed goes on with the same job; Salesforce keeps results for a week.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.state.errors import IncompleteError, MalformedAnswerError, NotFoundError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.org import Org
    from millstream.sources.salesforce.query import Query, Record

Job = MutableMapping[str, Any]
"""Notes of a job: `id`, `at` (when it began, by Salesforce's clock), `fields`, `locator`, `rows`."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
_LAST_PAGE = "null"


class JobGoneError(Exception):
    """Salesforce no longer has the job: it was deleted, or its result is older than a week."""


class JobEndedError(IncompleteError):
    """The job failed, or its result is not whole: it is of no use any more."""


def begin(pull: Pull, org: Org, query: Query) -> Job:
    """Have a query exported. One too many costs nothing but one of the day's 10,000 jobs, so it may be repeated."""
    order = {
        "operation": "queryAll",
        "query": query.soql(ordered=False),
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    made = pull.post(f"{org.root}/jobs/query", order)
    if not isinstance(made, dict) or not made.get("id") or not made.get("createdDate"):
        raise MalformedAnswerError(
            "Salesforce began a bulk job and does not say which.", remedy="check the base_url of the connection."
        )
    return {
        "id": str(made["id"]),
        "at": datetime.fromisoformat(str(made["createdDate"])).isoformat(),
        "fields": list(query.fields),
        "rows": 0,
    }


def result(pull: Pull, org: Org, job: Job) -> Iterator[list[Record]]:
    """Pages of the job's records from the kept place on; moves the place in the notes before it gives a page.

    Raises:
        JobGoneError: The job is not there any more.
        IncompleteError: It failed, takes too long, or gave fewer records than it announced.
    """
    path = f"{org.root}/jobs/query/{job['id']}"
    total = _wait(pull, org, path)
    pull.expect(max(0, total - job["rows"]), exact=False)
    while True:
        asked = {"maxRecords": org.settings.rows_a_result}
        if job.get("locator"):
            asked["locator"] = job["locator"]
        org.check_budget(max(0, total - job["rows"]), org.settings.rows_a_result)
        try:
            answer = pull.download(f"{path}/results", asked, accept="text/csv")
        except NotFoundError as error:
            raise JobGoneError from error
        records = _records(answer.content, answer.headers.get("Content-Type", ""))
        _check(len(records), answer.headers.get("Sforce-NumberOfRecords"))
        locator = answer.headers.get("Sforce-Locator", _LAST_PAGE)
        job["rows"] += len(records)
        job["locator"] = None if locator == _LAST_PAGE else locator
        pull.place = f"{job['rows']} of {total} rows of bulk job {job['id']}"
        if job["locator"] is None and job["rows"] < total:
            raise JobEndedError(
                f"A bulk job announced {total} rows and gave {job['rows']}.", remedy="run again: a new job is begun."
            )
        yield records
        if job["locator"] is None:
            return


def _wait(pull: Pull, org: Org, path: str) -> int:
    """Look at the job until it is done: the number of its rows."""
    wait, waited = _FIRST_WAIT, 0.0
    while True:
        try:
            job = pull.get(path)
        except NotFoundError as error:
            raise JobGoneError from error
        state = job.get("state") if isinstance(job, dict) else None
        if state == "JobComplete":
            return int(job.get("numberRecordsProcessed") or 0)
        if state in ("Failed", "Aborted") or state is None:
            why = job.get("errorMessage") if isinstance(job, dict) else None
            raise JobEndedError(
                f"A bulk job of Salesforce ended as {state}: {why or 'no reason given'}.",
                remedy="run again: a new job is begun. If it fails each time, set start_date, or read fewer fields.",
            )
        pull.place = f"waiting for bulk job {path.rsplit('/', 1)[-1]} ({state})"
        if waited > org.settings.bulk_patience_minutes * 60:
            raise IncompleteError(
                f"Salesforce works on a bulk job for more than {org.settings.bulk_patience_minutes:g} minutes.",
                remedy="run again later: the pull goes on waiting for the same job.",
            )
        pull.wait(wait)
        waited, wait = waited + wait, min(wait * 2, _LONGEST_WAIT)


def _records(content: bytes, kind: str) -> list[Record]:
    remedy = "run again; if it stays, a proxy before Salesforce answers with something else."
    if "csv" not in kind:
        raise MalformedAnswerError(f"A bulk job's result is no CSV but {kind or 'of no type'}.", remedy=remedy)
    try:
        # It is UTF-8 also where the answer does not say so; by HTTP's rules it would be Latin-1 then.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("A bulk job's result is not in UTF-8.", remedy=remedy) from error
    # An empty cell is a missing value: Salesforce knows no empty text.
    return [{name: value or None for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]


def _check(rows: int, announced: str | None) -> None:
    if announced is not None and announced.isdigit() and rows != int(announced):
        raise IncompleteError(
            f"A part of a bulk job's result holds {rows} rows and not {announced}.",
            remedy="run again; it goes on where it was.",
        )
