"""What a project says about its Typeform account."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import Declared, Kind, column_name
from millstream.state.http import TokenOrOAuthSettings, refresh_token_auth
from millstream.state.project_root import at_project_root

if TYPE_CHECKING:
    from requests.auth import AuthBase

ResponseType = Literal["started", "partial", "completed"]


class ConsentQuestion(Declared):
    """A question that asks whether a person may be addressed, answered by yes or no."""

    channel: Literal["email", "sms", "push", "phone", "post", "ads"] = Field(description="Where they may be addressed.")
    topic: str = Field(default="marketing", description="What the consent is for.")


class TypeformSettings(TokenOrOAuthSettings, SourceSettings):
    """A credential, the region, and which answers and hidden fields say who a person is."""

    base_url: str = Field(
        default="https://api.typeform.com",
        description="Root of the API. Accounts in the EU data centre: https://api.eu.typeform.com.",
    )
    access_token: SecretStr | None = Field(default=None, description="Personal access token, or an OAuth access token.")
    refresh_token: SecretStr | None = Field(
        default=None,
        description="OAuth: the first refresh token. Each use replaces it, so give refresh_token_file too.",
    )
    refresh_token_file: Path | None = Field(
        default=None,
        description="OAuth: file in which the newest refresh token is kept from run to run, readable by its owner "
        "only. Projects that share a credential share the file.",
    )
    forms: tuple[str, ...] | None = Field(default=None, description="Ids of the forms to read; all when left out.")
    response_types: tuple[ResponseType, ...] = Field(
        default=("completed",),
        min_length=1,
        description="Responses to read: completed (submitted), partial (answered in part), started (only opened).",
    )
    identifiers: Mapping[str, Kind] = Field(
        default_factory=dict,
        description="Hidden fields that name a person, and the identifier's kind, as {crm_id: hubspot_contact_id}.",
    )
    traits: Mapping[str, Kind] = Field(
        default={"first_name": "first_name", "last_name": "last_name"},
        description="Questions whose answer is a trait: a field's ref, its id or its key in a contact-info question, "
        "and the trait's name.",
    )
    consents: Mapping[str, ConsentQuestion] = Field(
        default_factory=dict,
        description="Yes-or-no and legal questions that ask for consent: the field's ref or id, and {channel, topic}.",
    )
    others: tuple[str, ...] = Field(
        default=(),
        description="Questions (ref or id) that ask for somebody else's address or number, as a friend's: "
        "their answers name nobody.",
    )
    lookback_minutes: int = Field(
        default=90, ge=30, description="Minutes read again by each pull: a response may appear half an hour late."
    )
    sweep_days: int | None = Field(
        default=None,
        ge=1,
        description="Every so many days each form is read whole, to notice deleted responses; left out: never.",
    )
    check_totals: bool = Field(
        default=True, description="Whether fewer responses than the vendor announced (total_items) are an error."
    )
    requests_per_second: int = Field(default=2, ge=1, description="The account's limit.")

    def credential(self, vendors_token_url: str) -> AuthBase:
        """The credential, as something that signs requests.

        Args:
            vendors_token_url: Where tokens are fetched if the settings name no other place.
        """
        if self.refresh_token is None or self.client_id is None or self.client_secret is None:
            return super().credential(vendors_token_url)
        return refresh_token_auth(
            self.token_url or vendors_token_url,
            self.client_id,
            self.client_secret,
            self.refresh_token,
            kept_in=self.refresh_token_file,
        )

    @field_validator("refresh_token_file")
    @classmethod
    def _from_the_project(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        return Path(at_project_root(str(value), info)) if value else None

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        if self.refresh_token_file is not None and self.refresh_token is None:
            raise ValueError("refresh_token_file keeps the refresh token that follows the first one: give that too")
        for what, names in (("hidden field", [*self.identifiers]), ("question", [*self.consents])):
            columns = [column_name(name) for name in names]
            if not all(columns) or len(set(columns)) < len(columns):
                raise ValueError(f"each {what} needs letters or digits that tell it from the others: {names}")
        return self
