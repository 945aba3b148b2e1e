"""Subscription groups: how people stand with one, before anybody is put into it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome, suppressed
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError

_MOST = 50
_LARGEST_PAGE = 100
_SHARED = ("email", "phone")
_UNSUBSCRIBED = "unsubscribed"
_LEFT = suppressed(_UNSUBSCRIBED, "The person unsubscribed from the subscription group.")


class GroupStates:
    """Reads states of subscription groups.

    Args:
        http: The engine's HTTP for the workspace.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def require(self, group: str) -> None:
        """Make sure that there is a group with this id: they are made in the dashboard, and not listed by API.

        Raises:
            ConfigurationError: There is none.
        """
        try:
            self._by_id(group, ["nobody"])
        except (NotFoundError, RefusedError) as error:
            raise ConfigurationError(
                f"The workspace has no subscription group with the id {group!r}.",
                where="braze",
                remedy="create it in Braze, under Audience, Subscriptions, and give its API identifier in 'into'.",
            ) from error

    def kept_out(self, group: str, rows: Sequence[DeliveryRow], match_key: str) -> dict[str, Outcome]:
        """Outcomes of those who are unsubscribed from a group, themselves or under their address or number.

        Everybody with one address, or one number, is in a group or out of it together: to put in somebody new would
        put in again who had left.

        Raises:
            ConfigurationError: People are found by an alias, by which no state can be read.
        """
        if match_key == "user_alias":
            raise ConfigurationError(
                "States of subscription groups cannot be read by user_alias.",
                where="braze",
                remedy="match by external_id or email, or take another audience_kind.",
            )
        left: set[int] = set()
        if match_key == "external_id":
            ids = {row.match_value: row.number for row in rows}
            left |= {ids[name] for name in self._left_by_id(group, list(ids)) if name in ids}
        for shared in _SHARED:
            values = [(_folded(value), row.number) for row in rows if (value := _shared(row, shared, match_key))]
            gone = self._left_by(group, shared, [value for value, _ in values])
            left |= {number for value, number in values if value in gone}
        return {row.key: _LEFT for row in rows if row.number in left}

    def _left_by_id(self, group: str, ids: Sequence[str]) -> Iterator[str]:
        for some in _pieces(ids):
            states = self._by_id(group, some)
            yield from (name for name, state in states.items() if state.lower() == _UNSUBSCRIBED)

    def _by_id(self, group: str, ids: Sequence[str]) -> dict[str, str]:
        query = {"subscription_group_id": group, "external_id[]": list(ids)}
        answer = self._http.get("/subscription/status/get", query)
        return {str(name): str(state) for name, state in (answer.get("status") or {}).items()}

    def _left_by(self, group: str, shared: str, values: Sequence[str]) -> set[str]:
        return {
            _folded(str(user.get(shared)))
            for some in _pieces(sorted(set(values)))
            for user in self._users(shared, some)
            if any(_is_left(one, group) for one in user.get("subscription_groups") or ())
        }

    def _users(self, shared: str, values: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            query = {f"{shared}[]": list(values), "limit": _LARGEST_PAGE, "offset": offset}
            users: Sequence[Mapping[str, Any]] = self._http.get("/subscription/user/status", query).get("users") or ()
            yield from users
            offset += len(users)
            if len(users) < _LARGEST_PAGE:
                return


def _is_left(state: Mapping[str, Any], group: str) -> bool:
    return str(state.get("id")) == group and str(state.get("status")).lower() == _UNSUBSCRIBED


def _shared(row: DeliveryRow, shared: str, match_key: str) -> str | None:
    value = row.match_value if match_key == shared else row.fields.get(shared)
    return str(value) if value else None


def _folded(value: str) -> str:
    return value.strip().lower()


def _pieces(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _MOST] for start in range(0, len(values), _MOST))
