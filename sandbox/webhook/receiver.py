"""The receiver: hooks with their credentials, signatures, repeated deliveries, and an answer for each row."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import ClassVar, Literal

from millstream.sandbox.limits import Window
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route
from millstream.sandbox.webhook.batch import Batch, Record
from millstream.sandbox.webhook.people import People

SECRET = "sandbox-webhook-secret"  # noqa: S105  made up, and printed in the README
BEARER = "sandbox-webhook-token"
USER, PASSWORD = "sandbox-webhook", "sandbox-webhook-password"
LARGEST_BODY = 1_000_000
LARGEST_SKEW = 300
REQUESTS_A_SECOND = 50


@dataclass(frozen=True, slots=True)
class Hook:
    """One address: what it asks of the sender, and whether it tells of each row."""

    asks: Literal["signature", "bearer", "basic"] = "signature"
    tells: bool = True
    writable: bool = True
    ended: bool = False


HOOKS = {
    "customers": Hook(),
    "silent": Hook(tells=False),
    "bearer": Hook(asks="bearer"),
    "basic": Hook(asks="basic"),
    "readonly": Hook(writable=False),
    "ended": Hook(ended=True),
}


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """A refusal of the whole request."""
    return ApiError(status, {"error": message}, headers)


class Webhook(System):
    """An operator's receiver with several hooks, behind which stand the same people."""

    name: ClassVar[str] = "webhook"
    title: ClassVar[str] = "Webhook receiver"

    def reset(self) -> None:
        self._people = People()
        self._second = Window(REQUESTS_A_SECOND, 1)
        # What was sent with each Idempotency-Key (without the time of sending), and how it was answered.
        self._answered: dict[tuple[str, str], tuple[JsonObject, Answer]] = {}
        self._repeated = 0

    def routes(self) -> Sequence[Route]:
        return [route("POST", "/hooks/{hook}", self._deliver), route("GET", "/hooks/{hook}", self._not_allowed)]

    def authenticate(self, call: Call) -> str:
        name = call.params.get("hook", "")
        hook = HOOKS.get(name)
        if hook is None:
            raise refusal(404, "There is no such hook.")
        if hook.ended:
            raise refusal(410, "This hook was taken down.")
        if len(call.body) > LARGEST_BODY:
            raise refusal(413, f"At most {LARGEST_BODY} bytes.")
        if call.strike.get("expire_token") is not None:
            raise refusal(401, "The credential has expired.")
        if hook.asks == "signature":
            check_signature(call.headers.get("x-signature", ""), call.body)
        else:
            given = call.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), _authorization(hook).encode()):
                raise refusal(401, "The credential is not one of this hook.", {"WWW-Authenticate": hook.asks.title()})
        if not hook.writable:
            raise refusal(403, "This sender may not write here.")
        return name

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if not self._second.take():
            raise self.rate_limited(self._second.wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, f"There is no {method} {path}.")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        whole = max(1, math.ceil(seconds))
        wait = formatdate(time.time() + whole, usegmt=True) if policy == "date" else str(whole)
        return refusal(429, "Too many deliveries.", {"Retry-After": wait})

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "The receiver failed.")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, f"The body is not JSON: {detail}")

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, f"{problems[0][0] or 'the batch'}: {problems[0][1]}")

    def state(self) -> JsonObject:
        return {**self._people.state(), "batches": len(self._answered), "repeated": self._repeated}

    def credentials(self, base_url: str) -> JsonObject:
        return {"base_url": f"{base_url}/hooks/customers", "signing_secret": SECRET}

    def _not_allowed(self, call: Call) -> Answer:
        del call
        raise refusal(405, "Deliveries are posted.", {"Allow": "POST"})

    def _deliver(self, call: Call) -> Answer:
        key = call.headers.get("idempotency-key", "")
        if not 1 <= len(key) <= 255:
            raise refusal(400, "Idempotency-Key: 1 to 255 characters.")
        batch = _batch(call)
        content = batch.model_dump(exclude={"sent_at"})
        earlier = self._answered.get((call.caller, key))
        if earlier is None:
            answer = self._work_off(call, batch)
            self._answered[call.caller, key] = content, answer
        elif earlier[0] == content:
            self._repeated += 1
            answer = earlier[1]
        else:
            raise refusal(422, "This Idempotency-Key came with another batch before.")
        return Answer(answer.body, answer.status)

    def _work_off(self, call: Call, batch: Batch) -> Answer:
        problems = {record.row_id: _problem(call, record) for record in batch.records}
        tells = HOOKS[call.caller].tells
        order = call.refusal()
        whole = not tells or (order is not None and order.whole_batch)
        refused = [row for row, problem in problems.items() if problem]
        if whole and refused:
            raise refusal(400, f"Nothing was taken: there are bad records in this batch ({len(refused)}).")
        for record in batch.records:
            if problems[record.row_id] is None:
                self._people.take(batch, record)
        if not tells:
            return Answer()
        # Errors come first: nobody promised the order of the request.
        results = [{"row_id": row, "status": "error", "error": problems[row]} for row in refused]
        results += [{"row_id": row, "status": "ok"} for row, problem in problems.items() if problem is None]
        return Answer({"results": results}, 207 if refused else 200)


def check_signature(header: str, body: bytes) -> None:
    """Refuse a body that was not signed with the secret within the last five minutes.

    Args:
        header: `t=<seconds since 1970>,v1=<hex HMAC-SHA256 of "t.body">`.
        body: As it came, so still packed where it is.
    """
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    sent, given = parts.get("t", ""), parts.get("v1", "")
    if not (sent.isascii() and sent.isdigit()) or parts.keys() != {"t", "v1"}:
        raise refusal(401, "X-Signature: t=<unix>,v1=<hex>.")
    right = hmac.new(SECRET.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given.encode(), right.encode()):
        raise refusal(401, "The signature does not fit the body.")
    if abs(time.time() - int(sent)) > LARGEST_SKEW:
        raise refusal(401, f"The signature is more than {LARGEST_SKEW} s away from now.")


def _authorization(hook: Hook) -> str:
    if hook.asks == "bearer":
        return f"Bearer {BEARER}"
    return "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def _batch(call: Call) -> Batch:
    if call.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise refusal(415, "Content-Type: application/json.")
    packing = call.headers.get("content-encoding", "identity")
    if packing == "gzip":
        call.body = _unpacked(call.body)
    elif packing != "identity":
        raise refusal(415, "Content-Encoding: gzip, or none.")
    return call.body_as(Batch)


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        whole = unpacking.decompress(body, LARGEST_BODY + 1)
    except zlib.error as error:
        raise refusal(400, "The body is not gzip.") from error
    if len(whole) > LARGEST_BODY:
        raise refusal(413, f"At most {LARGEST_BODY} bytes, unpacked.")
    if not unpacking.eof:
        raise refusal(400, "The body ends in the middle.")
    return whole


def _problem(call: Call, record: Record) -> str | None:
    if record.problem is not None:
        return record.problem
    return "the receiver does not want this record" if call.refuses(record.match[1]) else None
