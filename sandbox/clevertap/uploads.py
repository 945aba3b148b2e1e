"""`/1/upload`: up to a thousand profiles and events, each taken or left with a number, under HTTP 200."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from millstream.sandbox.clevertap.errors import RecordRefused, refusal
from millstream.sandbox.clevertap.people import Profile, index_of
from millstream.sandbox.clevertap.register import Register
from millstream.sandbox.clevertap.segments import Segments
from millstream.sandbox.system import Answer, Call, JsonObject

MOST_RECORDS, MOST_KEYS = 1000, 256
LONGEST_KEY, LONGEST_VALUE = 120, 512
MOST_EVENT_PROPERTIES = 256
SYSTEM_KEYS = (
    "Name", "Email", "Phone", "Gender", "Employed", "Education", "Married", "DOB", "Age", "Tz", "Photo",
    "MSG-email", "MSG-sms", "MSG-push", "MSG-whatsapp",
)  # fmt: skip
SYSTEM_EVENTS = ("Notification Sent", "Notification Viewed", "Notification Clicked", "UTM Visited", "App Launched")
OPERATORS = ("$add", "$remove", "$delete", "$set", "$incr", "$decr")
_EMAIL = re.compile(r"[^@\s,;<>()\"']+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
CHOICES: dict[str, tuple[int, tuple[str, ...]]] = {
    "Gender": (514, ("M", "F")),
    "Employed": (517, ("Y", "N")),
    "Education": (518, ("School", "College", "Graduate")),
    "Married": (519, ("Y", "N")),
}


class Uploads:
    """Takes profiles and events in."""

    def __init__(self, register: Register, segments: Segments) -> None:
        self._register = register
        self._segments = segments
        self.custom_keys = {"Customer Type"}

    def upload(self, call: Call) -> Answer:
        """Work records off in their order; with `dryRun=1` they are only looked at."""
        body = call.json()
        records = body.get("d") if isinstance(body, dict) else None
        if not isinstance(records, list) or not records:
            raise refusal(400, "The payload must be an object with a list 'd' of records.")
        if len(records) > MOST_RECORDS:
            raise refusal(400, f"At most {MOST_RECORDS} records fit into one request, not {len(records)}.")
        save = call.query.get("dryRun") not in {"1", "true"}
        unprocessed: list[JsonObject] = []
        for record in records:
            try:
                self._take(call, record, save=save)
            except RecordRefused as refused:
                unprocessed.append(refused.about(record))
        processed = len(records) - len(unprocessed)
        status = "success" if not unprocessed else "partial" if processed else "fail"
        return Answer({"status": status, "processed": processed, "unprocessed": unprocessed})

    def _take(self, call: Call, record: object, *, save: bool) -> None:
        if not isinstance(record, dict) or record.get("type") not in {"profile", "event"}:
            raise RecordRefused(524, "The record is neither a profile nor an event.")
        key = _key(record)
        stamp = record.get("ts")
        if stamp is not None and (isinstance(stamp, bool) or not isinstance(stamp, int) or not 0 < stamp < 10**11):
            raise RecordRefused(525, "The timestamp is not a UNIX time in seconds.")
        order = call.refusal()
        if order is not None and call.refuses(key[1].lower()):
            # What the fault calls its policy is the number: 555 is the one that is worth another try.
            code = int(order.policy) if order.policy is not None and order.policy.isdigit() else 515
            raise RecordRefused(code, "The record could not be processed.")
        if record["type"] == "profile":
            data = _checked(record.get("profileData"))
            if save:
                self._save(key, data)
        else:
            name = _event_name(record)
            if save:
                self._note(key, name, stamp if isinstance(stamp, int) else int(time.time()))

    # Profiles

    def _save(self, key: tuple[str, str], data: Mapping[str, object]) -> None:
        profile = self._found(key)
        email = data.get("Email")
        namesake = self._register.by_email(email) if isinstance(email, str) else None
        if profile is None:
            profile = namesake or self._register.create()
        elif namesake is not None and namesake.index != profile.index:
            self._merge(profile, namesake)
        if key[0] != "objectId" and key[1] not in profile.identities:
            profile.identities.append(key[1])
        for name, value in data.items():
            self._set(profile, _cut(name, LONGEST_KEY), value)
        self._register.keep(profile)

    def _found(self, key: tuple[str, str]) -> Profile | None:
        if key[0] == "objectId":
            return self._register.get(index_of(key[1]))
        found = self._register.by_identity(key[1])
        if found is None and "@" in key[1]:
            # An address is an identity, too, whether or not it was ever given as one.
            found = self._register.by_email(key[1])
        return found

    def _merge(self, profile: Profile, other: Profile) -> None:
        """Two profiles turn out to be one: the other one is gone, and what it had is with this one."""
        profile.identities += [one for one in other.identities if one not in profile.identities]
        profile.data = {**other.data, **profile.data}
        for name, times in other.events.items():
            profile.events.setdefault(name, []).extend(times)
        self._segments.move(other.index, profile.index)
        self._register.forget(other)

    def _set(self, profile: Profile, name: str, value: object) -> None:
        if value is None or not self._has_room(name):
            return
        if isinstance(value, dict):
            _operate(profile.data, name, value)
        elif isinstance(value, str):
            profile.data[name] = _cut(value, LONGEST_VALUE)
        else:
            profile.data[name] = value

    def _has_room(self, name: str) -> bool:
        if name in SYSTEM_KEYS or name in self.custom_keys:
            return True
        if len(self.custom_keys) >= MOST_KEYS:
            return False
        self.custom_keys.add(name)
        return True

    # Events

    def _note(self, key: tuple[str, str], name: str, at: int) -> None:
        profile = self._found(key) or self._register.create()
        if key[0] != "objectId" and key[1] not in profile.identities:
            profile.identities.append(key[1])
        times = profile.events.setdefault(name, [])
        if at not in times:
            times.append(at)
        self._register.keep(profile)


def _key(record: Mapping[str, object]) -> tuple[str, str]:
    for name in ("identity", "objectId", "FBID", "GPID"):
        value = record.get(name)
        if name == "objectId" and value is not None and not (isinstance(value, str) and index_of(value) is not None):
            raise RecordRefused(526, "The objectId is not valid.")
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            continue
        return name, str(value)
    raise RecordRefused(523, "An identity is missing: one of identity, objectId, FBID and GPID.")


def _checked(data: object) -> Mapping[str, object]:
    if not isinstance(data, dict):
        raise RecordRefused(512, "The structure of profileData is not valid.")
    email, phone, age = data.get("Email"), data.get("Phone"), data.get("Age")
    if email is not None and not _is_unset(email) and not (isinstance(email, str) and _EMAIL.fullmatch(email)):
        raise RecordRefused(515, "The email is not valid.")
    if phone is not None and not _is_unset(phone) and not (isinstance(phone, str) and _PHONE.fullmatch(phone)):
        raise RecordRefused(516, "The phone number is not valid.")
    if age is not None and not _is_unset(age) and not (isinstance(age, int) and 0 < age < 130):
        raise RecordRefused(520, "The age is not valid.")
    for name, (code, allowed) in CHOICES.items():
        value = data.get(name)
        if value is not None and not _is_unset(value) and value not in allowed:
            raise RecordRefused(code, f"{name} is not valid.")
    for name, value in data.items():
        _check_value(name, value)
    return data


def _check_value(name: str, value: object) -> None:
    if name.startswith("MSG-") and not isinstance(value, bool):
        raise RecordRefused(512, f"{name} is not a boolean.")
    if isinstance(value, dict) and (len(value) != 1 or next(iter(value)) not in OPERATORS):
        raise RecordRefused(512, f"The structure of '{name}' is not valid.")
    if isinstance(value, list) and not all(isinstance(one, str | int | float) for one in value):
        raise RecordRefused(512, f"The structure of '{name}' is not valid.")


def _is_unset(value: object) -> bool:
    return isinstance(value, dict) and "$delete" in value


def _event_name(record: Mapping[str, object]) -> str:
    name, data = record.get("evtName"), record.get("evtData", {})
    if not isinstance(name, str) or not name.strip():
        raise RecordRefused(509, "The name of the event is missing.")
    if name in SYSTEM_EVENTS:
        raise RecordRefused(513, f"'{name}' is an event of the system and cannot be uploaded.")
    if not isinstance(data, dict):
        raise RecordRefused(512, "The structure of evtData is not valid.")
    if len(data) > MOST_EVENT_PROPERTIES:
        raise RecordRefused(522, "The event has too many properties.")
    return name


def _operate(data: dict[str, object], name: str, operation: Mapping[str, object]) -> None:
    ((operator, operand),) = operation.items()
    before = data.get(name)
    given = operand if isinstance(operand, list) else [operand]
    have = before if isinstance(before, list) else [] if before is None else [before]
    if operator == "$delete":
        data.pop(name, None)
    elif operator == "$set":
        data[name] = given
    elif operator == "$add":
        data[name] = [*have, *(one for one in given if one not in have)]
    elif operator == "$remove":
        data[name] = [one for one in have if one not in given]
    elif isinstance(operand, int | float):
        start = before if isinstance(before, int | float) else 0
        data[name] = start + (operand if operator == "$incr" else -operand)


def _cut(text: str, longest: int) -> str:
    # What is too long is cut off without a word.
    return text.encode()[:longest].decode(errors="ignore")
