"""What came in about people through the Tracking API, laid over the profiles that the company makes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from millstream.sandbox.company import Company
from millstream.sandbox.draws import cut, draw, share, topic
from millstream.sandbox.segment.profiles import Profiles, seconds_of
from millstream.sandbox.system import JsonObject

SOURCE_ID = "src_sandbox_http"
SUPPRESSED = topic(725)
SUPPRESSED_CUT = cut(0.03)
ENTERED, EXITED = "Audience Entered", "Audience Exited"
MOST_TRAITS = 300
SHOWN = 300
"""How many of the company's profiles are told of that nothing was written to."""


@dataclass(slots=True)
class Heard:
    """What came in about one person.

    Attributes:
        user_id: As it was written.
        first_at: When the first message came, and its id; `last_at` alike.
        traits: The latest of each; None for one that was cleared.
        audiences: By key, whether the last event said that the person entered.
        consent: The latest category preferences.
        groups: Traits of the person's groups, by their ids.
        events: Everything but identify calls, in the order of arrival.
    """

    user_id: str
    first_at: str
    first_message_id: str
    last_at: str = ""
    last_message_id: str = ""
    traits: JsonObject = field(default_factory=dict)
    audiences: dict[str, bool] = field(default_factory=dict)
    consent: JsonObject = field(default_factory=dict)
    groups: dict[str, JsonObject] = field(default_factory=dict)
    events: list[JsonObject] = field(default_factory=list)


