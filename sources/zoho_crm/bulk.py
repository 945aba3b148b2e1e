"""Bulk Read: a job for 200,000 records, whose file is a zip with one CSV; the next job goes on where it ended."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from millstream.sources.zoho_crm.lists import Record, ask, says_more
from millstream.sources.zoho_crm.modules import MODIFIED, Module
from millstream.state.errors import (
    IncompleteError,
    MalformedAnswerError,
    NotFoundError,
    RefusedError,
    SchemaError,
    UnavailableError,
)
from millstream.state.http import Pacer, RateLimit

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zoho_crm.settings import ZohoCrmSettings

PATH = "crm/bulk/v8/read"
ROWS_A_CHUNK = 2_000
LONGEST_POLL = 30.0

Load = MutableMapping[str, Any]
"""Notes of a first load: when it ``began``, the ``job`` that is under way, the ``page`` or ``token`` it is for, and the
fields that files come ``without``."""


class BulkReads:
    """Reads modules by jobs, one after the other: only the end of one says where the next one begins."""

    def __init__(self, settings: ZohoCrmSettings) -> None:
        self._settings = settings
        self._downloads = Pacer(RateLimit(requests=10, seconds=60.0))

    def read(self, pull: Pull, module: Module, names: Sequence[str], load: Load) -> Iterator[list[Record]]:
        """Chunks of records; the notes know the job before it is waited for, and the page before it is read.

        Raises:
            UnavailableError: The job failed, or is not done in time. It stays in the notes if it may still be.
        """
        is_own = False
        while True:
            if "job" not in load:
                self._start(pull, module, names, load)
                is_own = True
                yield pull.until_loaded()
            try:
                result = self._wait(pull, load)
                content = self._download(pull, load["job"])
            except NotFoundError:
                if is_own:
                    raise
                # Files are kept for about a day: a run that comes later has to begin this page again.
                pull.warn(f"Zoho no longer has the bulk job of {module.name}; its page was asked for anew.")
                del load["job"]
                continue
            more = says_more(result, PATH)
            found = 0
            for chunk in _chunks(content, _without(names, load)):
                found += len(chunk)
                yield chunk
            _check_count(module, result, found)
            del load["job"]
            if not more:
                return
            load["page"] = int(load.get("page", 1)) + 1
            load["token"] = result.get("next_page_token")
            yield pull.until_loaded()

    def _start(self, pull: Pull, module: Module, names: Sequence[str], load: Load) -> None:
        query: dict[str, Any] = {"module": {"api_name": module.name}, "fields": _without(names, load)}
        query |= {"page_token": load["token"]} if load.get("token") else {"page": load.get("page", 1)}
        if self._settings.start_date:
            query["criteria"] = {
                "field": {"api_name": MODIFIED},
                "comparator": "greater_equal",
                "value": day_start(self._settings.start_date).isoformat(),
            }
        details = self._begun(pull, query, load).get("details") or {}
        if not details.get("id"):
            raise SchemaError("Zoho began a bulk job and gave it no id.", remedy="update the connector.")
        load["job"] = str(details["id"])
        load.setdefault("began", details.get("created_time") or pull.pulled_at.isoformat())

    def _begun(self, pull: Pull, query: dict[str, Any], load: Load) -> Mapping[str, Any]:
        """What Zoho says of a new job. Fields that only lists give are left out: it refuses them one by one."""
        while True:
            try:
                return _only(pull.post(PATH, {"query": query, "file_type": "csv"}))
            except RefusedError as error:
                refused = _refused_field(error.body)
                if refused not in query["fields"] or refused == MODIFIED:
                    raise
                load["without"] = [*load.get("without", ()), refused]
                query["fields"] = _without(query["fields"], load)
                pull.warn(
                    f"Bulk files of {query['module']['api_name']} cannot have {refused}: it stays empty until a record "
                    "changes. With first_load: list and --full it is read for all."
                )

    def _wait(self, pull: Pull, load: Load) -> Mapping[str, Any]:
        """What the finished job says of its result."""
        waited, pause = 0.0, self._settings.poll_seconds
        while True:
            job = _only(ask(pull, f"{PATH}/{load['job']}", {}))
            state = job.get("state")
            if state == "COMPLETED":
                return job.get("result") or {}
            if state not in ("ADDED", "IN PROGRESS"):
                failed = load.pop("job")
                raise UnavailableError(
                    f"Zoho's bulk job {failed} ended as {state!r}.",
                    remedy="run again, which begins this page anew; if it stays, set first_load: list.",
                )
            if waited >= self._settings.patience_minutes * 60:
                raise UnavailableError(
                    f"Zoho's bulk job {load['job']} is still {str(state).lower()} after "
                    f"{self._settings.patience_minutes:g} minutes.",
                    remedy="run again later: the job is kept, and waited for.",
                )
            pull.wait(pause)
            waited += pause
            pause = min(pause * 1.5, LONGEST_POLL)

    def _download(self, pull: Pull, job: str) -> bytes:
        with self._downloads:
            return pull.download(f"{PATH}/{job}/result", accept="application/zip, */*").content


def day_start(day: date) -> datetime:
    """The first moment of a day in UTC."""
    return datetime.combine(day, time.min, UTC)


def _check_count(module: Module, result: Mapping[str, Any], found: int) -> None:
    announced = result.get("count")
    if isinstance(announced, int) and found < announced:
        raise IncompleteError(
            f"Zoho's bulk job of {module.name} counts {announced} records and its file has {found}.",
            remedy="run again, which reads the page anew; if it stays, set first_load: list.",
        )


def _without(names: Sequence[str], load: Load) -> list[str]:
    return [name for name in names if name not in load.get("without", ())]


def _refused_field(body: object) -> str | None:
    """The field that a refusal names, in the answer itself or in its only part."""
    parts = body.get("data") if isinstance(body, dict) and "data" in body else [body]
    for part in parts if isinstance(parts, list) else ():
        details = part.get("details") if isinstance(part, dict) else None
        if isinstance(details, dict) and isinstance(details.get("api_name"), str):
            return str(details["api_name"])
    return None


def _only(body: Any) -> Mapping[str, Any]:
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        raise SchemaError(
            f"The answer of {PATH} names no job.", remedy="the API may have changed; set first_load: list for now."
        )
    return data[0]


def _chunks(content: bytes, names: Sequence[str]) -> Iterator[list[Record]]:
    """The lines of the file as records.

    Raises:
        MalformedAnswerError: It is no zip with a CSV.
        IncompleteError: It lacks a field that was asked for.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        (member,) = archive.namelist()
    except (zipfile.BadZipFile, ValueError) as error:
        raise MalformedAnswerError(
            "Zoho's bulk file is no zip with one CSV (JSON or a web page in its place?).",
            remedy="run again; if it stays, set first_load: list.",
        ) from error
    with archive, archive.open(member) as raw, io.TextIOWrapper(raw, "utf-8-sig", newline="") as text:
        lines = csv.DictReader(text)
        missing = [name for name in names if name not in (lines.fieldnames or names)]
        if missing:
            raise IncompleteError(
                f"Zoho's bulk file lacks {', '.join(missing[:5])}.",
                remedy="run again; if it stays, set first_load: list.",
            )
        chunk: list[Record] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) == ROWS_A_CHUNK:
                yield chunk
                chunk = []
        yield chunk
