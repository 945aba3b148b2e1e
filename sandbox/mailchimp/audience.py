"""The list itself and its members: endpoints under `/lists`, tags and merge fields apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.mailchimp.listing import check_query, flag, moment, one_of, page_of, shaped, stamp
from millstream.sandbox.mailchimp.members import (
    ARCHIVED,
    CLEANED,
    STATUSES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Member,
    Register,
)
from millstream.sandbox.mailchimp.problems import RowRefused, invalid_fields, looks_fake, not_found, problem
from millstream.sandbox.mailchimp.tags import Tags
from millstream.sandbox.mailchimp.writing import (
    MemberBatch,
    MemberFields,
    NewMember,
    PutMember,
    Writer,
    member_body,
)
from millstream.sandbox.system import Answer, Call, JsonObject

FILTERS = (
    "status",
    "since_last_changed",
    "before_last_changed",
    "unsubscribed_since",
    "sort_field",
    "sort_dir",
)
CREATED_AT_MS = 1_600_000_000_000


class Audience:
    """Handlers for the one list and its members."""

    def __init__(self, list_id: str, register: Register, tags: Tags, writer: Writer) -> None:
        self._list_id = list_id
        self._register = register
        self._tags = tags
        self._writer = writer
        self._listed: tuple[tuple[object, ...], list[int]] | None = None

    # The list

    def list_lists(self, call: Call) -> Answer:
        """The account's one list."""
        check_query(call, "since_date_created", "before_date_created", "email")
        return shaped(call, {"lists": list(page_of(call, [self._list()])), "total_items": 1})

    def get_list(self, call: Call) -> Answer:
        """The list with its counts."""
        return shaped(call, self._list())

    def create_list(self, call: Call) -> Answer:
        """Refused: the plan has room for one list."""
        raise problem(403, "Forbidden", f"The account cannot have more lists ({call.path}).")

    def _list(self) -> JsonObject:
        counts = np.bincount(self._register.statuses + 1, minlength=len(STATUSES) + 1)[1:]
        return {
            "id": self._list_id,
            "web_id": 100_001,
            "name": "Customers",
            "contact": {"company": "Example Shop", "country": "US"},
            "permission_reminder": "You signed up in our shop.",
            "campaign_defaults": {"from_name": "Example Shop", "from_email": "news@shop.box.example"},
            "date_created": stamp(CREATED_AT_MS),
            "list_rating": 3,
            "email_type_option": False,
            "double_optin": False,
            "visibility": "prv",
            "stats": {
                "member_count": int(counts[SUBSCRIBED]),
                "unsubscribe_count": int(counts[UNSUBSCRIBED]),
                "cleaned_count": int(counts[CLEANED]),
                "total_contacts": int(counts.sum() - counts[ARCHIVED]),
                "merge_field_count": 3,
            },
        }

    def upsert_batch(self, call: Call) -> Answer:
        """Write up to 500 members; what is wrong with a row stands in `errors` of an answer with status 200."""
        check_query(call, "skip_merge_validation", "skip_duplicate_check")
        batch = call.body_as(MemberBatch)
        self._refuse_whole(call, batch)
        created: list[JsonObject] = []
        updated: list[JsonObject] = []
        errors: list[JsonObject] = []
        seen: set[str] = set()
        for row in batch.members:
            email = (row.email_address or "").strip()
            try:
                if email.lower() in seen:
                    if flag(call, "skip_duplicate_check"):
                        continue
                    raise RowRefused("Invalid Resource", f"{email} appears more than once in this request.")
                seen.add(email.lower())
                member, is_new = self._upsert_row(call, row, email, batch)
                (created if is_new else updated).append(self._body(member))
            except RowRefused as refused:
                errors.append(refused.in_batch(row.email_address or ""))
        return Answer(
            {
                "new_members": created,
                "updated_members": updated,
                "errors": errors,
                "total_created": len(created),
                "total_updated": len(updated),
                "error_count": len(errors),
            }
        )

    def _refuse_whole(self, call: Call, batch: MemberBatch) -> None:
        order = call.refusal()
        if order is not None and order.whole_batch:
            bad = [
                (f"members.item:{number}.email_address", "This row cannot be saved.")
                for number, row in enumerate(batch.members)
                if call.refuses((row.email_address or "").lower())
            ]
            if bad:
                raise invalid_fields(*bad)

    def _upsert_row(self, call: Call, row: NewMember, email: str, batch: MemberBatch) -> tuple[Member, bool]:
        if call.refuses(email.lower()):
            raise looks_fake(email)
        skip = flag(call, "skip_merge_validation")
        member = self._writer.current(email)
        if member is None:
            return self._writer.create(row, email, row.status, skip_validation=skip), True
        if not batch.update_existing:
            raise RowRefused(
                "Member Exists",
                f"{email} is already a list member. Set update_existing to change it.",
                code="ERROR_CONTACT_EXISTS",
            )
        written = self._writer.update(member, row, skip_validation=skip)
        if batch.sync_tags:
            self._tags.set_tags(written, row.tags, replace=True)
        return written, False

    # Members

    def list_members(self, call: Call) -> Answer:
        """Members by status and last change; archived ones only when asked for."""
        check_query(call, *FILTERS)
        self._register.take_news()
        positions = self._selected(call)
        page = [self._body(self._register.member(position)) for position in page_of(call, positions)]
        return shaped(call, {"members": page, "list_id": self._list_id, "total_items": len(positions)})

    def _selected(self, call: Call) -> list[int]:
        key = (self._register.version, *(call.query.get(name) for name in FILTERS))
        if self._listed is None or self._listed[0] != key:
            self._listed = key, self._select(call).tolist()
        return self._listed[1]

    def _select(self, call: Call) -> NDArray[np.int64]:
        status = one_of(call, "status", STATUSES)
        statuses, changed = self._register.statuses, self._register.changed // 1000
        if "unsubscribed_since" in call.query and status != "unsubscribed":
            raise problem(400, "Bad Request", "unsubscribed_since needs status=unsubscribed.")
        wanted = (statuses >= 0) & (statuses != ARCHIVED) if status is None else statuses == STATUSES.index(status)
        for name in ("since_last_changed", "unsubscribed_since"):
            since = moment(call, name)
            wanted &= changed > since if since is not None else True
        before = moment(call, "before_last_changed")
        wanted &= changed < before if before is not None else True
        positions = np.flatnonzero(wanted)
        by = one_of(call, "sort_field", ("timestamp_opt", "timestamp_signup", "last_changed"))
        if by == "last_changed":
            positions = positions[np.argsort(changed[positions], kind="stable")]
        elif by is not None:
            times = [self._register.member(position).created_ms for position in positions.tolist()]
            positions = positions[np.argsort(np.asarray(times, dtype=np.int64), kind="stable")]
        return positions[::-1] if one_of(call, "sort_dir", ("ASC", "DESC")) == "DESC" else positions

    def get_member(self, call: Call) -> Answer:
        """One member, archived or not."""
        return shaped(call, self._body(self._member(call)))

    def create_member(self, call: Call) -> Answer:
        """Put one person on the list; somebody who is there is refused."""
        fields = call.body_as(NewMember)
        email = _address(fields)
        if self._writer.current(email) is not None:
            raise problem(400, "Member Exists", f"{email} is already a list member. Use PUT to insert or update.")
        return self._written(call, fields, email, None, fields.status)

    def put_member(self, call: Call) -> Answer:
        """Create or change one member."""
        fields = call.body_as(PutMember)
        email = _address(fields)
        member = self._register.find(call.params["member"])
        current = None if member is None or member.status == "archived" else member
        if current is None and fields.status is None and fields.status_if_new is None:
            raise invalid_fields(("status_if_new", "A status is needed for a new member."))
        return self._written(call, fields, email, current, fields.status_if_new or fields.status)

    def patch_member(self, call: Call) -> Answer:
        """Change one member who is on the list."""
        fields = call.body_as(MemberFields)
        member = self._member(call)
        return self._written(call, fields, fields.email_address or member.email, member, fields.status)

    def _written(
        self, call: Call, fields: MemberFields, email: str, member: Member | None, status: str | None
    ) -> Answer:
        check_query(call, "skip_merge_validation")
        skip = flag(call, "skip_merge_validation")
        try:
            if call.refuses(email.lower()):
                raise RowRefused(
                    "Invalid Resource", f"{email} looks fake or invalid, please enter a real email address."
                )
            if member is None:
                written = self._writer.create(fields, email, status, skip_validation=skip)
            else:
                written = self._writer.update(member, fields, skip_validation=skip)
        except RowRefused as refused:
            raise refused.alone() from refused
        return Answer(self._body(written))

    def archive_member(self, call: Call) -> Answer:
        """Take a member off the list; it can come back. Archiving twice is refused."""
        member = self._member(call)
        if member.status == "archived":
            raise problem(405, "Method Not Allowed", "This list member cannot be removed. It is archived already.")
        member.status = "archived"
        self._register.keep(member)
        return Answer(None, 204)

    def forget_member(self, call: Call) -> Answer:
        """Delete a member and everything about it; the address can never be imported again."""
        member = self._member(call)
        self._tags.drop(member)
        self._register.forget(member)
        return Answer(None, 204)

    def list_member_tags(self, call: Call) -> Answer:
        """Tags of one member."""
        return self._tags.of_member(call, self._member(call))

    def change_member_tags(self, call: Call) -> Answer:
        """Set and take away tags of one member."""
        return self._tags.change_of_member(call, self._member(call))

    def _member(self, call: Call) -> Member:
        member = self._register.find(call.params["member"])
        if member is None:
            raise not_found(f"member {call.params['member']}")
        return member

    def _body(self, member: Member) -> JsonObject:
        return member_body(member, self._tags.of(member), self._list_id)

    # For tests

    def state(self) -> JsonObject:
        """Everybody on the list, and what was done to them."""
        members = [self._register.member(int(place)) for place in np.flatnonzero(self._register.statuses >= 0)]
        return {
            "members": [
                {
                    "email_address": member.email,
                    "status": member.status,
                    "tags": [tag.name for tag in self._tags.of(member)],
                    "merge_fields": member.merge_fields,
                    "in_compliance_state": member.in_compliance_state,
                    "resubscribed": member.resubscribed,
                }
                for member in members
            ],
            "resubscribed": [member.email for member in members if member.resubscribed],
            "forgotten": sorted(self._register.forgotten),
            "tags": {tag.name: len(tag.positions) for tag in self._tags.all()},
        }


def _address(fields: MemberFields) -> str:
    if fields.email_address is None:
        raise invalid_fields(("email_address", "This value should not be blank."))
    return fields.email_address.strip()
