"""What surveys ask: their questions, fetched once for each version of a survey."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Row
from millstream.sources.qualtrics.errors import CHANGED
from millstream.sources.qualtrics.paging import result_of
from millstream.state.errors import SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

Questions = Mapping[str, Row]
"""Rows of a survey's questions by their id."""

NPS = "NPS"
_TAG = re.compile(r"<[^>]*>")


class Definitions:
    """The questions of surveys.

    A stream that fetched a survey's questions keeps them in its own notes; all streams of a pull share what any has.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def learn(self, pull: Pull) -> None:
        """Take over what the stream of ``pull`` noted in earlier pulls."""
        for survey_id, kept in pull.state.get("definitions", {}).items():
            self._known.setdefault(survey_id, kept)

    def questions(self, pull: Pull, survey: Mapping[str, Any]) -> Questions:
        """Rows of a survey's questions by their id; also of those that it had before."""
        survey_id, version = str(survey["id"]), survey.get("lastModified")
        kept = self._known.get(survey_id)
        if kept is None or version is None or kept["version"] != version:
            before = kept["questions"] if kept else {}
            kept = {"version": version, "questions": _merged(before, survey_id, _fetched(pull, survey_id))}
            self._known[survey_id] = kept
            pull.state.setdefault("definitions", {})[survey_id] = kept
        questions: Questions = kept["questions"]
        return questions

    def changed(self, pull: Pull, survey: Mapping[str, Any]) -> list[Row]:
        """The questions, or nothing where the stream's notes show that it has yielded this version."""
        yielded = pull.state.setdefault("versions", {})
        survey_id, version = str(survey["id"]), survey.get("lastModified")
        if version is not None and yielded.get(survey_id) == version:
            return []
        rows = list(self.questions(pull, survey).values())
        yielded[survey_id] = version
        return rows


def _fetched(pull: Pull, survey_id: str) -> Mapping[str, Any]:
    path = f"survey-definitions/{survey_id}"
    questions = result_of(pull.get(path), path).get("Questions")
    # A survey without questions has an empty list where others have an object.
    if questions == []:
        return {}
    if not isinstance(questions, dict):
        raise SchemaError(f"The definition of survey {survey_id} has no questions.", remedy=CHANGED)
    return questions


def _merged(before: Questions, survey_id: str, found: Mapping[str, Any]) -> dict[str, Row]:
    gone = {key: {**row, "is_current": False} for key, row in before.items()}
    now = {key: question_row(survey_id, key, question) for key, question in found.items()}
    return gone | now


def question_row(survey_id: str, question_id: str, question: Mapping[str, Any]) -> Row:
    """A row of ``questions``."""
    return {
        "id": question_id,
        "survey_id": survey_id,
        "export_tag": question.get("DataExportTag"),
        "text": plain(question.get("QuestionText")),
        "type": question.get("QuestionType"),
        "selector": question.get("Selector"),
        "choices": _texts(question.get("Choices")),
        "answers": _texts(question.get("Answers")),
        "is_nps": question.get("Selector") == NPS,
        "is_current": True,
    }


def plain(text: Any) -> str | None:
    """A question's words without their HTML."""
    if not text:
        return None
    return " ".join(html.unescape(_TAG.sub(" ", str(text))).split())


def _texts(choices: Any) -> dict[str, str | None]:
    """Texts by id; the vendor writes a list where ids are 0, 1, 2, ..."""
    pairs = choices.items() if isinstance(choices, dict) else enumerate(choices or ())
    return {str(key): plain(one.get("Display")) for key, one in pairs if isinstance(one, dict)}
