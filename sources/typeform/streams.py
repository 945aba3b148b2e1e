"""The streams' columns, and what they say about people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Page, Stream
from millstream.sources.typeform.rows import consent_column, hidden_column, trait_column
from millstream.state.model.declarations import Consent, Identifier, People, Trait
from millstream.state.model.known_events import survey_responded

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.typeform.settings import TypeformSettings

Read = Callable[["Pull"], Iterator["Page | pa.Table"]]


def forms_stream(read: Read) -> Stream:
    """The catalogue of forms."""
    return Stream(
        name="forms",
        description="One row a form.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("title", description="The form's title."),
            Column("type", description="form, quiz, ...", optional=True),
            Column("created_at", "timestamp", optional=True),
            Column("last_updated_at", "timestamp", "Last change of the form, not of its responses."),
            Column("is_public", "bool", "Whether it takes responses.", optional=True),
            Column("hidden", "json", "Names of its hidden fields.", optional=True),
            Column("field_count", "bigint", "Fields it has now.", optional=True),
            Column("link", description="Address for respondents.", optional=True),
        ),
        read=read,
        scope="forms:read",
    )


def fields_stream(read: Read) -> Stream:
    """What the forms ask."""
    return Stream(
        name="fields",
        description="One row a field of a form.",
        primary_key=("survey_id", "id"),
        columns=(
            Column("id", required=True),
            Column("survey_id", description="The form's id.", required=True),
            Column("parent_id", description="The group or question that it is a part of.", optional=True),
            Column("position", "bigint", "Place in the form or in its group."),
            Column("ref", description="The makers' own name for it.", optional=True),
            Column("key", description="first_name, email, ... in a contact-info question.", optional=True),
            Column("title", description="The question."),
            Column("type", description="short_text, opinion_scale, email, ..."),
            Column("choices", "json", "Labels of choices by id."),
            Column("is_nps", "bool", "Whether it takes a score from 0 to 10."),
            Column("is_current", "bool", "False once it was taken out of the form."),
        ),
        read=read,
        scope="forms:read",
    )


def responses_stream(read: Read, settings: TypeformSettings) -> Stream:
    """Who responded, and the recommendation score they gave."""
    traits = tuple(dict.fromkeys(settings.traits.values()))
    said = (
        *(
            Column(hidden_column(one), description=f"Hidden field {one}.", optional=True)
            for one in settings.identifiers
        ),
        *(Column(trait_column(one), description=f"Answer kept as {one}.", optional=True) for one in traits),
        *(Column(consent_column(one), description=f"Answer to {one}.", optional=True) for one in settings.consents),
    )
    return Stream(
        name="responses",
        description="One row a response to a form.",
        primary_key=("token",),
        columns=(
            Column("token", description="The response's id.", required=True),
            Column("survey_id", description="The form's id.", required=True),
            Column("survey_title", description="The form's title."),
            Column("response_type", description="completed, partial or started."),
            Column("is_finished", "bool", "Submitted."),
            Column("landed_at", "timestamp", "When the form was opened.", required=True),
            Column("submitted_at", "timestamp", "When it was submitted."),
            Column("responded_at", "timestamp", "When it was submitted, or else opened.", required=True),
            Column("email", description="First answer to a question for an address."),
            Column("phone", description="First answer to a question for a number."),
            Column("nps_score", "bigint", "Answer to the first question for a score from 0 to 10."),
            Column("comment", description="Answers to questions for a long text.", optional=True),
            Column("score", "double", "Points, where the form counts them.", optional=True),
            Column("hidden", "json", "Hidden fields by name."),
            Column("variables", "json", "Variables that the form has computed.", optional=True),
            Column("tags", "json", optional=True),
            Column("platform", description="mobile, tablet or other.", optional=True),
            Column("browser", description="touch or default.", optional=True),
            Column("referer", description="Address of the form's page, without parameters.", optional=True),
            Column("deleted", "bool", "Found missing by a sweep."),
            *said,
        ),
        read=read,
        resumable=True,
        people=_people(settings, traits),
        scope="responses:read",
    )


def _people(settings: TypeformSettings, traits: tuple[str, ...]) -> People:
    return People(
        record="row",
        repeats=True,
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind="phone", column="phone"),
            *(Identifier(kind=kind, column=hidden_column(name)) for name, kind in settings.identifiers.items()),
        ),
        traits=(
            Trait(name="nps_score", column="nps_score", type="number"),
            *(Trait(name=name, column=trait_column(name)) for name in traits),
        ),
        consents=tuple(
            Consent(
                channel=asked.channel,
                column=consent_column(question),
                statuses={"true": "granted", "false": "denied"},
                topic=asked.topic,
            )
            for question, asked in settings.consents.items()
        ),
        events=(survey_responded(at="submitted_at"),),
        observed_at="responded_at",
        deleted="deleted",
    )


def answers_stream(read: Read) -> Stream:
    """What they answered."""
    return Stream(
        name="answers",
        description="One row an answer in a response.",
        primary_key=("response_token", "field_id"),
        columns=(
            Column("response_token", required=True),
            Column("survey_id", description="The form's id.", required=True),
            Column("field_id", required=True),
            Column("field_ref", optional=True),
            Column("field_type", optional=True),
            Column(
                "question",
                description="The field's title; none if it is in no known version of the form.",
                optional=True,
            ),
            Column("answer_type", description="text, choice, number, ..."),
            Column("text", description="The answer in words: labels of choices, an amount, an address."),
            Column("number", "double", optional=True),
            Column("boolean", "bool", optional=True),
            Column("choice_ids", "json", "Ids of the choices taken."),
            Column("choices", "json", "Labels of the choices taken."),
            Column("responded_at", "timestamp", "When the response was submitted, or else opened.", required=True),
        ),
        read=read,
        resumable=True,
        scope="responses:read",
    )
