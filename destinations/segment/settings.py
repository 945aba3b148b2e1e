"""What a project says about the Segment source that its messages go to."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from millstream.destinations.contract import DestinationSettings

TRACKING_URLS = {"us": "https://api.segment.io/v1", "eu": "https://events.eu1.segmentapis.com/v1"}
PUBLIC_URLS = {"us": "https://api.segmentapis.com", "eu": "https://eu1.api.segmentapis.com"}


class SegmentSettings(DestinationSettings):
    """Settings of a Segment connection: an HTTP source's write key, and what erasure needs."""

    region: Literal["us", "eu"] = Field(default="us", description="Where the workspace keeps its data.")
    base_url: str = Field(default="", description="Root of the Tracking API; the region's when left out.")
    write_key: SecretStr = Field(description="Write key of the source that the messages go to.")
    public_token: SecretStr | None = Field(
        default=None, description="Token of the Public API, for erasure; it needs the role Workspace Owner."
    )
    source_id: str | None = Field(default=None, description="Id of the source, for erasure from it alone.")
    public_url: str = Field(default="", description="Root of the Public API; the region's when left out.")
    erasure: Literal["SUPPRESS_WITH_DELETE", "DELETE_ONLY"] = Field(
        default="SUPPRESS_WITH_DELETE",
        description="What erasing means: SUPPRESS_WITH_DELETE also drops whatever comes of the person later, "
        "DELETE_ONLY lets them come back.",
    )

    @model_validator(mode="after")
    def _source_of_the_token(self) -> Self:
        if self.source_id and not self.public_token:
            raise ValueError("source_id is for erasure, which needs public_token, too")
        return self

    @property
    def tracking_root(self) -> str:
        """Root of the Tracking API."""
        return self.base_url or TRACKING_URLS[self.region]

    @property
    def public_root(self) -> str:
        """Root of the Public API."""
        return self.public_url or PUBLIC_URLS[self.region]
