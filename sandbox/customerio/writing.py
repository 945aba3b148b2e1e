"""What becomes of an accepted write. Nothing here is told to the client: what fails stands in the activity log."""

from __future__ import annotations

import re

from millstream.sandbox.customerio.people import PREFERENCES, SUBSCRIBED, Profile
from millstream.sandbox.customerio.register import Register, key_of
from millstream.sandbox.system import JsonObject

MOST_ATTRIBUTES = 300
ADDRESS = re.compile(r"[^@\s,;<>\"']+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_TOPIC = re.compile(rf"{PREFERENCES}\.topics\.(topic_[0-9]+)")


class Writer:
    """Works off writes that were accepted.

    Attributes:
        email_updates: The workspace's setting that an address may be changed by whoever names the id.
        failures: The activity log's failed attribute changes.
    """

    def __init__(self, register: Register) -> None:
        self._register = register
        self.email_updates = False
        self.failures: list[JsonObject] = []

    def identify(self, kind: str, value: str, attributes: JsonObject, at: int | None = None) -> None:
        """Make or change the person with an identifier. For somebody suppressed nothing happens."""
        update_only = attributes.get("_update") is True
        given = {name: one for name, one in attributes.items() if name not in {"_update", "_timestamp", "cio_id"}}
        if self._register.is_suppressed(kind, value):
            return
        profile = self._register.find(kind, value) or self._by_other(kind, value, given)
        if profile is None:
            if kind == "cio_id" or update_only:
                self._fail(value, kind, "no such person")
                return
            profile = self._register.create(kind, value)
        before = profile.standing
        self._change(profile, kind, given, at)
        if before != SUBSCRIBED and profile.standing == SUBSCRIBED:
            self._register.resubscribed.append(profile.id or profile.email or profile.cio_id)
        self._register.keep(profile)

    def _by_other(self, kind: str, value: str, given: JsonObject) -> Profile | None:
        # The identifier is new, but another one in the attributes is somebody's: that person gets it.
        other = {"id": "email", "email": "id"}.get(kind, "")
        named = given.get(other)
        profile = self._register.find(other, str(named)) if named else None
        if profile is None or (profile.id if kind == "id" else profile.email) is not None:
            return None
        _set(profile, kind, value)
        return profile

    def _change(self, profile: Profile, kind: str, given: JsonObject, at: int | None) -> None:
        for name, value in given.items():
            if name in {"id", "email"}:
                self._rename(profile, kind, name, value)
                continue
            if at is not None and profile.stamps.get(name, 0) > at:
                continue
            if at is not None:
                profile.stamps[name] = at
            if topic := _TOPIC.fullmatch(name):
                self._choose(profile, topic[1], value)
            elif value is None or value == "":
                profile.attributes.pop(name, None)
            elif name not in profile.attributes and len(profile.attributes) >= MOST_ATTRIBUTES:
                self._fail(profile.cio_id, name, f"a person has at most {MOST_ATTRIBUTES} attributes")
            else:
                profile.attributes[name] = value

    @staticmethod
    def _choose(profile: Profile, topic: str, value: object) -> None:
        preferences = profile.attributes.get(PREFERENCES)
        topics = preferences.get("topics") if isinstance(preferences, dict) else None
        chosen: JsonObject = {**topics} if isinstance(topics, dict) else {}
        if isinstance(value, bool):
            chosen[topic] = value
        else:
            chosen.pop(topic, None)
        profile.attributes[PREFERENCES] = {"topics": chosen}

    def _rename(self, profile: Profile, kind: str, name: str, value: object) -> None:
        own, new = (profile.id if name == "id" else profile.email), str(value or "")
        if own is not None and key_of(name, own) == key_of(name, new):
            return
        if not new or (name == "email" and not ADDRESS.fullmatch(new)):
            self._fail(profile.cio_id, name, "not a valid identifier")
        elif own is not None and kind != "cio_id" and not (name == "email" and self.email_updates):
            self._fail(profile.cio_id, name, "an identifier that is set can be changed by cio_id only")
        elif self._register.is_suppressed(name, new):
            self._fail(profile.cio_id, name, "the identifier is suppressed")
        elif self._register.find(name, new) is not None:
            self._fail(profile.cio_id, name, "the identifier belongs to another person")
        else:
            _set(profile, name, new)

    def _fail(self, who: str, field: str, why: str) -> None:
        self.failures.append({"type": "attribute_update_failure", "person": who, "field": field, "reason": why})

    def delete(self, kind: str, value: str) -> None:
        """Take somebody out; a later write makes them anew."""
        profile = self._register.find(kind, value)
        if profile is not None:
            self._register.delete(profile)


def _set(profile: Profile, name: str, value: str) -> None:
    if name == "id":
        profile.id = value
    else:
        profile.email = value
