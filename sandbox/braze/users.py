"""`/users`: tracking and deletion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from millstream.sandbox.braze.attributes import Attributes, check_attributes, check_identity
from millstream.sandbox.braze.errors import NO_VALID_DATA, ObjectRefused, bad, fatal
from millstream.sandbox.braze.profiles import Profile, Profiles
from millstream.sandbox.braze.queue import Queue
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

MOST_OBJECTS, MOST_DELETED = 75, 50
ARRAYS = ("attributes", "events", "purchases")
DELETED_BY = ("external_ids", "user_aliases", "braze_ids", "email_addresses", "phone_numbers")
PRIORITIES = {"identified", "unidentified", "most_recently_updated"}


def key_of(row: object) -> str:
    """By what a fault knows an object."""
    if not isinstance(row, dict):
        return ""
    alias = row.get("user_alias")
    name = alias.get("alias_name") if isinstance(alias, dict) else None
    return str(row.get("external_id") or row.get("braze_id") or name or row.get("email") or row.get("phone")).lower()


class Users:
    """Handlers for tracking and deletion."""

    def __init__(self, profiles: Profiles, attributes: Attributes, queue: Queue) -> None:
        self._profiles = profiles
        self._attributes = attributes
        self._queue = queue

    def routes(self) -> list[Route]:
        """The endpoints about users."""
        return [
            route("POST", "/users/track", self.track, "users.track"),
            route("POST", "/users/delete", self.delete, "users.delete"),
        ]

    # Tracking

    def track(self, call: Call) -> Answer:
        """Queue what can be taken, and say which objects cannot; refused where none can."""
        body = call.json()
        if not isinstance(body, dict) or not any(body.get(name) for name in ARRAYS):
            raise bad(NO_VALID_DATA)
        answer: JsonObject = {"message": "success"}
        errors: list[JsonObject] = []
        work: list[Callable[[], None]] = []
        for name in ARRAYS:
            if name not in body:
                continue
            rows = body[name]
            if not isinstance(rows, list):
                raise bad(f"'{name}' must be an array of objects")
            if len(rows) > MOST_OBJECTS:
                raise bad(f"Max input length exceeded: '{name}' may hold {MOST_OBJECTS} objects")
            taken, refused = self._taken(call, name, rows)
            work += taken
            errors += refused
            answer[f"{name}_processed"] = len(taken)
        order = call.refusal()
        if not work or (errors and order is not None and order.whole_batch):
            raise fatal(400, NO_VALID_DATA, errors)
        for one in work:
            self._queue.add(one)
        return Answer({**answer, "errors": errors} if errors else answer, 201)

    def _taken(self, call: Call, name: str, rows: list[object]) -> tuple[list[Callable[[], None]], list[JsonObject]]:
        taken: list[Callable[[], None]] = []
        refused: list[JsonObject] = []
        for index, row in enumerate(rows):
            try:
                if call.refuses(key_of(row)):
                    raise ObjectRefused("The object cannot be processed")
                taken.append(self._work(name, row))
            except ObjectRefused as error:
                refused.append(error.pointing(name, index))
        return taken, refused

    def _work(self, name: str, row: object) -> Callable[[], None]:
        if name == "attributes":
            checked = check_attributes(row)
            return partial(self._attributes.write, checked)
        checked = check_identity(row)
        known = "name" if name == "events" else "product_id"
        needed = (known, "time") if name == "events" else (known, "time", "currency", "price")
        for field in needed:
            if checked.get(field) is None or checked[field] == "":
                raise ObjectRefused(f"'{field}' is required")
        if not _is_time(checked["time"]):
            raise ObjectRefused("'time' must be in ISO 8601 format")
        return partial(self._record, name, str(checked[known]), checked)

    def _record(self, array: str, name: str, row: JsonObject) -> None:
        profile = self._attributes.find_or_make(row)
        if profile is None:
            return
        if profile.email is None and row.get("email"):
            profile.standard["email"] = row["email"]
        counts = profile.events if array == "events" else profile.purchases
        # The vendor tells nothing apart: what comes twice counts twice.
        counts[name] = counts.get(name, 0) + 1
        self._profiles.keep(profile)

    # Deletion

    def delete(self, call: Call) -> Answer:
        """Queue the deletion of up to 50 profiles, all named in one way."""
        body = call.json()
        named = [name for name in DELETED_BY if isinstance(body, dict) and name in body]
        if not isinstance(body, dict) or len(named) != 1:
            raise bad(f"Exactly one of {', '.join(DELETED_BY)} is required")
        rows = body[named[0]]
        if not isinstance(rows, list) or not rows:
            raise bad(f"'{named[0]}' must be an array")
        if len(rows) > MOST_DELETED:
            raise bad(f"Max input length exceeded: '{named[0]}' may hold {MOST_DELETED} users")
        for row in rows:
            _check_deleted(named[0], row)
        for row in rows:
            if not call.refuses(key_of(row) if isinstance(row, dict) else str(row).lower()):
                self._queue.add(partial(self._forget, named[0], row))
        return Answer({"deleted": len(rows), "message": "success"}, 201)

    def _forget(self, named: str, row: object) -> None:
        found: list[Profile | None]
        if named == "external_ids":
            found = [self._profiles.by_external_id(str(row))]
        elif named == "braze_ids":
            found = [self._profiles.by_braze_id(str(row))]
        elif named == "user_aliases" and isinstance(row, dict):
            found = [self._profiles.by_alias(row["alias_label"], row["alias_name"])]
        elif isinstance(row, dict):
            found = [self._meant(row, "email" if named == "email_addresses" else "phone")]
        else:
            found = []
        for one in found:
            if one is not None:
                self._profiles.forget(one)

    def _meant(self, row: JsonObject, name: str) -> Profile | None:
        """The one profile that address and priorities leave over; nobody where they leave several."""
        wanted, value = row["prioritization"], str(row[name])
        found = self._profiles.all_by_email(value) if name == "email" else self._profiles.all_by_phone(value)
        for priority in wanted if isinstance(wanted, list) else []:
            if priority == "most_recently_updated":
                found = [max(found, key=lambda one: one.updated)] if found else []
            else:
                identified = priority == "identified"
                found = [one for one in found if (one.external_id is not None) == identified] or found
        return found[0] if len(found) == 1 else None


def _check_deleted(named: str, row: object) -> None:
    if named in {"external_ids", "braze_ids"}:
        if not isinstance(row, str):
            raise bad(f"'{named}' must be an array of strings")
        return
    needed = {
        "user_aliases": ("alias_name", "alias_label"),
        "email_addresses": ("email", "prioritization"),
        "phone_numbers": ("phone", "prioritization"),
    }[named]
    if not isinstance(row, dict) or not all(row.get(name) for name in needed):
        raise bad(f"Each of '{named}' needs {' and '.join(needed)}")
    priorities = row.get("prioritization", [])
    if not isinstance(priorities, list) or not set(map(str, priorities)) <= PRIORITIES:
        raise bad(f"'prioritization' takes {', '.join(sorted(PRIORITIES))}")


def _is_time(value: object) -> bool:
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
