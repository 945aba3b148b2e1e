"""A made-up Qualtrics brand behind the documented endpoints, for answers that the sandbox does not give."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import responses

ROOT = "https://fra1.qualtrics.test"
SURVEY = "SV_1"
CONTACTS_A_PAGE = 2
NPS = {"DataExportTag": "nps", "QuestionText": "Recommend <b>us</b>?", "QuestionType": "MC", "Selector": "NPS"}
WORDS = {"DataExportTag": "why", "QuestionText": "Why?", "QuestionType": "TE", "Selector": "SL"}
Answered = tuple[int, Mapping[str, str], bytes]


def a_response(number: int, at: datetime, *, beside: bool = False, **values: Any) -> dict[str, Any]:
    """A response with its metadata among the answers, or beside them."""
    moment = f"{at:%Y-%m-%dT%H:%M:%S}Z"
    facts = {"startDate": moment, "endDate": moment, "status": 0, "ipAddress": "203.0.113.9", "progress": 100}
    facts |= {"duration": 60, "finished": 1, "recordedDate": moment, "distributionChannel": "anonymous"}
    facts |= {name: values.pop(name) for name in tuple(values) if name in {*facts, "recipientEmail"}}
    labels = values.pop("labels", {})
    return {"responseId": f"R_{number}", "labels": labels} | (
        {**facts, "values": values} if beside else {"values": {**facts, **values}}
    )


def a_contact(number: int, **more: Any) -> dict[str, Any]:
    """A contact of the directory."""
    facts = {
        "contactId": f"CID_{number}",
        "firstName": "Ann",
        "email": f"ann{number}@box.example",
        "extRef": f"C-{number}",
    }
    return {**facts, "unsubscribed": False, "embeddedData": {}, **more}


class Brand:
    """The brand.

    Attributes:
        surveys: Responses by survey.
        active: Whether surveys take responses.
        questions: What every survey asks.
        refused: Surveys that the token may not read.
        started: Survey and body of each export started.
        looked_at: Ids of jobs looked at.
        trouble: Makes the answer to a look at a job, instead of "complete"; by its number and body.
        file: Makes the file of responses.
        contacts: The directory's contacts by id.
        opted_out: Ids of those who opted out.
        asked: Path and query of every request.
    """

    def __init__(self, vendor: responses.RequestsMock) -> None:
        self.surveys: dict[str, list[dict[str, Any]]] = {SURVEY: []}
        self.active = True
        self.questions: Any = {"QID1": NPS, "QID2": WORDS}
        self.refused: set[str] = set()
        self.expired: set[str] = set()
        self.started: list[tuple[str, dict[str, Any]]] = []
        self.looked_at: list[str] = []
        self.trouble: Callable[[int, Mapping[str, Any]], dict[str, Any] | int | None] = lambda number, body: None
        self.file: Callable[[list[dict[str, Any]]], bytes] = zipped
        self.contacts: dict[str, dict[str, Any]] = {}
        self.opted_out: set[str] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []
        for method in ("GET", "POST"):
            vendor.add_callback(method, re.compile(re.escape(ROOT)), self._answer)

    def _answer(self, request: Any) -> Answered:
        parts = urlsplit(request.url)
        path = parts.path.removeprefix("/API/v3/").split("/")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.asked.append(("/".join(path), query))
        if len(path) > 1 and path[1] in self.refused:
            return refusal(403, "AUTH_9.0", "The user lacks the permission.")
        match path:
            case ["surveys"]:
                return result({"elements": [self._survey(one) for one in self.surveys], "nextPage": "string"})
            case ["survey-definitions", _]:
                return result({"Questions": self.questions})
            case ["surveys", survey, "export-responses"]:
                return self._start(survey, orjson.loads(request.body))
            case ["surveys", survey, "export-responses", job]:
                return self._look(survey, job)
            case ["surveys", survey, "export-responses", file_id, "file"]:
                body = self.started[int(file_id.removeprefix("file-"))][1]
                return 200, {"Content-Type": "application/zip"}, self.file(self._found(survey, body))
            case ["directories"]:
                return result({"elements": [{"directoryId": "POOL_1", "name": "All"}], "nextPage": None})
            case ["directories", _, "contacts"]:
                return self._page(list(self.contacts.values()), query)
            case ["directories", _, "contacts", "optedOutContacts"]:
                gone = {"directoryUnsubscribed": True, "directoryUnsubscribeDate": 1772366400000}
                return self._page([{**self.contacts[one], **gone} for one in sorted(self.opted_out)], query)
            case ["directories", _, "contacts", contact] if contact in self.contacts:
                return result(self.contacts[contact])
        return refusal(404, "RP_1.1", "No such path.")

    @staticmethod
    def _page(rows: list[dict[str, Any]], query: Mapping[str, str]) -> Answered:
        at = int(query.get("skipToken", 0))
        more = at + CONTACTS_A_PAGE < len(rows)
        link = f"https://elsewhere.example/contacts?skipToken={at + CONTACTS_A_PAGE}" if more else None
        return result({"elements": rows[at : at + CONTACTS_A_PAGE], "nextPage": link})

    def _survey(self, survey: str) -> dict[str, Any]:
        facts = {"name": survey.lower(), "ownerId": "UR_1", "isActive": self.active}
        return {"id": survey, "lastModified": "2026-01-01T00:00:00Z", "creationDate": "2025-01-01T00:00:00Z", **facts}

    def _start(self, survey: str, body: dict[str, Any]) -> Answered:
        if body.get("continuationToken") in self.expired:
            return refusal(400, "RP_0.2", "The continuation token has expired.")
        self.started.append((survey, body))
        return result({"progressId": f"ES_{len(self.started) - 1}", "percentComplete": 0.0, "status": "inProgress"})

    def _look(self, survey: str, job: str) -> Answered:
        self.looked_at.append(job)
        number = int(job.removeprefix("ES_"))
        body = self.started[number][1]
        trouble = self.trouble(number, body)
        if isinstance(trouble, int):
            return refusal(trouble, "RP_1.0", "There is no such export.")
        done = {"status": "complete", "percentComplete": 100.0, "fileId": f"file-{number}"}
        if body.get("allowContinuation") or body.get("continuationToken"):
            done["continuationToken"] = f"{survey}:{len(self.surveys[survey])}"
        return result(trouble or done)

    def _found(self, survey: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        if token := body.get("continuationToken"):
            return self.surveys[survey][int(token.rpartition(":")[2]) :]
        since, until = body.get("startDate", ""), body.get("endDate", "9")
        return [one for one in self.surveys[survey] if since <= _recorded(one) < until]


def _recorded(found: Mapping[str, Any]) -> str:
    return str(found.get("recordedDate") or found["values"].get("recordedDate", "2026"))


def zipped(found: list[dict[str, Any]]) -> bytes:
    """The file that Qualtrics makes: one member, with a response a line."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Survey.ndjson", b"".join(orjson.dumps(one) + b"\n" for one in found))
    return buffer.getvalue()


def result(body: Mapping[str, Any]) -> Answered:
    """An answer in its envelope."""
    return 200, {}, orjson.dumps({"result": body, "meta": {"httpStatus": "200 - OK", "requestId": "r-1"}})


def refusal(status: int, code: str, words: str) -> Answered:
    """A refusal in its envelope."""
    error = {"errorCode": code, "errorMessage": words}
    return status, {}, orjson.dumps({"meta": {"httpStatus": f"{status} - No", "error": error, "requestId": "r-1"}})
