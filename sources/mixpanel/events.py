"""Events: columns, what they say about people, and one event as a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Column, Row
from millstream.sources.mixpanel import identity
from millstream.sources.mixpanel.settings import property_column
from millstream.state.errors import SchemaError
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.mixpanel.settings import MixpanelSettings

NAMES = {
    "$mp_web_page_view": "Page Viewed",
    "$ae_first_open": "Application Installed",
    "$ae_updated": "Application Updated",
    "$ae_session": "Application Used",
    "$ae_crashed": "Application Crashed",
}
"""Events that Mixpanel's own libraries send."""

_OF_PROPERTY = {
    "$city": "city",
    "$region": "region",
    "mp_country_code": "country",
    "$os": "os",
    "$browser": "browser",
    "$app_version_string": "app_version",
    "mp_lib": "library",
    "$current_url": "url",
    "$initial_referring_domain": "first_referrer",
    "utm_source": "utm_source",
    "utm_medium": "utm_medium",
    "utm_campaign": "utm_campaign",
}
_TAKEN = frozenset({"time", "distinct_id", "$insert_id", "$device_id", "$user_id", "mp_processing_time_ms"})
_NOTHING = ("undefined", "<null>")
_MILLISECONDS = 100_000_000_000


def event_columns(settings: MixpanelSettings) -> tuple[Column, ...]:
    """The columns, with one for each property that the settings take for an identifier."""
    own = (
        Column(property_column(name), description=f"Property {name}.", optional=True)
        for name in settings.event_identifiers
    )
    return (
        Column(
            "event_id", description="Hash of name, time and insert id: Mixpanel may give an event twice.", required=True
        ),
        Column("event", description="Name at Mixpanel.", required=True),
        Column("name", description="Name here; none where it only merged ids.", optional=True),
        Column("time", "timestamp", "When it happened.", required=True),
        Column("processed_at", "timestamp", "When Mixpanel received it.", optional=True),
        Column("insert_id", description="The sender's id of the event.", optional=True),
        *identity.COLUMNS,
        *(Column(name, optional=True) for name in _OF_PROPERTY.values()),
        Column("value", "double", "Amount, where the property that the settings name is a number.", optional=True),
        Column("currency", description="The amount's currency.", optional=True),
        *own,
        Column("properties", "json", "All other properties."),
    )


def event_people(settings: MixpanelSettings) -> People:
    """What an event says about a person."""
    return People(
        record="subject",
        identifiers=(
            *identity.identifiers(settings),
            *(Identifier(kind=kind, column=property_column(name)) for name, kind in settings.event_identifiers.items()),
        ),
        events=(
            Event(
                at="time",
                name_column="name",
                properties=tuple(_OF_PROPERTY.values()),
                properties_from="properties",
                value="value",
                currency="currency",
                campaign="utm_campaign",
            ),
        ),
        observed_at="time",
    )


class EventShape:
    """Makes rows of events."""

    def __init__(self, settings: MixpanelSettings) -> None:
        self._settings = settings
        self._ids = identity.Ids(settings)
        self._names = {name.lower(): ours for name, ours in {**NAMES, **settings.event_names}.items()}
        self._identifying = {name: property_column(name) for name in settings.event_identifiers}
        self._clock = settings.clock
        self._taken = frozenset({*_TAKEN, *_OF_PROPERTY, *self._identifying})

    def row(self, event: Mapping[str, Any]) -> Row:
        """An event as a row.

        Raises:
            SchemaError: It has no name or no time.
        """
        name, properties = event.get("event"), event["properties"]
        time = properties.get("time")
        if not isinstance(name, str) or isinstance(time, bool) or not isinstance(time, int | float):
            raise SchemaError(
                "An event has no name or no time.", remedy="the API may have changed: update the connector."
            )
        known = {key: value for key, value in properties.items() if value is not None and value not in _NOTHING}
        get = known.get
        return {
            "event_id": _event_id(name, time, known),
            "event": name,
            "name": self._name(name, known),
            "time": self._moment(time),
            "processed_at": known.get("mp_processing_time_ms"),
            "insert_id": known.get("$insert_id"),
            **self._ids.of_event(name, known),
            **{column: get(key) for key, column in _OF_PROPERTY.items()},
            **{column: identity.id_of(get(key)) for key, column in self._identifying.items()},
            **self._amount(known),
            "properties": plain_names({key: value for key, value in known.items() if key not in self._taken}),
        }

    def _name(self, name: str, known: Mapping[str, Any]) -> str | None:
        if name in identity.LINKS:
            return None
        given = str(known.get("mp_original_event_name", name)) if name == identity.CROWDED else name
        return self._names.get(given.lower(), given)

    def _moment(self, time: float) -> datetime:
        """The time in UTC: older projects write their own clock's time as if it were UTC."""
        written = datetime.fromtimestamp(time / 1000 if time >= _MILLISECONDS else time, UTC)
        return written if self._clock is UTC else written.replace(tzinfo=self._clock).astimezone(UTC)

    def _amount(self, known: Mapping[str, Any]) -> Row:
        amount = known.get(self._settings.revenue) if self._settings.revenue else None
        currency = known.get(self._settings.currency) if self._settings.currency else None
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        return {
            "value": amount if is_number else None,
            "currency": currency if isinstance(currency, str) and len(currency) == 3 else None,
        }


def plain_names(found: dict[str, Any]) -> dict[str, Any]:
    """Properties by names without Mixpanel's `$`, which no rule could be written with."""
    if "$" not in "".join(found):
        return found
    return {
        (plain if (plain := key.lstrip("$")) and plain not in found else key): value for key, value in found.items()
    }


def _event_id(name: str, time: float, known: Mapping[str, Any]) -> str:
    """The same for an event that comes twice. Whom it is taken for is no part of it, since that may change."""
    seconds = int(time // 1000 if time >= _MILLISECONDS else time)
    insert_id = known.get("$insert_id")
    if insert_id is None:
        rest = {
            key: value for key, value in known.items() if key not in ("distinct_id", "mp_processing_time_ms", "time")
        }
        insert_id = orjson.dumps(rest, option=orjson.OPT_SORT_KEYS).decode()
    return blake2b(f"{name}\0{seconds}\0{insert_id}".encode(), digest_size=16).hexdigest()
