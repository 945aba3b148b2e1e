"""The vendor's responses as rows of our streams."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from millstream.sources.contract import Row

RESPONSE_FIELDS = (
    "id",
    "collector_id",
    "response_status",
    "collection_mode",
    "date_created",
    "date_modified",
    "total_time",
    "custom_value",
    "custom_variables",
)
"""Kept as they are. Left out on purpose: the IP address, and the link with which anyone can edit the response."""

PREVIEWS = ("preview", "survey_preview")
"""Ways in which the survey's makers try it out."""


COMMENT_BOX = "essay"
"""Subtype of open questions with room for more than a line."""


def identifier_column(variable: str) -> str:
    """The column of ``responses`` that holds a custom variable used as an identifier."""
    return "custom_" + re.sub(r"[^0-9a-z]+", "_", variable.lower()).strip("_")


def response_row(
    survey: Mapping[str, Any],
    found: Mapping[str, Any],
    questions: Mapping[str, Row],
    *,
    email: str | None,
    identifiers: Mapping[str, str],
) -> Row:
    """A row of ``responses``."""
    row: Row = {field: found[field] for field in RESPONSE_FIELDS if field in found}
    variables = found.get("custom_variables") or {}
    recipient = str(found.get("recipient_id") or "")
    row |= {identifier_column(name): variables.get(name) or None for name in identifiers if name != "custom_value"}
    return row | {
        "survey_id": str(survey["id"]),
        "survey_title": survey.get("title"),
        "recipient_id": recipient if recipient not in ("", "0") else None,
        "email": email,
        "nps_score": nps_score(found, questions),
        "comment": comment(found, questions),
        "is_finished": found.get("response_status") == "completed" and found.get("collection_mode") not in PREVIEWS,
    }


def answer_rows(survey: Mapping[str, Any], found: Mapping[str, Any], questions: Mapping[str, Row]) -> Iterator[Row]:
    """Rows of ``answers`` for one response.

    The id is made of the place of the answer, not of the choice, so that a changed answer takes the old one's place.
    """
    for question_id, answers in _answered(found):
        question = questions.get(question_id, {})
        texts = {part: question.get(part) or {} for part in ("choices", "rows", "cols", "scores")}
        places: Counter[tuple[str, str]] = Counter()
        for answer in answers:
            row_id, col_id = str(answer.get("row_id") or ""), str(answer.get("col_id") or "")
            choice_id = str(answer.get("choice_id") or answer.get("other_id") or "")
            number = places[row_id, col_id]
            places[row_id, col_id] += 1
            yield {
                "id": ":".join((str(found.get("id")), question_id, row_id, col_id, str(number))),
                "response_id": found.get("id"),
                "survey_id": str(survey["id"]),
                "question_id": question_id,
                "question": question.get("heading"),
                "family": question.get("family"),
                "row_text": texts["rows"].get(row_id),
                "col_text": texts["cols"].get(col_id),
                "choice_id": choice_id or None,
                "choice_text": texts["choices"].get(choice_id),
                "text": answer.get("text"),
                "score": texts["scores"].get(choice_id),
                "response_modified_at": found.get("date_modified"),
            }


def nps_score(found: Mapping[str, Any], questions: Mapping[str, Row]) -> int | None:
    """The score given to the first answered question that is a 0 to 10 rating."""
    for question_id, answers in _answered(found):
        question = questions.get(question_id, {})
        scores = question.get("scores") or {} if question.get("is_nps") else {}
        for answer in answers:
            score = scores.get(str(answer.get("choice_id") or ""))
            if score is not None:
                return int(score)
    return None


def comment(found: Mapping[str, Any], questions: Mapping[str, Row]) -> str | None:
    """What was written in comment boxes. Single lines are left out: they ask for names and the like."""
    texts = [
        str(answer.get("text") or "").strip()
        for question_id, answers in _answered(found)
        if questions.get(question_id, {}).get("subtype") == COMMENT_BOX
        for answer in answers
    ]
    return "\n".join(filter(None, texts)) or None


def email_in(found: Mapping[str, Any]) -> str | None:
    """The respondent's address, where an e-mail collector left it: in the metadata, or in a field of its own."""
    contact = (found.get("metadata") or {}).get("contact") or {}
    email = contact.get("email")
    if isinstance(email, Mapping):  # seen both as text and as {"type": ..., "value": ...}
        email = email.get("value")
    email = email or found.get("email_address")
    return str(email) if email else None


def _answered(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for page in found.get("pages") or ():
        for question in page.get("questions") or ():
            yield str(question.get("id")), list(question.get("answers") or ())
