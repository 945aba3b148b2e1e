"""Contacts: users and leads, who they are, what they agreed to, and which of them were merged or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Endpoint, Page, Row
from millstream.sources.intercom.gone import Expected, marked
from millstream.sources.intercom.search import CONTACTS, Found, count
from millstream.sources.intercom.settings import IntercomSettings, attribute_column, subscription_column
from millstream.sources.intercom.walk import ROWS_A_PART, Walk
from millstream.sources.parallel import in_order
from millstream.sources.pull import records_at
from millstream.state.errors import IncompleteError, NotFoundError
from millstream.state.model.declarations import Consent, ConsentStatus, Identifier, People, Trait

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.intercom.tags import Tags
    from millstream.sources.pull import Pull

CONTACT_ID = "intercom_contact_id"
"""Identifier kind of a contact's id."""

_FIELDS = (
    "id",
    "external_id",
    "role",
    "email",
    "phone",
    "name",
    "owner_id",
    "has_hard_bounced",
    "marked_email_as_spam",
    "unsubscribed_from_emails",
    "browser",
    "os",
    "created_at",
    "updated_at",
    "signed_up_at",
    "last_seen_at",
    "last_contacted_at",
    "last_replied_at",
    "last_email_opened_at",
    "last_email_clicked_at",
    "custom_attributes",
)
_COLUMNS = (
    Column("id", description="Contact id.", required=True),
    Column("external_id", description="The contact's id elsewhere: given by you to a user, made up for a lead."),
    Column("user_id", description="The external id, of users only."),
    Column("role", description="user or lead."),
    Column("email"),
    Column("phone"),
    Column("name", description="Full name."),
    Column("owner_id", description="The admin who looks after them.", optional=True),
    Column("has_hard_bounced", "bool", "A mail to the address came back for good.", optional=True),
    Column("marked_email_as_spam", "bool", optional=True),
    Column("unsubscribed_from_emails", "bool", "Unsubscribed from all e-mail; false says nothing."),
    Column("language", description="The one chosen, or else the browser's.", optional=True),
    Column("browser", optional=True),
    Column("os", optional=True),
    Column("country", optional=True),
    Column("region", optional=True),
    Column("city", optional=True),
    Column("tags", description="Names of tags, `;` between them."),
    Column("tag_ids", "json"),
    Column("company_ids", "json", "At most ten of the companies."),
    Column("custom_attributes", "json", optional=True),
    Column("created_at", "timestamp", required=True),
    Column("updated_at", "timestamp", required=True),
    Column("signed_up_at", "timestamp", optional=True),
    Column("last_seen_at", "timestamp", optional=True),
    Column("last_contacted_at", "timestamp", optional=True),
    Column("last_replied_at", "timestamp", optional=True),
    Column("last_email_opened_at", "timestamp", optional=True),
    Column("last_email_clicked_at", "timestamp", optional=True),
    Column("merged_ids", description="Ids of contacts merged into this one, `;` between them.", optional=True),
    Column("merged_into", description="The contact that swallowed this one, where we saw it.", optional=True),
    Column("deleted", "bool", "Merged away, or found missing by a sweep: deleted or archived."),
)
_REFUSALS: Mapping[str, ConsentStatus] = {"true": "denied"}


def contact_columns(settings: IntercomSettings) -> tuple[Column, ...]:
    """The columns, with those of the attributes and subscription types that the settings name."""
    return (
        *_COLUMNS,
        *(Column(attribute_column(one), description=f"Attribute {one}.", optional=True) for one in settings.attributes),
        *(
            Column(subscription_column(one), description=f"opt_in or opt_out of subscription {one}.", optional=True)
            for one in settings.subscriptions
        ),
    )


