"""User lists of the account: found by name, made where there is none, and looked at before people go in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millstream.destinations.google_ads_customer_match.settings import GoogleAdsCustomerMatchSettings
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError, RefusedError

CONTACT_DATA = "CONTACT_ID"
_PAGE = 1000
_DAY = 86_400


class UserLists:
    """User lists of one account.

    Args:
        http: Calls the vendor.
        settings: The account and the way to it.
    """

    def __init__(self, http: Http, settings: GoogleAdsCustomerMatchSettings) -> None:
        self._http = http
        self._settings = settings
        self.path = f"v1/{settings.account}/userLists"

    def ensure(self, name: str) -> str:
        """The id of the list with this name.

        Raises:
            ConfigurationError: People cannot be put into it.
        """
        found = self._find(name)
        if found is not None:
            _check(found, name)
            return str(found["id"])
        try:
            return str(self._make(name)["id"])
        except RefusedError:
            # The name is taken: another process made the list first.
            found = self._find(name)
            if found is None:
                raise
            return str(found["id"])

    def probe(self) -> None:
        """Read one list."""
        self._page({"pageSize": 1})

    def of_contact_data(self) -> list[str]:
        """Ids of all lists that people can be taken out of by their contact data."""
        return [str(one["id"]) for one in self._all({}) if CONTACT_DATA in _key_types(one) and not one.get("readOnly")]

    def _find(self, name: str) -> Mapping[str, Any] | None:
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        named = [one for one in self._all({"filter": f'display_name = "{quoted}"'}) if one.get("displayName") == name]
        # Names of open lists are there once; a closed one may have had the same.
        return min(named, key=lambda one: one.get("membershipStatus") == "CLOSED", default=None)

    def _make(self, name: str) -> Mapping[str, Any]:
        user_list: dict[str, object] = {
            "displayName": name,
            "description": "Kept in step by Millstream.",
            "ingestedUserListInfo": {
                "uploadKeyTypes": [CONTACT_DATA],
                "contactIdInfo": {"dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"},
            },
        }
        if self._settings.membership_days:
            user_list["membershipDuration"] = f"{self._settings.membership_days * _DAY}s"
        made: Mapping[str, Any] = self._http.post(self.path, user_list, headers=self._settings.headers())
        return made

    def _all(self, params: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
        query: dict[str, object] = {"pageSize": _PAGE, **params}
        while True:
            page = self._page(query)
            yield from page.get("userLists") or ()
            token = page.get("nextPageToken")
            if not token:
                return
            query["pageToken"] = token

    def _page(self, params: Mapping[str, object]) -> Mapping[str, Any]:
        page: Mapping[str, Any] = self._http.request("GET", self.path, params=params, headers=self._settings.headers())
        return page or {}


def _check(user_list: Mapping[str, Any], name: str) -> None:
    kinds = _key_types(user_list)
    other = "name another list in the sync's 'into', or one that is not there yet."
    if CONTACT_DATA not in kinds:
        what = f"Google's user list {name!r} holds {', '.join(kinds) or 'no uploads'}, not contact data."
        raise ConfigurationError(what, remedy=other)
    if user_list.get("membershipStatus") == "CLOSED":
        raise ConfigurationError(f"Google's user list {name!r} is closed.", remedy="open it again in Google Ads.")
    if user_list.get("readOnly") or user_list.get("accountAccessStatus") == "DISABLED":
        raise ConfigurationError(f"Google's user list {name!r} cannot be changed from this account.", remedy=other)


def _key_types(user_list: Mapping[str, Any]) -> list[str]:
    return [str(kind) for kind in (user_list.get("ingestedUserListInfo") or {}).get("uploadKeyTypes") or ()]