class People:
    """Everybody by user id in lower case: profiles are looked up so."""

    def __init__(self, company: Company, profiles: Profiles) -> None:
        self._company = company
        self._profiles = profiles
        self.heard: dict[str, Heard] = {}
        self.deleted: set[str] = set()
        self._suppressed: dict[str, bool] = {}

    def index(self, user_id: str) -> int | None:
        """Whose profile of the company this is, unless it was deleted."""
        key = user_id.lower()
        return None if key in self.deleted else self._profiles.find("user_id", key)

    def is_suppressed(self, user_id: str) -> bool:
        """Whether nothing may come in about somebody; so it is for a few of the company's people from the start."""
        key = user_id.lower()
        if key in self._suppressed:
            return self._suppressed[key]
        index = self._profiles.find("user_id", key)
        return index is not None and share(draw(self._company.base(index), SUPPRESSED), 0) < SUPPRESSED_CUT

    def suppressions(self) -> list[str]:
        """User ids of all that are suppressed."""
        ids = (self._company.person(index).customer_id for index in range(self._company.population))
        everybody = dict.fromkeys([one for one in ids if one is not None] + list(self._suppressed))
        return list(dict.fromkeys(one for one in everybody if self.is_suppressed(one)))

    def regulate(self, kind: str, user_id: str) -> None:
        """What a regulation does to one person."""
        key = user_id.lower()
        if kind.startswith("SUPPRESS") or kind == "UNSUPPRESS":
            self._suppressed[key] = kind != "UNSUPPRESS"
        if "DELETE" in kind:
            self.heard.pop(key, None)
            self.deleted.add(key)

    def take(self, event: JsonObject) -> None:
        """One event that Segment accepted."""
        user_id = event.get("userId")
        if user_id is None:
            return
        key = str(user_id).lower()
        now, message_id = stamp_now(), str(event["messageId"])
        heard = self.heard.setdefault(key, Heard(str(user_id), now, message_id))
        heard.last_at, heard.last_message_id = now, message_id
        self._note_consent(heard, event)
        traits = event.get("traits")
        if event["type"] == "identify":
            if isinstance(traits, dict):
                heard.traits |= dict(list(traits.items())[:MOST_TRAITS])
            return
        heard.events.append(event)
        if event["type"] == "group":
            group = heard.groups.setdefault(str(event["groupId"]), {})
            group |= traits if isinstance(traits, dict) else {}
        if event["type"] == "alias":
            self._merge(heard, str(event["previousId"]).lower())
        if event["type"] == "track" and event["event"] in (ENTERED, EXITED):
            properties = event.get("properties")
            name = _audience_of(properties if isinstance(properties, dict) else {})
            if name:
                heard.audiences[name] = event["event"] == ENTERED

    def _note_consent(self, heard: Heard, event: JsonObject) -> None:
        context = event.get("context")
        consent = context.get("consent") if isinstance(context, dict) else None
        preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
        if isinstance(preferences, dict):
            heard.consent = preferences

    def _merge(self, heard: Heard, other_key: str) -> None:
        other = self.heard.pop(other_key, None)
        if other is not None and other is not heard:
            heard.traits = other.traits | heard.traits
            heard.audiences = other.audiences | heard.audiences

    def exists(self, user_id: str) -> bool:
        """Whether there is a profile of this user."""
        return user_id in self.heard or self.index(user_id) is not None

    def traits(self, user_id: str, of_class: str | None = None) -> JsonObject:
        """The traits of a profile, with what came in."""
        index, heard = self.index(user_id), self.heard.get(user_id.lower())
        made = {} if index is None else self._profiles.traits(index, of_class)
        if of_class is not None:
            return made
        merged = made | ({} if heard is None else heard.traits)
        return {name: value for name, value in merged.items() if value is not None}

    def external_ids(self, user_id: str) -> list[JsonObject]:
        """What a profile is known by."""
        index, heard = self.index(user_id), self.heard.get(user_id)
        made = [] if index is None else self._profiles.external_ids(index)
        if heard is None:
            return made
        have = {(one["type"], str(one["id"]).lower()) for one in made}
        named = (("user_id", heard.user_id), ("email", heard.traits.get("email")))
        return made + [
            {
                "type": kind,
                "id": value,
                "source_id": SOURCE_ID,
                "collection": "users",
                "created_at": heard.first_at,
                "encoding": "none",
                "first_message_id": heard.first_message_id,
            }
            for kind, value in named
            if value and (kind, str(value).lower()) not in have
        ]

    def events(self, user_id: str) -> list[JsonObject]:
        """What happened, oldest first."""
        index, heard = self.index(user_id), self.heard.get(user_id)
        made = [] if index is None else self._profiles.events(index)
        tracked = [] if heard is None else [one for one in heard.events if one["type"] == "track"]
        made += [_as_event(one, heard.user_id) for one in tracked if heard is not None]
        return sorted(made, key=seconds_of)

    def metadata(self, user_id: str) -> JsonObject:
        """When a profile came to be and last changed."""
        index, heard = self.index(user_id), self.heard.get(user_id)
        made = {} if index is None else self._profiles.metadata(index)
        if heard is None:
            return made
        first: JsonObject = {
            "created_at": heard.first_at,
            "expires_at": None,
            "first_message_id": heard.first_message_id,
            "first_source_id": SOURCE_ID,
        }
        last: JsonObject = {
            "updated_at": heard.last_at,
            "last_message_id": heard.last_message_id,
            "last_source_id": SOURCE_ID,
        }
        return first | made | last

    def user_of_email(self, email: str) -> str | None:
        """The user who said that this is their address."""
        for key, heard in self.heard.items():
            if str(heard.traits.get("email", "")).lower() == email.lower():
                return key
        return None

    def state(self) -> JsonObject:
        """Everybody who was written to, and the first of the others, for tests."""
        told = [self._told(key, written=True) for key in self.heard]
        told += [self._told(key, written=False) for key in self._untouched()]
        names = sorted({str(name) for one in told for name in _names(one)})
        return {"people": told, "audiences": {name: name for name in names}, "deleted": sorted(self.deleted)}

    def _untouched(self) -> Iterator[str]:
        shown = 0
        for index in range(self._company.population):
            customer_id = self._company.person(index).customer_id
            key = "" if customer_id is None else customer_id.lower()
            if not key or key in self.heard or key in self.deleted:
                continue
            shown += 1
            if shown > SHOWN:
                return
            yield key

    def _told(self, key: str, *, written: bool) -> JsonObject:
        heard = self.heard.get(key)
        index = self.index(key)
        own_id = heard.user_id if heard is not None else self._company.person(index or 0).customer_id
        traits = self.traits(key)
        audiences = {name: True for name, value in traits.items() if value is True}
        audiences |= {} if heard is None else heard.audiences
        return {
            "match": {"email": traits.get("email"), "external_id": own_id, "phone": traits.get("phone")},
            "id": own_id,
            "standing": "suppressed" if self.is_suppressed(key) else "subscribed",
            "fields": traits,
            "audiences": sorted(name for name, is_in in audiences.items() if is_in),
            "consent": {} if heard is None else heard.consent,
            "groups": {} if heard is None else heard.groups,
            "events": [] if heard is None else heard.events,
            "written": written,
        }


def stamp_now() -> str:
    """The present as Segment writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _as_event(event: JsonObject, user_id: str) -> JsonObject:
    """An event that came in, as the Profile API tells of it."""
    identity: JsonObject = {"type": "user_id", "id": user_id, "source_id": SOURCE_ID, "collection": "users"}
    return {
        "type": "track",
        "event": event["event"],
        "message_id": event["messageId"],
        "source_id": SOURCE_ID,
        "timestamp": event["timestamp"],
        "properties": event.get("properties") or {},
        "context": event.get("context") or {},
        "external_ids": [identity],
        "related": {},
    }


def _audience_of(properties: JsonObject) -> str:
    for name in ("audience_key", "audience_name", "audience_id", "audience"):
        if properties.get(name):
            return str(properties[name])
    return ""


def _names(told: JsonObject) -> list[object]:
    names = told["audiences"]
    return names if isinstance(names, list) else []
