"""Segment's Profile API: one profile at a time, of those whose ids are known. There is no list of them.

Documentation: https://www.twilio.com/docs/segment/unify/profile-api
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pydantic import SecretStr
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.sources.contract import Column, Page, Row, Stream
from millstream.sources.parallel import in_order
from millstream.sources.segment import profile_events
from millstream.sources.segment.rows import text
from millstream.sources.segment.settings import EVENT_DAYS
from millstream.sources.segment.users import trait_column, trait_type
from millstream.state.errors import (
    AuthenticationError,
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from millstream.state.http import Answer, BasicAuth
from millstream.state.model.declarations import Identifier, People, Trait
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.segment.settings import SegmentSettings

AT_ONCE = 8
A_PART = 2_000
"""Profiles after which those asked for are loaded, so that a pull that is killed goes on there."""

LOOKBACK = timedelta(hours=1)
"""Events may reach a profile late."""

_TRAITS_A_REQUEST = 200
_IDS_A_REQUEST = 100
_SEPARATOR = "\n"
_JOINING = {"user_id": "user_ids", "anonymous_id": "anonymous_ids", "email": "emails", "phone": "phones"}
"""Types of external ids that join records, and the columns that hold them."""

_NOBODY = "user_id:millstream-check"


class SpaceAuth(AuthBase):
    """The space's access token as the user of HTTP Basic."""

    def __init__(self, token: SecretStr | None) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        if self._token is None:
            return request
        return BasicAuth(self._token.get_secret_value(), SecretStr(""))(request)


