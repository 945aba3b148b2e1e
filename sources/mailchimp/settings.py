"""What a project says about its Mailchimp account as a source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from millstream.sources.contract import SourceSettings
from millstream.sources.from_project import Kind
from millstream.state.vendors.mailchimp import CONNECTIONS, MailchimpAccount

_MERGE_TAG = re.compile(r"[A-Z][A-Z0-9_]*")
MARKETING = "marketing"


class MailchimpSettings(MailchimpAccount, SourceSettings):
    """The account, and what its merge fields and lists say about people."""

    list_ids: tuple[str, ...] | None = Field(
        default=None, description="Ids of the audiences (lists) to read; all when left out."
    )
    identifiers: Mapping[str, Kind] = Field(
        default={"PHONE": "phone"}, description="Merge tags that name a person, and the identifier's kind."
    )
    traits: Mapping[str, Kind] = Field(
        default={"FNAME": "first_name", "LNAME": "last_name"},
        description="Merge tags that are traits, and the trait's name.",
    )
    topics: Mapping[str, Kind] = Field(
        default_factory=dict,
        description="What a list's subscribers agreed to, by list id, where that is not marketing in general.",
    )
    archived: Literal["deleted", "kept"] = Field(
        default="deleted", description="Whether a member who was archived in Mailchimp counts as deleted."
    )
    recheck_days: int = Field(
        default=90, ge=1, description="Days after its sending in which a campaign is asked for new activity."
    )
    overlap_minutes: int = Field(default=5, ge=1, description="Minutes read again by each pull.")
    sweep_days: int | None = Field(
        default=30,
        ge=1,
        description="Every so many days all members are read, to notice those erased for good; null: never.",
    )
    page_size: int = Field(default=1000, ge=1, le=1000, description="Rows a request; fewer where requests time out.")
    connections: int = Field(
        default=5, ge=1, le=CONNECTIONS, description="Requests at the same time; the account has 10 for all programs."
    )

    @field_validator("identifiers", "traits")
    @classmethod
    def _merge_tags(cls, value: Mapping[str, Kind]) -> Mapping[str, Kind]:
        wrong = [tag for tag in value if not _MERGE_TAG.fullmatch(tag)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no merge tag: upper-case letters, digits and underscores, as FNAME")
        return value

    @property
    def merge_tags(self) -> tuple[str, ...]:
        """Every merge tag that the settings name, once."""
        return tuple(dict.fromkeys((*self.identifiers, *self.traits)))

    @property
    def all_topics(self) -> tuple[str, ...]:
        """Every topic that a list may stand for."""
        return tuple(dict.fromkeys((MARKETING, *self.topics.values())))
