"""The streams of received messages: their columns, and what they say about people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Page, Stream
from millstream.sources.segment.users import STANDARD, consent_column, trait_column, trait_type
from millstream.state.model.declarations import Consent, Event, Identifier, People, Trait

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.segment.settings import SegmentSettings

Read = Callable[["Pull"], Iterable[Page]]

_COMMON = (
    Column("message_id", description="The sender's messageId; what comes again replaces itself.", required=True),
    Column("user_id", optional=True),
    Column("anonymous_id", optional=True),
    Column("timestamp", "timestamp", "When the call was made, by our clock.", required=True),
    Column("received_at", "timestamp", "When it reached us.", required=True),
    Column("sent_at", "timestamp", "By the sender's clock.", optional=True),
    Column("original_timestamp", "timestamp", "When the call was made, by the sender's clock.", optional=True),
    Column("email", description="Among the traits of the call or of its context.", optional=True),
    Column("device_id", optional=True),
    Column("campaign", description="context.campaign.name", optional=True),
    Column("library", description="What sent it.", optional=True),
    Column("via", description="Name of the write key, or webhook:<name>.", optional=True),
    Column("context", "json", optional=True),
)
_SURROUNDINGS = (
    Column("os", description="context.os.name", optional=True),
    Column("device_type", description="context.device.type", optional=True),
    Column("utm_source", description="context.campaign.source", optional=True),
    Column("utm_medium", description="context.campaign.medium", optional=True),
    Column("country", description="context.location.country", optional=True),
    Column("region", description="context.location.region", optional=True),
    Column("city", description="context.location.city", optional=True),
)
_AROUND = tuple(column.name for column in _SURROUNDINGS)
_TRAITS = {
    **{column: column for column in STANDARD.values() if column not in ("phone",)},
    **{name: name for name in ("city", "region", "postal_code", "country", "company", "group_id")},
}
_PROPERTIES = Column("properties", "json", "As they were sent.", optional=True)


def _identifiers(settings: SegmentSettings) -> tuple[Identifier, ...]:
    """Of whom a call is: the first that is there names the record."""
    return (
        Identifier(kind=settings.user_id_kind, column="user_id"),
        Identifier(kind="anonymous_id", column="anonymous_id"),
        Identifier(kind="email", column="email"),
        # Phones are handed on, and tablets shared: kept, but no reason to take two people for one.
        Identifier(kind="device_id", column="device_id", merges=False),
    )


def _calls(
    name: str, description: str, read: Read, own: tuple[Column, ...], settings: SegmentSettings, *events: Event
) -> Stream:
    return Stream(
        name=name,
        description=description,
        primary_key=("message_id",),
        columns=(*_COMMON, *own),
        read=read,
        resumable=True,
        people=People(
            record="subject",
            identifiers=_identifiers(settings),
            events=events,
            observed_at="timestamp",
        ),
    )


def identifies(read: Read, settings: SegmentSettings) -> Stream:
    """Identify calls, which join a user's ids."""
    own = (Column("traits", "json", "As they were sent.", optional=True),)
    return _calls("identifies", "One row an identify call.", read, own, settings)


def users(read: Read, settings: SegmentSettings) -> Stream:
    """What is known of each user now."""
    texts = dict.fromkeys((*_TRAITS, "user_id", "anonymous_id", "email", "phone", "created_at"))
    named = [name for name in settings.identifiers if name not in settings.traits]
    columns = (
        Column("user_key", description="user_id:… or anonymous_id:…", required=True),
        *(Column(name, optional=True) for name in texts),
        *(Column(trait_column(name), optional=True) for name in (*settings.traits, *named)),
        *(Column(consent_column(name), "bool", optional=True) for name in settings.consents),
        Column("traits", "json", "All traits, the newest of each."),
        Column("consent", "json", "All categories, the newest of each."),
        Column("said_at", "json", "Of traits and categories said before that: when, by name.", optional=True),
        Column("observed_at", "timestamp", "When something was last said of the user.", required=True),
    )
    return Stream(
        name="users",
        description="One row a user, or an anonymous visitor of whom something was said.",
        primary_key=("user_key",),
        columns=columns,
        read=read,
        resumable=True,
        people=_users_say(settings),
    )


