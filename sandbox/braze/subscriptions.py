"""`/subscription` and `/email`: groups and the state of addresses, set and read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from millstream.sandbox.braze.attributes import ADDRESS
from millstream.sandbox.braze.consent import Consent, is_email_state
from millstream.sandbox.braze.errors import bad
from millstream.sandbox.braze.people import GROUPS, SUBSCRIBED, UNSUBSCRIBED
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.braze.queue import Queue
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

MOST_USERS = 50
LARGEST_PAGE = 100
NOT_BOTH = "Either an email address or a phone number should be provided, but not both."
SUCCESS = {"message": "success"}


class Subscriptions:
    """Handlers for subscription groups and states of addresses."""

    def __init__(self, profiles: Profiles, consent: Consent, queue: Queue) -> None:
        self._profiles = profiles
        self._consent = consent
        self._queue = queue

    def routes(self) -> list[Route]:
        """The endpoints about subscriptions."""
        return [
            route("POST", "/v2/subscription/status/set", self.set_many, "subscription.status.set"),
            route("POST", "/subscription/status/set", self.set_one, "subscription.status.set"),
            route("GET", "/subscription/status/get", self.get_status, "subscription.status.get"),
            route("GET", "/subscription/user/status", self.get_groups, "subscription.groups.get"),
            route("POST", "/email/status", self.set_email, "email.status"),
            route("GET", "/email/unsubscribes", self.get_unsubscribed, "email.unsubscribe"),
            route("POST", "/email/blocklist", self.block_email, "email.blacklist"),
        ]

    # Groups

    def set_many(self, call: Call) -> Answer:
        """Set states in several groups at once."""
        body = call.json()
        rows = body.get("subscription_groups") if isinstance(body, dict) else None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise bad("'subscription_groups' must be an array of objects")
        for row in rows:
            self._check(call, row, "external_ids", "emails", "phones")
        for row in rows:
            self._queue.add(partial(self._set, row, "external_ids", "emails", "phones"))
        return Answer(SUCCESS, 201)

    def set_one(self, call: Call) -> Answer:
        """The older way: one group, and an address or a number."""
        body = call.json()
        if not isinstance(body, dict):
            raise bad("The body must be an object")
        if body.get("email") and body.get("phone"):
            raise bad(NOT_BOTH)
        self._check(call, body, "external_id", "email", "phone")
        self._queue.add(partial(self._set, body, "external_id", "email", "phone"))
        return Answer(SUCCESS, 201)

    def _check(self, call: Call, row: JsonObject, *names: str) -> None:
        if str(row.get("subscription_group_id")) not in GROUPS:
            raise bad("'subscription_group_id' is not a subscription group of the workspace")
        if str(row.get("subscription_state")) not in {SUBSCRIBED, UNSUBSCRIBED}:
            raise bad("'subscription_state' must be subscribed or unsubscribed")
        users = [user for name in names for user in _listed(row.get(name))]
        if not users:
            raise bad(f"One of {', '.join(names)} is required")
        if len(users) > MOST_USERS:
            raise bad(f"Max input length exceeded: at most {MOST_USERS} users may be given")
        channel = GROUPS[str(row["subscription_group_id"])][1]
        if channel == "email" and row.get(names[2]):
            raise bad("A phone number does not belong to an email subscription group")
        if channel == "sms" and row.get(names[1]):
            raise bad("An email address does not belong to an SMS subscription group")
        # There is no answer for each user: one that cannot be set refuses all.
        if any(call.refuses(user.lower()) for user in users):
            raise bad("The subscription state could not be set")

    def _set(self, row: JsonObject, by_id: str, by_email: str, by_phone: str) -> None:
        found: list[Profile] = []
        for value in _listed(row.get(by_id)):
            one = self._profiles.by_external_id(value)
            found += [] if one is None else [one]
        for value in _listed(row.get(by_email)):
            found += self._profiles.all_by_email(value)
        for value in _listed(row.get(by_phone)):
            found += self._profiles.all_by_phone(value)
        for profile in found:
            self._consent.set_group(profile, str(row["subscription_group_id"]), str(row["subscription_state"]))

    def get_status(self, call: Call) -> Answer:
        """The state of up to 50 users in one group, by what they were asked by."""
        group = call.query.get("subscription_group_id", "")
        if group not in GROUPS:
            raise bad("'subscription_group_id' is not a subscription group of the workspace")
        states = {value: _word(group, found) for value, found in self._asked(call)}
        return Answer({"status": states, **SUCCESS})

    def get_groups(self, call: Call) -> Answer:
        """The groups of up to 50 users."""
        users = [_user_row(one) for _, found in self._asked(call) for one in found]
        start = _whole(call.query.get("offset"), 0)
        end = start + call.page_limit(min(_whole(call.query.get("limit"), LARGEST_PAGE), LARGEST_PAGE))
        return Answer({"users": users[start:end], "total_count": len(users), **SUCCESS})

    def _asked(self, call: Call) -> list[tuple[str, list[Profile]]]:
        ids, emails, phones = (_values(call, name) for name in ("external_id", "email", "phone"))
        if not ids and not emails and not phones:
            raise bad("One of external_id, email, phone is required")
        if not ids and emails and phones:
            raise bad(NOT_BOTH)
        if max(len(ids), len(emails), len(phones)) > MOST_USERS:
            raise bad(f"Max input length exceeded: at most {MOST_USERS} users may be given")
        if ids:
            owners = [(value, self._profiles.by_external_id(value)) for value in ids]
            return [(value, [] if one is None else [one]) for value, one in owners]
        if emails:
            return [(value, self._profiles.all_by_email(value)) for value in emails]
        return [(value, self._profiles.all_by_phone(value)) for value in phones]

    # Addresses

    def set_email(self, call: Call) -> Answer:
        """Set the state of up to 50 addresses, whoever has them."""
        body = call.json()
        state = body.get("subscription_state") if isinstance(body, dict) else None
        if not isinstance(body, dict) or not is_email_state(state):
            raise bad("'subscription_state' must be subscribed, unsubscribed, or opted_in")
        for email in _addresses(body):
            self._queue.add(partial(self._consent.set_address_state, email, str(state)))
        return Answer(SUCCESS, 201)

    def get_unsubscribed(self, call: Call) -> Answer:
        """Whether one address unsubscribed. The list of a span of days is not there."""
        emails = _values(call, "email")
        if len(emails) != 1:
            raise bad("'email' is required here")
        left = any(one.email_state == UNSUBSCRIBED for one in self._profiles.all_by_email(emails[0]))
        left = left or self._profiles.waiting_states.get(emails[0].strip().lower()) == UNSUBSCRIBED
        found = [{"email": emails[0], "unsubscribed_at": "2026-01-01 00:00:00 +0000"}] if left else []
        return Answer({"emails": found, **SUCCESS})

    def block_email(self, call: Call) -> Answer:
        """Unsubscribe up to 50 addresses and count them as bounced."""
        body = call.json()
        for email in _addresses(body if isinstance(body, dict) else {}):
            self._queue.add(partial(self._consent.block_address, email))
        return Answer(SUCCESS, 201)


def _addresses(body: JsonObject) -> list[str]:
    emails = _listed(body.get("email"))
    if not emails or len(emails) > MOST_USERS:
        raise bad(f"'email' must be an address or an array of up to {MOST_USERS}")
    for email in emails:
        if not ADDRESS.fullmatch(email):
            raise bad("'email' is not a valid email address")
    return emails


def _listed(value: object) -> list[str]:
    if value is None or value == "":
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def _values(call: Call, name: str) -> list[str]:
    return [value for key, value in call.query_list if key in {name, f"{name}[]"} and value]


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else default


def _word(group: str, found: Sequence[Profile]) -> str:
    states = {one.groups.get(group) for one in found}
    return "Subscribed" if SUBSCRIBED in states else "Unsubscribed" if UNSUBSCRIBED in states else "Unknown"


def _user_row(one: Profile) -> JsonObject:
    groups = [
        {"id": group, "name": GROUPS[group][0], "channel": GROUPS[group][1], "status": state.capitalize()}
        for group, state in one.groups.items()
    ]
    return {"email": one.email, "phone": one.phone, "external_id": one.external_id, "subscription_groups": groups}
