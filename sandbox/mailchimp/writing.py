"""How a member is shown, and the rules every write to a member obeys, alone or in a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from millstream.sandbox.mailchimp.listing import stamp
from millstream.sandbox.mailchimp.members import Member, Register, check_address, key_of
from millstream.sandbox.mailchimp.merge_fields import MergeFields
from millstream.sandbox.mailchimp.problems import RowRefused
from millstream.sandbox.system import JsonObject

if TYPE_CHECKING:
    from millstream.sandbox.mailchimp.tags import Tag, Tags

Status = Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional"]
LARGEST_BATCH = 500


class MemberFields(BaseModel):
    """What can be written about a member everywhere."""

    model_config = ConfigDict(extra="forbid")

    email_address: str | None = None
    email_type: Literal["html", "text"] | None = None
    status: Status | None = None
    merge_fields: dict[str, object] = Field(default_factory=dict)
    interests: dict[str, bool] = Field(default_factory=dict)
    language: str | None = None
    vip: bool | None = None
    location: dict[str, float] | None = None
    ip_signup: str | None = None
    timestamp_signup: str | None = None
    ip_opt: str | None = None
    timestamp_opt: str | None = None
    marketing_permissions: list[dict[str, object]] = Field(default_factory=list)


class NewMember(MemberFields):
    """Body of `POST /lists/{list_id}/members`, and one row of a batch."""

    tags: list[str] = Field(default_factory=list)


class PutMember(MemberFields):
    """Body of `PUT /lists/{list_id}/members/{member}`."""

    status_if_new: Status | None = None


class MemberBatch(BaseModel):
    """Body of `POST /lists/{list_id}`."""

    model_config = ConfigDict(extra="forbid")

    members: Annotated[list[NewMember], Field(min_length=1, max_length=LARGEST_BATCH)]
    update_existing: bool = False
    sync_tags: bool = False


def member_body(member: Member, tags: Iterable[Tag], list_id: str) -> JsonObject:
    """A member as the API shows it."""
    names = [str(member.merge_fields.get(tag) or "") for tag in ("FNAME", "LNAME")]
    opted_in = member.status not in {"transactional", "pending"}
    shown = [{"id": tag.tag_id, "name": tag.name} for tag in tags]
    return {
        "id": member.key,
        "email_address": member.email,
        "unique_email_id": member.contact_id[:10],
        "contact_id": member.contact_id,
        "full_name": " ".join(name for name in names if name),
        "web_id": 600_000_000 + member.position,
        "email_type": member.email_type,
        "status": member.status,
        "unsubscribe_reason": "N/A (Unsubscribed by an admin)" if member.status == "unsubscribed" else "",
        "consents_to_one_to_one_messaging": True,
        "merge_fields": member.merge_fields,
        "interests": {},
        "ip_signup": "",
        "timestamp_signup": stamp(member.created_ms),
        "ip_opt": "",
        "timestamp_opt": stamp(member.created_ms) if opted_in else "",
        "member_rating": 2,
        "last_changed": stamp(member.changed_ms),
        "language": member.language,
        "vip": member.vip,
        "location": member.location or {"latitude": 0, "longitude": 0},
        "source": "API - Generic",
        "tags_count": len(shown),
        "tags": shown,
        "list_id": list_id,
    }


class Writer:
    """Writes members."""

    def __init__(self, register: Register, merge_fields: MergeFields, tags: Tags) -> None:
        self._register = register
        self._merge_fields = merge_fields
        self._tags = tags

    def current(self, email: str) -> Member | None:
        """The member with this address, unless archived: those are as good as new."""
        member = self._register.by_email(email)
        return None if member is None or member.status == "archived" else member

    def create(self, fields: MemberFields, email: str, status: str | None, *, skip_validation: bool) -> Member:
        """Put somebody on the list (or back on it, from the archive)."""
        check_address(email)
        if key_of(email) in self._register.forgotten:
            raise RowRefused(
                "Forgotten Email Not Subscribed",
                f"{email} was permanently deleted and cannot be re-imported. The contact must sign up again.",
            )
        if status is None:
            raise RowRefused("Invalid Resource", "A status is needed for a new member.", "status")
        archived = self._register.by_email(email)
        member = self._register.create(email, status) if archived is None else archived
        merged = self._merge_fields.merged(member.merge_fields, fields.merge_fields, skip_validation=skip_validation)
        self._set_status(member, status)
        member.merge_fields = merged
        return self._finish(member, fields)

    def update(self, member: Member, fields: MemberFields, *, skip_validation: bool) -> Member:
        """Change somebody who is on the list. What is not given stays."""
        email = fields.email_address
        if email is not None and email.lower() != member.email.lower():
            check_address(email)
            if self.current(email) is not None:
                raise RowRefused("Member Exists", f"{email} is already a list member.")
        merged = self._merge_fields.merged(member.merge_fields, fields.merge_fields, skip_validation=skip_validation)
        if fields.status is not None:
            self._set_status(member, fields.status)
        member.merge_fields = merged
        if email is not None and email.lower() != member.email.lower():
            self._register.rename(member, email)
        return self._finish(member, fields)

    def _finish(self, member: Member, fields: MemberFields) -> Member:
        member.language = fields.language or member.language
        member.email_type = fields.email_type or member.email_type
        member.vip = member.vip if fields.vip is None else fields.vip
        member.location = fields.location or member.location
        if isinstance(fields, NewMember):
            self._tags.set_tags(member, fields.tags)
        self._register.keep(member)
        return member

    def _set_status(self, member: Member, status: str) -> None:
        # The vendor does what it is told: a client that sends `subscribed` brings unsubscribed people back,
        # except those who left by their own hand or bounced.
        if status == "subscribed" and member.in_compliance_state:
            raise RowRefused(
                "Member In Compliance State",
                f"{member.email} is in a compliance state due to unsubscribe, bounce, or compliance review "
                "and cannot be subscribed.",
            )
        member.resubscribed |= status == "subscribed" and member.opted_out
        member.opted_out = status in {"unsubscribed", "cleaned"} or (status == "transactional" and member.opted_out)
        member.status = status
