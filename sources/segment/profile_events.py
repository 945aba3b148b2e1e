"""The stream ``profile_events``: what profiles of the Profile API did in the last days."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row, Stream
from millstream.sources.segment.rows import moment, number, part, text
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.segment.settings import SegmentSettings

NAME = "profile_events"
_NAMES = {"page": "Page Viewed", "screen": "Screen Viewed"}
_KINDS = ("user_id", "anonymous_id", "email")


def stream(read: Callable[[Pull], Iterable[Page]], settings: SegmentSettings) -> Stream:
    """The stream."""
    kinds = {**{kind: kind for kind in _KINDS}, "user_id": settings.user_id_kind}
    return Stream(
        name=NAME,
        description="One row an event of a profile.",
        primary_key=("message_id",),
        columns=(
            Column("message_id", required=True),
            Column("profile_id", description="Whose events were asked for.", required=True),
            *(Column(kind, optional=True) for kind in _KINDS),
            Column("type", optional=True),
            Column("event", optional=True),
            Column("timestamp", "timestamp", "When it happened, as Segment has corrected it.", required=True),
            Column("value", "double", "revenue, or else value, of the properties.", optional=True),
            Column("currency", optional=True),
            Column("source_id", description="Segment's id of the source it came through.", optional=True),
            Column("properties", "json", optional=True),
            Column("context", "json", optional=True),
        ),
        read=read,
        resumable=True,
        people=People(
            record="subject",
            identifiers=tuple(Identifier(kind=kind, column=column) for column, kind in kinds.items()),
            events=(
                Event(
                    at="timestamp",
                    name_column="event",
                    properties_from="properties",
                    value="value",
                    currency="currency",
                ),
            ),
            observed_at="timestamp",
        ),
    )


def rows(profile_id: str, found: Iterable[Any]) -> list[Row]:
    """Events as rows; what has no id or no time is left out."""
    return [row for one in found if isinstance(one, dict) and (row := _row(profile_id, one))]


def _row(profile_id: str, one: dict[str, Any]) -> Row | None:
    key, when = text(one.get("message_id")), moment(one.get("timestamp"))
    if key is None or when is None:
        return None
    asked, _, value = profile_id.partition(":")
    listed = one.get("external_ids")
    ids = [said for said in (listed if isinstance(listed, list) else []) if isinstance(said, dict)]
    said_by = {text(said.get("type")): text(said.get("id")) for said in reversed(ids)}
    properties, kind = part(one, "properties"), text(one.get("type"))
    revenue = number(properties.get("revenue"))
    row: Row = {name: value if name == asked else said_by.get(name) for name in _KINDS}
    return row | {
        "message_id": key,
        "profile_id": profile_id,
        "type": kind,
        "event": text(one.get("event")) or _NAMES.get(kind or ""),
        "timestamp": when,
        "value": revenue if revenue is not None else number(properties.get("value")),
        "currency": text(properties.get("currency")),
        "source_id": text(one.get("source_id")),
        "properties": properties,
        "context": part(one, "context") or None,
    }
