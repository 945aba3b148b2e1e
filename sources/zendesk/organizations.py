"""Organizations: the companies that users belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.zendesk.exports import Export, Exports, in_parts

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

EXPORT = Export(path="api/v2/incremental/organizations.json", records="organizations", at="updated_at")
COLUMNS = (
    Column("id", required=True),
    Column("name"),
    Column("external_id", optional=True),
    Column("domain_names", "json", "Domains whose users belong to it.", optional=True),
    Column("tags", "json", optional=True),
    Column("organization_fields", "json", "Fields of the account's own, by key.", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", required=True),
    Column("deleted_at", "timestamp", optional=True),
    Column("deleted", "bool", optional=True),
)


def read_organizations(pull: Pull, exports: Exports) -> Iterator[Page]:
    """Pages of organizations as rows."""
    pages = ([shape_organization(one) for one in read.rows] for read in exports.by_time(pull, EXPORT))
    return in_parts(pull, pages)


def shape_organization(organization: Mapping[str, Any]) -> Row:
    """An organization as a row."""
    names = {column.name for column in COLUMNS}
    row: Row = {name: value for name, value in organization.items() if name in names}
    return row | {"deleted": bool(organization.get("deleted_at"))}
