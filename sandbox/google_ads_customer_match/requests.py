"""Bodies of the Data Manager API's requests."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from millstream.sandbox.ga4.requests import Message

AccountType = Literal[
    "ACCOUNT_TYPE_UNSPECIFIED", "GOOGLE_ADS", "DISPLAY_VIDEO_PARTNER", "DISPLAY_VIDEO_ADVERTISER", "DATA_PARTNER",
    "GOOGLE_ANALYTICS_PROPERTY", "GOOGLE_AD_MANAGER_AUDIENCE_LINK",
]  # fmt: skip
ConsentStatus = Literal["CONSENT_STATUS_UNSPECIFIED", "CONSENT_GRANTED", "CONSENT_DENIED"]
UploadKeyType = Literal[
    "UPLOAD_KEY_TYPE_UNSPECIFIED", "CONTACT_ID", "MOBILE_ID", "USER_ID", "PAIR_ID", "PSEUDONYMOUS_ID"
]


def _at_most_one(message: Message, *names: str) -> None:
    given = [name for name in names if getattr(message, name) is not None]
    if len(given) > 1:
        raise ValueError(f"oneof field is already set. Cannot set '{given[1]}'.")


class ProductAccount(Message):
    account_type: AccountType = "ACCOUNT_TYPE_UNSPECIFIED"
    product: AccountType = "ACCOUNT_TYPE_UNSPECIFIED"
    account_id: str = ""


class Destination(Message):
    """A list of an account, and the account it is reached through."""

    reference: str = ""
    login_account: ProductAccount | None = None
    linked_account: ProductAccount | None = None
    operating_account: ProductAccount | None = None
    product_destination_id: str = ""


class Consent(Message):
    ad_user_data: ConsentStatus = "CONSENT_STATUS_UNSPECIFIED"
    ad_personalization: ConsentStatus = "CONSENT_STATUS_UNSPECIFIED"


class AddressInfo(Message):
    given_name: str = ""
    family_name: str = ""
    region_code: str = ""
    postal_code: str = ""


class UserIdentifier(Message):
    """One key of a person."""

    email_address: str | None = None
    phone_number: str | None = None
    address: AddressInfo | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _at_most_one(self, "email_address", "phone_number", "address")
        return self


class UserData(Message):
    user_identifiers: list[UserIdentifier] = Field(default_factory=list)


class MobileData(Message):
    mobile_ids: list[str] = Field(default_factory=list)


class UserIdData(Message):
    user_id: str = ""


class AudienceMember(Message):
    """One person."""

    user_data: UserData | None = None
    mobile_data: MobileData | None = None
    user_id_data: UserIdData | None = None
    consent: Consent | None = None
    destination_references: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _at_most_one(self, "user_data", "mobile_data", "user_id_data")
        return self


class TermsOfService(Message):
    customer_match_terms_of_service_status: Literal["TERMS_OF_SERVICE_STATUS_UNSPECIFIED", "ACCEPTED", "REJECTED"] = (
        "TERMS_OF_SERVICE_STATUS_UNSPECIFIED"
    )


class RemoveRequest(Message):
    """Body of `audienceMembers:remove`."""

    destinations: list[Destination] = Field(default_factory=list)
    audience_members: list[AudienceMember] = Field(default_factory=list)
    validate_only: bool = False
    encoding: Literal["ENCODING_UNSPECIFIED", "HEX", "BASE64"] = "ENCODING_UNSPECIFIED"


class IngestRequest(RemoveRequest):
    """Body of `audienceMembers:ingest`."""

    consent: Consent | None = None
    terms_of_service: TermsOfService | None = None


class RemoveAllRequest(Message):
    """Body of `audienceMembers:removeAll`."""

    destinations: list[Destination] = Field(default_factory=list)
    remove_as_of_time: str | None = None
    validate_only: bool = False


class IngestedUserListInfo(Message):
    upload_key_types: list[UploadKeyType] = Field(default_factory=list)
    contact_id_info: dict[str, object] | None = None
    mobile_id_info: dict[str, object] | None = None
    user_id_info: dict[str, object] | None = None


class UserListBody(Message):
    """A user list; what only the vendor sets is taken and ignored."""

    name: str | None = None
    id: str | None = None
    read_only: bool | None = None
    display_name: str | None = None
    description: str | None = None
    membership_status: Literal["MEMBERSHIP_STATUS_UNSPECIFIED", "OPEN", "CLOSED"] | None = None
    integration_code: str | None = None
    membership_duration: str | None = None
    closing_reason: str | None = None
    access_reason: str | None = None
    account_access_status: str | None = None
    size_info: dict[str, object] | None = None
    target_network_info: dict[str, object] | None = None
    ingested_user_list_info: IngestedUserListInfo | None = None
