"""What a project says about the Intercom workspace it writes to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from millstream.destinations.contract import DestinationSettings
from millstream.state.vendors.intercom import IntercomWorkspace


class IntercomSettings(IntercomWorkspace, DestinationSettings):
    """Settings of an Intercom connection: one workspace."""

    version: str = Field(default="2.15", pattern=r"^\d+\.\d+$", description="Version of the API.")
    new_contacts: Literal["user", "lead"] = Field(
        default="user",
        description="Role of contacts that are made by e-mail address; those made by an id of yours are always users.",
    )
    bring_back_archived: bool = Field(
        default=False,
        description="Whether archived contacts are unarchived when a sync writes them, whoever archived them. They "
        "are left alone else. Blocked ones always are.",
    )
    requests_per_minute: int = Field(
        default=5_000,
        ge=6,
        description="Requests that syncs make, of the 10,000 an app and 25,000 a workspace may.",
    )
    requests_at_once: int = Field(default=8, ge=1, le=50, description="Requests in flight at once.")
