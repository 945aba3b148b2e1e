"""The section ``alerts`` of a project file: what is worth telling, and whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from millstream.flows.project.secrets import FORMS, Reference
from millstream.state.alerts import Channel, Email, Slack, Webhook
from millstream.state.alerts.smtp import Security
from millstream.state.errors import ConfigurationError
from millstream.state.ledger.alerts import AlertKind

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
DURATION = r"^[1-9]\d*[mhd]$"
DEFAULT_PORT = 587


def _duration(value: object) -> object:
    """``90m``, ``26h`` or ``2d`` as a length of time."""
    if isinstance(value, str) and re.match(DURATION, value):
        return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} is no length of time: write 90m, 26h or 2d.")


Duration = Annotated[
    timedelta, BeforeValidator(_duration, json_schema_input_type=Annotated[str, StringConstraints(pattern=DURATION)])
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SecretAt(_Part):
    """Where a secret is kept: an environment variable, a file, or a Secret block of Prefect."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: str | None = Field(default=None, description="A file; a relative path starts at the project file's folder.")
    prefect: str | None = Field(default=None, description="Name of a Secret block of Prefect.")

    @model_validator(mode="before")
    @classmethod
    def _is_named(cls, value: object) -> object:
        if Reference.of(value) is None:
            raise ValueError(f"a secret does not stand in the project file: write one of {', '.join(FORMS)}.")
        return value

    def read(self, root: Path) -> SecretStr:
        """The secret.

        Raises:
            ConfigurationError: There is none.
        """
        reference = Reference.of(self.model_dump(exclude_none=True))
        assert reference is not None
        return SecretStr(reference.read(root))


class _ChannelRules(_Part):
    kinds: frozenset[AlertKind] | None = Field(default=None, description="Tell of these only; all when left out.")
    recovery: bool = Field(default=True, description="Whether it is told, too, when something works again.")

    def missing(self, root: Path) -> Iterator[tuple[str, ConfigurationError]]:
        """The settings whose secret is not there, and why."""
        for name, value in self:
            if isinstance(value, SecretAt):
                try:
                    value.read(root)
                except ConfigurationError as error:
                    yield name, error


class WebhookChannel(_ChannelRules):
    """Posts each change as JSON, signed as Standard Webhooks says."""

    kind: Literal["webhook"]
    url: str | SecretAt = Field(description="Where to post; by reference where it holds a secret.")
    secret: SecretAt | None = Field(default=None, description="Signs what is sent: whsec_… in base64, or any text.")

    def channel(self, root: Path) -> Channel:
        """The channel, with its secrets read."""
        url = self.url if isinstance(self.url, str) else self.url.read(root).get_secret_value()
        return Webhook(url, self.secret.read(root) if self.secret else None)


class SlackChannel(_ChannelRules):
    """Posts to one of Slack's incoming webhooks."""

    kind: Literal["slack"]
    url: SecretAt = Field(description="Slack's URL: who has it may post.")

    def channel(self, root: Path) -> Channel:
        """The channel, with its secrets read."""
        return Slack(self.url.read(root))


class EmailChannel(_ChannelRules):
    """Sends mail by SMTP."""

    kind: Literal["email"]
    host: str = Field(description="The mail server.")
    port: int = Field(default=DEFAULT_PORT, ge=1, le=65535, description="Its port.")
    security: Security = Field(default="starttls", description="How the connection is encrypted.")
    user: str | None = Field(default=None, description="User, where the server asks for one.")
    password: SecretAt | None = Field(default=None, description="The user's password.")
    sender: str = Field(min_length=3, description="Address that mails come from.")
    to: tuple[str, ...] = Field(min_length=1, description="Addresses that they go to.")

    @model_validator(mode="after")
    def _both_or_none(self) -> EmailChannel:
        if (self.user is None) != (self.password is None):
            raise ValueError("a user needs a password, and a password a user")
        if self.password and self.security == "none":
            raise ValueError("a password is not sent in clear: take security tls or starttls")
        return self

    def channel(self, root: Path) -> Channel:
        """The channel, with its secrets read."""
        return Email(
            host=self.host,
            port=self.port,
            security=self.security,
            sender=self.sender,
            recipients=self.to,
            user=self.user,
            password=self.password.read(root) if self.password else None,
        )


AnyChannel = Annotated[WebhookChannel | SlackChannel | EmailChannel, Field(discriminator="kind")]


class SyncAlerts(_Part):
    """What is different for one sync."""

    owner: str | None = Field(default=None, description="Who looks after it.")
    stale_after: Duration | None = Field(default=None, description="How long it may take until it is completed again.")
    rejected_share: float | None = Field(
        default=None, gt=0, le=1, description="Share of refused rows that is too much."
    )


class AlertRules(_Part):
    """What is told to whom."""

    owner: str | None = Field(default=None, description="Who looks after the project; every message says so.")
    channels: dict[str, AnyChannel] = Field(default_factory=dict, description="Who is told, and how.")
    stale_after: Duration | None = Field(
        default=None,
        description="How long a sync may take until it is completed again, as 90m, 26h or 2d; never looked at when "
        "left out.",
    )
    rejected_share: float = Field(
        default=0.1, gt=0, le=1, description="Share of the rows sent in a run whose refusal is too much."
    )
    fewest_rejected: int = Field(
        default=10, ge=1, description="Below so many refused rows in a run the share is not looked at."
    )
    late_after: Duration = Field(
        default=timedelta(minutes=15), description="How late a scheduled run may start before it counts as missing."
    )
    syncs: dict[str, SyncAlerts] = Field(default_factory=dict, description="What is different for single syncs.")

    def of_sync(self, sync: str) -> SyncAlerts:
        """What holds for a sync."""
        own = self.syncs.get(sync, SyncAlerts())
        return SyncAlerts(
            owner=own.owner or self.owner,
            stale_after=own.stale_after or self.stale_after,
            rejected_share=own.rejected_share or self.rejected_share,
        )
