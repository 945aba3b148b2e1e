"""Lists: how a sync's audience is found, made, changed and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from millstream.destinations.contract import Member
from millstream.destinations.klaviyo.answers import faults_of, items_of
from millstream.destinations.klaviyo.api import (
    ADD_TO_LIST,
    FIND_LIST,
    MAKE_LIST,
    READ_LIST,
    TAKE_FROM_LIST,
    Api,
    Endpoint,
)
from millstream.destinations.klaviyo.profiles import IDENTIFIERS, Profiles, one_of
from millstream.state.errors import RefusedError

_LIST_PAGE = 10


class Lists:
    """The account's lists.

    Args:
        api: Calls endpoints.
        profiles: The account's profiles.
    """

    def __init__(self, api: Api, profiles: Profiles) -> None:
        self._api = api
        self._profiles = profiles

    def ensure(self, name: str) -> str:
        """The id of the list with this name, the oldest where there are several; made when missing."""
        found = self._find(name)
        if found is not None:
            return found
        body = {"data": {"type": "list", "attributes": {"name": name}}}
        made = str(self._api.call(MAKE_LIST, body=body)["data"]["id"])
        # Names are not unique: another process, or a request whose answer was lost, may have made one as well.
        return self._find(name) or made

    def add(self, list_id: str, profile_ids: Sequence[str]) -> set[str]:
        """Put profiles into a list, and give the ids of those that Klaviyo does not have."""
        return self._change(ADD_TO_LIST, list_id, profile_ids)

    def take_out(self, list_id: str, profile_ids: Sequence[str]) -> set[str]:
        """Take profiles out of a list, and give the ids of those that Klaviyo does not have. Consent stays."""
        return self._change(TAKE_FROM_LIST, list_id, profile_ids)

    def members(self, list_id: str) -> Iterator[Member]:
        """A list's members by all their identifiers."""
        for found in self._api.pages(READ_LIST, of=list_id, params={"fields[profile]": ",".join(IDENTIFIERS)}):
            facts = found["attributes"]
            names = (str(facts[name]) for name in IDENTIFIERS if facts.get(name))
            yield Member(tuple(name.lower() if "@" in name else name for name in names), str(found["id"]))

    def _find(self, name: str) -> str | None:
        query = {"filter": f"equals(name,{one_of(name)})", "sort": "created", "page[size]": _LIST_PAGE}
        found: Sequence[Any] = self._api.call(FIND_LIST, params=query)["data"]
        return str(found[0]["id"]) if found else None

    def _change(self, endpoint: Endpoint, list_id: str, profile_ids: Sequence[str]) -> set[str]:
        wanted = list(dict.fromkeys(profile_ids))
        if not wanted:
            return set()
        try:
            self._send(endpoint, list_id, wanted)
        except RefusedError as error:
            # One that is gone has the whole request refused: ask once who is there, instead of losing one at a time.
            if not items_of(faults_of(error.body)):
                raise
            there = self._profiles.ids_by("id", wanted)
            rest = [profile_id for profile_id in wanted if profile_id in there]
            if len(rest) == len(wanted):
                raise
            if rest:
                self._send(endpoint, list_id, rest)
            return set(wanted) - set(rest)
        return set()

    def _send(self, endpoint: Endpoint, list_id: str, profile_ids: Sequence[str]) -> None:
        body = {"data": [{"type": "profile", "id": profile_id} for profile_id in profile_ids]}
        self._api.call(endpoint, of=list_id, body=body)
