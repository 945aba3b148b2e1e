"""The streams' columns, and what they say about people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from millstream.sources.contract import Column, Page, Stream
from millstream.sources.surveymonkey.rows import identifier_column
from millstream.state.model.declarations import Consent, Identifier, People, Trait
from millstream.state.model.known_events import survey_responded

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

Read = Callable[["Pull"], Iterator[Page]]


def surveys_stream(read: Read) -> Stream:
    """The catalogue of surveys."""
    return Stream(
        name="surveys",
        description="One row a survey.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("title", description="Title that respondents see."),
            Column("nickname", description="Title for the makers.", optional=True),
            Column("language", description="ISO 639-1 code.", optional=True),
            Column("question_count", "bigint", optional=True),
            Column("response_count", "bigint", "Responses so far."),
            Column("date_created", "timestamp"),
            Column("date_modified", "timestamp", "Last change of the survey, not of its responses."),
            Column("href", description="Address in the API.", optional=True),
        ),
        read=read,
        scope="surveys_read",
    )


def questions_stream(read: Read) -> Stream:
    """What the surveys ask."""
    return Stream(
        name="questions",
        description="One row a question of a survey.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("survey_id", required=True),
            Column("page_id", required=True),
            Column("position", "bigint", "Place on its page.", optional=True),
            Column("heading", description="The question.", optional=True),
            Column("family", description="Kind of question."),
            Column("subtype", optional=True),
            Column("visible", "bool", "False once it was deleted in the editor.", optional=True),
            Column("choices", "json", "Texts of choices by id."),
            Column("rows", "json", "Texts of rows by id."),
            Column("cols", "json", "Texts of columns by id."),
            Column("scores", "json", "Scores of choices by id, where it is a rating."),
            Column("is_nps", "bool", "Whether it is a 0 to 10 rating."),
        ),
        read=read,
        scope="surveys_read",
    )


def responses_stream(read: Read, identifiers: Mapping[str, str]) -> Stream:
    """Who responded, and the recommendation score they gave."""
    named = {variable: "custom_value" for variable in identifiers if variable == "custom_value"}
    named |= {name: identifier_column(name) for name in identifiers if name not in named}
    extra = tuple(
        Column(column, description=f"Custom variable {variable}.", optional=True)
        for variable, column in named.items()
        if column != "custom_value"
    )
    return Stream(
        name="responses",
        description="One row a response to a survey.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("survey_id", required=True),
            Column("survey_title"),
            Column("collector_id"),
            Column("recipient_id", description="The invitation's recipient, if there was one.", optional=True),
            Column("response_status", description="completed, partial, overquota or disqualified."),
            Column("collection_mode", description="default, preview, data_entry, ...", optional=True),
            Column("is_finished", "bool", "Completed, and not a preview."),
            Column("date_created", "timestamp", "When it was begun.", required=True),
            Column("date_modified", "timestamp", "Last change.", required=True),
            Column("total_time", "bigint", "Seconds spent."),
            Column("email", description="From the invitation.", optional=True),
            Column("nps_score", "bigint", "Answer to the first 0 to 10 rating.", optional=True),
            Column("comment", description="What was written in comment boxes.", optional=True),
            Column("custom_value", optional=True),
            Column("custom_variables", "json", optional=True),
            *extra,
        ),
        read=read,
        people=People(
            record="row",
            repeats=True,
            identifiers=(
                Identifier(kind="email", column="email"),
                *(Identifier(kind=identifiers[name], column=column) for name, column in named.items()),
                Identifier(kind="surveymonkey_recipient_id", column="recipient_id"),
            ),
            traits=(Trait(name="nps_score", column="nps_score", type="number"),),
            events=(survey_responded(at="date_created"),),
            observed_at="date_modified",
        ),
        scope="responses_read_detail",
    )


def answers_stream(read: Read) -> Stream:
    """What they answered."""
    return Stream(
        name="answers",
        description="One row an answer in a response.",
        primary_key=("id",),
        columns=(
            Column("id", description="Response, question, row, column and number.", required=True),
            Column("response_id", required=True),
            Column("survey_id", required=True),
            Column("question_id", required=True),
            Column("question", description="The question's heading.", optional=True),
            Column("family", description="Kind of question.", optional=True),
            Column("row_text", optional=True),
            Column("col_text", optional=True),
            Column("choice_id", optional=True),
            Column("choice_text", optional=True),
            Column("text", description="What was typed.", optional=True),
            Column("score", "bigint", "The choice's score, where the question is a rating.", optional=True),
            Column(
                "response_modified_at",
                "timestamp",
                "The response's change this answer is of; an older one than the response's has been taken back.",
                required=True,
            ),
        ),
        read=read,
        follows="responses",
        scope="responses_read_detail",
    )


def contacts_stream(read: Read) -> Stream:
    """Who can be invited, and who no longer wants to be."""
    return Stream(
        name="contacts",
        description="One row a contact.",
        primary_key=("id",),
        columns=(
            Column("id", required=True),
            Column("email", optional=True),
            Column("phone_number", optional=True),
            Column("first_name", optional=True),
            Column("last_name", optional=True),
            Column("custom_fields", "json", "Texts of the fields 1 to 6.", optional=True),
            Column("status", description="active, optout or bounced.", required=True),
        ),
        read=read,
        people=People(
            record="row",
            identifiers=(
                Identifier(kind="email", column="email"),
                Identifier(kind="phone", column="phone_number"),
                Identifier(kind="surveymonkey_contact_id", column="id"),
            ),
            traits=(
                Trait(name="first_name", column="first_name"),
                Trait(name="last_name", column="last_name"),
            ),
            consents=(
                Consent(
                    channel="email",
                    column="status",
                    # To be on a list is no consent, but it ends an earlier refusal. A bounce says nothing.
                    statuses={"optout": "denied", "active": "unknown"},
                    topic="surveys",
                ),
            ),
        ),
        scope="contacts_read",
    )
