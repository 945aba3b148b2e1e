"""What is said to Segment of a person: identify and track calls, each with an id by which it counts once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import orjson

from millstream.destinations.contract import DeliveryRow, FieldValue, PlanFacts
from millstream.destinations.rows import rfc3339

_USER = {"user_id": "userId", "anonymous_id": "anonymousId"}
MATCH_KEYS = tuple(_USER)
ENTERED, LEFT = "Audience Entered", "Audience Exited"

Message = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Makes messages.

    Attributes:
        match_key: What the rows' match values are.
        plan: What is being sent: a message of the same plan counts once at Segment, however often it comes.
    """

    match_key: str
    plan: PlanFacts | None

    def identify(self, row: DeliveryRow, *, audience: str | None = None, member: bool = True) -> Message:
        """The person's traits; of an audience, whether the person is in it is one of them."""
        traits: dict[str, FieldValue] = {name: _value(value) for name, value in row.fields.items()}
        if audience is not None:
            traits[trait_of(audience)] = member
        return self._message(row, "identify", traits=traits)

    def moved(self, row: DeliveryRow, audience: str, *, member: bool) -> Message:
        """The event that a person came into an audience, or left it."""
        trait = trait_of(audience)
        properties = {"audience_key": trait, "audience_name": audience, trait: member}
        return self._message(row, "track", event=ENTERED if member else LEFT, properties=properties)

    def membership(self, row: DeliveryRow, audience: str, *, member: bool) -> Iterator[Message]:
        """All that is said of somebody who came or left."""
        yield self.identify(row, audience=audience, member=member)
        yield self.moved(row, audience, member=member)

    def _message(self, row: DeliveryRow, kind: str, **facts: object) -> Message:
        at = self.plan.made_at if self.plan else datetime.now(UTC)
        said = {"type": kind, _USER[self.match_key]: row.match_value.strip(), **facts}
        return {**said, "timestamp": at.isoformat(), "messageId": self._id(said)}

    def _id(self, said: Mapping[str, object]) -> str:
        """The same for the same words in the same plan; Segment drops a message whose id it has seen lately."""
        plan = self.plan.plan if self.plan else uuid4().hex
        return f"millstream-{hashlib.sha256(plan.encode() + orjson.dumps(said)).hexdigest()[:40]}"


def trait_of(audience: str) -> str:
    """The trait that says whether somebody is in an audience: its name in lower case, words joined by underscores."""
    return re.sub(r"\W+", "_", audience.strip().lower()).strip("_") or "audience"


def _value(value: FieldValue) -> FieldValue:
    return rfc3339(value) if isinstance(value, str) else value
