"""What surveys ask: questions, choices, and which choices are a score from 0 to 10."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Row
from millstream.state.errors import RefusedError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull

log = logging.getLogger(__name__)

TOO_LARGE = 413
"""Surveys of over 1,000 questions are refused whole."""

_SCORES = set(range(11))
_NUMBER = re.compile(r"(?<![\d.,])(10|\d)(?![\d.,]*\d)")


class Structures:
    """The questions of surveys, fetched once for each version of a survey.

    A stream that fetched a structure keeps it in its own notes; all streams of a pull share what any of them has.
    """

    def __init__(self) -> None:
        self._known: dict[str, Mapping[str, Any]] = {}

    def learn(self, pull: Pull) -> None:
        """Take over what the stream of ``pull`` noted in earlier pulls."""
        for survey_id, kept in pull.state.get("structures", {}).items():
            self._known.setdefault(survey_id, kept)

    def questions(self, pull: Pull, survey: Mapping[str, Any]) -> list[Row]:
        """Rows of a survey's questions, as ``question_rows`` makes them."""
        survey_id, modified = str(survey["id"]), survey.get("date_modified")
        kept = self._known.get(survey_id)
        if kept is None or modified is None or kept["modified"] != modified:
            kept = {"modified": modified, "questions": _fetch(pull, survey_id)}
            self._known[survey_id] = kept
            pull.state.setdefault("structures", {})[survey_id] = kept
        questions: list[Row] = kept["questions"]
        return questions

    def changed(self, pull: Pull, survey: Mapping[str, Any]) -> list[Row]:
        """The questions, or nothing where the stream's notes show that it has yielded this version before."""
        notes = pull.state.setdefault("structures", {})
        survey_id = str(survey["id"])
        modified = survey.get("date_modified")
        if modified is not None and notes.get(survey_id, {}).get("modified") == modified:
            return []
        questions = self.questions(pull, survey)
        notes[survey_id] = self._known[survey_id]
        return questions


def _fetch(pull: Pull, survey_id: str) -> list[Row]:
    try:
        details = pull.get(f"surveys/{survey_id}/details")
    except RefusedError as error:
        if error.status != TOO_LARGE:
            raise
        log.warning("surveymonkey: survey %s has too many questions for its structure to be read.", survey_id)
        return []
    pages = details.get("pages") if isinstance(details, dict) else None
    if not isinstance(pages, list):
        raise SchemaError(
            f"The details of survey {survey_id} have no pages.",
            remedy="the API may have changed: update the connector.",
        )
    return list(question_rows(survey_id, pages))


def question_rows(survey_id: str, pages: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """The rows of the ``questions`` stream; texts of choices, rows and columns by their ids."""
    for page in pages:
        for question in page.get("questions") or ():
            answers = question.get("answers") or {}
            choices = list(answers.get("choices") or ())
            for column in answers.get("cols") or ():
                choices += column.get("choices") or ()
            other = answers.get("other") or {}
            if isinstance(other, Mapping):  # the documents show a list, for questions that are made; others one object
                other = [other]
            ratings = answers.get("choices") or ()
            recommendation = recommendation_scores(ratings, rows=len(answers.get("rows") or ()))
            yield {
                "id": question.get("id"),
                "survey_id": survey_id,
                "page_id": page.get("id"),
                "position": question.get("position"),
                "heading": _heading(question),
                "family": question.get("family"),
                "subtype": question.get("subtype"),
                "visible": question.get("visible"),
                "choices": _texts([*choices, *other]),
                "rows": _texts(answers.get("rows") or ()),
                "cols": _texts(answers.get("cols") or ()),
                "scores": recommendation or (_weights(ratings) if question.get("subtype") == "rating" else {}),
                "is_nps": bool(recommendation),
            }


def recommendation_scores(choices: Sequence[Mapping[str, Any]], *, rows: int = 1) -> dict[str, int]:
    """Scores by choice id, where the choices are the eleven of a 0 to 10 rating, else nothing.

    A score stands in the choice's text ("Not at all likely - 0"), or else in its weight. The weights of a ready
    made Net Promoter Score question are -100, 0 and 100 and say less than the text.
    """
    real = [choice for choice in choices if not choice.get("is_na")]
    if len(real) != len(_SCORES) or rows > 1:
        return {}
    in_texts = {str(c.get("id")): score for c in real if (score := _score_in_text(c)) is not None}
    return next((scores for scores in (in_texts, _weights(real)) if set(scores.values()) == _SCORES), {})


def _score_in_text(choice: Mapping[str, Any]) -> int | None:
    numbers = _NUMBER.findall(str(choice.get("text") or ""))
    return int(numbers[0]) if len(numbers) == 1 else None


def _weights(choices: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {str(c.get("id")): c["weight"] for c in choices if isinstance(c.get("weight"), int) and not c.get("is_na")}


def _heading(question: Mapping[str, Any]) -> str | None:
    """The first heading that is not empty: with a random assignment there are several."""
    headings = question.get("headings") or ()
    return next((str(heading["heading"]) for heading in headings if heading.get("heading")), None)


def _texts(choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {str(choice["id"]): choice.get("text") for choice in choices if "id" in choice}
