"""Response exports: started with a body, asked about until they are complete, then downloaded."""

from __future__ import annotations

import base64
import binascii
import io
import time
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import orjson
from pydantic import BaseModel, ConfigDict

from millstream.sandbox.company import Company
from millstream.sandbox.qualtrics.envelope import check_query, invalid, refusal, result, unknown
from millstream.sandbox.qualtrics.responses import Response, record, responses
from millstream.sandbox.qualtrics.surveys import Survey, find_survey
from millstream.sandbox.system import Answer, Call, JsonObject

TEXT_OPTIONS = ("useLabels", "breakoutSets", "includeDisplayOrder", "newlineReplacement", "seenUnansweredRecode")
WORK_SECONDS = 0.1


class ExportRequest(BaseModel):
    """What an export takes; the names are case-sensitive. CSV, TSV, SPSS and XML are not here, and refused."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["json", "ndjson"]
    startDate: str | None = None  # noqa: N815  the vendor's names
    endDate: str | None = None  # noqa: N815
    sortByLastModifiedDate: bool = False  # noqa: N815
    allowContinuation: bool = False  # noqa: N815
    continuationToken: str | None = None  # noqa: N815
    exportResponsesInProgress: bool = False  # noqa: N815
    compress: bool = True
    limit: int | None = None
    timeZone: str | None = None  # noqa: N815
    questionIds: list[str] | None = None  # noqa: N815
    embeddedDataIds: list[str] | None = None  # noqa: N815
    surveyMetadataIds: list[str] | None = None  # noqa: N815
    useLabels: bool | None = None  # noqa: N815
    breakoutSets: bool | None = None  # noqa: N815
    includeDisplayOrder: bool | None = None  # noqa: N815
    newlineReplacement: str | None = None  # noqa: N815
    seenUnansweredRecode: int | None = None  # noqa: N815


@dataclass(slots=True)
class Job:
    """One export; `asked` counts the questions about it, since the first never finds it complete."""

    survey: Survey
    file_id: str
    started: float
    file: bytes
    media_type: str
    continuation: str | None
    failed: bool
    asked: int = 0


class Exports:
    """Handlers for exports and single responses."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._advances = -1
        self._known: dict[str, list[Response]] = {}
        self._jobs: dict[str, Job] = {}

    @property
    def running(self) -> int:
        """How many exports are being worked on."""
        now = time.monotonic()
        return sum(1 for job in self._jobs.values() if now - job.started < WORK_SECONDS)

    def of(self, survey: Survey) -> list[Response]:
        """A survey's responses, the oldest first."""
        if self._advances != self._company.advances:
            self._known, self._advances = {}, self._company.advances
        if survey.survey_id not in self._known:
            self._known[survey.survey_id] = responses(self._company, survey)
        return self._known[survey.survey_id]

    def start(self, call: Call) -> Answer:
        """`POST /surveys/{id}/export-responses`. An order to refuse rows makes the export fail later."""
        check_query(call)
        survey = find_survey(call.params["survey_id"])
        asked = call.body_as(ExportRequest)
        for name in TEXT_OPTIONS:
            if getattr(asked, name) is not None:
                raise invalid(name, "cannot be used with this format")
        found, watermark = self._found(survey, asked)
        number = len(self._jobs) + 1
        self._jobs[f"ES_sandbox{number:08d}"] = Job(
            survey=survey,
            file_id=f"{number:08x}-sandbox-def",
            started=time.monotonic(),
            file=self._file(survey, asked, found),
            media_type="application/zip" if asked.compress else "application/json",
            continuation=_token(survey, watermark) if asked.allowContinuation or asked.continuationToken else None,
            failed=call.refusal() is not None,
        )
        return result({"progressId": f"ES_sandbox{number:08d}", "percentComplete": 0.0, "status": "inProgress"})

    def progress(self, call: Call) -> Answer:
        """`GET /surveys/{id}/export-responses/{progress}`: 100 percent is not complete yet."""
        check_query(call)
        job = self._jobs.get(call.params["progress_id"])
        if job is None or job.survey.survey_id != call.params["survey_id"]:
            raise unknown("export", call.params["progress_id"])
        job.asked += 1
        if job.asked < 2 or time.monotonic() - job.started < WORK_SECONDS:
            return result({"percentComplete": 100.0, "status": "inProgress", "fileId": None})
        if job.failed:
            error = {"errorCode": "ERR_EXPORT", "errorMessage": "The export could not be written."}
            return result({"percentComplete": 0.0, "status": "failed", "fileId": None, "error": error})
        done: JsonObject = {"percentComplete": 100.0, "status": "complete", "fileId": job.file_id}
        return result(done | ({"continuationToken": job.continuation} if job.continuation else {}))

    def file(self, call: Call) -> Answer:
        """`GET /surveys/{id}/export-responses/{file}/file`: a zip with one member, unless that was not wanted."""
        check_query(call)
        for job in self._jobs.values():
            done = job.asked > 1 and not job.failed
            if done and (job.file_id, job.survey.survey_id) == (call.params["file_id"], call.params["survey_id"]):
                return Answer(job.file, media_type=job.media_type)
        raise unknown("file", call.params["file_id"])

    def one(self, call: Call) -> Answer:
        """`GET /surveys/{id}/responses/{response}`."""
        check_query(call)
        for response in self.of(find_survey(call.params["survey_id"])):
            if response.response_id == call.params["response_id"]:
                return result(record(self._company, response))
        raise unknown("response", call.params["response_id"])

    def _found(self, survey: Survey, asked: ExportRequest) -> tuple[list[Response], int]:
        """The responses to be exported, and the time up to which they are complete."""
        since, until = _moment("startDate", asked.startDate), _moment("endDate", asked.endDate)
        after = None if asked.continuationToken is None else _read_token(survey, asked.continuationToken)

        def at(response: Response) -> int:
            return response.modified_ms if asked.sortByLastModifiedDate else response.recorded_ms

        everything = self.of(survey)
        # The start counts whole seconds.
        found = [
            response
            for response in everything
            if (since is None or at(response) >= since // 1000 * 1000)
            and (until is None or at(response) < until)
            and (after is None or max(response.recorded_ms, at(response)) > after)
        ]
        if asked.exportResponsesInProgress:
            # Nobody is answering at the moment.
            found = []
        found.sort(key=lambda response: (at(response), response.response_id))
        newest = max((max(one.recorded_ms, at(one)) for one in everything), default=0)
        return found[: asked.limit], newest

    def _file(self, survey: Survey, asked: ExportRequest, found: list[Response]) -> bytes:
        rows = [_chosen(record(self._company, response), survey, asked) for response in found]
        if asked.format == "json":
            written = orjson.dumps({"responses": rows})
        else:
            written = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
        if not asked.compress:
            return written
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{survey.name.rstrip('?')}.{asked.format}", written)
        return packed.getvalue()


def _chosen(row: JsonObject, survey: Survey, asked: ExportRequest) -> JsonObject:
    """The row with the questions and fields that were asked for; None asks for all, [] for none."""
    fields = {field: question.question_id for question in survey.questions for field in question.fields}
    values = row["values"]
    assert isinstance(values, dict)

    def wanted(key: str) -> bool:
        question = fields.get(key) or fields.get(key.removesuffix("_NPS_GROUP"))
        if question is not None:
            return asked.questionIds is None or question in asked.questionIds
        if key in survey.embedded:
            return asked.embeddedDataIds is None or key in asked.embeddedDataIds
        return asked.surveyMetadataIds is None or key in asked.surveyMetadataIds

    return {**row, "values": {key: value for key, value in values.items() if wanted(key)}}


def _moment(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(name, "must be ISO 8601") from error
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _token(survey: Survey, watermark: int) -> str:
    return base64.urlsafe_b64encode(f"{survey.survey_id}:{watermark}".encode()).decode()


def _read_token(survey: Survey, token: str) -> int:
    try:
        survey_id, _, watermark = base64.b64decode(token, b"-_", validate=True).decode().partition(":")
        if survey_id == survey.survey_id:
            return int(watermark)
    except (ValueError, binascii.Error):
        pass
    raise refusal(400, "RP_0.2", "The continuation token is invalid or has expired.")
