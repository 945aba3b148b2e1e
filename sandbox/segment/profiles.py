"""Profiles of the shop's customers, as Segment would have put them together."""

from __future__ import annotations

from datetime import UTC, datetime

from millstream.sandbox.company import Company
from millstream.sandbox.draws import draw, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.system import JsonObject

TYPES = ("user_id", "email", "anonymous_id")
COMPUTED, EVENTS = topic(680), topic(681)
KEPT_DAYS = 14
NAMES = ("Product Viewed", "Product Added", "Order Completed", "Email Opened")


class Profiles:
    """Looks a profile up by any of its identifiers, and tells what is known of it.

    Customers of the shop have one, by their user id (`customer_id`, in lower case as the API looks them up), their
    address, and the ids of their browsers.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._browsers: dict[str, int] | None = None

    def find(self, kind: str, value: str) -> int | None:
        """Index of the person; None where there is no such profile."""
        if kind == "email":
            person = self._company.find_by_email(value)
            index = None if person is None else person.index
        elif kind == "user_id":
            number = value.removeprefix("c-")
            index = int(number) - 1 if number.isascii() and number.isdigit() else None
        else:
            index = self._by_browser().get(value)
        if index is None or not 0 <= index < self._company.population:
            return None
        person = self._company.person(index)
        if person.customer_id is None or (kind == "user_id" and person.customer_id.lower() != value):
            return None
        return index

    def _by_browser(self) -> dict[str, int]:
        if self._browsers is None:
            self._browsers = {
                device.device_id.lower(): index
                for index in range(self._company.people)
                for device in self._company.devices(index)
            }
        return self._browsers

    def traits(self, index: int, of_class: str | None) -> JsonObject:
        """Own, computed, and audiences as true or false."""
        person = self._company.person(index)
        bits = draw(self._company.base(index), COMPUTED)
        audience = {"big_spenders": share(bits, 0) % 5 == 0}
        computed = {
            "orders_last_90_days": share(bits, 1) % 6,
            "favourite_category": ("mugs", "beans")[share(bits, 2) % 2],
        }
        if of_class == "audience":
            return dict(audience)
        if of_class == "computed_trait":
            return dict(computed)
        own: JsonObject = {
            "email": person.email,
            "first_name": person.first_name,
            "last_name": person.last_name,
            "phone": person.phone,
            "city": person.city,
            "country": person.country,
        }
        return {name: value for name, value in own.items() if value is not None} | audience | computed

    def external_ids(self, index: int) -> list[JsonObject]:
        """User id, address and browsers."""
        person = self._company.person(index)
        named = [("user_id", person.customer_id), ("email", person.email)]
        named += [("anonymous_id", device.device_id) for device in self._company.devices(index)]
        return [
            {
                "type": kind,
                "id": value,
                "source_id": "src_web",
                "collection": "users",
                "created_at": _stamp(person.created_ms),
                "encoding": "none",
                "first_message_id": f"ajs-{index:06x}-{place}",
            }
            for place, (kind, value) in enumerate(named)
        ]

    def events(self, index: int) -> list[JsonObject]:
        """What happened in the last fourteen days, oldest first."""
        bits = draw(self._company.base(index), EVENTS)
        today = self._company.today_ms
        made = [
            self._event(index, number, today - 1 - (bits >> (8 * number)) % (KEPT_DAYS * DAY_MS))
            for number in range(share(bits, 3) % 4)
        ]
        change = self._company.changes.get(index)
        if change is not None and change.modified_ms is not None:
            made.append(self._event(index, len(made), change.modified_ms))
        return sorted(made, key=seconds_of)

    def _event(self, index: int, number: int, at_ms: int) -> JsonObject:
        name = NAMES[(index + number) % len(NAMES)]
        properties: JsonObject = {"product_id": f"P-{(index + number) % 40:03d}"}
        if name == "Order Completed":
            properties |= {"order_id": f"S-{index:05d}-{number}", "revenue": 20 + index % 80, "currency": "EUR"}
        return {
            "type": "track",
            "event": name,
            "message_id": f"ajs-{index:06x}-e{number}",
            "source_id": "src_web",
            "timestamp": _stamp(at_ms),
            "properties": properties,
            "context": {"library": {"name": "analytics.js", "version": "5"}},
            "external_ids": self.external_ids(index)[:1],
            "related": {},
        }

    def metadata(self, index: int) -> JsonObject:
        """When the profile came to be and last changed."""
        person = self._company.person(index)
        return {
            "created_at": _stamp(person.created_ms),
            "updated_at": _stamp(person.modified_ms),
            "expires_at": None,
            "first_message_id": f"ajs-{index:06x}-0",
            "first_source_id": "src_web",
            "last_message_id": f"ajs-{index:06x}-1",
            "last_source_id": "src_web",
        }


def seconds_of(event: JsonObject) -> float:
    """When it happened, in seconds since 1970."""
    return datetime.fromisoformat(str(event["timestamp"])).timestamp()


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
