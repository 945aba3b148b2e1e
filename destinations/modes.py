"""Words of delivery that the project file shares with the engine; light to import."""

from __future__ import annotations

from enum import StrEnum


class SyncMode(StrEnum):
    """What a sync may do at the destination."""

    UPSERT = "upsert"
    """Create people and keep their fields; never take anyone out."""
    UPDATE = "update"
    """Keep the fields of people the destination already has; never create one."""
    MIRROR = "mirror"
    """Create, keep, and take out of the audience whoever left; only those this sync put in."""
    ADD = "add"
    """Put people into the audience; never take anyone out."""
    REMOVE = "remove"
    """Take people out of the audience; never put anyone in."""
    REPLACE = "replace"
    """Hand over everybody each time something changed, and have whoever is not among them taken out."""


class Leaving(StrEnum):
    """What happens at the destination to someone who left a mirrored audience."""

    LEAVE_AUDIENCE = "leave_audience"
    """Taken out of the list, tag or audience; the person stays."""
    CLEAR_FIELDS = "clear_fields"
    """The mapped fields are emptied, and the person leaves the audience where the sync has one."""
    ARCHIVE = "archive"
    """Archived, where the vendor has an archive; comes back when sent again."""
    DELETE = "delete"
    """Deleted at the vendor. Some vendors never take a deleted person back."""


class Operation(StrEnum):
    """What happens to one row of a plan."""

    ADD = "add"
    UPDATE = "update"
    REMOVE = "remove"
    KEEP = "keep"
    """Nothing changed; handed over again where everybody is, in mode ``replace``."""
    ENROL = "enrol"
    """The second half of an addition, where people go into the audience in batches of their own; in no plan."""
    WITHDRAW = "withdraw"
    """What a row comes to whose person may not be in the audience any more: taken out of it; in no plan."""


class Status(StrEnum):
    """What became of a row."""

    ACCEPTED = "accepted"
    ACCEPTED_ASYNC = "accepted_async"
    REJECTED = "rejected"
    RETRY_LATER = "retry_later"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"


# Statuses that mean the same to the engine; plain text, so that they may stand in SQL.

TAKEN = (Status.ACCEPTED.value, Status.ACCEPTED_ASYNC.value)
"""The vendor has the row, or has promised to: what comes after it may be done."""

UNCERTAIN = (Status.RETRY_LATER.value, Status.UNKNOWN.value)
"""Nobody knows whether the vendor has it."""

REFUSED = (Status.REJECTED.value, Status.SUPPRESSED.value)
"""The vendor does not have the row, and said so, or was never asked."""

LISTED = (*REFUSED, Status.UNKNOWN.value)
"""On the list of rows that did not get through."""
