"""Tags and lists: how a sync's audience is found, made and read."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from millstream.destinations.activecampaign.answers import is_duplicate, suppress_duplicates
from millstream.destinations.activecampaign.paging import contacts, pages
from millstream.destinations.activecampaign.settings import ActiveCampaignSettings
from millstream.destinations.http import Http
from millstream.state.errors import ConfigurationError, NotFoundError, RefusedError


@dataclass(frozen=True)
class Audience:
    """A tag or a list; ``str`` gives the id that the engine keeps."""

    kind: Literal["tag", "list"]
    number: str

    @classmethod
    def parse(cls, audience_id: str) -> Audience:
        """What ``str`` gave."""
        kind, _, number = audience_id.rpartition(":")
        return cls("list" if kind == "list" else "tag", number)

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}"


class Audiences:
    """The account's tags and lists.

    Args:
        http: The engine's HTTP for the account.
        settings: Say which of both audiences are, and what a list that is made says of its sender.
    """

    def __init__(self, http: Http, settings: ActiveCampaignSettings) -> None:
        self._http = http
        self._settings = settings
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def ensure(self, name: str) -> Audience:
        """The tag or list with this name; made when missing."""
        return self._ensure_tag(name) if self._settings.audience_kind == "tag" else self._ensure_list(name)

    def tag_name(self, number: str) -> str:
        """A tag's name, by which imports put it on."""
        with self._lock:
            if number not in self._names:
                self._names[number] = str(self._http.get(f"/tags/{number}")["tag"]["tag"])
            return self._names[number]

    def require_tag(self, number: str) -> None:
        """Tell a missing person from a missing tag: both are 404.

        Raises:
            NotFoundError: The account has no such tag.
        """
        try:
            self._http.get(f"/tags/{number}")
        except NotFoundError as error:
            raise NotFoundError(
                f"The account has no tag {number}.",
                where="activecampaign",
                remedy="it was deleted: run again, and it is made anew.",
            ) from error

    def members(self, audience: Audience) -> Iterator[Mapping[str, Any]]:
        """Contacts with the tag, or those who are subscribed to the list."""
        by_tag, by_list = {"tagid": audience.number}, {"listid": audience.number, "status": 1}
        return contacts(self._http, by_tag if audience.kind == "tag" else by_list)

    def _ensure_tag(self, name: str) -> Audience:
        found = _named(name, pages(self._http, "/tags", "tags", {"search": name}), "tag")
        if found is None:
            body = {"tag": name, "tagType": "contact", "description": ""}
            try:
                found = self._http.post("/tags", {"tag": body})["tag"]
            except RefusedError as error:
                if not is_duplicate(error):
                    raise
                # Made by another process, or not found by the search for its name.
                found = _named(name, pages(self._http, "/tags", "tags"), "tag")
                if found is None:
                    raise
        number = str(found["id"])
        with self._lock:
            # As the account spells it: imports put tags on by their names.
            self._names[number] = str(found.get("tag") or name)
        return Audience("tag", number)

    def _ensure_list(self, name: str) -> Audience:
        found = _named(name, pages(self._http, "/lists", "lists", {"filters[name]": name}), "name")
        return Audience("list", str(found["id"]) if found else self._make_list(name))

    def _make_list(self, name: str) -> str:
        settings = self._settings
        if not (settings.list_sender_url and settings.list_sender_reminder and settings.list_group_ids):
            raise ConfigurationError(
                f"The account has no list {name!r}.",
                where="activecampaign",
                remedy="create it in ActiveCampaign; or give list_sender_url, list_sender_reminder and list_group_ids "
                "to have it made: without a group to see it, the next run would not find it either.",
            )
        body = {
            "name": name,
            "stringid": "-".join(name.lower().split()),
            "sender_url": settings.list_sender_url,
            "sender_reminder": settings.list_sender_reminder,
        }
        # Names may come twice, and one that no group may see is not found: a second request would make a second list.
        number = str(self._http.post("/lists", {"list": body}, replay=False)["list"]["id"])
        for group in settings.list_group_ids:
            with suppress_duplicates():
                self._http.post("/listGroups", {"listGroup": {"listid": int(number), "groupid": group}})
        return number


def _named(name: str, records: Iterable[Mapping[str, Any]], key: str) -> Mapping[str, Any] | None:
    """The record with this name; in upper and lower case alike where none has it as it is."""
    alike: Mapping[str, Any] | None = None
    for record in records:
        if str(record[key]) == name:
            return record
        if alike is None and str(record[key]).casefold() == name.casefold():
            alike = record
    return alike
