"""Profiles: all of them now and then, which finds those that are gone, and else those that were seen since."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.mixpanel import identity
from millstream.sources.mixpanel.events import plain_names
from millstream.sources.mixpanel.queries import ForgottenError
from millstream.sources.mixpanel.settings import property_column
from millstream.state.errors import IncompleteError, SchemaError
from millstream.state.model.declarations import Consent, Identifier, People, Trait

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.mixpanel.queries import Form, Profiles, Queries
    from millstream.sources.mixpanel.settings import MixpanelSettings
    from millstream.sources.pull import Pull

OVERLAP = timedelta(days=1)
"""Read again, since Mixpanel's times have no zone and may lag behind."""

PAGES_A_PART = 50
_OF_PROPERTY = {
    "$name": "full_name",
    "$first_name": "first_name",
    "$last_name": "last_name",
    "$city": "city",
    "$region": "region",
    "$country_code": "country",
    "$timezone": "time_zone",
    "$created": "created_at",
    "$last_seen": "last_seen",
}
_TIMES = ("created_at", "last_seen")
_TRAITS = ("full_name", "first_name", "last_name", "city", "region", "country", "time_zone")


def profile_columns(settings: MixpanelSettings) -> tuple[Column, ...]:
    """The columns, with one for each property that the settings name."""
    own = (
        Column(property_column(name), description=f"Property {name}.", optional=True)
        for name in settings.profile_properties
    )
    return (
        Column("distinct_id", description="Whose profile it is.", required=True),
        Column("user_id", description="The id given to `identify`.", optional=True),
        Column("device_id", description="The device, of a profile of nobody known.", optional=True),
        *(Column(name, "timestamp" if name in _TIMES else "text", optional=True) for name in _OF_PROPERTY.values()),
        *own,
        Column("properties", "json", "All other properties."),
        Column("reading", "bigint", "Number of the last reading of all profiles, when it was there."),
        Column("deleted", "bool", "Was not there in a later reading of all profiles."),
    )


