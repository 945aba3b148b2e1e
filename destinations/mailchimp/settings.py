"""What a project says about its Mailchimp account."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from millstream.destinations.contract import DestinationSettings
from millstream.state.vendors.mailchimp import MailchimpAccount


class MailchimpSettings(MailchimpAccount, DestinationSettings):
    """Settings of a Mailchimp connection."""

    list_id: str = Field(min_length=1, description="Id of the audience (list) that people are written to.")
    new_member_status: Literal["transactional", "subscribed", "pending"] = Field(
        default="transactional",
        description="Status of people who are new to the list: transactional is no opt-in to marketing mail, "
        "subscribed says that you hold one, pending makes Mailchimp ask them by mail.",
    )