def _users_say(settings: SegmentSettings) -> People:
    extra = {name: trait_type(said) for name, said in settings.traits.items()}
    return People(
        identifiers=(
            Identifier(kind=settings.user_id_kind, column="user_id"),
            Identifier(kind="anonymous_id", column="anonymous_id"),
            Identifier(kind="email", column="email"),
            Identifier(kind="phone", column="phone"),
            *(Identifier(kind=kind, column=trait_column(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(
            *(Trait(name=name, column=column) for column, name in _TRAITS.items()),
            Trait(name="created_at", column="created_at", type="timestamp"),
            *(Trait(name=one.name, column=trait_column(name), type=one.type) for name, one in extra.items()),
        ),
        consents=tuple(
            Consent(
                channel=said.channel,
                column=consent_column(name),
                statuses={"true": "granted", "false": "denied"},
                topic=said.topic,
            )
            for name, said in settings.consents.items()
        ),
        observed_at="observed_at",
        country="country",
    )


def tracks(read: Read, settings: SegmentSettings) -> Stream:
    """What people did."""
    own = (
        Column("event", required=True),
        Column("value", "double", "revenue, or else value, of the properties.", optional=True),
        Column("currency", optional=True),
        *_SURROUNDINGS,
        _PROPERTIES,
    )
    event = Event(
        at="timestamp",
        name_column="event",
        properties=_AROUND,
        properties_from="properties",
        value="value",
        currency="currency",
        campaign="campaign",
    )
    return _calls("tracks", "One row a track call.", read, own, settings, event)


def pages(read: Read, settings: SegmentSettings) -> Stream:
    """Which pages people saw."""
    names = ("name", "category", "url", "path", "title", "referrer")
    own = (*(Column(name, optional=True) for name in names), *_SURROUNDINGS, _PROPERTIES)
    event = Event(
        at="timestamp",
        name="Page Viewed",
        properties=(*names, *_AROUND),
        properties_from="properties",
        campaign="campaign",
    )
    return _calls("pages", "One row a page call.", read, own, settings, event)


def screens(read: Read, settings: SegmentSettings) -> Stream:
    """Which screens of an app people saw."""
    names = ("name", "category")
    own = (*(Column(name, optional=True) for name in names), *_SURROUNDINGS, _PROPERTIES)
    event = Event(
        at="timestamp",
        name="Screen Viewed",
        properties=(*names, *_AROUND),
        properties_from="properties",
        campaign="campaign",
    )
    return _calls("screens", "One row a screen call.", read, own, settings, event)


def groups(read: Read, settings: SegmentSettings) -> Stream:
    """Which groups users belong to."""
    own = (
        Column("group_id", required=True),
        Column("name", description="Of the group.", optional=True),
        Column("traits", "json", "Of the group.", optional=True),
    )
    return _calls("groups", "One row a group call.", read, own, settings)


def aliases(read: Read, settings: SegmentSettings) -> Stream:
    """Which ids are one person's."""
    own = (
        Column("previous_id", required=True),
        Column("previous_anonymous_id", optional=True),
        Column("previous_user_id", optional=True),
    )
    calls = _calls("aliases", "One row an alias call.", read, own, settings)
    return Stream(
        name=calls.name,
        description=calls.description,
        primary_key=calls.primary_key,
        columns=calls.columns,
        read=read,
        resumable=True,
        people=People(
            record="subject",
            identifiers=(
                *_identifiers(settings),
                Identifier(kind="anonymous_id", column="previous_anonymous_id"),
                Identifier(kind=settings.user_id_kind, column="previous_user_id"),
            ),
            observed_at="timestamp",
        ),
    )


def webhooks(read: Read) -> Stream:
    """What other vendors' webhooks said."""
    return Stream(
        name="webhooks",
        description="One row a delivery of a webhook, or an element of one that is a list.",
        primary_key=("webhook", "id"),
        columns=(
            Column("webhook", description="Its name in the settings.", required=True),
            Column("id", description="The vendor's, or a hash of what was sent.", required=True),
            Column("received_at", "timestamp", required=True),
            Column("body", "json", "As it was sent.", optional=True),
        ),
        read=read,
        resumable=True,
    )


def rejected(read: Read) -> Stream:
    """Messages of batches that were wrong."""
    return Stream(
        name="rejected",
        description="One row a message of a batch that was not taken.",
        primary_key=("id",),
        columns=(
            Column("id", description="A hash of what was sent.", required=True),
            Column("received_at", "timestamp", required=True),
            Column("via", optional=True),
            Column("reason", required=True),
            Column("text", description="Its first two thousand bytes.", optional=True),
        ),
        read=read,
        resumable=True,
    )
