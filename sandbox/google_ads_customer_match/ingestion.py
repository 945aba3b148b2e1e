"""`audienceMembers` and `requestStatus`: what changes who is in a list, and what became of it."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from millstream.sandbox.google_ads_customer_match.accounts import Account, check_access
from millstream.sandbox.google_ads_customer_match.errors import Violation, violated
from millstream.sandbox.google_ads_customer_match.lists import CONTACT_ID, MOBILE_ID, USER_ID, UserList, UserLists
from millstream.sandbox.google_ads_customer_match.members import MemberCheck
from millstream.sandbox.google_ads_customer_match.requests import (
    AudienceMember,
    Consent,
    Destination,
    IngestRequest,
    ProductAccount,
    RemoveAllRequest,
    RemoveRequest,
)
from millstream.sandbox.hashed_audience import Key
from millstream.sandbox.system import Answer, Call, JsonObject

MOST_DESTINATIONS = 10
ENOUGH_TO_RATE = 1000
KINDS = {"user_data": CONTACT_ID, "mobile_data": MOBILE_ID, "user_id_data": USER_ID}
# Names of the status of each kind of upload, and of the number of its keys.
STATUSES = {
    CONTACT_ID: ("userData", "userIdentifierCount"),
    MOBILE_ID: ("mobileData", "mobileIdCount"),
    USER_ID: ("userIdData", "userIdCount"),
}
ERROR = "PROCESSING_ERROR_REASON"


@dataclass(slots=True)
class Outcome:
    """What became of a request at one destination."""

    destination: JsonObject
    records: int = 0
    errors: Counter[str] | None = None
    status: JsonObject | None = None

    def body(self, *, is_done: bool) -> JsonObject:
        """As it stands in the status of the request."""
        if not is_done:
            return {"destination": self.destination, "requestStatus": "PROCESSING"}
        errors = self.errors or Counter()
        failed = errors.total()
        status = "SUCCESS" if not failed else "FAILED" if failed >= self.records else "PARTIAL_SUCCESS"
        body: JsonObject = {"destination": self.destination, "requestStatus": status}
        if failed:
            counts = [{"recordCount": str(count), "reason": reason} for reason, count in sorted(errors.items())]
            body["errorInfo"] = {"errorCounts": counts}
        return {**body, **(self.status or {})}


class Ingestion:
    """Handlers of the ingestion service.

    Attributes:
        seconds: How long a request is being processed; tests may change it. Its members are in, or out, at once.
    """

    def __init__(self, lists: UserLists) -> None:
        self._lists = lists
        self.reset()

    def reset(self) -> None:
        """Forget all requests."""
        self.seconds = 0.3
        self._requests: dict[str, tuple[float, list[Outcome]]] = {}

    def ingest(self, call: Call) -> Answer:
        """Put members in. Who has not consented is left out, which only the status says."""
        request = call.body_as(IngestRequest)
        rows, lists = self._checked(call, request)
        outcomes = []
        for destination, user_list in lists:
            outcome = Outcome(_echo(destination), errors=Counter())
            taken = _addressed(rows, request.audience_members, destination)
            for keys, member in taken:
                reason = _missing_consent(member.consent or request.consent)
                if reason is not None and outcome.errors is not None:
                    outcome.errors[reason] += 1
                elif not request.validate_only:
                    user_list.members.add(keys)
            outcome.records = len(taken)
            outcome.status = {"audienceMembersIngestionStatus": _counts(user_list, taken, "Ingestion")}
            outcomes.append(outcome)
        return self._answer(outcomes, validate_only=request.validate_only)

    def remove(self, call: Call) -> Answer:
        """Take members out; who is not in is no error."""
        request = call.body_as(RemoveRequest)
        rows, lists = self._checked(call, request)
        outcomes = []
        for destination, user_list in lists:
            taken = _addressed(rows, request.audience_members, destination)
            if not request.validate_only:
                for keys, _ in taken:
                    user_list.members.remove(keys)
            status: JsonObject = {"audienceMembersRemovalStatus": _counts(user_list, taken, "Removal")}
            outcomes.append(Outcome(_echo(destination), len(taken), status=status))
        return self._answer(outcomes, validate_only=request.validate_only)

    def remove_all(self, call: Call) -> Answer:
        """Take out everybody, or whoever was last added before a time."""
        request = call.body_as(RemoveAllRequest)
        violations: list[Violation] = []
        lists = self._destinations(request.destinations, violations)
        before = time.time()
        if request.remove_as_of_time is not None:
            before = _moment(request.remove_as_of_time, violations)
        if violations:
            raise violated(violations)
        for _, user_list in lists:
            if not request.validate_only:
                user_list.members.remove_added_before(before)
        outcomes = [Outcome(_echo(destination)) for destination, _ in lists]
        return self._answer(outcomes, validate_only=request.validate_only)

    def status(self, call: Call) -> Answer:
        """What became of a request, by destination and in numbers only."""
        request_id = call.query.get("requestId", call.query.get("request_id", ""))
        if not request_id:
            raise violated([Violation("request_id", "REQUIRED_FIELD_MISSING")])
        if request_id not in self._requests:
            raise violated([Violation("request_id", "INVALID_REQUEST_ID")])
        submitted, outcomes = self._requests[request_id]
        is_done = time.monotonic() - submitted >= self.seconds
        return Answer({"requestStatusPerDestination": [outcome.body(is_done=is_done) for outcome in outcomes]})

    def _answer(self, outcomes: list[Outcome], *, validate_only: bool) -> Answer:
        request_id = str(uuid.uuid4())
        if not validate_only:
            self._requests[request_id] = (time.monotonic(), outcomes)
        return Answer({"requestId": request_id})

    def _checked(
        self, call: Call, request: RemoveRequest
    ) -> tuple[list[tuple[Key, ...]], list[tuple[Destination, UserList]]]:
        violations: list[Violation] = []
        lists = self._destinations(request.destinations, violations)
        check = MemberCheck(call, request.encoding)
        check.read(request.audience_members)
        violations += check.violations
        kind = next((of for name, of in KINDS.items() if any(getattr(m, name) for m in request.audience_members)), None)
        for number, (_, user_list) in enumerate(lists):
            if kind is not None and user_list.key_type != kind:
                description = f"The list takes {user_list.key_type or 'no uploads'}."
                violations.append(Violation(_at(number), "INVALID_USER_LIST_TYPE", description))
        if isinstance(request, IngestRequest) and kind in {CONTACT_ID, MOBILE_ID}:
            terms = request.terms_of_service
            if terms is None or terms.customer_match_terms_of_service_status != "ACCEPTED":
                field = "terms_of_service.customer_match_terms_of_service_status"
                violations.append(Violation(field, "TERMS_AND_CONDITIONS_NOT_SIGNED"))
        if violations:
            raise violated(violations)
        return check.rows, lists

    def _destinations(
        self, destinations: Sequence[Destination], violations: list[Violation]
    ) -> list[tuple[Destination, UserList]]:
        if not destinations:
            violations.append(Violation("destinations", "REQUIRED_FIELD_MISSING"))
        if len(destinations) > MOST_DESTINATIONS:
            violations.append(Violation("destinations", "TOO_MANY_DESTINATIONS"))
        references = [one.reference for one in destinations if one.reference]
        if len(references) > len(set(references)):
            violations.append(Violation("destinations", "DUPLICATE_DESTINATION_REFERENCE"))
        found = []
        for number, destination in enumerate(destinations):
            path = _at(number)
            operating = _account(destination.operating_account)
            if operating is None:
                violations.append(Violation(f"{path}.operating_account", "REQUIRED_FIELD_MISSING"))
                continue
            login, linked = _account(destination.login_account), _account(destination.linked_account)
            check_access(operating, login, linked, f"{path}.login_account")
            user_list = self._lists.get(operating.number, destination.product_destination_id)
            if user_list is None:
                violations.append(Violation(f"{path}.product_destination_id", "INVALID_USER_LIST_ID"))
            else:
                found.append((destination, user_list))
        return found


def _at(number: int) -> str:
    return f"destinations.destinations[{number}]"


def _account(given: ProductAccount | None) -> Account | None:
    if given is None or not given.account_id:
        return None
    kind = given.account_type if given.account_type != "ACCOUNT_TYPE_UNSPECIFIED" else given.product
    return Account(kind, given.account_id)


def _echo(destination: Destination) -> JsonObject:
    return destination.model_dump(by_alias=True, exclude_defaults=True)


def _addressed(
    rows: Sequence[tuple[Key, ...]], members: Sequence[AudienceMember], destination: Destination
) -> list[tuple[tuple[Key, ...], AudienceMember]]:
    """The members that go to a destination: all of them that do not name others."""
    return [
        (keys, member)
        for keys, member in zip(rows, members, strict=True)
        if not member.destination_references or destination.reference in member.destination_references
    ]


def _missing_consent(consent: Consent | None) -> str | None:
    given = consent or Consent()
    answers = {given.ad_user_data, given.ad_personalization}
    if "CONSENT_DENIED" in answers:
        return f"{ERROR}_DENIED_CONSENT"
    return None if answers == {"CONSENT_GRANTED"} else f"{ERROR}_NO_CONSENT"


def _counts(user_list: UserList, taken: Sequence[tuple[tuple[Key, ...], AudienceMember]], what: str) -> JsonObject:
    name, keys_name = STATUSES[user_list.key_type or CONTACT_ID]
    counts: JsonObject = {
        "recordCount": str(len(taken)),
        keys_name: str(sum(len(keys) for keys, _ in taken)),
    }
    if what == "Ingestion" and user_list.key_type == CONTACT_ID:
        enough = len(taken) >= ENOUGH_TO_RATE
        counts["uploadMatchRateRange"] = f"MATCH_RATE_RANGE_{'61_TO_70' if enough else 'NOT_ELIGIBLE'}"
    return {f"{name}{what}Status": counts}


def _moment(text: str, violations: list[Violation]) -> float:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("a time zone is missing")
    except ValueError:
        violations.append(Violation("remove_as_of_time", "INVALID_FORMAT"))
        return 0.0
    if moment.timestamp() > time.time():
        violations.append(Violation("remove_as_of_time", "INVALID_REMOVE_AS_OF_TIME"))
    return moment.timestamp()
