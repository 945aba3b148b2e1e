"""Audiences of the ad account: found by name, made where there is none, and looked at before people go in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millstream.destinations.http import Http
from millstream.destinations.meta_custom_audiences.settings import MetaCustomAudiencesSettings
from millstream.state.errors import ConfigurationError

_FIELDS = "id,name,subtype,operation_status,data_source"
_FLAGGED = 471
_OF_ONE_KEY = "HASHES_OR_USER_IDS"
_PAGE = 200


class Audiences:
    """Custom audiences of one ad account.

    Attributes:
        of_one_key: Ids of those, of all looked at, that were made with a single key.

    Args:
        http: Calls the vendor.
        settings: The account, and what Meta wants to know of new audiences.
    """

    def __init__(self, http: Http, settings: MetaCustomAudiencesSettings) -> None:
        self._http = http
        self._settings = settings
        self.of_one_key: set[str] = set()
        self._path = f"{settings.version}/{settings.account}/customaudiences"

    def ensure(self, name: str, *, keys: int) -> str:
        """The id of the audience with this name; the oldest where there are several.

        Args:
            name: Its name. Meta does not keep names from being there twice.
            keys: How many columns rows are going to have.

        Raises:
            ConfigurationError: People cannot be put into it.
        """
        found = self._find(name)
        if found is None:
            made = str(self._make(name)["id"])
            # Another process may have made one at the same time: all take the oldest.
            found = self._find(name)
            return made if found is None else min(made, str(found["id"]), key=int)
        _check(found, name)
        if (found.get("data_source") or {}).get("sub_type") == _OF_ONE_KEY:
            if keys > 1:
                raise ConfigurationError(
                    f"Meta's audience {name!r} was made with a single key, and takes no rows of {keys} columns.",
                    remedy="take the fields out of the sync, or name another audience in 'into'.",
                )
            self.of_one_key.add(str(found["id"]))
        return str(found["id"])

    def _find(self, name: str) -> Mapping[str, Any] | None:
        named = [one for one in self._all() if one.get("name") == name]
        uploads = [one for one in named if one.get("subtype", "CUSTOM") == "CUSTOM"]
        return min(uploads or named, key=lambda one: int(one["id"]), default=None)

    def _make(self, name: str) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self._http.post(
            self._path,
            {
                "name": name,
                "description": "Kept in step by Millstream.",
                "subtype": "CUSTOM",
                "customer_file_source": self._settings.customer_file_source,
            },
        )
        return made

    def _all(self) -> Iterator[Mapping[str, Any]]:
        params: dict[str, object] = {"fields": _FIELDS, "limit": _PAGE}
        while True:
            page = self._http.get(self._path, params)
            yield from page.get("data") or ()
            paging = page.get("paging") or {}
            after = (paging.get("cursors") or {}).get("after")
            # The link to the next page would carry the token to wherever it leads: only its cursor is taken.
            if not paging.get("next") or not after:
                return
            params = {**params, "after": after}


def _check(audience: Mapping[str, Any], name: str) -> None:
    subtype = audience.get("subtype", "CUSTOM")
    if subtype != "CUSTOM":
        raise ConfigurationError(
            f"Meta's audience {name!r} is of type {subtype}, which takes no people.",
            remedy="name another audience in the sync's 'into'.",
        )
    if (audience.get("operation_status") or {}).get("code") == _FLAGGED:
        raise ConfigurationError(
            f"Meta has flagged the audience {name!r}, and lets nobody be put in or taken out.",
            remedy="appeal in Meta's Audience Manager, or name another audience in the sync's 'into'.",
        )
