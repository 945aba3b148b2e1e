"""Manual segments: how a sync's audience is found, made, changed and read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millstream.destinations.contract import Member
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError, UnknownOutcomeError

_SEGMENTS = "/v1/segments"
_PAGE = 30_000
_MADE_FOR = "Filled by a Millstream sync."


class Segments:
    """The segments of one workspace.

    Args:
        track: HTTP for the Track API, which changes memberships.
        app: HTTP for the App API, which finds and makes segments, and reads who is in one.
    """

    def __init__(self, track: Http, app: Http) -> None:
        self._track = track
        self._app = app

    def ensure(self, name: str) -> str:
        """The id of the manual segment with this name; made when missing.

        Raises:
            ConfigurationError: The segment of this name is data-driven.
        """
        found = self._find(name)
        if found is None:
            made = self._make(name)
            # Names need not be unique: of two that were made at once, all who look take the older.
            found = self._find(name) or made
        if found.get("type") != "manual":
            raise _fills_itself(name)
        return str(found["id"])

    def change(self, segment_id: str, action: str, identifiers: Sequence[str], id_type: str) -> None:
        """Add to or remove from a segment; values that are nobody's are passed over in silence.

        Args:
            segment_id: The segment.
            action: ``add_customers`` or ``remove_customers``.
            identifiers: Up to 1,000 values.
            id_type: What they are: ``id`` or ``email``.

        Raises:
            NotFoundError: There is no such segment.
            ConfigurationError: It is data-driven.
        """
        path = f"/api/v1/segments/{segment_id}/{action}"
        try:
            self._track.post(path, {"ids": list(identifiers)}, params={"id_type": id_type})
        except (RefusedError, NotFoundError):
            self._require(segment_id)
            raise

    def members(self, segment_id: str) -> Iterator[Mapping[str, Any]]:
        """Identifiers of a segment's members: ``id``, ``email`` and ``cio_id``."""
        start = ""
        while True:
            query = {"limit": _PAGE} | ({"start": start} if start else {})
            answer = self._app.get(f"{_SEGMENTS}/{segment_id}/membership", query)
            yield from answer.get("identifiers") or ()
            start = answer.get("next") or ""
            if not start:
                return

    def probe(self) -> None:
        """Make one request of the App API."""
        self._app.get(_SEGMENTS)

    def _find(self, name: str) -> Mapping[str, Any] | None:
        """The segment of this name; manual ones come first, then those spelled alike, then the oldest."""
        segments: Sequence[Mapping[str, Any]] = self._app.get(_SEGMENTS)["segments"]
        named = [one for one in segments if str(one["name"]).casefold() == name.casefold()]
        return min(
            named, key=lambda one: (one.get("type") != "manual", one["name"] != name, int(one["id"])), default=None
        )

    def _make(self, name: str) -> Mapping[str, Any]:
        body = {"segment": {"name": name, "description": _MADE_FOR}}
        try:
            made: Mapping[str, Any] = self._app.post(_SEGMENTS, body, replay=False)["segment"]
        except (RefusedError, UnknownOutcomeError):
            # Refused as another process was quicker, or made although the answer was lost: then it is there now.
            found = self._find(name)
            if found is None:
                raise
            return found
        return made

    def _require(self, segment_id: str) -> None:
        """Tell a wrong segment from wrong people: both are refused with the same status."""
        try:
            segment = self._app.get(f"{_SEGMENTS}/{segment_id}")["segment"]
        except NotFoundError as error:
            raise NotFoundError(
                f"Customer.io has no segment {segment_id} any more.",
                where="customerio",
                remedy="run again: a segment of the audience's name is made.",
            ) from error
        if segment.get("type") != "manual":
            raise _fills_itself(str(segment.get("name")))


def member_of(identifiers: Mapping[str, Any]) -> Member:
    """Someone in a segment, by all of their names."""
    names = tuple(str(identifiers[key]) for key in ("id", "email", "cio_id") if identifiers.get(key))
    return Member(names, str(identifiers["cio_id"]) if identifiers.get("cio_id") else None)


def _fills_itself(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"Customer.io's segment {name!r} is data-driven: it fills itself, nobody can be put into it.",
        where="customerio",
        remedy="give the sync another name in 'into', or rename the segment in Customer.io.",
    )
