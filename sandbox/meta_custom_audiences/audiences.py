"""The audiences of the ad accounts: those that were there before, and those that are made."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from millstream.sandbox.company import Company
from millstream.sandbox.draws import cut, draw, share, topic
from millstream.sandbox.hashed_audience import HashedAudience, Key
from millstream.sandbox.meta_custom_audiences.errors import graph_error, not_updated
from millstream.sandbox.meta_custom_audiences.uploads import STRONGEST
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

ACCOUNT = "1001001001"
ACCOUNT_WITHOUT_TERMS = "1001001002"
ACCOUNT_WITHOUT_ACCESS = "1001001003"
ACCOUNT_NAMES = {ACCOUNT: "Example Shop", ACCOUNT_WITHOUT_TERMS: "Example Outlet"}

NEWSLETTER_AUDIENCE = "23850000000000101"
EMAIL_ONLY_AUDIENCE = "23850000000000102"
FLAGGED_AUDIENCE = "23850000000000103"
WEBSITE_AUDIENCE = "23850000000000104"
OUTLET_AUDIENCE = "23850000000000105"
FIRST_NEW_ID = 23850000000001001

MEMBER = topic(790)
MEMBER_CUT = cut(0.40)
# Only the first people of the company are members from the start, so that a large company costs nothing.
MOST_OLD_MEMBERS = 1000
SHOWN_FROM = 1000
DELIVERABLE_FROM = 100

SINGLE, MULTIPLE = "HASHES_OR_USER_IDS", "MULTI_HASHES"


@dataclass(slots=True)
class Session:
    """One upload in several batches."""

    session_id: str
    started: float
    received: int = 0
    invalid: int = 0
    ended: float | None = None

    def body(self) -> JsonObject:
        """The session as the vendor shows it."""
        return {
            "session_id": self.session_id,
            "num_received": str(self.received),
            "num_invalid_entries": str(self.invalid),
            "start_time": str(int(self.started)),
            "end_time": str(int(self.ended or 0)),
            "stage": "ended" if self.ended else "uploading",
            "progress": "100" if self.ended else "0",
        }


@dataclass(slots=True)
class Replacement:
    """A session that is to take the place of all members, once its last batch has come."""

    session_id: str
    started: float
    rows: list[tuple[Key, ...]] = field(default_factory=list)


@dataclass(slots=True)
class Audience:
    """One audience. `busy_until` is on the monotonic clock: until then the vendor is looking for the people."""

    audience_id: str
    account_id: str
    name: str
    description: str = ""
    subtype: str = "CUSTOM"
    customer_file_source: str = "USER_PROVIDED_ONLY"
    is_value_based: bool = False
    source: str | None = None
    is_flagged: bool = False
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    busy_until: float = 0.0
    members: HashedAudience = field(default_factory=lambda: HashedAudience(STRONGEST))
    sessions: dict[str, Session] = field(default_factory=dict)
    replacement: Replacement | None = None

    def take_source(self, source: str) -> None:
        """Note how members are told; several keys a row at first cannot become one later."""
        if self.subtype != "CUSTOM":
            raise not_updated(f"It was created from {self.subtype}, which takes no uploads.")
        if self.source == MULTIPLE and source == SINGLE:
            raise not_updated(
                f"This audience was created from data source FILE_IMPORTED.{MULTIPLE}, which does not support data "
                f"source FILE_IMPORTED.{SINGLE}."
            )
        self.source = self.source or source

    def body(self) -> JsonObject:
        """Every field that can be asked for."""
        lower, upper = self._bounds()
        return {
            "id": self.audience_id,
            "account_id": self.account_id,
            "name": self.name,
            "description": self.description,
            "subtype": self.subtype,
            "customer_file_source": self.customer_file_source,
            "is_value_based": self.is_value_based,
            "approximate_count_lower_bound": lower,
            "approximate_count_upper_bound": upper,
            "data_source": {"type": "FILE_IMPORTED", "sub_type": self.source or "ANYTHING"},
            "operation_status": self._operation_status(),
            "delivery_status": self._delivery_status(),
            "permission_for_actions": {"can_edit": True, "can_see_insight": "True", "can_share": "True"},
            "time_created": int(self.created),
            "time_updated": int(self.updated),
            "time_content_updated": int(self.updated),
        }

    def _bounds(self) -> tuple[int, int]:
        """Never the true number: unknown while people are looked for, then nothing below a thousand."""
        if time.monotonic() < self.busy_until:
            return -1, -1
        count = len(self.members)
        if count < SHOWN_FROM:
            return SHOWN_FROM, SHOWN_FROM
        return count // 100 * 100, count // 100 * 100 + 100

    def _operation_status(self) -> JsonObject:
        if self.is_flagged:
            return {"code": 471, "description": "This audience was flagged and cannot be used."}
        if time.monotonic() < self.busy_until:
            return {"code": 441, "description": "The people of this audience are being looked for."}
        return {"code": 200, "description": "Normal"}

    def _delivery_status(self) -> JsonObject:
        if len(self.members) < DELIVERABLE_FROM:
            return {"code": 300, "description": "This audience is too small."}
        return {"code": 200, "description": "This audience is ready for use."}


class Audiences:
    """All audiences.

    Attributes:
        seconds: How long an audience is busy after an upload; tests may change it.
        replacing_seconds: How long a session that replaces may take (90 minutes).
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self.reset()

    def reset(self) -> None:
        """Put everything back to the start."""
        self.seconds = 0.3
        self.replacing_seconds = 5400.0
        self._next_id = FIRST_NEW_ID
        self._deleted: set[str] = set()
        self._audiences = {one.audience_id: one for one in _old_audiences()}
        self._old_members_missing = True

    def of_account(self, account_id: str) -> list[Audience]:
        """Audiences of one ad account, the youngest first."""
        return [one for one in reversed(self._all().values()) if one.account_id == account_id]

    def get(self, audience_id: str) -> Audience | None:
        """The audience with this id."""
        return self._all().get(audience_id)

    def to_change(self, audience_id: str) -> Audience | None:
        """The same, for who wants to change its members: one that was deleted is told apart."""
        if audience_id in self._deleted:
            raise graph_error(
                1487366,
                "(#1487366) Invalid parameter",
                user=("Custom Audience Has Been Deleted", "Choose another one."),
            )
        return self.get(audience_id)

    def create(self, account_id: str, name: str) -> Audience:
        """A new audience; nothing keeps two from having one name."""
        audience = Audience(str(self._next_id), account_id, name)
        self._next_id += 1
        self._audiences[audience.audience_id] = audience
        return audience

    def delete(self, audience: Audience) -> None:
        """Delete an audience with all members."""
        del self._audiences[audience.audience_id]
        self._deleted.add(audience.audience_id)

    def has_changed(self, audience: Audience) -> None:
        """The members were changed: for a while the vendor looks for the people."""
        audience.updated = time.time()
        audience.busy_until = time.monotonic() + self.seconds

    def state(self) -> JsonObject:
        """What tests see: the members' keys, which the vendor shows to nobody."""
        audiences: JsonObject = {
            one.audience_id: {
                "name": one.name,
                "account_id": one.account_id,
                "members": list(one.members.rows()),
                "sessions": [session.body() for session in one.sessions.values()],
            }
            for one in self._all().values()
        }
        return {"audiences": audiences}

    def _all(self) -> dict[str, Audience]:
        if self._old_members_missing:
            self._old_members_missing = False
            for person in self._old_members():
                email = ("EMAIL", _hash(person.email))
                phone = () if person.phone is None else (("PHONE", _hash(person.phone.lstrip("+"))),)
                for audience_id in (NEWSLETTER_AUDIENCE, FLAGGED_AUDIENCE, OUTLET_AUDIENCE):
                    self._audiences[audience_id].members.add((email, *phone))
                self._audiences[EMAIL_ONLY_AUDIENCE].members.add((email,))
        return self._audiences

    def _old_members(self) -> Iterator[Person]:
        for index in range(min(self._company.people, MOST_OLD_MEMBERS)):
            if share(draw(self._company.base(index), MEMBER), 0) < MEMBER_CUT:
                yield self._company.original(index)


def _old_audiences() -> Iterable[Audience]:
    return (
        Audience(NEWSLETTER_AUDIENCE, ACCOUNT, "Newsletter readers", source=MULTIPLE),
        Audience(EMAIL_ONLY_AUDIENCE, ACCOUNT, "Newsletter readers 2023", source=SINGLE),
        Audience(FLAGGED_AUDIENCE, ACCOUNT, "Arthritis relief", source=MULTIPLE, is_flagged=True),
        Audience(WEBSITE_AUDIENCE, ACCOUNT, "Web site visitors", subtype="WEBSITE"),
        Audience(OUTLET_AUDIENCE, ACCOUNT_WITHOUT_TERMS, "Outlet customers", source=MULTIPLE),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
