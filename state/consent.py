"""Consent: who may be addressed. It fails closed: who has not granted it has not given it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

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
