"""What a project says about the ActiveCampaign account it writes to."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr, field_validator
from requests import PreparedRequest
from requests.auth import AuthBase

from millstream.destinations.contract import DestinationSettings

_API = "/api/3"


class ActiveCampaignSettings(DestinationSettings):
    """Settings of an ActiveCampaign connection."""

    base_url: str = Field(
        description="The API URL that ActiveCampaign shows under Settings, Developer; it differs between accounts."
    )
    api_key: SecretStr = Field(description="API key of a user, from the same page; it may do what that user may.")
    audience_kind: Literal["tag", "list"] = Field(
        default="tag",
        description="What a sync's audience is: a tag, or a list. Being on a list is being subscribed to it, so take "
        "lists only where you hold that consent; nobody is taken off one.",
    )
    run_automations: bool = Field(
        default=True,
        description="Whether imports start the account's automations, as ActiveCampaign does by default. Tags that are "
        "put on one by one always may.",
    )
    requests_per_second: int = Field(
        default=5, ge=1, description="Pace of requests: the vendor allows an account 5 in a second, over all keys."
    )
    list_sender_url: str | None = Field(
        default=None, description="Web site that a list names as its sender; given, a missing list is made."
    )
    list_sender_reminder: str | None = Field(
        default=None, description="Why people get mail of a list, in a sentence; needed to make a missing list."
    )
    list_group_ids: tuple[int, ...] = Field(
        default=(), description="User groups that may see a list that is made; the key's user is to be in one of them."
    )

    @field_validator("base_url")
    @classmethod
    def _with_version(cls, given: str) -> str:
        """The address is shown without the version of the API; both are taken."""
        root = given.strip().rstrip("/")
        return root if root.endswith(_API) else f"{root}{_API}"


class ApiTokenAuth(AuthBase):
    """The account's own header."""

    def __init__(self, key: SecretStr) -> None:
        self._key = key

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["Api-Token"] = self._key.get_secret_value()
        return request
