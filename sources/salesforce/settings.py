"""What a project says about its Salesforce organization."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.sources.contract import ColumnType, SourceSettings
from millstream.sources.from_project import Declared, Kind, StreamName, StreamSettings, TraitSettings, at_project_root
from millstream.sources.salesforce.errors import refused_sign_in
from millstream.state.http import BearerAuth, client_credentials_auth, refresh_token_auth
from millstream.state.http.jwt_bearer import jwt_bearer_auth

if TYPE_CHECKING:
    from requests.auth import AuthBase

TOKEN_PATH = "services/oauth2/token"  # noqa: S105 - a path
ASSERTION_LIFE = 180
"""Seconds; Salesforce wants assertions that end within some minutes."""

ApiName = Literal[
    "Account", "Campaign", "CampaignMember", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task"
]
_PEOPLE = ("Contact", "Lead")


class MoreFields(Declared):
    """Fields to read of an object besides those that the connector reads anyway."""

    identifiers: Mapping[str, Kind] = Field(
        default_factory=dict, description="Field to identifier kind, as {Customer_Id__c: user_id}."
    )
    traits: Mapping[str, Kind | TraitSettings] = Field(
        default_factory=dict, description="Field: the trait's name, or {name, type}."
    )
    kept: tuple[str, ...] = Field(default=(), description="Fields that are stored as text and say nothing of people.")

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits, *self.kept)))


class ObjectSettings(StreamSettings):
    """Another object to read, by its API name; a field's column is its name in snake_case."""

    stream: StreamName | None = Field(default=None, description="Name of the stream; the object's own by default.")
    fields: tuple[str, ...] | None = Field(
        default=None, description="Fields to read; all that the credential may see when left out."
    )

    def given_types(self) -> Mapping[str, ColumnType]:
        """None: Salesforce describes the types."""
        return {}


class SalesforceSettings(SourceSettings):
    """Settings of a Salesforce connection: an app's client credentials, a signed assertion, or a refresh token."""

    base_url: str = Field(description="My Domain address of the organization: https://<domain>.my.salesforce.com.")
    client_id: str | None = Field(default=None, description="Consumer key of the external client app.")
    client_secret: SecretStr | None = Field(default=None, description="Consumer secret of the app.")
    username: str | None = Field(default=None, description="JWT bearer flow: the user whom the assertion speaks for.")
    private_key: SecretStr | None = Field(
        default=None, description="JWT bearer flow: RSA key, as PEM, to the certificate that the app knows."
    )
    audience: str = Field(
        default="https://login.salesforce.com",
        description="JWT bearer flow: whom the assertion is for; https://test.salesforce.com for a sandbox.",
    )
    refresh_token: SecretStr | None = Field(default=None, description="Refresh token of a user who allowed the app.")
    refresh_token_file: str | None = Field(
        default=None,
        description="File in which the newest refresh token is kept, where the app rotates them; a relative path "
        "starts at the project file's folder.",
    )
    access_token: SecretStr | None = Field(default=None, description="A session, for a try; it ends within hours.")
    token_url: str | None = Field(
        default=None, description="The token endpoint; that of the My Domain address when left out."
    )
    version: str = Field(default="66.0", pattern=r"^\d+\.0$", description="Version of the API to speak.")
    fields: Mapping[ApiName, MoreFields] = Field(
        default_factory=dict,
        description="More fields of objects that are read anyway, as {Contact: {identifiers: {Customer_Id__c: "
        "user_id}}}.",
    )
    objects: Mapping[str, ObjectSettings] = Field(
        default_factory=dict, description="More objects to read, by API name, as {Case: {}, Order__c: {people: ...}}."
    )
    business_phones: Literal["identify", "kept_only"] = Field(
        default="identify",
        description="Whether the field Phone tells people apart; kept_only where it holds numbers of switchboards.",
    )
    default_currency: str | None = Field(
        default=None, description="ISO 4217 code of amounts, where the organization has only one currency."
    )
    lookback_minutes: int = Field(
        default=10, ge=0, description="Minutes read again at each pull, for changes that were written late."
    )
    sweep_days: int | None = Field(
        default=None,
        ge=1,
        description="Every so many days all ids are compared with those stored, to find what was deleted for good; "
        "left out: only where the last pull was longer ago than the recycle bin keeps things.",
    )
    bulk_from_rows: int = Field(
        default=2_000, ge=0, description="More rows than this are exported by a bulk job instead of paged through."
    )
    rows_a_result: int = Field(default=25_000, ge=1, description="Rows a request of a bulk job's result.")
    bulk_patience_minutes: float = Field(
        default=240, gt=0, description="How long to wait for a bulk job; the next pull goes on waiting for it."
    )
    quota_share: float = Field(
        default=0.8, gt=0, le=1, description="Share of the organization's daily requests after which a pull ends."
    )
    requests_per_second: int = Field(default=20, ge=1, description="Pace; Salesforce itself has no such limit.")

    def credential(self) -> AuthBase:
        """The credential, as something that signs requests."""
        if self.access_token is not None:
            return BearerAuth(self.access_token)
        url = self.token_url or f"{self.base_url.rstrip('/')}/{TOKEN_PATH}"
        assert self.client_id is not None
        if self.private_key is not None:
            claims = {"iss": self.client_id, "sub": self.username or "", "aud": self.audience}
            return jwt_bearer_auth(url, self.private_key, claims, life=ASSERTION_LIFE, classify=refused_sign_in)
        assert self.client_secret is not None
        if self.refresh_token is not None:
            kept_in = Path(self.refresh_token_file) if self.refresh_token_file else None
            return refresh_token_auth(
                url,
                self.client_id,
                self.client_secret,
                self.refresh_token,
                kept_in=kept_in,
                classify=refused_sign_in,
            )
        return client_credentials_auth(url, self.client_id, self.client_secret, classify=refused_sign_in)

    def more(self, api_name: str) -> MoreFields:
        """What the settings add to an object."""
        return next((more for name, more in self.fields.items() if name == api_name), MoreFields())

    @field_validator("refresh_token_file")
    @classmethod
    def _from_the_project(cls, value: str | None, info: ValidationInfo) -> str | None:
        return at_project_root(value, info) if value else None

    @model_validator(mode="after")
    def _one_credential(self) -> Self:
        signed, asked = (self.username, self.private_key), self.client_id is not None
        by_secret = asked and self.client_secret is not None and not any(signed)
        by_key = asked and all(signed) and self.client_secret is None and self.refresh_token is None
        session = self.access_token is not None
        if [by_secret, by_key, session].count(True) != 1:
            raise ValueError(
                "give client_id with client_secret (and refresh_token, if there is one), or client_id with username "
                "and private_key, or access_token"
            )
        return self

    @model_validator(mode="after")
    def _known_objects(self) -> Self:
        for name, more in self.fields.items():
            if name not in _PEOPLE and (more.identifiers or more.traits):
                raise ValueError(f"{name} is nobody: only {' and '.join(_PEOPLE)} have identifiers and traits")
        own = [name for name in self.objects if name in ApiName.__args__]  # type: ignore[attr-defined]
        if own:
            raise ValueError(f"{own[0]} is read anyway: name what else to read of it under `fields`")
        return self
