"""One ingest job: what it was made with, its rows, what became of them, and how all that is told."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from millstream.sandbox.faults import FaultOrder
from millstream.sandbox.salesforce.jobs import DELIMITERS, ENDINGS
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.queries import moment
from millstream.sandbox.salesforce.tokens import USER_ID
from millstream.sandbox.salesforce.writer import Hand
from millstream.sandbox.system import Answer, JsonObject

RUNNING = ("UploadComplete", "InProgress")
OVER = ("JobComplete", "Failed", "Aborted")
Operation = Literal["insert", "update", "upsert", "delete", "hardDelete"]


class IngestOrder(BaseModel):
    """The body that makes a job."""

    model_config = ConfigDict(extra="forbid")

    object: str
    operation: Operation
    externalIdFieldName: str | None = None  # noqa: N815  the vendor's names
    contentType: Literal["CSV"] = "CSV"  # noqa: N815
    columnDelimiter: Literal["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"] = "COMMA"  # noqa: N815
    lineEnding: Literal["LF", "CRLF"] = "LF"  # noqa: N815
    assignmentRuleId: str | None = None  # noqa: N815


class IngestChange(BaseModel):
    """The body that closes or stops a job."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["UploadComplete", "Aborted"]


@dataclass(slots=True)
class IngestJob:
    """One job with its rows and, later, what became of them."""

    job_id: str
    order: IngestOrder
    sobject: Sobject
    hand: Hand
    version: str
    created: int
    state: str = "Open"
    refusal: FaultOrder | None = None
    header: list[str] = field(default_factory=list)
    lines: list[list[str]] = field(default_factory=list)
    uploaded: bool = False
    closed_at: float = 0.0
    problem: str = ""
    done: list[tuple[str, bool, list[str]]] = field(default_factory=list)
    failed: list[tuple[str, list[str]]] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many rows were tried."""
        return len(self.done) + len(self.failed)

    def read(self, body: bytes) -> None:
        """Take the rows in; what is wrong with them is told when the job is worked off."""
        delimiter, ending = DELIMITERS[self.order.columnDelimiter], self.order.lineEnding
        try:
            text = body.decode("utf-8-sig")
            lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            self.problem = f"InvalidBatch : Failed to parse CSV: {error}"
            return
        first, _, _ = text.partition("\n")
        if lines and first.endswith("\r") != (ending == "CRLF"):
            self.problem = f"ClientInputError : LineEnding is invalid on user data, and was said to be {ending}"
        self.header, self.lines = (lines[0], [line for line in lines[1:] if line]) if lines else ([], [])

    def shown(self) -> JsonObject:
        """What is told when the job is made or changed."""
        told: JsonObject = {
            "id": self.job_id,
            "operation": self.order.operation,
            "object": self.sobject.name,
            "createdById": USER_ID,
            "createdDate": moment(self.created),
            "systemModstamp": moment(self.created),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version.removeprefix("v")),
            "lineEnding": self.order.lineEnding,
            "columnDelimiter": self.order.columnDelimiter,
        }
        if self.order.externalIdFieldName is not None:
            told["externalIdFieldName"] = self.order.externalIdFieldName
        if self.state == "Open":
            told["contentUrl"] = f"services/data/{self.version}/jobs/ingest/{self.job_id}/batches"
        return told

    def info(self) -> JsonObject:
        """What is told when the job is looked at."""
        told: JsonObject = self.shown() | {
            "jobType": "V2Ingest",
            "numberRecordsProcessed": self.tried,
            "numberRecordsFailed": len(self.failed),
            "retries": 0,
            "totalProcessingTime": 300 if self.state in OVER else 0,
            "apiActiveProcessingTime": 200 if self.state in OVER else 0,
            "apexProcessingTime": 0,
        }
        return told | {"errorMessage": self.problem} if self.problem else told


def results(job: IngestJob, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Answer:
    """Rows as CSV, in another order than they were sent."""
    text = io.StringIO()
    delimiter, ending = DELIMITERS[job.order.columnDelimiter], ENDINGS[job.order.lineEnding]
    writer = csv.writer(text, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows(reversed(rows))
    return Answer(text.getvalue().encode(), media_type="text/csv")