def contact_people(settings: IntercomSettings) -> People:
    """What a contact says about a person."""
    subscriptions = {type_id: settings.subscription(type_id) for type_id in settings.subscriptions}
    topics = dict.fromkeys(("marketing", *(one.topic for one in subscriptions.values() if one.channel == "email")))
    return People(
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=CONTACT_ID, column="id"),
            Identifier(kind=CONTACT_ID, column="merged_ids", split=";"),
            *((Identifier(kind=settings.external_id, column="user_id"),) if settings.external_id else ()),
            Identifier(kind="phone", column="phone"),
            *(Identifier(kind=kind, column=attribute_column(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(
            Trait(name="full_name", column="name"),
            Trait(name="language", column="language"),
            Trait(name="country", column="country"),
            Trait(name="region", column="region"),
            Trait(name="city", column="city"),
            Trait(name="intercom_role", column="role"),
            Trait(name="intercom_tags", column="tags"),
            Trait(name="last_seen_at", column="last_seen_at", type="timestamp"),
            *(Trait(name=name, column=attribute_column(key)) for key, name in settings.traits.items()),
        ),
        consents=(
            *(
                Consent(channel="email", column=column, statuses=_REFUSALS, topic=topic)
                for topic in topics
                for column in ("unsubscribed_from_emails", "marked_email_as_spam")
            ),
            *(
                Consent(
                    channel=one.channel,
                    column=subscription_column(type_id),
                    statuses={"opt_in": "granted", "opt_out": "denied"},
                    topic=one.topic,
                )
                for type_id, one in subscriptions.items()
            ),
        ),
        observed_at="updated_at",
        deleted="deleted",
        country="country",
    )


def read_contacts(pull: Pull, settings: IntercomSettings, tags: Tags) -> Iterator[Page | pa.Table]:
    """Pages of contacts as rows, and the stored rows of those that were merged away or are gone."""
    walk = Walk(pull, settings, sweeps=True)
    expected = _expected(pull) if walk.reads_everything else None
    seen: set[str] = set()
    merged: dict[str, str | None] = {}
    rows = 0
    for batch in walk.batches(CONTACTS):
        shaped = _shaped(pull, batch.rows, settings, tags)
        merged |= _merged(batch.rows)
        yield from marked(pull, "contacts", _merged(batch.rows))
        if expected is not None:
            seen.update(str(contact.get("id")) for contact in batch.rows)
            if batch.created is not None:
                missing = expected.missing(batch.created, seen)
                yield from marked(pull, "contacts", {one: merged.get(one) for one in missing})
                seen.clear()
        batch.keep_place(pull)
        yield shaped
        rows += len(shaped)
        if rows >= ROWS_A_PART:
            rows = 0
            yield pull.until_loaded()


def shape_contact(contact: Mapping[str, Any], tag_ids: list[str], tag_names: list[str]) -> Row:
    """A contact as a row, without what the settings add."""
    row: Row = {name: contact[name] for name in _FIELDS if name in contact}
    if "external_id" in contact and "role" in contact:
        row["user_id"] = contact["external_id"] if contact["role"] == "user" else None
    where = contact.get("location") or {}
    companies = (contact.get("companies") or {}).get("data") or []
    merged = [str(one["source_contact_id"]) for one in contact.get("merge_history") or []]
    return row | {
        "language": contact.get("language_override") or contact.get("browser_language"),
        "country": where.get("country"),
        "region": where.get("region"),
        "city": where.get("city"),
        "tags": ";".join(sorted(tag_names)) or None,
        "tag_ids": tag_ids,
        "company_ids": [one.get("id") for one in companies],
        "merged_ids": ";".join(merged) or None,
        "deleted": False,
    }


def _shaped(pull: Pull, contacts: Found, settings: IntercomSettings, tags: Tags) -> Page:
    rows = []
    for contact in contacts:
        tag_ids = tags.of_contact(pull, contact)
        row = shape_contact(contact, tag_ids, tags.names(pull, tag_ids))
        attributes = contact.get("custom_attributes") or {}
        rows.append(row | {attribute_column(name): attributes.get(name) for name in settings.attributes})
    if settings.subscriptions:
        ids = [str(row.get("id")) for row in rows]
        asked = in_order(partial(_subscriptions, pull), ids, at_once=settings.requests_at_once)
        for row, (_, found) in zip(rows, asked, strict=True):
            row |= {subscription_column(type_id): found.get(type_id) for type_id in settings.subscriptions}
    return rows


def _subscriptions(pull: Pull, contact_id: str) -> Mapping[str, str]:
    """What a contact has chosen, by subscription type; types they left as they were are not told."""
    endpoint = Endpoint(path=f"contacts/{contact_id}/subscriptions", records="data")
    try:
        found = records_at(pull.get(endpoint.path), endpoint)
    except NotFoundError:
        return {}
    return {str(one.get("id")): str(one.get("consent_type")) for one in found}


def _merged(contacts: Found) -> dict[str, str | None]:
    """Contacts that were merged away, and into whom."""
    return {
        str(one["source_contact_id"]): str(contact["id"])
        for contact in contacts
        for one in contact.get("merge_history") or []
    }


def _expected(pull: Pull) -> Expected:
    """The stored contacts that a reading of everything should find.

    Raises:
        IncompleteError: The vendor has none any more.
    """
    expected = Expected(pull, "contacts")
    if expected.count and not pull.accept_empty and not count(pull, CONTACTS):
        raise IncompleteError(
            f"Intercom has no contacts any more, and {expected.count} are stored; they were kept.",
            remedy="if they really were deleted, run `millstream ingest --accept-empty`.",
        )
    return expected
