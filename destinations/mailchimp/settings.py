"""What a project says about its Mailchimp account."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from millstream.destinations.contract import DestinationSettings

_DATA_CENTRE = re.compile(r"-([a-z]+\d+)$")


class MailchimpSettings(DestinationSettings):
    """Settings of a Mailchimp connection."""

    base_url: str = Field(default="", description="Root of the API; from the data centre in the API key when left out.")
    api_key: SecretStr = Field(description="API key, which ends in its data centre (`-us21`).")
    list_id: str = Field(min_length=1, description="Id of the audience (list) that people are written to.")
    new_member_status: Literal["transactional", "subscribed", "pending"] = Field(
        default="transactional",
        description="Status of people who are new to the list: transactional is no opt-in to marketing mail, "
        "subscribed says that you hold one, pending makes Mailchimp ask them by mail.",
    )

    @property
    def root(self) -> str:
        """The base URL, or the one that the API key names."""
        found = _DATA_CENTRE.search(self.api_key.get_secret_value())
        return self.base_url or (f"https://{found.group(1)}.api.mailchimp.com/3.0" if found else "")

    @model_validator(mode="after")
    def _has_root(self) -> MailchimpSettings:
        if not self.root:
            raise ValueError("api_key does not end in a data centre such as -us21: copy it whole")
        return self