class ProfileReader:
    """Asks for profiles.

    Args:
        settings: Which space, which ids, how often.
    """

    def __init__(self, settings: SegmentSettings) -> None:
        self._settings = settings
        self._wanted: list[tuple[str, datetime | None]] | None = None
        selected = settings.streams is None or profile_events.NAME in settings.streams
        self._events_read = not (settings.profile_events and selected)

    def streams(self) -> tuple[Stream, ...]:
        """What profiles did, and the profiles; these last, since they say from when on the others are read."""
        events = profile_events.stream(self._read_events, self._settings) if self._settings.profile_events else None
        return (*filter(None, [events]), self._profiles())

    def _profiles(self) -> Stream:
        columns = (
            Column("profile_id", description="As it was asked for: user_id:u-42.", required=True),
            Column("asked_at", "timestamp", required=True),
            Column("found", "bool", "Whether the space has such a profile.", required=True),
            *(Column(name, description="One a line.", optional=True) for name in _JOINING.values()),
            Column("traits", "json", optional=True),
            Column("external_ids", "json", "All, with their types.", optional=True),
            *(Column(trait_column(name), optional=True) for name in self._settings.traits),
        )
        return Stream(
            name="profiles",
            description="One row a profile that was asked for.",
            primary_key=("profile_id",),
            columns=columns,
            read=self._read,
            resumable=True,
            people=self._people(),
        )

    def _people(self) -> People:
        kinds = {**{kind: kind for kind in _JOINING}, "user_id": self._settings.user_id_kind}
        traits = ((name, trait_type(said)) for name, said in self._settings.traits.items())
        return People(
            identifiers=tuple(
                Identifier(kind=kinds[kind], column=column, split=_SEPARATOR) for kind, column in _JOINING.items()
            ),
            traits=tuple(Trait(name=said.name, column=trait_column(name), type=said.type) for name, said in traits),
            observed_at="asked_at",
        )

    def probe(self, pull: Pull) -> None:
        """Ask for somebody whom the space does not know: only a token that is good is told so."""
        try:
            pull.get(self._path(_NOBODY, "metadata"))
        except NotFoundError:
            return

    # -- which ones --------------------------------------------------------------------------------------------

    def _read(self, pull: Pull) -> Iterator[Page]:
        if pull.is_backfill:
            return
        wanted = yield from self._those_wanted(pull)
        if not self._events_read:
            pull.warn("profiles are not asked for before their events could be read.")
            return
        ids = [profile_id for profile_id, _ in wanted]
        for start in range(0, len(ids), A_PART):
            part = ids[start : start + A_PART]
            yield [row for _, row in in_order(lambda one: self._profile(pull, one), part, at_once=AT_ONCE)]
            if pull.stored is not None and start + A_PART < len(ids):
                yield pull.until_loaded()

    def _read_events(self, pull: Pull) -> Iterator[Page]:
        if pull.is_backfill:
            return
        wanted = yield from self._those_wanted(pull)
        for _, rows in in_order(lambda one: self._events(pull, *one), wanted, at_once=AT_ONCE):
            yield rows
        self._events_read = True

    def _those_wanted(self, pull: Pull) -> Generator[Page, None, list[tuple[str, datetime | None]]]:
        """The profiles to ask for in this pull, the same for both streams; and when each was asked for before."""
        # With empty notes everything is asked for: so it is at first, and when all is to be read again.
        anew = "begun" not in pull.state
        pull.state["begun"] = True
        if pull.stored is not None:
            yield pull.until_loaded()  # users who were first heard of in this pull
        if self._wanted is None:
            due = self._due(pull, anew=anew)
            self._wanted = due[: self._settings.profiles_a_pull]
            if len(due) > len(self._wanted):
                pull.warn(f"{len(due) - len(self._wanted)} profiles are left to the next pulls (profiles_a_pull).")
        return self._wanted

    def _due(self, pull: Pull, *, anew: bool) -> list[tuple[str, datetime | None]]:
        """Profiles that were never asked for, or long ago: these last, and the oldest of them first."""
        ids = dict.fromkeys(self._settings.profile_ids)
        asked: dict[str, datetime] = {}
        if pull.stored is not None:
            users = pull.stored.rows("users", columns=["user_id"]).to_pylist()
            ids |= dict.fromkeys(f"user_id:{row['user_id']}" for row in users if row["user_id"])
            known = pull.stored.rows("profiles", columns=["profile_id", "asked_at"]).to_pylist()
            asked = {row["profile_id"]: _aware(row["asked_at"]) for row in known}
        fresh = pull.pulled_at - timedelta(days=self._settings.profile_refresh_days)
        never = datetime.min.replace(tzinfo=UTC)
        due = sorted(
            (one for one in ids if anew or asked.get(one, never) <= fresh), key=lambda one: asked.get(one, never)
        )
        return [(one, None if anew else asked.get(one)) for one in due]

    # -- one of them -------------------------------------------------------------------------------------------

    def _profile(self, pull: Pull, profile_id: str) -> Row:
        row: Row = {"profile_id": profile_id, "asked_at": datetime.now(UTC), "found": False}
        try:
            traits = self._traits(pull, profile_id)
            ids = self._external_ids(pull, profile_id)
        except NotFoundError:
            return row
        row |= {"found": True, "traits": traits, "external_ids": ids}
        row |= {trait_column(name): text(traits.get(name)) for name in self._settings.traits}
        kind, _, value = profile_id.partition(":")
        said = [(kind, value), *((str(one.get("type")), str(one.get("id") or "")) for one in ids)]
        for one, column in _JOINING.items():
            values = dict.fromkeys(value for kind, value in said if kind == one and value)
            row[column] = _SEPARATOR.join(values) or None
        return row

    def _traits(self, pull: Pull, profile_id: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for body in self._answers(pull, profile_id, "traits", _TRAITS_A_REQUEST):
            traits = body.get("traits")
            if not isinstance(traits, dict):
                raise MalformedAnswerError("A profile's traits came without `traits`.", remedy="check the base_url.")
            found |= traits
        return found

    def _external_ids(self, pull: Pull, profile_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for body in self._answers(pull, profile_id, "external_ids", _IDS_A_REQUEST):
            ids = body.get("data")
            if not isinstance(ids, list):
                raise MalformedAnswerError("A profile's ids came without `data`.", remedy="check the base_url.")
            found += [one for one in ids if isinstance(one, dict)]
        return found

    def _events(self, pull: Pull, profile_id: str, before: datetime | None) -> list[Row]:
        """What a profile did since it was asked for the last time, and a little more."""
        earliest = pull.pulled_at - timedelta(days=EVENT_DAYS)
        since = max(earliest, before - LOOKBACK) if before else earliest
        window = {"start": since.isoformat(timespec="seconds").replace("+00:00", "Z"), "sort": "asc"}
        rows: list[Row] = []
        try:
            for body in self._answers(pull, profile_id, "events", _IDS_A_REQUEST, window):
                found = body.get("data")
                if not isinstance(found, list):
                    raise MalformedAnswerError("A profile's events came without `data`.", remedy="check the base_url.")
                rows += profile_events.rows(profile_id, found)
        except NotFoundError:
            return []
        return rows

    def _answers(
        self, pull: Pull, profile_id: str, what: str, limit: int, more: Mapping[str, str] | None = None
    ) -> Iterator[Mapping[str, Any]]:
        asked = {"limit": limit, **(more or {})}
        params: dict[str, Any] = dict(asked)
        used: set[str] = set()
        while True:
            body = pull.get(self._path(profile_id, what), params)
            if not isinstance(body, dict):
                raise MalformedAnswerError("A profile came as something else than an object.")
            yield body
            cursor = body.get("cursor") or {}
            following = str(cursor.get("next") or "")
            if not cursor.get("has_more") or not following:
                return
            if following in used:
                raise MalformedAnswerError("A profile's pages lead in a circle.")
            used.add(following)
            params = {**asked, "next": following}

    def _path(self, profile_id: str, what: str) -> str:
        """Ids are written in small letters, and everything odd in them is escaped."""
        kind, _, value = profile_id.partition(":")
        space, kind, value = (
            quote(part, safe="") for part in (self._settings.profile_space or "", kind, value.lower())
        )
        return f"v1/spaces/{space}/collections/users/profiles/{kind}:{value}/{what}"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_of(answer: Answer) -> MillstreamError | None:
    """The vendor's words for what went wrong."""
    if answer.status_code not in (400, 401, 403, 404):
        return None
    said = answer.facts().get("error")
    if not isinstance(said, dict):
        return None
    what = f"Segment refused with {said.get('code')}: {redact(str(said.get('message') or 'no reason given'))[:300]}"
    if answer.status_code == 401 or said.get("code") == "authentication_error":
        return AuthenticationError(
            what,
            remedy="make a new access token for the space (Unify settings, API access). A space in the EU needs "
            "base_url https://profiles.euw1.segment.com.",
        )
    if answer.status_code == 403:
        return PermissionDeniedError(what, remedy="the token belongs to another space, or the plan lacks Unify.")
    if answer.status_code == 404:
        return NotFoundError(what, remedy="check profile_space and base_url.")
    return RefusedError(what, status=answer.status_code, remedy="check profile_space and profile_ids.")
