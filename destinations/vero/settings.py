"""What a project says about its Vero project."""

from __future__ import annotations

from pydantic import Field, SecretStr

from millstream.destinations.contract import DestinationSettings


class VeroSettings(DestinationSettings):
    """Settings of a Vero connection."""

    base_url: str = Field(default="https://api.getvero.com/api/v2", description="Root of the Track API.")
    auth_token: SecretStr = Field(min_length=1, description="Auth token (or Tracking API key) of the project.")
    requests_per_second: int = Field(
        default=10,
        ge=1,
        description="Pace to begin with. Vero publishes no limit: it rises while all goes well, and falls when Vero "
        "asks for fewer requests.",
    )
