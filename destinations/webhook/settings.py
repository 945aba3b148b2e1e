"""What a project says about a webhook: where it is, how it knows us, and how much it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from millstream.destinations.contract import DestinationSettings

OUR_HEADERS = frozenset(
    {
        "accept",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "transfer-encoding",
        "x-signature",
    }
)
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WebhookSettings(DestinationSettings):
    """Settings of a webhook."""

    base_url: str = Field(description="The address that batches are posted to, with https://.")
    signing_secret: SecretStr | None = Field(
        default=None, description="Shared with the receiver; signs the time and the body of each request (X-Signature)."
    )
    bearer_token: SecretStr | None = Field(default=None, description="Goes along as `Authorization: Bearer …`.")
    username: str | None = Field(default=None, description="User name of HTTP Basic.")
    password: SecretStr | None = Field(default=None, description="Password of HTTP Basic.")
    headers: Mapping[str, SecretStr] = Field(
        default_factory=dict, description="More headers by name, such as X-Api-Key; their values are kept secret."
    )
    records_per_request: int = Field(default=1_000, ge=1, le=10_000, description="Most records in one request.")
    bytes_per_request: int = Field(
        default=1_000_000, ge=10_000, le=100_000_000, description="Most bytes of one request's body."
    )
    requests_per_second: int = Field(default=10, ge=1, le=1_000, description="Most requests in a second.")
    allow_http: bool = Field(default=False, description="Let the address be http://: everybody on the way can read it.")
    allow_private_networks: bool = Field(
        default=False,
        description="Let the address be in a private network or on this machine; refused else, also behind a name.",
    )

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
        for name, content in value.items():
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is no name of a header")
            if name.lower() in OUR_HEADERS:
                raise ValueError(f"the header {name} is set by Millstream: take another")
            if not content.get_secret_value().isprintable():
                raise ValueError(f"the header {name} has a line break or another control character in it")
        return value

    @model_validator(mode="after")
    def _can_be_posted_to(self) -> Self:
        parts = urlsplit(self.base_url)
        schemes = ("https", "http") if self.allow_http else ("https",)
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError("base_url is no https:// address; allow_http: true lets it be http://")
        if parts.username is not None or parts.fragment:
            raise ValueError("base_url holds a password or a # part: use `username` and `password`, and leave # away")
        if (self.username is None) != (self.password is None):
            raise ValueError("`username` and `password` belong together")
        named = [name.lower() for name in self.headers]
        ways = [self.bearer_token is not None, self.username is not None, "authorization" in named]
        if sum(ways) > 1:
            raise ValueError("bearer_token, username and a header Authorization exclude each other: one header for all")
        if not (self.signing_secret or any(ways) or self.headers):
            raise ValueError("give signing_secret, bearer_token, username and password, or headers: anybody could post")
        return self
