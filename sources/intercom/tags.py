"""Tags: the workspace's catalogue, and which of them a contact has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Row
from millstream.sources.pull import records_at
from millstream.state.errors import NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

ENDPOINT = Endpoint(path="tags", records="data")
COLUMNS = (
    Column("id", required=True),
    Column("name"),
)


class Tags:
    """Names of tags; asked for once a pull, when the first one is met."""

    def __init__(self) -> None:
        self._names: dict[str, str] | None = None

    def names(self, pull: Pull, tag_ids: list[str]) -> list[str]:
        """The names of these tags; the id where the name is not known."""
        if tag_ids and self._names is None:
            self._names = self._ask(pull)
        return [(self._names or {}).get(one, one) for one in tag_ids]

    def of_contact(self, pull: Pull, contact: Mapping[str, Any]) -> list[str]:
        """The tags of a contact, of whom a row tells only the first ten."""
        told = contact.get("tags") or {}
        tags = told.get("data") or []
        if told.get("has_more"):
            endpoint = Endpoint(path=f"contacts/{contact.get('id')}/tags", records="data")
            # A contact that was merged or deleted since: the ten will do.
            with suppress(NotFoundError):
                tags = records_at(pull.get(endpoint.path), endpoint)
        return [str(tag["id"]) for tag in tags]

    def _ask(self, pull: Pull) -> dict[str, str]:
        try:
            return {str(tag["id"]): str(tag.get("name")) for tag in records_at(pull.get(ENDPOINT.path), ENDPOINT)}
        except PermissionDeniedError as error:
            pull.warn(f"Contacts have ids of tags in place of names: {error.what}")
            return {}


def shape_tag(tag: Mapping[str, Any]) -> Row:
    """A tag as a row."""
    return {name: tag[name] for name in ("id", "name") if name in tag}
