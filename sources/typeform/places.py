"""How far each form has been read, and which stretches of it a pull still has to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from millstream.state.errors import SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.typeform.settings import ResponseType, TypeformSettings

NEVER = 1
"""Year of the time that stands for "not submitted"."""


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Responses to read.

    Attributes:
        since: The first moment; None reads from the beginning.
        until: The last moment, included; None reads from the newest on.
        is_sweep: Whether what is not found has been deleted.
    """

    since: datetime | None
    until: datetime | None = None
    is_sweep: bool = False


class Place:
    """How far one stream has read one type of responses of a form; lives in the stream's notes.

    ``{"at": newest response read, "walk": {"until", "newest"}, "swept": last sweep}``. Responses come newest first, so
    ``walk`` stands while the older ones of a stretch are still to come: a pull that was ended goes on below it.
    """

    def __init__(self, pull: Pull, settings: TypeformSettings, form_id: str, kind: ResponseType) -> None:
        self._pull = pull
        self._settings = settings
        self._kind = kind
        forms: MutableMapping[str, Any] = pull.state.setdefault("places", {})
        self.kept: MutableMapping[str, Any] = forms.setdefault(form_id, {}).setdefault(kind, {})

    def stretches(self) -> Iterator[Stretch]:
        """What to read, newest first; each counts on the one before being finished."""
        if self._pull.until is not None:
            yield Stretch(since=self._pull.since, until=self._pull.until - timedelta(seconds=1))
            return
        if walk := self.kept.get("walk"):
            yield Stretch(since=self._start(), until=datetime.fromisoformat(walk["until"]))
        if self._sweep_is_due():
            yield Stretch(since=self._first(), is_sweep=True)
        else:
            yield Stretch(since=self._start())

    def reached(self, moments: list[datetime]) -> None:
        """Note that a page was read, of these moments."""
        if self._kind == "partial" or moments != sorted(moments, reverse=True):
            return  # the vendor's order is not by a time that we know: an ended pull reads the form anew
        newest = self.kept.get("walk", {}).get("newest") or moments[0].isoformat()
        self.kept["walk"] = {"until": moments[-1].isoformat(), "newest": newest}

    def finished(self, stretch: Stretch, newest: datetime | None) -> None:
        """Note that a stretch was read to its end."""
        if self._pull.until is not None:
            return
        walk = self.kept.pop("walk", None)
        moments = [self.kept.get("at"), walk and walk["newest"], newest and newest.isoformat()]
        if at := max(filter(None, moments), default=None):
            self.kept["at"] = at
        if stretch.is_sweep or (stretch.since == self._first() and stretch.until is None):
            self.kept["swept"] = self._pull.pulled_at.isoformat()

    def _start(self) -> datetime | None:
        at = self.kept.get("at")
        if at is None:
            return self._first()
        return datetime.fromisoformat(at) - timedelta(minutes=self._settings.lookback_minutes)

    def _first(self) -> datetime | None:
        first = self._settings.start_date
        return datetime.combine(first, time.min, UTC) if first else None

    def _sweep_is_due(self) -> bool:
        days = self._settings.sweep_days
        can_tell = self._kind == "completed" and self._pull.stored is not None and self._pull.stream.name == "responses"
        if days is None or not can_tell or "at" not in self.kept:
            return False
        swept = self.kept.get("swept")
        return swept is None or self._pull.pulled_at - datetime.fromisoformat(swept) >= timedelta(days=days)


def last_read(pull: Pull) -> str | None:
    """The newest response read of any form, for people."""
    kept = (place.get("at") for form in pull.state.get("places", {}).values() for place in form.values())
    return max(filter(None, kept), default=None)


def moment_of(found: Mapping[str, Any], field: str) -> datetime | None:
    """A time of a response, or None where the vendor says it has not come."""
    value = found.get(field)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise _unreadable(field) from error
    if moment.year == NEVER:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ordering_moment(found: Mapping[str, Any], kind: ResponseType) -> datetime:
    """The time by which responses of a type are read: of the submission, or else of the beginning.

    Raises:
        SchemaError: It is missing.
    """
    field = "submitted_at" if kind == "completed" else "landed_at"
    moment = moment_of(found, field)
    if moment is None:
        raise _unreadable(field)
    return moment


def _unreadable(field: str) -> SchemaError:
    return SchemaError(f"A response has no readable {field}.", remedy="the API may have changed: update the connector.")
