"""Members of lists: who they are, and whether they may be written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.mailchimp.changes import Window, changed, counted
from millstream.sources.mailchimp.paging import moment_of
from millstream.sources.mailchimp.settings import MARKETING
from millstream.state.errors import IncompleteError
from millstream.state.model.declarations import Consent, ConsentStatus, Identifier, People, Trait

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.mailchimp.settings import MailchimpSettings
    from millstream.sources.pull import Pull

CONTACT_ID = "mailchimp_contact_id"
"""Identifier kind of a member's contact id, which stays when the address changes."""

EMAIL_ID = "mailchimp_email_id"
"""Identifier kind of an address's id in links of campaigns (``mc_eid``)."""

ARCHIVED = "archived"
_REFUSED = "unsubscribed"
_FIELDS = {
    "list_id": "list_id",
    "id": "email_id",
    "email_address": "email",
    "unique_email_id": "unique_email_id",
    "status": "status",
    "unsubscribe_reason": "unsubscribe_reason",
    "sms_phone_number": "sms_phone",
    "sms_subscription_status": "sms_status",
    "merge_fields": "merge_fields",
    "tags": "tags",
    "interests": "interests",
    "marketing_permissions": "marketing_permissions",
    "language": "language",
    "vip": "vip",
    "member_rating": "rating",
    "source": "origin",
    "timestamp_signup": "signed_up_at",
    "timestamp_opt": "opted_in_at",
    "last_changed": "changed_at",
}
_COLUMNS = (
    Column("list_id", description="The list (audience).", required=True),
    Column("contact_id", description="Id that stays when the address changes.", required=True),
    Column("email_id", description="The vendor's id of the address, a hash of it.", required=True),
    Column("email", description="Address."),
    Column("unique_email_id", description="Id of the address in links of campaigns.", optional=True),
    Column("status", description="subscribed, unsubscribed, cleaned, pending, transactional or archived."),
    Column("unsubscribe_reason", optional=True),
    Column("sms_phone", description="Number for text messages.", optional=True),
    Column("sms_status", description="Whether text messages are allowed.", optional=True),
    Column("merge_fields", "json", "All merge fields by tag."),
    Column("tags", "json", optional=True),
    Column("interests", "json", "Groups by id, and whether they belong to it.", optional=True),
    Column("marketing_permissions", "json", "Consents asked for in words of the account's own.", optional=True),
    Column("language", optional=True),
    Column("country", description="Where they seem to be, an ISO 3166 code.", optional=True),
    Column("vip", "bool", optional=True),
    Column("rating", "bigint", "Stars for engagement, 1 to 5.", optional=True),
    Column("origin", description="How they came on the list.", optional=True),
    Column("signed_up_at", "timestamp", optional=True),
    Column("opted_in_at", "timestamp", "When they confirmed.", optional=True),
    Column("changed_at", "timestamp", "Last change.", required=True),
    Column("deleted", "bool", "Archived, or erased for good."),
)
_MEANING: Mapping[str, ConsentStatus] = {
    "subscribed": "granted",
    _REFUSED: "denied",
    "pending": "unknown",
    "cleaned": "unknown",
    "transactional": "unknown",
}
_SMS_MEANING: Mapping[str, ConsentStatus] = {
    "subscribed": "granted",
    "unsubscribed": "denied",
    "nonsubscribed": "unknown",
    "pending": "unknown",
}


def member_columns(settings: MailchimpSettings) -> tuple[Column, ...]:
    """The columns, with one for each merge field and each topic of the settings."""
    fields = (
        Column(field_column(tag), description=f"Merge field {tag}.", optional=True) for tag in settings.merge_tags
    )
    topics = (
        Column(topic_column(topic), description=f"The status, of lists that stand for {topic}.", optional=True)
        for topic in settings.all_topics
    )
    return (*_COLUMNS, *fields, *topics)


def field_column(tag: str) -> str:
    """The column of a merge field."""
    return f"field_{tag.lower()}"


def topic_column(topic: str) -> str:
    """The column with the status of a topic."""
    return f"status_{topic}"


def member_people(settings: MailchimpSettings) -> People:
    """What a member says about a person."""
    return People(
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=CONTACT_ID, column="contact_id"),
            Identifier(kind=EMAIL_ID, column="unique_email_id"),
            *(Identifier(kind=kind, column=field_column(tag)) for tag, kind in settings.identifiers.items()),
            Identifier(kind="phone", column="sms_phone"),
        ),
        traits=(
            *(Trait(name=name, column=field_column(tag)) for tag, name in settings.traits.items()),
            Trait(name="language", column="language"),
            Trait(name="mailchimp_rating", column="rating", type="number"),
        ),
        consents=(
            *(
                Consent(channel="email", column=topic_column(topic), statuses=_MEANING, topic=topic)
                for topic in settings.all_topics
            ),
            Consent(channel="sms", column="sms_status", statuses=_SMS_MEANING),
        ),
        observed_at="changed_at",
        deleted="deleted",
        country="country",
    )


def shape_member(member: Mapping[str, Any], settings: MailchimpSettings) -> Row:
    """A member as a row."""
    row: Row = {column: member[name] for name, column in _FIELDS.items() if name in member}
    fields = member.get("merge_fields") or {}
    topic = settings.topics.get(str(member.get("list_id")), MARKETING)
    return row | {
        "contact_id": member.get("contact_id") or member.get("unique_email_id") or member.get("id"),
        "country": (member.get("location") or {}).get("country_code") or None,
        "deleted": member.get("status") == ARCHIVED and settings.archived == "deleted",
        topic_column(topic): member.get("status"),
        **{field_column(tag): _as_text(fields.get(tag)) for tag in settings.merge_tags},
    }


