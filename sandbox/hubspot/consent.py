"""Communication preferences: who agreed to which e-mails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millstream.sandbox.hubspot import bodies
from millstream.sandbox.hubspot.errors import VALIDATION_ERROR, invalid, row_error
from millstream.sandbox.hubspot.properties import EMAIL
from millstream.sandbox.hubspot.reads import now_iso
from millstream.sandbox.hubspot.tables import iso
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream.sandbox.hubspot.portal import Portal

SUBSCRIPTION_ID = 1001
SUBSCRIPTION_NAME = "Marketing Information"


@dataclass(frozen=True, slots=True)
class _Consent:
    status: str
    at_ms: int
    source: str
    legal_basis: str | None = None
    explanation: str | None = None


class Consents:
    """Handlers of the statuses endpoints. There is one subscription type."""

    def __init__(self, portal: Portal, now_ms: Callable[[], int]) -> None:
        self._portal = portal
        self._now_ms = now_ms
        self._written: dict[str, _Consent] = {}

    def routes(self) -> list[Route]:
        """The endpoints."""
        statuses = "/communication-preferences/v4/statuses"
        return [
            route("POST", f"{statuses}/batch/read", self.read_many, "consent"),
            route("POST", f"{statuses}/batch/write", self.write_many, "consent"),
            route("POST", f"{statuses}/batch/unsubscribe-all", self.unsubscribe_many, "consent"),
            route("GET", f"{statuses}/{{email}}", self.read_one, "consent"),
        ]

    def read_many(self, call: Call) -> Answer:
        """Statuses of up to 100 addresses; an unknown address has not specified anything."""
        self._check_channel(call)
        started = now_iso()
        results, errors = [], []
        for email in call.body_as(bodies.Subscribers).inputs:
            if EMAIL.fullmatch(email):
                results.append(self._subscriber(email))
            else:
                errors.append(row_error(VALIDATION_ERROR, "Email address is invalid", ids=[email]))
        return _batch(started, results, errors)

    def read_one(self, call: Call) -> Answer:
        """Statuses of one address."""
        self._check_channel(call)
        started = now_iso()
        email = call.params["email"]
        if not EMAIL.fullmatch(email):
            raise invalid(f"Email address {email} is invalid", code="INVALID_EMAIL", where="subscriberIdString")
        return _batch(started, [self._status(email, self._consent(email))], [])

    def write_many(self, call: Call) -> Answer:
        """Record consents. It does resubscribe people who had unsubscribed, and says so."""
        started = now_iso()
        results: list[JsonObject] = []
        errors: list[JsonObject] = []
        for row in call.body_as(bodies.StatusesWrite).inputs:
            email = row.subscriber_id.strip().lower()
            if row.subscription_id != SUBSCRIPTION_ID:
                message = f"There is no subscription {row.subscription_id}"
                errors.append(row_error(VALIDATION_ERROR, message, ids=[row.subscriber_id]))
                continue
            if not EMAIL.fullmatch(email) or call.refuses(email):
                errors.append(row_error(VALIDATION_ERROR, "Email address is invalid", ids=[row.subscriber_id]))
                continue
            before = self._consent(email).status
            consent = _Consent(row.status_state, self._now_ms(), "API", row.legal_basis, row.legal_basis_explanation)
            self._written[email] = consent
            results.append({**self._status(email, consent), "setStatusSuccessReason": _reason(before, consent)})
        return _batch(started, results, errors)

    def unsubscribe_many(self, call: Call) -> Answer:
        """Unsubscribe addresses from everything."""
        self._check_channel(call)
        started = now_iso()
        results = []
        for email in call.body_as(bodies.Subscribers).inputs:
            key = email.strip().lower()
            self._written[key] = _Consent("UNSUBSCRIBED", self._now_ms(), "API")
            results.append(self._subscriber(email))
        return _batch(started, results, [])

    @staticmethod
    def _check_channel(call: Call) -> None:
        if call.query.get("channel") != "EMAIL":
            raise invalid("channel must be EMAIL", where="channel")

    def _consent(self, email: str) -> _Consent:
        key = email.strip().lower()
        if key in self._written:
            return self._written[key]
        person = self._portal.company.find_by_email(key)
        if person is None or not person.contact_ids or person.subscription == "NOT_SPECIFIED":
            return _Consent("NOT_SPECIFIED", 0, "")
        basis = "CONSENT_WITH_NOTICE" if person.subscription == "SUBSCRIBED" else None
        return _Consent(person.subscription, person.modified_ms, "Form submission", basis)

    def _status(self, email: str, consent: _Consent) -> JsonObject:
        return {
            "channel": "EMAIL",
            "subscriberIdString": email,
            "subscriptionId": SUBSCRIPTION_ID,
            "subscriptionName": SUBSCRIPTION_NAME,
            "status": consent.status,
            "source": consent.source or None,
            "legalBasis": consent.legal_basis,
            "legalBasisExplanation": consent.explanation,
            "setStatusSuccessReason": None,
            "businessUnitId": 0,
            "timestamp": iso(consent.at_ms) if consent.at_ms else None,
        }

    def _subscriber(self, email: str) -> JsonObject:
        return {"subscriberIdString": email, "statuses": [self._status(email, self._consent(email))]}


def _reason(before: str, after: _Consent) -> str:
    if before == after.status:
        return "NO_STATUS_CHANGE"
    if before == "UNSUBSCRIBED" and after.status == "SUBSCRIBED":
        return "RESUBSCRIBE_OCCURRED"
    return "UNSUBSCRIBE_OCCURRED" if after.status == "UNSUBSCRIBED" else "SUBSCRIBE_OCCURRED"


def _batch(started: str, results: list[JsonObject], errors: list[JsonObject]) -> Answer:
    body: JsonObject = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": started,
        "completedAt": now_iso(),
    }
    if errors:
        return Answer({**body, "numErrors": len(errors), "errors": errors}, 207)
    return Answer(body)
