"""Settings of the SurveyMonkey source."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, SecretStr

from millstream.sources.contract import SourceSettings


class SurveyMonkeySettings(SourceSettings):
    """What the source needs: a token, the region, and which custom variables name a person."""

    base_url: str = Field(
        default="https://api.surveymonkey.com/v3",
        description="Root of the API. EU accounts: https://api.eu.surveymonkey.com/v3, "
        "Canadian ones: https://api.surveymonkey.ca/v3.",
    )
    access_token: SecretStr = Field(description="Access token of a private app, or of an OAuth grant.")
    identifiers: Mapping[str, str] = Field(
        default_factory=dict,
        description="Custom variables that name a person, and the identifier's kind, "
        "as {crm_id: hubspot_contact_id}; `custom_value` means a web link's custom value.",
    )
    daily_budget: int | None = Field(
        default=None,
        ge=1,
        description="Most requests a day for reading responses, below the vendor's own limit; left out: the vendor's.",
    )
    requests_per_minute: int = Field(
        default=120, ge=1, description="The app's limit; draft and private apps have 120, deployed public ones more."
    )
    recheck_hours: float = Field(
        default=24.0,
        ge=0,
        description="A survey whose number of responses stands still is looked at this often, for edited responses.",
    )
