"""Consent: who may be addressed. It fails closed: who has not granted it has not given it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from millstream.state.store import column_types
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.store import Connection


CHANNELS = ("email", "sms", "push", "phone", "post", "ads")
"""The usual ones; a project may have others."""


class ConsentRequirement(BaseModel):
    """The consent a person must have granted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: str = Field(min_length=1, description="email, sms, push, phone, post, ads.")
    topic: str = Field(default="marketing", min_length=1, description="What the consent is for.")


def consent_sql(requirement: ConsentRequirement) -> tuple[str, list[str]]:
    """A SELECT of the ``profile_id`` of those who granted it, and the values to bind.

    No row, an unknown status, and a denial by any of the profile's records all mean: not granted.
    """
    return (
        "SELECT profile_id FROM customers.profile_consents WHERE channel = ? AND topic = ? AND status = 'granted'",
        [requirement.channel, requirement.topic],
    )


def consented_profiles(connection: Connection, requirement: ConsentRequirement) -> set[str]:
    """The profiles that granted it."""
    sql, values = consent_sql(requirement)
    return {str(profile_id) for (profile_id,) in connection.execute(sql, values).fetchall()}


def recorded_consents(connection: Connection) -> set[tuple[str, str]]:
    """Channel and topic of everything that anybody has granted or denied."""
    if not column_types(connection, "customers", "profile_consents"):
        return set()
    rows = connection.execute("SELECT DISTINCT channel, topic FROM customers.profile_consents").fetchall()
    return {(str(channel), str(topic)) for channel, topic in rows}


def unrecorded(channel: str, topic: str, recorded: Collection[tuple[str, str]]) -> tuple[str, str | None] | None:
    """What to tell of a consent that nobody has on record, and what to do; None where somebody has."""
    if (channel, topic) in recorded:
        return None
    meant = did_you_mean(channel, {one for one, _ in recorded} - {channel})
    meant = meant or did_you_mean(topic, {other for one, other in recorded if one == channel})
    return f"Nobody has a consent for {channel}, {topic} on record, so nobody may be sent by it.", meant
