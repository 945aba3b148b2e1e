"""The vendor's responses as rows of our stream."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Row
from millstream.sources.from_project import column_name
from millstream.sources.qualtrics.places import recorded_at

if TYPE_CHECKING:
    from millstream.sources.qualtrics.definitions import Questions
    from millstream.sources.qualtrics.settings import QualtricsSettings

METADATA = frozenset(
    {
        "startDate",
        "endDate",
        "status",
        "ipAddress",
        "progress",
        "duration",
        "finished",
        "recordedDate",
        "_recordId",
        "locationLatitude",
        "locationLongitude",
        "distributionChannel",
        "userLanguage",
        "recipientLastName",
        "recipientFirstName",
        "recipientEmail",
        "externalDataReference",
    }
)
"""What stands among the answers in some accounts and beside them in others, and is no answer."""

PREVIEWS = frozenset({1, 2, 9, 17})
"""Values of ``status``: the makers tried the survey out."""

SPAM = frozenset({8, 9})
LONG = frozenset({"ML", "ESTB"})
"""Selectors of open questions with room for more than a line: multiple lines, essay."""

_QUESTION = re.compile(r"(QID\d+)(?:[_#](.*))?")
_COMPUTED = "NPS_GROUP"


def identifier_column(name: str) -> str:
    """The column that holds what the settings take as an identifier."""
    return f"said_{column_name(name)}"


def trait_column(name: str) -> str:
    """The column that holds a trait."""
    return f"trait_{name}"


def facts_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """A response's metadata, in either layout."""
    values = found.get("values") or {}
    return {name: source[name] for source in (found, values) for name in METADATA if name in source}


def response_row(
    survey: Mapping[str, Any], found: Mapping[str, Any], questions: Questions, settings: QualtricsSettings
) -> Row:
    """A row of ``responses``.

    Left out on purpose: the IP address, and the place that the vendor guesses from it.
    """
    facts, values = facts_of(found), found.get("values") or {}
    embedded = {name: value for name, value in values.items() if name not in METADATA and _question_of(name) is None}
    answers = list(answers_of(found, questions))
    status = _number(facts.get("status"))
    return {
        "id": found.get("responseId"),
        "survey_id": str(survey["id"]),
        "survey_title": survey.get("name"),
        "status": _label(found, "status") or facts.get("status"),
        "is_finished": _is_true(facts.get("finished")) and status not in PREVIEWS | SPAM,
        "progress": facts.get("progress"),
        "duration": facts.get("duration"),
        "started_at": facts.get("startDate"),
        "ended_at": facts.get("endDate"),
        "recorded_at": recorded_at(facts),
        "channel": facts.get("distributionChannel"),
        "language": facts.get("userLanguage"),
        "email": facts.get("recipientEmail") or None,
        "first_name": facts.get("recipientFirstName") or None,
        "last_name": facts.get("recipientLastName") or None,
        "external_reference": facts.get("externalDataReference") or None,
        "nps_score": _nps_score(answers, questions),
        "comment": _comment(answers, questions),
        "embedded_data": embedded,
        "answers": answers,
        "deleted": False,
        **_said(embedded, answers, settings),
    }


def answers_of(found: Mapping[str, Any], questions: Questions) -> Iterator[Row]:
    """What was answered, in the order of the file: the question, the value, and its label where there is one."""
    labels = found.get("labels") or {}
    for key, value in (found.get("values") or {}).items():
        asked = _question_of(key)
        if asked is None or asked[1].endswith(_COMPUTED) or value in (None, "", []):
            continue
        question = questions.get(asked[0], {})
        yield {
            "key": key,
            "question_id": asked[0],
            "export_tag": question.get("export_tag"),
            "question": question.get("text"),
            "part": (question.get("choices") or {}).get(asked[1]),
            "value": value,
            "label": labels.get(key),
        }


def said_of(embedded: Mapping[str, Any], settings: QualtricsSettings) -> Row:
    """Columns of identifiers and traits that embedded data hold."""
    return _said(embedded, [], settings)


def _said(embedded: Mapping[str, Any], answers: list[Row], settings: QualtricsSettings) -> Row:
    wanted = {_plain_name(name) for name in (*settings.identifiers, *settings.traits)}
    known = _by_name(embedded, answers, wanted) if wanted else {}
    row: Row = {identifier_column(name): known.get(_plain_name(name)) for name in settings.identifiers}
    for name, trait in settings.traits.items():
        row[trait_column(trait)] = row.get(trait_column(trait)) or known.get(_plain_name(name))
    return row


def _by_name(embedded: Mapping[str, Any], answers: list[Row], wanted: set[str]) -> dict[str, str]:
    """Texts by what the settings call them; what stands in embedded data counts before an answer."""
    known: dict[str, str] = {}
    for answer in answers:
        for name in (answer["key"], answer["question_id"], answer["export_tag"]):
            if name and (plain := _plain_name(name)) in wanted:
                text = _text(answer["label"] if answer["label"] is not None else answer["value"])
                known |= {plain: text} if text and plain not in known else {}
    said = {_plain_name(name): value for name, value in embedded.items()}
    return known | {name: text for name in wanted & said.keys() if (text := _text(said[name]))}


@lru_cache(maxsize=10_000)
def _question_of(key: str) -> tuple[str, str] | None:
    """The question's id in the name of a value, and what follows it; None where it is embedded data."""
    match = _QUESTION.fullmatch(key)
    return (match[1], match[2] or "") if match else None


@lru_cache(maxsize=10_000)
def _plain_name(name: str) -> str:
    """A name as settings and vendor both may write it; there are few, and every response has them all."""
    return column_name(name)


def _nps_score(answers: list[Row], questions: Questions) -> int | None:
    """The first answer to a Net Promoter Score question; its label shows the score where values were recoded."""
    for answer in answers:
        question = questions.get(answer["question_id"], {})
        if question.get("is_nps") and answer["key"] == answer["question_id"]:
            scores = (_number(answer["label"]), _number(answer["value"]))
            return next((score for score in scores if score is not None and 0 <= score <= 10), None)
    return None


def _comment(answers: list[Row], questions: Questions) -> str | None:
    """Answers to open questions of several lines. Single lines are left out: they ask for names and the like."""
    asked = [(questions.get(answer["question_id"], {}), answer["value"]) for answer in answers]
    texts = [
        _text(value) for question, value in asked if question.get("type") == "TE" and question.get("selector") in LONG
    ]
    return "\n".join(filter(None, texts)) or None


def _label(found: Mapping[str, Any], key: str) -> Any:
    return (found.get("labels") or {}).get(key)


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() or None if value is not None else None


def _number(value: Any) -> int | None:
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() else None


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() in ("1", "true")
