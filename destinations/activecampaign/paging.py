"""How ActiveCampaign pages its lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from millstream.destinations.http import Http

LARGEST_PAGE = 100


def pages(http: Http, path: str, records: str, query: Mapping[str, Any] | None = None) -> Iterator[Mapping[str, Any]]:
    """Records of all pages, each once: not every endpoint says that it takes ``offset``."""
    seen: set[str] = set()
    while True:
        page = http.get(path, {**(query or {}), "limit": LARGEST_PAGE, "offset": len(seen)})[records]
        new = [record for record in page if str(record["id"]) not in seen]
        yield from new
        seen.update(str(record["id"]) for record in new)
        if len(page) < LARGEST_PAGE or not new:
            return


def contacts(http: Http, query: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Contacts in order of their ids, each page from the last id of the one before: quick also for long lists."""
    last = "0"
    while True:
        step = {"orders[id]": "ASC", "id_greater": last, "limit": LARGEST_PAGE}
        page = http.get("/contacts", {**query, **step})["contacts"]
        yield from page
        if len(page) < LARGEST_PAGE:
            return
        last = str(page[-1]["id"])