def _as_text(value: Any) -> str | None:
    """A merge field as text; an address, which has parts, as one line."""
    if isinstance(value, Mapping):
        return ", ".join(str(part) for part in value.values() if part) or None
    return None if value in (None, "") else str(value)


def read_members(pull: Pull, settings: MailchimpSettings, list_ids: Sequence[str]) -> Iterator[Page | pa.Table]:
    """Members that changed, list after list; now and then all of them, and those that are stored and gone."""
    places = pull.state.setdefault("places", {})
    is_first = not places
    if is_first:
        pull.state["swept"] = pull.pulled_at.isoformat()
    sweeps = not pull.is_backfill and (is_first or _sweep_is_due(pull, settings))
    seen: set[tuple[str, str]] = set()
    for list_id in list_ids:
        for status in (None, ARCHIVED):
            yield from _read(pull, settings, _whole(pull, settings, list_id, status, everything=sweeps), seen)
    if sweeps:
        if settings.sweep_days is not None:
            yield from _erased(pull, list_ids, seen)
        pull.state["swept"] = pull.pulled_at.isoformat()


def _place_name(window: Window) -> str:
    return f"{window.list_id}/{window.status}" if window.status else window.list_id


def _whole(pull: Pull, settings: MailchimpSettings, list_id: str, status: str | None, *, everything: bool) -> Window:
    window = Window(list_id=list_id, status=status, since=pull.since, before=pull.until)
    kept = pull.state["places"].get(_place_name(window))
    if not pull.is_backfill and not everything and kept:
        since = datetime.fromisoformat(kept) - timedelta(minutes=settings.overlap_minutes)
        window = Window(list_id=list_id, status=status, since=since, before=None)
    window = counted(pull, window)
    if not pull.is_backfill:
        pull.expect(window.rows)
    return window


def _read(pull: Pull, settings: MailchimpSettings, whole: Window, seen: set[tuple[str, str]]) -> Iterator[Page]:
    """The members of a list; moves its place in the notes after each window."""
    places, name = pull.state["places"], _place_name(whole)
    latest, given = places.get(name), 0
    for window, members in changed(pull, whole, settings):
        rows = [shape_member(member, settings) for member in members]
        if rows and whole.status == ARCHIVED:
            _keep_refusals(pull, settings, whole.list_id, rows)
        for member, row in zip(members, rows, strict=True):
            seen.add((whole.list_id, str(row["contact_id"])))
            at = min(moment_of(member, "last_changed"), pull.pulled_at).isoformat()
            latest = max(latest or at, at)
        given += len(rows)
        if reached := window.before.isoformat() if window.before else latest:
            places[name] = max(places.get(name, reached), reached)
            pull.place = max(places.values())
        yield rows
        if window.before and len(rows) >= settings.page_size:
            yield pull.until_loaded()
    if given < whole.rows and not pull.is_backfill:
        # Who changed meanwhile may have moved to the other pass, and who was erased is nowhere.
        left = counted(pull, whole).rows
        pull.expect(min(left, whole.rows) - whole.rows)


def _keep_refusals(pull: Pull, settings: MailchimpSettings, list_id: str, rows: Page) -> None:
    """Leave those unsubscribed who were when they were archived: the vendor no longer says so of them."""
    if pull.stored is None:
        return
    import pyarrow as pa

    column = topic_column(settings.topics.get(list_id, MARKETING))
    ids = pa.array([str(row["contact_id"]) for row in rows], pa.string())
    keys = pa.table({"list_id": pa.array([list_id] * len(rows), pa.string()), "contact_id": ids})
    stored = [row for table in pull.stored.rows_of_keys("members", keys) for row in table.to_pylist()]
    refused = {row["contact_id"] for row in stored if row.get(column) == _REFUSED}
    for row in rows:
        if row["contact_id"] in refused:
            row[column] = _REFUSED


def _sweep_is_due(pull: Pull, settings: MailchimpSettings) -> bool:
    if settings.sweep_days is None or pull.stored is None:
        return False
    swept = datetime.fromisoformat(pull.state["swept"])
    return swept + timedelta(days=settings.sweep_days) <= pull.pulled_at


def _erased(pull: Pull, list_ids: Sequence[str], seen: set[tuple[str, str]]) -> Iterator[pa.Table]:
    """The stored members that were not seen, marked as deleted; nothing tells of them.

    Raises:
        IncompleteError: The account seems to have lost all of them.
    """
    import pyarrow as pa

    if pull.stored is None:
        return
    columns = ("list_id", "contact_id")
    known = [tuple(row.values()) for row in pull.stored.rows("members", columns=columns).to_pylist()]
    gone = [key for key in known if key not in seen and key[0] in list_ids]
    if gone and not seen and not pull.accept_empty:
        raise IncompleteError(
            f"The account has no members any more, and {len(gone)} are stored; they were kept.",
            remedy="if they really were erased, run `millstream ingest --accept-empty`.",
        )
    keys = pa.table({name: pa.array([key[at] for key in gone], pa.string()) for at, name in enumerate(columns)})
    for table in pull.stored.rows_of_keys("members", keys):
        marks = pa.array([True] * len(table), pa.bool_())
        yield table.set_column(table.column_names.index("deleted"), "deleted", marks)
