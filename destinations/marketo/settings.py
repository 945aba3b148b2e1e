"""What a project says about the Marketo instance it writes to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from millstream.destinations.contract import DestinationSettings
from millstream.state.errors import ConfigurationError
from millstream.state.vendors.marketo import MOST_PER_20_SECONDS, MarketoAccount


class MarketoSettings(MarketoAccount, DestinationSettings):
    """Settings of a Marketo connection."""

    folder_id: int | None = Field(
        default=None, ge=1, description="Folder (or program) that new static lists go into; left out: none is made."
    )
    folder_type: Literal["Folder", "Program"] = Field(default="Folder", description="What folder_id is the id of.")
    external_id_field: str | None = Field(
        default=None,
        description="API name of the custom field (string, email or integer) that holds your own id, for syncs that "
        "match by external_id.",
    )
    partition_name: str | None = Field(
        default=None, description="Lead partition that people are created in, where the instance has several."
    )
    requests_per_20_seconds: int = Field(
        default=MOST_PER_20_SECONDS // 2,
        ge=1,
        le=MOST_PER_20_SECONDS,
        description="Pace of requests; 100 are allowed to everybody who uses the instance together.",
    )
    requests_per_day: int = Field(
        default=50_000,
        ge=1,
        description="Most requests a day (UTC), of all runs together; an instance's own quota is under Admin > Web "
        "Services, and counts everybody's.",
    )
    wait_after_lost_answer: float = Field(
        default=90.0,
        ge=0,
        description="Seconds until people are written again after no answer came: two such requests at a time make two "
        "leads of a new person, and Marketo works on one for 90 seconds at the most.",
    )

    def lookup_field(self, match_key: str) -> str:
        """The lead field that stands for a match key.

        Raises:
            ConfigurationError: A sync matches by an id whose field is not said.
        """
        if match_key != "external_id":
            return match_key
        if not self.external_id_field:
            raise ConfigurationError(
                "The sync matches by external_id, and nothing says which lead field holds it.",
                where="marketo",
                remedy="set external_id_field to the field's API name.",
            )
        return self.external_id_field
