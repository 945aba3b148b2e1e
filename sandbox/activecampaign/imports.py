"""`/import`: up to 250 contacts handed over at once, checked as a whole, and worked off later."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from millstream.sandbox.activecampaign.definitions import Definitions
from millstream.sandbox.activecampaign.errors import import_refused, message
from millstream.sandbox.activecampaign.people import NOT_ON_LIST, UNCONFIRMED
from millstream.sandbox.activecampaign.register import Contact, Register, is_address
from millstream.sandbox.activecampaign.shapes import number_in, text_in
from millstream.sandbox.activecampaign.writing import check_address, set_values, values_by_field
from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, route

MOST_CONTACTS, MOST_BYTES = 250, 400_000
IMPORTS_A_MINUTE, SINGLE_IMPORTS_A_MINUTE = 100, 20
NOT_VALID = "JSON payload did not pass validation. Please fix failure reasons and retry. Nothing was queued."
NAMES = (
    ("first_name", "first_name"),
    ("last_name", "last_name"),
    ("phone", "phone"),
    ("customer_acct_name", "account_name"),
)
STAGES = ("waiting", "claimed", "active")


@dataclass(slots=True)
class Import:
    """One import. `status` is empty while it runs.

    Attributes:
        rows: The contacts as they came.
        refused: Addresses that a fault refuses.
        quiet: Whether automations stay out of it.
        callback: Whom to tell at the end, if anybody.
        success: Ids of the contacts that were written.
        failure: Addresses that were not.
        reasons: Why not, which only a callback with details tells.
    """

    rows: list[JsonObject]
    refused: set[str]
    quiet: bool
    callback: JsonObject | None
    started: float
    status: str = ""
    success: list[str] = field(default_factory=list)
    failure: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class Imports:
    """All imports and the endpoints about them.

    Attributes:
        seconds: How long an import takes; tests may change it.
        keeps: For how many seconds after its start the status of an import can be asked for.
        interrupts: How many of the imports to come stop half way, as `interrupted`.
        callbacks: What would have been sent to the addresses that clients gave.
    """

    def __init__(self, register: Register, definitions: Definitions, limited: Callable[[], bool]) -> None:
        self._register = register
        self._definitions = definitions
        self._limited = limited
        self.reset()

    def reset(self) -> None:
        """Forget all imports."""
        self._imports: dict[str, Import] = {}
        self._many, self._single = Window(IMPORTS_A_MINUTE, 60), Window(SINGLE_IMPORTS_A_MINUTE, 60)
        self.seconds = 0.3
        self.keeps = 86_400.0
        self.interrupts = 0
        self.callbacks: list[JsonObject] = []

    def routes(self) -> list[Route]:
        """The endpoints about imports."""
        return [
            route("POST", "/api/3/import/bulk_import", self.create),
            route("GET", "/api/3/import/bulk_import", self.overview),
            route("GET", "/api/3/import/info", self.info),
        ]

    # Taking an import

    def create(self, call: Call) -> Answer:
        """Queue an import, or refuse the whole of it."""
        body = call.json()
        rows = body.get("contacts") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not isinstance(rows, list) or not rows:
            raise import_refused(NOT_VALID, ["'contacts' is a required field."])
        self._check_size(call, rows)
        wrong = [
            {"contact": place, "failureReason": reason}
            for place, row in enumerate(rows)
            if (reason := _wrong(row)) is not None
        ]
        callback = _checked_callback(body.get("callback"))
        refused = {email for row in rows if isinstance(row, dict) and call.refuses(email := _email(row).lower())}
        order = call.refusal()
        if order is not None and order.whole_batch:
            wrong += [
                {"contact": place, "failureReason": "Field 'email' incorrect format"}
                for place, row in enumerate(rows)
                if isinstance(row, dict) and _email(row).lower() in refused
            ]
        if wrong:
            raise import_refused(NOT_VALID, wrong)
        quiet = _is_true(body.get("exclude_automations"))
        job_id = str(uuid.uuid4())
        self._imports[job_id] = Import(rows, refused, quiet, callback, time.monotonic())
        queued = {"Success": 1, "queued_contacts": len(rows), "batchId": job_id, "message": "Contact import queued"}
        return Answer(queued)

    def _check_size(self, call: Call, rows: list[object]) -> None:
        if len(call.body) >= MOST_BYTES:
            raise import_refused("Payload too large.", [f"The payload must be below {MOST_BYTES} bytes."])
        if len(rows) > MOST_CONTACTS:
            raise import_refused(NOT_VALID, [f"Up to {MOST_CONTACTS} contacts may be imported in one request."])
        if not self._limited():
            return
        window = self._single if len(rows) == 1 else self._many
        if not window.take():
            reason = (
                f"Up to {window.allowed} imports may be requested per minute. Batch contacts, or retry in a minute."
            )
            raise import_refused("Rate limit exceeded.", [reason])

    # Asking after imports

    def info(self, call: Call) -> Answer:
        """How an import is doing: whose address failed, without a reason."""
        job_id = call.query.get("batchId", "")
        if not job_id:
            raise ApiError(400, {"success": 0, "message": "'batchId' is a required field."})
        job = self._imports.get(job_id)
        if job is None or time.monotonic() - job.started > self.keeps:
            raise message(404, f"No Result found for batch {job_id}")
        return Answer({"status": self._status(job), "success": job.success, "failure": job.failure})

    def overview(self, call: Call) -> Answer:
        """How much is outstanding, and how much was done of late, by day."""
        del call
        day = datetime.now(UTC).date().isoformat()
        waiting = [job for job in self._imports.values() if not job.status]
        done = [job for job in self._imports.values() if job.status]

        def row(jobs: list[Import]) -> list[JsonObject]:
            count = sum(len(job.rows) for job in jobs)
            return [{"forDate": day, "batches": str(len(jobs)), "contacts": str(count)}] if jobs else []

        return Answer({"outstanding": row(waiting), "recentlyCompleted": row(done)})

    def _status(self, job: Import) -> str:
        elapsed = time.monotonic() - job.started
        stage = min(int(elapsed / max(self.seconds, 1e-9) * len(STAGES)), len(STAGES) - 1)
        return job.status or STAGES[stage]

    # Working them off

    def work_off(self) -> None:
        """Run the imports whose time has come. Called with every request, since nothing else wakes up."""
        for job_id, job in self._imports.items():
            if not job.status and time.monotonic() - job.started >= self.seconds:
                self._run(job_id, job)

    def _run(self, job_id: str, job: Import) -> None:
        interrupted = self.interrupts > 0
        self.interrupts -= interrupted
        for row in job.rows[: len(job.rows) // 2] if interrupted else job.rows:
            email = _email(row)
            try:
                if email.lower() in job.refused:
                    raise ApiError(422, {"message": "The contact cannot be saved."})
                job.success.append(str(self._write(row, email, job.quiet).number))
            except ApiError as error:
                job.failure.append(email)
                job.reasons.append(_reason(error))
        job.status = "interrupted" if interrupted else "completed"
        if job.callback is not None:
            self.callbacks.append(_told(job_id, job, job.callback))

    def _write(self, row: JsonObject, email: str, quiet: bool) -> Contact:
        check_address(email)
        values = values_by_field(row.get("fields"), "id", self._definitions.fields)
        joins, leaves = self._lists(row, "subscribe"), self._lists(row, "unsubscribe")
        contact = self._register.by_email(email) or self._register.create(email)
        for name, attribute in NAMES:
            if name in row:
                setattr(contact, attribute, text_in(row, name))
        set_values(contact, values)
        # The vendor's text says that the flag is the request's, its example that it is the contact's.
        automations = not (quiet or _is_true(row.get("exclude_automations")))
        names = row.get("tags")
        for name in names if isinstance(names, list) else []:
            self._register.add_tag(contact, self._definitions.tag_named(str(name)).number, automations=automations)
        for number in joins:
            # Who left a list, or bounced there, stays away from it; the contact counts as imported all the same.
            if contact.lists.get(number, NOT_ON_LIST) in {NOT_ON_LIST, UNCONFIRMED}:
                self._register.set_list(contact, number, 1, automations=automations)
        for number in leaves:
            # Also who was never on the list is unsubscribed from it, and cannot be subscribed by an import later.
            self._register.set_list(contact, number, 2, automations=automations)
        self._register.keep(contact)
        return contact

    def _lists(self, row: JsonObject, name: str) -> list[int]:
        rows = row.get(name)
        found = []
        for one in rows if isinstance(rows, list) else []:
            number = number_in(one["listid"])
            if number not in self._definitions.lists or number is None:
                raise message(404, f"No Result found for _List with id {one['listid']}")
            found.append(number)
        return found


def _email(row: JsonObject) -> str:
    email = row.get("email")
    return email.strip() if isinstance(email, str) else ""


def _wrong(row: object) -> str | None:
    """What the check of the payload says of a contact; it looks at forms, not at what is in the account."""
    if not isinstance(row, dict):
        return "Contact must be an object"
    if not _email(row):
        return "Field 'email' is required"
    if not is_address(_email(row)):
        return "Field 'email' incorrect format"
    tags, fields = row.get("tags", []), row.get("fields", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        return "Field 'tags' must be an array of strings"
    if not isinstance(fields, list) or not all(_is_value(one) for one in fields):
        return "Field 'fields' must be an array of objects with 'id' and 'value'"
    for name in ("subscribe", "unsubscribe"):
        rows = row.get(name, [])
        if not isinstance(rows, list) or not all(
            isinstance(one, dict) and number_in(one.get("listid")) for one in rows
        ):
            return f"Field '{name}' must be an array of objects with 'listid'"
    named = (row.get(name) for name in ("first_name", "last_name", "phone", "customer_acct_name"))
    if not all(value is None or isinstance(value, str) for value in named):
        return "Names and phone must be strings"
    return None


def _is_value(one: object) -> bool:
    if not isinstance(one, dict) or number_in(one.get("id")) is None:
        return False
    return isinstance(one.get("value"), str | int | float)


def _is_list(one: object) -> bool:
    return isinstance(one, dict) and number_in(one.get("listid")) is not None


def _is_true(value: object) -> bool:
    return str(value).lower() in {"true", "1"}


def _checked_callback(given: object) -> JsonObject | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not given.get("url") or given.get("requestType") not in {"GET", "POST"}:
        raise import_refused(NOT_VALID, ["'callback' needs 'url' and 'requestType', which is GET or POST."])
    return {str(key): value for key, value in given.items()}


def _told(job_id: str, job: Import, callback: JsonObject) -> JsonObject:
    sent: JsonObject = {"batchId": job_id}
    if callback["requestType"] == "POST" and str(callback.get("detailed_results")).lower() == "true":
        sent |= {"successes": len(job.success), "failures": len(job.failure), "errors": job.reasons}
    return {"url": callback["url"], "requestType": callback["requestType"], "body": sent}


def _reason(error: ApiError) -> str:
    body = error.answer.body
    errors = body.get("errors") if isinstance(body, dict) else None
    return str(errors[0]["title"] if errors else body["message"] if isinstance(body, dict) else body)
