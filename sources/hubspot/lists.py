"""Lists, who is on them, and owners: small catalogues that are read whole, since what left them leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Row
from millstream.sources.hubspot.crm import by_after, must
from millstream.sources.pull import records_at
from millstream.state.errors import ConfigurationError, IncompleteError

if TYPE_CHECKING:
    from millstream.sources.hubspot.settings import HubSpotSettings
    from millstream.sources.pull import Pull

LISTS_PATH = "crm/v3/lists"
LIST_COUNT = 500
MEMBER_LIMIT = 250
OWNERS = Endpoint(path="crm/v3/owners", records="results", params={"limit": 100}, paging=by_after)

CONTACT_TYPE = "0-1"
"""HubSpot's object type id of contacts."""

LIST_COLUMNS = (
    Column("id", description="The list's id.", required=True),
    Column("name"),
    Column("object_type_id", description="What is on it; `0-1` are contacts."),
    Column("processing_type", description="MANUAL, DYNAMIC or SNAPSHOT.", optional=True),
    Column("size", "bigint", "How many are on it, by HubSpot's count.", optional=True),
    Column("created_at", "timestamp", optional=True),
    Column("updated_at", "timestamp", optional=True),
    Column("filters_updated_at", "timestamp", optional=True),
)

MEMBERSHIP_COLUMNS = (
    Column("list_id", required=True),
    Column("contact_id", required=True),
    Column("list_name", optional=True),
    Column("joined_at", "timestamp", "When the contact came onto the list.", optional=True),
)

OWNER_COLUMNS = (
    Column("id", description="The owner's id, as `owner_id` of other streams.", required=True),
    Column("email", description="Address of a member of staff, not of a customer."),
    Column("first_name", optional=True),
    Column("last_name", optional=True),
    Column("user_id", optional=True),
    Column("teams", "json", optional=True),
    Column("archived", "bool", optional=True),
)


def read_lists(pull: Pull) -> Iterator[list[Row]]:
    """Pages of lists of all object types."""
    endpoint = Endpoint(path=f"{LISTS_PATH}/search", records="lists", method="POST")
    offset = 0
    while True:
        body = pull.post(
            endpoint.path,
            {"offset": offset, "count": LIST_COUNT, "additionalProperties": ["hs_list_size"]},
        )
        page = records_at(body, endpoint)
        yield page
        if not body.get("hasMore"):
            return
        if not page:
            raise IncompleteError("HubSpot says that there are more lists and gives none.")
        offset = max(int(body.get("offset") or 0), offset + len(page))


def read_memberships(pull: Pull, settings: HubSpotSettings, lists: list[Row]) -> Iterator[list[Row]]:
    """Pages of the members of contact lists.

    Raises:
        ConfigurationError: The settings name a list that is not there.
    """
    contact_lists = [one for one in lists if one.get("objectTypeId") == CONTACT_TYPE]
    for one in _wanted(contact_lists, settings.lists):
        endpoint = Endpoint(
            path=f"{LISTS_PATH}/{must(one, 'listId')}/memberships",
            records="results",
            params={"limit": MEMBER_LIMIT},
            paging=by_after,
        )
        for page in pull.pages(endpoint):
            yield [{**member, "listId": one["listId"], "listName": one.get("name")} for member in page]


def shape_list(one: Mapping[str, Any]) -> Row:
    """A list as a row."""
    size = (one.get("additionalProperties") or {}).get("hs_list_size")
    names = {
        "listId": "id",
        "name": "name",
        "objectTypeId": "object_type_id",
        "processingType": "processing_type",
        "createdAt": "created_at",
        "updatedAt": "updated_at",
        "filtersUpdatedAt": "filters_updated_at",
    }
    return {**{column: one[name] for name, column in names.items() if name in one}, "size": size}


def shape_membership(member: Mapping[str, Any]) -> Row:
    """A membership as a row."""
    return {
        "list_id": member.get("listId"),
        "contact_id": member.get("recordId"),
        "list_name": member.get("listName"),
        "joined_at": member.get("membershipTimestamp"),
    }


def shape_owner(owner: Mapping[str, Any]) -> Row:
    """An owner as a row."""
    names = {
        "id": "id",
        "email": "email",
        "firstName": "first_name",
        "lastName": "last_name",
        "userId": "user_id",
        "teams": "teams",
        "archived": "archived",
    }
    return {column: owner[name] for name, column in names.items() if name in owner}


def _wanted(lists: list[Row], names: tuple[str, ...] | None) -> list[Row]:
    if names is None:
        return lists
    known = {must(one, "listId"): one for one in lists} | {str(one.get("name")): one for one in lists}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigurationError(
            f"There is no contact list {unknown[0]!r}.",
            allowed=sorted(str(one.get("name")) for one in lists),
            remedy="correct `lists` in the settings of the source.",
        )
    chosen = {must(known[name], "listId"): known[name] for name in names}
    return list(chosen.values())
