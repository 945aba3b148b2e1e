"""The streams' columns, and what they say about people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Page, Stream
from millstream.sources.qualtrics.rows import identifier_column, trait_column
from millstream.state.model.declarations import Consent, ConsentStatus, Identifier, People, Trait
from millstream.state.model.known_events import survey_responded

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.qualtrics.settings import QualtricsSettings

Read = Callable[["Pull"], "Iterator[Page | pa.Table]"]
CONTACT_ID = "qualtrics_contact_id"
TOPIC = "surveys"

# To be in a directory is no consent, but it ends an earlier refusal.
_REFUSED: Mapping[str, ConsentStatus] = {"true": "denied", "false": "unknown"}


def surveys_stream(read: Read) -> Stream:
    """The catalogue of surveys."""
    return Stream(
        name="surveys",
        description="One row a survey.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("name"),
            Column("owner_id", optional=True),
            Column("is_active", "bool", "Whether it takes responses.", optional=True),
            Column("created_at", "timestamp", optional=True),
            Column("modified_at", "timestamp", "Last change of the survey, not of its responses.", optional=True),
        ),
        read=read,
        scope="read:surveys",
    )


def questions_stream(read: Read) -> Stream:
    """What the surveys ask."""
    return Stream(
        name="questions",
        description="One row a question of a survey.",
        primary_key=("survey_id", "id"),
        columns=(
            Column("id", description="QID1, QID2, ...", required=True),
            Column("survey_id", required=True),
            Column("export_tag", description="The makers' own name for it.", optional=True),
            Column("text", description="The question.", optional=True),
            Column("type", description="MC, TE, Matrix, ..."),
            Column("selector", description="Kind within the type, as NPS.", optional=True),
            Column("choices", "json", "Texts of choices (of a matrix: of its rows) by id."),
            Column("answers", "json", "Texts of a matrix' columns by id."),
            Column("is_nps", "bool", "Whether it is a Net Promoter Score question."),
            Column("is_current", "bool", "False once it was taken out of the survey."),
        ),
        read=read,
        scope="read:surveys",
    )


def responses_stream(read: Read, settings: QualtricsSettings) -> Stream:
    """Who responded, what, and the recommendation score they gave."""
    return Stream(
        name="responses",
        description="One row a response to a survey.",
        primary_key=("id",),
        columns=(
            Column("id", description="R_...", required=True),
            Column("survey_id", required=True),
            Column("survey_title"),
            Column("status", description="How it came in: IP Address, Survey Preview, Imported, Spam, ..."),
            Column("is_finished", "bool", "Finished, and neither a preview nor spam."),
            Column("progress", "bigint", "Percent of the survey.", optional=True),
            Column("duration", "bigint", "Seconds spent.", optional=True),
            Column("started_at", "timestamp"),
            Column("ended_at", "timestamp"),
            Column("recorded_at", "timestamp", "When it was recorded; unfinished ones when they were closed.", True),
            Column("channel", description="email, anonymous, sms, preview, ...", optional=True),
            Column("language", optional=True),
            Column("email", description="Of whom it was sent to.", optional=True),
            Column("first_name", optional=True),
            Column("last_name", optional=True),
            Column("external_reference", description="External data reference.", optional=True),
            Column("nps_score", "bigint", "Answer to the first Net Promoter Score question."),
            Column("comment", description="Answers to open questions of several lines.", optional=True),
            Column("embedded_data", "json", "Embedded data by name."),
            Column("answers", "json", "Answers: key, question_id, export_tag, question, part, value, label."),
            Column("deleted", "bool", "Found missing by a sweep."),
            *_said_columns(settings),
        ),
        read=read,
        resumable=True,
        people=_people_of_responses(settings),
        scope="read:survey_responses",
    )


def _people_of_responses(settings: QualtricsSettings) -> People:
    return People(
        record="row",
        repeats=True,
        identifiers=(Identifier(kind="email", column="email"), *_said_identifiers(settings)),
        traits=(
            Trait(name="nps_score", column="nps_score", type="number"),
            Trait(name="first_name", column="first_name"),
            Trait(name="last_name", column="last_name"),
            *_said_traits(settings),
        ),
        events=(survey_responded(at="recorded_at"),),
        observed_at="recorded_at",
        deleted="deleted",
    )


def directories_stream(read: Read) -> Stream:
    """The catalogue of directories."""
    return Stream(
        name="directories",
        description="One row a directory of contacts.",
        primary_key=("id",),
        columns=(
            Column("id", description="POOL_...", required=True),
            Column("name"),
            Column("contact_count", "bigint", optional=True),
            Column("is_default", "bool", optional=True),
            Column("deduplication", "json", "By which fields duplicates are found.", optional=True),
        ),
        read=read,
        scope="read:directories",
    )


def contacts_stream(read: Read, settings: QualtricsSettings) -> Stream:
    """Who can be invited."""
    return Stream(
        name="contacts",
        description="One row a contact of a directory.",
        primary_key=("contact_id",),
        columns=(
            *_PERSON_COLUMNS,
            Column("first_name"),
            Column("last_name"),
            Column("language", optional=True),
            Column("unsubscribed", "bool", "Opted out of the directory's messages.", optional=True),
            Column("embedded_data", "json", "Embedded data by name."),
            Column("deleted", "bool", "Deleted, or merged into another contact."),
            Column("row_hash", description="Of what the vendor says, to notice changes."),
            *_said_columns(settings),
        ),
        read=read,
        resumable=True,
        people=People(
            record="row",
            identifiers=(*_person_identifiers(settings), *_said_identifiers(settings, external=False)),
            traits=(
                Trait(name="first_name", column="first_name"),
                Trait(name="last_name", column="last_name"),
                Trait(name="language", column="language"),
                *_said_traits(settings),
            ),
            consents=(Consent(channel="email", column="unsubscribed", statuses=_REFUSED, topic=TOPIC),),
            deleted="deleted",
        ),
        scope="read:directory_contacts",
    )


def opt_outs_stream(read: Read, settings: QualtricsSettings) -> Stream:
    """Who no longer wants to be invited, and since when."""
    return Stream(
        name="opt_outs",
        description="One row a contact that opted out of a directory, now or before.",
        primary_key=("contact_id",),
        columns=(
            *_PERSON_COLUMNS,
            Column("unsubscribed_at", "timestamp"),
            Column("opted_out", "bool", "False once they are back."),
            Column("deleted", "bool", "The contact is gone, and its refusal still counts."),
            Column("row_hash", description="Of what the vendor says, to notice changes."),
        ),
        read=read,
        resumable=True,
        people=People(
            record="row",
            identifiers=_person_identifiers(settings),
            consents=(Consent(channel="email", column="opted_out", statuses=_REFUSED, topic=TOPIC),),
            observed_at="unsubscribed_at",
            deleted="deleted",
        ),
        scope="read:directory_contacts",
    )


_PERSON_COLUMNS = (
    Column("contact_id", description="CID_...", required=True),
    Column("directory_id", required=True),
    Column("email"),
    Column("phone", optional=True),
    Column("external_reference", description="External data reference.", optional=True),
)


def _person_identifiers(settings: QualtricsSettings) -> tuple[Identifier, ...]:
    external = settings.external_reference
    return (
        Identifier(kind="email", column="email"),
        Identifier(kind="phone", column="phone"),
        Identifier(kind=CONTACT_ID, column="contact_id"),
        *((Identifier(kind=external, column="external_reference"),) if external else ()),
    )


def _said_identifiers(settings: QualtricsSettings, *, external: bool = True) -> tuple[Identifier, ...]:
    said = tuple(Identifier(kind=kind, column=identifier_column(name)) for name, kind in settings.identifiers.items())
    if external and settings.external_reference:
        return (Identifier(kind=settings.external_reference, column="external_reference"), *said)
    return said


def _said_traits(settings: QualtricsSettings) -> tuple[Trait, ...]:
    return tuple(Trait(name=name, column=trait_column(name)) for name in dict.fromkeys(settings.traits.values()))


def _said_columns(settings: QualtricsSettings) -> tuple[Column, ...]:
    return (
        *(
            Column(identifier_column(one), description=f"What {one} says.", optional=True)
            for one in settings.identifiers
        ),
        *(
            Column(trait_column(one), description=f"What is kept as {one}.", optional=True)
            for one in dict.fromkeys(settings.traits.values())
        ),
    )
