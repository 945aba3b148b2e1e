"""Events: columns, what they say about people, and how events become columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Column, Columns
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
    """Makes columns of events. An export is long, and a row at a time takes twice as long."""

    def __init__(self, settings: MixpanelSettings) -> None:
        self._settings = settings
        self._ids = identity.Ids(settings)
        self._names = {name.lower(): ours for name, ours in {**NAMES, **settings.event_names}.items()}
        self._identifying = {name: property_column(name) for name in settings.event_identifiers}
        self._taken = frozenset({*_TAKEN, *self._identifying} - _OF_PROPERTY.keys())

    def columns(self, events: Sequence[Mapping[str, Any]]) -> Columns:
        """Events as columns.

        Raises:
            SchemaError: One has no name or no time.
        """
        names: list[Any] = [event.get("event") for event in events]
        known = [_known(event["properties"]) for event in events]
        times: list[Any] = [properties.get("time") for properties in known]
        if not set(map(type, names)) <= {str} or not set(map(type, times)) <= {int, float}:
            raise SchemaError(
                "An event has no name or no time.", remedy="the API may have changed: update the connector."
            )
        return {
            "event_id": list(map(_event_id, names, times, known)),
            "event": names,
            "name": list(map(self._name, names, known)),
            "time": times if self._settings.clock is UTC else [self.moment(time) for time in times],
            "processed_at": [properties.get("mp_processing_time_ms") for properties in known],
            "insert_id": [properties.get("$insert_id") for properties in known],
            **self._ids.of_events(names, known),
            **{
                column: [identity.id_of(properties.get(key)) for properties in known]
                for key, column in self._identifying.items()
            },
            **self._amounts(known),
            **{column: [one.pop(key, None) for one in known] for key, column in _OF_PROPERTY.items()},
            "properties": [self._rest(properties) for properties in known],
        }

    def moment(self, time: float) -> datetime:
        """The time in UTC: older projects write their own clock's time as if it were UTC."""
        written = datetime.fromtimestamp(time / 1000 if time >= _MILLISECONDS else time, UTC)
        clock = self._settings.clock
        return written if clock is UTC else written.replace(tzinfo=clock).astimezone(UTC)

    def _name(self, name: str, known: Mapping[str, Any]) -> str | None:
        if name in identity.LINKS:
            return None
        given = str(known.get("mp_original_event_name", name)) if name == identity.CROWDED else name
        return self._names.get(given.lower(), given)

    def _amounts(self, known: Sequence[Mapping[str, Any]]) -> Columns:
        revenue, currency = self._settings.revenue, self._settings.currency
        return {
            "value": [_amount(properties.get(revenue)) for properties in known] if revenue else [None] * len(known),
            "currency": [_code(properties.get(currency)) for properties in known] if currency else [None] * len(known),
        }

    def _rest(self, known: dict[str, Any]) -> dict[str, Any]:
        """The properties that have no column."""
        for key in self._taken:
            known.pop(key, None)
        return plain_names(known)


def _known(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties that have a value."""
    return {key: value for key, value in properties.items() if value is not None and value not in _NOTHING}


def _amount(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _code(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) == 3 else None


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
