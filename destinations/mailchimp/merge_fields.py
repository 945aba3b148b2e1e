"""The merge fields of a list: what a sync may fill."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

from millstream.destinations.contract import DeliveryRow
from millstream.destinations.http import Http
from millstream.destinations.mailchimp.paging import pages
from millstream.state.errors import ConfigurationError

_MERGE_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,9}")


class MergeFields:
    """The merge fields of one list, read once.

    Args:
        http: The engine's HTTP for the account.
        list_path: The list's path.
    """

    def __init__(self, http: Http, list_path: str) -> None:
        self._http = http
        self._list = list_path

    def check(self, rows: Sequence[DeliveryRow]) -> None:
        """Stop on a merge tag that the list does not have: the vendor would drop its values in silence.

        Raises:
            ConfigurationError: A field that cannot be filled.
        """
        for tag in sorted(set().union(*(row.fields for row in rows))):
            if not _MERGE_TAG.fullmatch(tag):
                raise ConfigurationError(
                    f"{tag!r} is no merge tag (upper-case letters, digits, underscores; at most 10).",
                    where="mailchimp",
                )
            if tag not in self._types:
                raise ConfigurationError(
                    f"The list has no merge field {tag!r}.",
                    where="mailchimp",
                    allowed=sorted(self._types),
                    remedy="create it in the audience's settings, or map another.",
                )
            if self._types[tag] == "address":
                raise ConfigurationError(
                    f"Merge field {tag!r} is an address of several parts, which a sync cannot fill.",
                    where="mailchimp",
                    remedy="map the parts to text fields.",
                )

    @cached_property
    def _types(self) -> dict[str, str]:
        """Types by tag."""
        query = {"fields": "merge_fields.tag,merge_fields.type,total_items"}
        found = pages(self._http, f"{self._list}/merge-fields", "merge_fields", query)
        return {str(field["tag"]): str(field.get("type", "text")) for field in found}