def profile_people(settings: MixpanelSettings) -> People:
    """What a profile says about a person."""
    return People(
        identifiers=(
            Identifier(kind=identity.DISTINCT_ID, column="distinct_id"),
            *((Identifier(kind=settings.user_id, column="user_id"),) if settings.user_id else ()),
            *((Identifier(kind="device_id", column="device_id"),) if settings.devices else ()),
            *(Identifier(kind=kind, column=property_column(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(
            *(Trait(name=name, column=name) for name in _TRAITS),
            *(Trait(name=name, column=property_column(key)) for key, name in settings.traits.items()),
        ),
        consents=tuple(
            Consent(
                channel=said.channel,
                column=property_column(name),
                statuses={value.lower(): status for value, status in said.statuses.items()},
                topic=said.topic,
            )
            for name, said in settings.consents.items()
        ),
        observed_at="last_seen",
        deleted="deleted",
        country="country",
    )


class ProfileReader:
    """Reads profiles.

    The stream's notes: ``{"walk": where a reading stands and what came so far, "seen": the newest time at which
    somebody was last seen, "whole": when the last reading of all profiles began, "reading": the number of that}``.
    """

    def __init__(self, settings: MixpanelSettings, queries: Queries) -> None:
        self._settings = settings
        self._queries = queries
        self._ids = identity.Ids(settings)

    def read(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Pages of profiles, and those that a reading of all did not find any more.

        Raises:
            IncompleteError: Mixpanel has forgotten the query, or all profiles seem to be gone.
        """
        if pull.is_backfill:
            number = _stored_reading(pull)
            assert pull.since is not None
            for rows in self._queries.everything(pull, _seen_since(pull.since)):
                yield [self._row(one, number) for one in rows]
            return
        yield from self._unfinished(pull)
        self._begin(pull)
        yield from self._walk(pull)
        pull.place = pull.state.get("seen")

    def _unfinished(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """The rest of a reading that an earlier pull could not finish."""
        if "walk" not in pull.state:
            return
        try:
            yield from self._walk(pull)
        except ForgottenError:
            pull.warn("Mixpanel has forgotten the query of profiles that was being read; they are read anew.")

    def _begin(self, pull: Pull) -> None:
        notes = pull.state
        whole = notes.get("whole")
        days = timedelta(days=self._settings.profiles_whole_every_days)
        form: Form = {}
        if whole is None or "seen" not in notes or pull.pulled_at - datetime.fromisoformat(whole) >= days:
            notes["reading"] = notes.get("reading", _stored_reading(pull)) + 1
        else:
            seen = datetime.fromisoformat(notes["seen"]).replace(tzinfo=UTC)
            pull.since = min(seen, pull.pulled_at) - OVERLAP
            form = _seen_since(pull.since)
        notes["walk"] = {"form": form, "page": 0, "begun": pull.pulled_at.isoformat()}

    def _walk(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """A reading from where it stands to its end."""
        walk, number = pull.state["walk"], pull.state["reading"]
        try:
            for found in self._pages(pull, walk):
                rows = [self._row(one, number) for one in found]
                _note_read(walk, rows)
                yield rows
                if walk["page"] % PAGES_A_PART == 0:
                    yield pull.until_loaded()
        except ForgottenError:
            del pull.state["walk"]
            raise
        if walk.get("rows", 0) < walk.get("total", 0):
            del pull.state["walk"]
            yield pull.until_shaped()  # so that this is noted, and the next pull does not begin where this one ended
            raise IncompleteError(
                f"Mixpanel announced {walk['total']} profiles and {walk['rows']} came.",
                remedy="run again: profiles are read from the first page, and nobody counts as gone before.",
            )
        if not walk["form"]:
            if pull.stored is not None:
                yield pull.until_loaded()
                yield from _gone(pull, number)
            pull.state["whole"] = walk["begun"]
        # Only now: the pages come in no order, so that what is on the last one may be older than this.
        if seen := max(pull.state.get("seen", ""), walk.get("seen", "")):
            pull.state["seen"] = seen
        del pull.state["walk"]

    def _pages(self, pull: Pull, walk: MutableMapping[str, Any]) -> Iterator[Profiles]:
        form = walk["form"]
        if walk["page"] == 0:
            found = self._queries.first(pull, form)
            walk.update(session_id=found.session_id, pages=found.pages, total=found.total, page=1)
            yield found.rows
        self._say_how_long(pull, walk["pages"] - walk["page"])
        for page, rows in self._queries.rest(pull, form, walk["session_id"], range(walk["page"], walk["pages"])):
            walk["page"] = page + 1
            yield rows

    def _say_how_long(self, pull: Pull, pages: int) -> None:
        allowed = self._settings.queries_per_hour
        if pages < allowed:
            return
        done = pull.pulled_at + timedelta(hours=math.ceil((pages + 1) / allowed) - 1)
        pull.warn(
            f"{pages} pages of profiles are left to read and Mixpanel allows {allowed} queries an hour: "
            f"run again until {done:%Y-%m-%d %H:%M} UTC."
        )

    def _row(self, profile: Mapping[str, Any], reading: int) -> Row:
        """A profile as a row.

        Raises:
            SchemaError: It does not say whose it is.
        """
        distinct, known = profile.get("$distinct_id"), profile.get("$properties")
        if distinct is None or not isinstance(known, dict):
            raise SchemaError(
                "A profile has no $distinct_id or no $properties.",
                remedy="the API may have changed: update the connector, or leave the stream out for now.",
            )
        user, device = self._ids.parts(identity.id_of(distinct))
        columns = {column: _read(column, known.get(name)) for name, column in _OF_PROPERTY.items()}
        own = {name: known.get(name) for name in self._settings.profile_properties}
        own |= {name: identity.id_of(own[name]) for name in self._settings.identifiers}
        # What does not fit its column, since anybody may write these, is kept as it is.
        taken = {name for name, column in _OF_PROPERTY.items() if columns[column] is not None} | own.keys()
        return {
            "distinct_id": str(distinct),
            "user_id": user,
            "device_id": device,
            **columns,
            **{property_column(name): value for name, value in own.items()},
            "properties": plain_names({name: value for name, value in known.items() if name not in taken}),
            "reading": reading,
            "deleted": False,
        }


def _read(column: str, value: Any) -> Any:
    """A property's value as its column can hold it, or None."""
    if column not in _TIMES:
        return value if isinstance(value, str | int | float) else None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment).isoformat()


def _note_read(walk: MutableMapping[str, Any], rows: Page) -> None:
    """Count the rows, and keep the newest time at which somebody was seen, which is not after the query was made."""
    walk["rows"] = walk.get("rows", 0) + len(rows)
    begun = datetime.fromisoformat(walk["begun"]).astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat()
    times = [min(str(row["last_seen"]), begun) for row in rows if row["last_seen"]]
    walk["seen"] = max([*times, walk.get("seen", "")])


def _seen_since(moment: datetime) -> Form:
    """The profiles that were last seen since a moment."""
    return {"where": f'properties["$last_seen"] >= "{moment:%Y-%m-%dT%H:%M:%S}"'}


def _stored_reading(pull: Pull) -> int:
    """The number of the last reading by the stored profiles."""
    import pyarrow.compute as pc

    if pull.stored is None:
        return 0
    stored = pull.stored.rows("profiles", columns=("reading",))
    return int(pc.max(stored["reading"]).as_py() or 0) if len(stored) else 0


def _gone(pull: Pull, number: int) -> Iterator[pa.Table]:
    """The stored profiles that this reading did not find, marked as deleted.

    Raises:
        IncompleteError: They seem to be gone altogether.
    """
    import pyarrow as pa

    assert pull.stored is not None
    gone = pull.stored.rows("profiles", columns=("distinct_id",), unequal={"reading": number, "deleted": True})
    if not len(gone):
        return
    if not len(pull.stored.rows("profiles", columns=("distinct_id",), equal={"reading": number})):
        if pull.accept_empty:
            pull.warn("the project has no profiles any more.")
        else:
            raise IncompleteError(
                f"The project has no profiles any more, and {len(gone)} are stored; they were kept.",
                remedy="if they really were deleted, run `millstream ingest --accept-empty`.",
            )
    for table in pull.stored.rows_of_keys("profiles", gone):
        marks = pa.array([True] * len(table), pa.bool_())
        yield table.set_column(table.column_names.index("deleted"), "deleted", marks)
