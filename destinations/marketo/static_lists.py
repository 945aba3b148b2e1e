"""Static lists: how a sync's audience is found, made and changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import orjson

from millstream.destinations.http import Form, Http
from millstream.destinations.marketo.leads import MOST_LEADS, pages
from millstream.destinations.marketo.settings import MarketoSettings
from millstream.state.errors import ConfigurationError, RefusedError
from millstream.state.vendors.marketo import code_of

_NOTHING_FOUND = "702"


class StaticLists:
    """The static lists of an instance.

    Args:
        http: The engine's HTTP for the instance.
        settings: Name the folder of new lists.
    """

    def __init__(self, http: Http, settings: MarketoSettings) -> None:
        self._http = http
        self._settings = settings

    def ensure(self, name: str) -> str:
        """The id of the static list with this name; made when missing.

        Raises:
            ConfigurationError: There is none, and no folder for one.
        """
        found = self._find(name)
        if found is not None:
            return found
        if self._settings.folder_id is None:
            raise ConfigurationError(
                f"Marketo has no static list {name!r}, and nothing says which folder a new one goes into.",
                where="marketo",
                remedy="set folder_id, or make the list in Marketo.",
            )
        folder = orjson.dumps({"id": self._settings.folder_id, "type": self._settings.folder_type}).decode()
        body = Form({"folder": folder, "name": name, "description": "Kept by Millstream."})
        try:
            made = self._http.post("/rest/asset/v1/staticLists.json", body)
        except RefusedError:
            # Names are unique: another process, or a request of ours whose answer was lost, made it first.
            found = self._find(name)
            if found is None:
                raise
            return found
        return str(made["result"][0]["id"])

    def change(
        self, action: Literal["POST", "DELETE"], list_id: str, ids: Sequence[str]
    ) -> dict[str, Mapping[str, Any]]:
        """Put leads into a list or take them out, and give the result of each by its id."""
        results: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(ids), MOST_LEADS):
            asked = {"id": list(ids[start : start + MOST_LEADS])}
            answer = self._http.request(action, f"/rest/v1/lists/{list_id}/leads.json", params=asked)
            results |= {str(result["id"]): result for result in answer["result"]}
        return results

    def members(self, list_id: str, fields: Sequence[str]) -> Iterator[Mapping[str, Any]]:
        """Leads in a list, with these fields of theirs."""
        query = {"fields": ",".join(fields), "batchSize": str(MOST_LEADS)}
        return pages(lambda token: self._http.get(f"/rest/v1/lists/{list_id}/leads.json", {**query, **token}))

    def _find(self, name: str) -> str | None:
        try:
            answer = self._http.get("/rest/asset/v1/staticList/byName.json", {"name": name})
        except RefusedError as error:
            if code_of(error) == _NOTHING_FOUND:
                return None
            raise
        found: Sequence[Mapping[str, Any]] = answer.get("result") or ()
        return str(found[0]["id"]) if found else None
