"""The stream ``users``: what is known of each user now, put together from all that was said of them.

A call says only what is new, so that a user's row is the stored one with the newer traits over it. Within one pull,
rows that are not stored yet are kept at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from millstream.sources.contract import Page, Row
from millstream.sources.from_project import TraitSettings, column_name
from millstream.sources.receiving import SpoolReader
from millstream.sources.segment.rows import happened_at, part, text

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.segment.settings import SegmentSettings

_PARTS = ("traits", "consent")
MOST_AT_HAND = 50_000
"""Users after which those at hand are loaded, so that memory does not grow with a first load."""

STANDARD = {
    "firstName": "first_name",
    "lastName": "last_name",
    "name": "full_name",
    "gender": "gender",
    "birthday": "birthday",
    "title": "job_title",
    "phone": "phone",
}
"""Traits that Segment's spec names, and their columns."""

_ADDRESS = {"city": "city", "state": "region", "postalCode": "postal_code", "country": "country"}


def trait_column(name: str) -> str:
    """The column of a trait that the settings name."""
    return f"trait_{column_name(name)}"


def consent_column(category: str) -> str:
    """The column of a consent category."""
    return f"consent_{column_name(category)}"


class UserReader:
    """Reads the stream.

    Args:
        settings: Which traits and consents are wanted.
        spool: Where messages are.
    """

    def __init__(self, settings: SegmentSettings, spool: SpoolReader) -> None:
        self._settings = settings
        self._spool = spool
        self._at_hand: dict[str, Row] = {}

    def read(self, pull: Pull) -> Iterator[Page]:
        """Pages of users of whom something was said."""
        # Consents are stamped on every call, traits only on those that are about users.
        kinds = ("identify", "track", "page", "screen", "group") if self._settings.consents else ("identify", "group")
        for page in self._spool.pages(pull, kinds, self._said):
            self._fetch(pull, {row["user_key"] for row in page})
            changed: dict[str, Row] = {}
            for said in sorted(page, key=lambda row: row["observed_at"]):
                key = said["user_key"]
                changed[key] = self._at_hand[key] = merged(self._at_hand.get(key), said)
            yield [self._row(row) for row in changed.values()]
            if len(self._at_hand) > MOST_AT_HAND and pull.stored is not None and not pull.is_backfill:
                yield pull.until_loaded()
                self._at_hand.clear()

    def _said(self, record: dict[str, Any]) -> list[Row]:
        """What one call says of its user; nothing where it is only an event."""
        message = record["message"]
        kind = message["type"]
        traits = part(message, "traits") if kind == "identify" else {}
        consent = part(message, "context", "consent")
        preferences = consent.get("categoryPreferences", consent.get("categoryPreference"))
        said = {
            "traits": traits,
            "consent": preferences if isinstance(preferences, dict) else {},
            "group_id": text(message.get("groupId")) if kind == "group" else None,
        }
        if kind != "identify" and not any(said.values()):
            return []
        user, anonymous = text(message.get("userId")), text(message.get("anonymousId"))
        key = f"user_id:{user}" if user else f"anonymous_id:{anonymous}"
        moment = happened_at(record)
        return [{"user_key": key, "user_id": user, "anonymous_id": anonymous, "observed_at": moment, **said}]

    def _fetch(self, pull: Pull, keys: set[str]) -> None:
        """Have the stored rows of users at hand."""
        missing = sorted(keys - set(self._at_hand))
        if pull.stored is None or not missing:
            return
        for table in pull.stored.rows_of_keys(pull.stream.name, pa.table({"user_key": missing})):
            for stored in table.to_pylist():
                self._at_hand[stored["user_key"]] = _as_said(stored)

    def _row(self, user: Row) -> Row:
        """A user's row with the columns that the settings and the spec name."""
        traits, consent = user["traits"], user["consent"]
        address = traits.get("address")
        address = address if isinstance(address, dict) else {}
        company = traits.get("company")
        row: Row = {column: text(traits.get(name)) for name, column in STANDARD.items()}
        row |= {column: text(address.get(name)) for name, column in _ADDRESS.items()}
        row |= {"email": text(traits.get("email")), "created_at": text(traits.get("createdAt"))}
        row["company"] = text(company.get("name")) if isinstance(company, dict) else text(company)
        row |= {trait_column(name): text(traits.get(name)) for name in self._wanted()}
        row |= {consent_column(name): _yes_or_no(consent.get(name)) for name in self._settings.consents}
        return {**row, **user}

    def _wanted(self) -> Iterator[str]:
        yield from self._settings.traits
        yield from (name for name in self._settings.identifiers if name not in self._settings.traits)


def merged(known: Row | None, said: Row) -> Row:
    """A user as known, and what was said: of each trait and category the later counts; what only one says stays."""
    if known is None:
        return {**said, "said_at": {}}
    early, late = sorted((known, said), key=lambda row: row["observed_at"])
    row = {
        "user_key": known["user_key"],
        "user_id": late["user_id"] or early["user_id"],
        "anonymous_id": late["anonymous_id"] or early["anonymous_id"],
        "group_id": late["group_id"] or early["group_id"],
        "observed_at": late["observed_at"],
        "said_at": {},
    }
    for section in _PARTS:
        times: dict[str, datetime] = {}
        row[section] = {}
        for name, value, at in (*_said_in(early, section), *_said_in(late, section)):
            if name not in times or at >= times[name]:
                row[section][name], times[name] = value, at
        row["said_at"][section] = {name: at for name, at in times.items() if at != row["observed_at"]}
    return row


def _said_in(row: Row, section: str) -> Iterator[tuple[str, Any, datetime]]:
    """The traits or categories of a row, and when each was said: with the row itself, unless it was before."""
    before: Mapping[str, datetime] = row.get("said_at", {}).get(section, {})
    yield from ((name, value, before.get(name, row["observed_at"])) for name, value in row[section].items())


def _as_said(stored: Mapping[str, Any]) -> Row:
    """A stored row as one that was just said."""
    row = {name: stored.get(name) for name in ("user_key", "user_id", "anonymous_id", "group_id")}
    row |= {name: _document(stored.get(name)) for name in _PARTS}
    before = {
        section: {name: datetime.fromisoformat(at) for name, at in times.items()}
        for section, times in _document(stored.get("said_at")).items()
    }
    observed = stored["observed_at"]
    assert isinstance(observed, datetime)
    return {**row, "said_at": before, "observed_at": observed if observed.tzinfo else observed.replace(tzinfo=UTC)}


def _document(value: Any) -> dict[str, Any]:
    found = orjson.loads(value) if isinstance(value, str | bytes) else value
    return found if isinstance(found, dict) else {}


def _yes_or_no(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def trait_type(said: str | TraitSettings) -> TraitSettings:
    """A trait of the settings, with its type."""
    return TraitSettings(name=said) if isinstance(said, str) else said
