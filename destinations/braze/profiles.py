"""What is read about people before they are written: who is there, and whose address may be written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from millstream.destinations.braze.attributes import EMAIL
from millstream.destinations.braze.settings import BrazeSettings
from millstream.destinations.contract import DeliveryRow, Outcome, suppressed
from millstream.destinations.http import Http

MatchKey = Literal["external_id", "user_alias", "email"]
MOST_IDS = 50
_FIELDS = ["external_id", "user_aliases", "braze_id", "email", "email_subscribe"]
_UNSUBSCRIBED = "unsubscribed"
_LEFT = suppressed(_UNSUBSCRIBED, "The address unsubscribed, and no profile has it; a new one would be subscribed.")


@dataclass(frozen=True)
class Profile:
    """What Braze has of somebody.

    Attributes:
        braze_id: Its own id.
        email: The address, in lower case.
        unsubscribed: Whether the person unsubscribed from all mail.
    """

    braze_id: str
    email: str | None
    unsubscribed: bool


class Profiles:
    """Reads profiles and addresses.

    Args:
        exports: HTTP for look-ups of profiles, which have limits of their own.
        reads: HTTP for what shares the workspace's general limit.
        settings: Say what may be done with addresses.
    """

    def __init__(self, exports: Http, reads: Http, settings: BrazeSettings) -> None:
        self._exports = exports
        self._reads = reads
        self._settings = settings

    def find(self, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, list[Profile]]:
        """Profiles by match value; who is not there is left out. One address may be that of several profiles."""
        found: dict[str, list[Profile]] = {}
        for key, user in self._users(rows, cast(MatchKey, match_key)):
            email = user.get("email")
            state = str(user.get("email_subscribe") or "")
            profile = Profile(str(user["braze_id"]), email.lower() if email else None, state == _UNSUBSCRIBED)
            found.setdefault(key, []).append(profile)
        return found

    def rows_without_danger(
        self, rows: Sequence[DeliveryRow], known: Mapping[str, Sequence[Profile]]
    ) -> list[DeliveryRow]:
        """The rows, less addresses that would, or could, make somebody subscribed again who had unsubscribed.

        Args:
            rows: People who are not found by their address.
            known: Profiles of those among them who have an address to write.
        """
        return [row if self._may_write(row, known) else _without_email(row) for row in rows]

    def kept_out(self, rows: Sequence[DeliveryRow]) -> dict[str, Outcome]:
        """Outcomes of people found by an address that unsubscribed and has no profile: a new one would get mail."""
        if not self._settings.check_new_addresses:
            return {}
        left = [row for row in rows if row.external_id is None and self._has_unsubscribed(row.key)]
        there = self.find(left, EMAIL)
        return {row.key: _LEFT for row in left if row.key not in there}

    def _may_write(self, row: DeliveryRow, known: Mapping[str, Sequence[Profile]]) -> bool:
        if EMAIL not in row.fields:
            return True
        email = str(row.fields[EMAIL] or "").strip().lower()
        profile = next(iter(known.get(row.key, ())), None)
        if profile is None:
            return not (email and self._settings.check_new_addresses and self._has_unsubscribed(email))
        if profile.unsubscribed or (email and profile.email == email):
            return False
        return profile.email is None or self._settings.change_known_email

    def _has_unsubscribed(self, email: str) -> bool:
        """Whether the address unsubscribed, whoever has it."""
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
        found = self._reads.get("/email/unsubscribes", {"email": email, "end_date": tomorrow})
        return any(str(one.get("email", "")).lower() == email for one in found.get("emails") or ())

    def _users(self, rows: Sequence[DeliveryRow], match_key: MatchKey) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if match_key == "email":
            for row in rows:
                for user in self._exported({"email_address": row.match_value}):
                    yield row.key, user
            return
        for some in _pieces(rows):
            if match_key == "external_id":
                for user in self._exported({"external_ids": [row.match_value for row in some]}):
                    yield _folded(str(user.get("external_id"))), user
                continue
            label = self._settings.alias_label
            asked = [{"alias_name": row.match_value, "alias_label": label} for row in some]
            for user in self._exported({"user_aliases": asked}):
                for alias in user.get("user_aliases") or ():
                    if alias["alias_label"] == label:
                        yield _folded(str(alias["alias_name"])), user

    def _exported(self, who: Mapping[str, object]) -> Iterable[Mapping[str, Any]]:
        body = {**who, "fields_to_export": _FIELDS}
        users: Iterable[Mapping[str, Any]] = self._exports.post("/users/export/ids", body, replay=True)["users"]
        return users


def _pieces(rows: Sequence[DeliveryRow]) -> Iterator[Sequence[DeliveryRow]]:
    return (rows[start : start + MOST_IDS] for start in range(0, len(rows), MOST_IDS))


def _folded(match_value: str) -> str:
    return DeliveryRow(number=0, match_value=match_value, fields={}).key


def _without_email(row: DeliveryRow) -> DeliveryRow:
    fields = {name: value for name, value in row.fields.items() if name != EMAIL}
    return DeliveryRow(number=row.number, match_value=row.match_value, fields=fields, external_id=row.external_id)
