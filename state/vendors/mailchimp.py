"""Mailchimp's account: the API key that names its data centre, and what refusals mean."""

from __future__ import annotations

import re
from typing import Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from millstream.state.errors import AuthenticationError, MillstreamError, RateLimitedError
from millstream.state.http import Answer

_DATA_CENTRE = re.compile(r"-([a-z]+\d+)$")

CONNECTIONS = 10
"""Requests that Mailchimp allows in flight at once, of everybody who uses an account."""


class MailchimpAccount(BaseModel):
    """A connection to Mailchimp, to be mixed into a connector's settings."""

    base_url: str = Field(default="", description="Root of the API; from the data centre in the API key when left out.")
    api_key: SecretStr = Field(description="API key, which ends in its data centre (`-us21`).")

    @property
    def root(self) -> str:
        """The base URL, or the one that the API key names."""
        found = _DATA_CENTRE.search(self.api_key.get_secret_value())
        return self.base_url or (f"https://{found.group(1)}.api.mailchimp.com/3.0" if found else "")

    @model_validator(mode="after")
    def _has_root(self) -> Self:
        if not self.root:
            raise ValueError("api_key does not end in a data centre such as -us21: copy it whole")
        return self


def what_403_means(answer: Answer) -> MillstreamError | None:
    """What a 403 means: without a JSON body it is a throttle under load, and some of the others mean the key."""
    if answer.status_code != 403:
        return None
    body = answer.said()
    if not isinstance(body, dict):
        return RateLimitedError("Mailchimp answered HTTP 403 without a body, as it does under load.")
    if body.get("title") in {"User Disabled", "Wrong Datacenter"}:
        return AuthenticationError(
            f"Mailchimp does not accept the API key: {body['title']}.",
            remedy="replace api_key; it must belong to an active user, with its own data centre at the end.",
        )
    return None
