"""The merge fields of a list: what a sync may fill."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from millstream.destinations.contract import FieldType
from millstream.destinations.http import Http
from millstream.destinations.mailchimp.paging import pages
from millstream.state.errors import ConfigurationError

_MERGE_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")
_TYPES: Mapping[FieldType, str] = {
    "text": "text",
    "number": "number",
    "boolean": "text",
    "date": "date",
    "timestamp": "text",
}
"""Mailchimp knows neither booleans nor moments."""


class MergeFields:
    """The merge fields of one list, read once.

    Args:
        http: The engine's HTTP for the account.
        list_path: The list's path.
    """

    def __init__(self, http: Http, list_path: str) -> None:
        self._http = http
        self._list = list_path

    def missing(self, tags: Sequence[str]) -> list[str]:
        """Those that the list does not have: the vendor would drop their values in silence.

        Raises:
            ConfigurationError: One that cannot be filled.
        """
        for tag in tags:
            if not _MERGE_TAG.fullmatch(tag):
                raise ConfigurationError(
                    f"{tag!r} is no merge tag (upper-case letters, digits, underscores; at most 10).",
                    where="mailchimp",
                    allowed=sorted(self._types),
                )
            if self._types.get(tag) == "address":
                raise ConfigurationError(
                    f"Merge field {tag!r} is an address of several parts, which a sync cannot fill.",
                    where="mailchimp",
                    remedy="map the parts to text fields.",
                )
        return [tag for tag in tags if tag not in self._types]

    def create(self, tag: str, field_type: FieldType) -> None:
        """Make a merge field, which the list's own forms do not show."""
        body = {"tag": tag, "name": tag, "type": _TYPES[field_type], "public": False, "required": False}
        self._http.post(f"{self._list}/merge-fields", body, replay=False)

    @cached_property
    def _types(self) -> dict[str, str]:
        """Types by tag."""
        query = {"fields": "merge_fields.tag,merge_fields.type,total_items"}
        found = pages(self._http, f"{self._list}/merge-fields", "merge_fields", query)
        return {str(field["tag"]): str(field.get("type", "text")) for field in found}
