"""Static contact lists: how a sync's audience is found, made and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError

_LISTS = "/crm/v3/lists"
_CONTACT_TYPE = "0-1"


class Lists:
    """The portal's contact lists.

    Args:
        http: The engine's HTTP for the portal.
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    def ensure(self, name: str) -> str:
        """The id of the static list with this name; made when missing.

        Raises:
            ConfigurationError: The list of this name is dynamic.
        """
        found = self._find(name)
        if found is None:
            body = {"name": name, "objectTypeId": _CONTACT_TYPE, "processingType": "MANUAL"}
            try:
                found = self._http.post(_LISTS, body)["list"]
            except RefusedError:
                # Names are unique: refused when another process, or a request whose answer was lost, made it, or
                # when the look-up by name did not find it: a slash in a path does not come through everywhere.
                found = self._search(name)
                if found is None:
                    raise
        if found.get("processingType") == "DYNAMIC":
            raise ConfigurationError(
                f"HubSpot's list {name!r} is dynamic: it fills itself, nobody can be put into it.",
                where="hubspot",
                remedy="give the sync another name in 'into', or rename the list in HubSpot.",
            )
        return str(found["listId"])

    def change(self, list_id: str, action: str, record_ids: Sequence[str]) -> set[str]:
        """Add to or remove from a list, and give the record ids that HubSpot does not have."""
        if not record_ids:
            return set()
        path = f"{_LISTS}/{list_id}/memberships/{action}"
        answer = self._http.request("PUT", path, body=list(dict.fromkeys(record_ids)))
        return {str(record_id) for record_id in (answer or {}).get("recordIdsMissing") or ()}

    def members(self, list_id: str) -> Iterator[str]:
        """Record ids of a list's members."""
        after: str | None = None
        while True:
            query = {"limit": 250} | ({"after": after} if after else {})
            answer = self._http.get(f"{_LISTS}/{list_id}/memberships", query)
            yield from (str(member["recordId"]) for member in answer["results"])
            after = ((answer.get("paging") or {}).get("next") or {}).get("after")
            if not after:
                return

    def _find(self, name: str) -> Mapping[str, Any] | None:
        try:
            answer = self._http.get(f"{_LISTS}/object-type-id/{_CONTACT_TYPE}/name/{quote(name, safe='')}")
        except NotFoundError:
            return None
        found: Mapping[str, Any] = answer["list"]
        return found

    def _search(self, name: str) -> Mapping[str, Any] | None:
        offset = 0
        while True:
            answer = self._http.post(f"{_LISTS}/search", {"query": name, "count": 500, "offset": offset})
            lists: Sequence[Mapping[str, Any]] = answer["lists"]
            contact_lists = (one for one in lists if one.get("objectTypeId", _CONTACT_TYPE) == _CONTACT_TYPE)
            found = next((one for one in contact_lists if str(one["name"]).casefold() == name.casefold()), None)
            if found is not None or not answer.get("hasMore"):
                return found
            offset = int(answer["offset"])
