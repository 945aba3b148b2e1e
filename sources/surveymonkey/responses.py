"""Responses and the answers in them, read survey by survey within the day's budget of requests."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Page, Row
from millstream.sources.surveymonkey.paging import listing
from millstream.sources.surveymonkey.places import RESPONSES_A_REQUEST, Budget, Due, Places
from millstream.sources.surveymonkey.recipients import NOBODY, Recipients
from millstream.sources.surveymonkey.rows import answer_rows, email_in, response_row
from millstream.state.errors import IncompleteError, QuotaExhaustedError, SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from millstream.sources.pull import Pull
    from millstream.sources.surveymonkey.settings import SurveyMonkeySettings
    from millstream.sources.surveymonkey.structure import Structures

log = logging.getLogger(__name__)

Surveys = list[Mapping[str, Any]]


class Spool:
    """Answers of the responses just read, packed, until the answers stream of the same pull takes them."""

    def __init__(self) -> None:
        self._pages: dict[str, list[bytes]] = {}
        self._starts: dict[str, datetime | None] = {}
        self._places: dict[str, dict[str, Any]] = {}
        self.ended_early = False

    def open(self, due: Due) -> None:
        """Begin a survey."""
        self._pages[due.id], self._starts[due.id] = [], due.start

    def add(self, survey_id: str, answers: Page, place: Mapping[str, Any]) -> None:
        """Keep a page of answers, and the place that the survey is read to with it."""
        if answers:
            self._pages[survey_id].append(zlib.compress(orjson.dumps(answers), 1))
        self.close(survey_id, place)

    def close(self, survey_id: str, place: Mapping[str, Any]) -> None:
        """Keep the place that the survey is read to."""
        self._places[survey_id] = dict(place)

    def has(self, survey_id: str, start: datetime | None) -> bool:
        """Whether the survey is here, from ``start`` to its end or to the end of the day's budget."""
        place = self._places.get(survey_id, {})
        return (
            survey_id in self._starts and self._starts[survey_id] == start and ("checked" in place or self.ended_early)
        )

    def take(self, survey_id: str) -> Iterator[Page]:
        """The survey's pages; they are gone afterwards."""
        for packed in self._pages.pop(survey_id, []):
            yield orjson.loads(zlib.decompress(packed))

    def place(self, survey_id: str) -> dict[str, Any] | None:
        """How far the survey was read; None if not one response of it was."""
        return self._places.get(survey_id)


class ResponseReader:
    """Reads responses once for both streams that tell of them."""

    def __init__(
        self, settings: SurveyMonkeySettings, structures: Structures, surveys: Callable[[Pull], Surveys]
    ) -> None:
        self._settings = settings
        self._structures = structures
        self._surveys = surveys
        self._recipients = Recipients()
        self._spool: Spool | None = None

    def responses(self, pull: Pull) -> Iterator[Page]:
        """Rows of the ``responses`` stream.

        Raises:
            QuotaExhaustedError: The day's requests are used up; what was read so far has its place.
        """
        self._structures.learn(pull)
        places, budget = Places(pull, self._settings), Budget(pull, self._settings.daily_budget)
        due = places.due(self._surveys(pull))
        self._announce(due, budget)
        self._spool = spool = Spool()
        try:
            for one, page in self._pages_of(pull, due, budget, places, spool):
                questions = self._questions(pull, one)
                self._find_recipients(pull, budget, page)
                yield [self._response(one, found, questions) for found in page]
                places.reached(one.id, _changed(page[-1]))
                answers = [row for found in page for row in answer_rows(one.survey, found, questions)]
                spool.add(one.id, answers, places.kept[one.id])
        except QuotaExhaustedError:
            spool.ended_early = True
            raise
        budget.note()

    def answers(self, pull: Pull) -> Iterator[Page]:
        """Rows of the ``answers`` stream: what ``responses`` has just read, and what only this stream lacks."""
        self._structures.learn(pull)
        places, budget = Places(pull, self._settings), Budget(pull, self._settings.daily_budget)
        surveys = self._surveys(pull)
        due = {one.id: one for one in places.due(surveys)}
        spool = self._spool or Spool()
        for survey_id in [str(survey["id"]) for survey in surveys]:
            if spool.has(survey_id, places.start(survey_id)):
                yield from spool.take(survey_id)
                due.pop(survey_id, None)
                if place := spool.place(survey_id):
                    places.kept[survey_id] = place
        if spool.ended_early:
            return  # the responses that are missing will come with their answers
        for one, page in self._pages_of(pull, list(due.values()), budget, places, None):
            questions = self._questions(pull, one)
            yield [row for found in page for row in answer_rows(one.survey, found, questions)]
            places.reached(one.id, _changed(page[-1]))
        budget.note()

    def _announce(self, due: list[Due], budget: Budget) -> None:
        needed, left = sum(one.calls for one in due), budget.left
        if left is not None and needed > left:
            log.warning(
                "surveymonkey: %d surveys need about %d requests and %d are left today; those that changed last "
                "are read first.",
                len(due),
                needed,
                left,
            )

    def _pages_of(
        self, pull: Pull, due: list[Due], budget: Budget, places: Places, spool: Spool | None
    ) -> Iterator[tuple[Due, list[Any]]]:
        needed = sum(one.calls for one in due)
        for one in due:
            if spool is not None:
                spool.open(one)
            for page in _read_survey(pull, one, budget, needed):
                yield one, page
            places.finished(one)
            if spool is not None:
                spool.close(one.id, places.kept[one.id])
            needed -= one.calls

    def _questions(self, pull: Pull, due: Due) -> dict[str, Row]:
        return {str(row["id"]): row for row in self._structures.questions(pull, due.survey)}

    def _find_recipients(self, pull: Pull, budget: Budget, page: list[Any]) -> None:
        wanted = [
            (str(found.get("collector_id")), str(found.get("recipient_id")))
            for found in page
            if str(found.get("recipient_id") or "") not in NOBODY and not email_in(found)
        ]
        self._recipients.find(pull, budget, wanted)

    def _response(self, due: Due, found: Mapping[str, Any], questions: Mapping[str, Row]) -> Row:
        recipient = str(found.get("recipient_id") or "")
        email = email_in(found)
        if email is None and recipient not in NOBODY:
            email = self._recipients.email(str(found.get("collector_id")), recipient)
        return response_row(due.survey, found, questions, email=email, identifiers=self._settings.identifiers)


def _read_survey(pull: Pull, due: Due, budget: Budget, needed: int) -> Iterator[list[Any]]:
    """Pages of a survey's responses in the order of their change.

    Page numbers would shift when a response is changed while we read, and one would be missed. So each request
    starts at the last change seen (less a second, as nobody says whether a start is inclusive), and page numbers
    serve only where more responses than fit a page changed within that second.
    """
    path = f"surveys/{due.id}/responses/bulk"
    start, is_first = due.start, True
    params: Mapping[str, Any] = _window(start, pull.until)
    seen: set[tuple[str, str]] = set()
    while True:
        budget.spend(needed)
        page = listing(pull, path, params)
        keys = [(str(found.get("id")), str(found.get("date_modified"))) for found in page.rows]
        if new := [found for found, key in zip(page.rows, keys, strict=True) if key not in seen]:
            yield new
            needed = max(1, needed - 1)
        if len(page.rows) >= page.total if is_first else page.next is None:
            return
        if not page.rows:
            raise IncompleteError(
                f"Survey {due.id} has {page.total} more responses, and an empty page came.",
                remedy="run again; what was read before is kept.",
            )
        next_start = _changed(page.rows[-1]) - timedelta(seconds=1)
        seen = set(keys) if is_first else seen | set(keys)
        if start is None or next_start > start:
            start, params, is_first = next_start, _window(next_start, pull.until), True
        elif page.next is not None:
            params, is_first = page.next, False
        else:
            raise IncompleteError(
                f"Survey {due.id} has {page.total} more responses, and no page follows.",
                remedy="run again; what was read before is kept.",
            )


def _window(start: datetime | None, end: datetime | None) -> dict[str, Any]:
    params: dict[str, Any] = {
        "page": 1,
        "per_page": RESPONSES_A_REQUEST,
        "sort_by": "date_modified",
        "sort_order": "ASC",
    }
    if start is not None:
        params["start_modified_at"] = _vendor_time(start)
    if end is not None:
        params["end_modified_at"] = _vendor_time(end)
    return params


def _vendor_time(moment: datetime) -> str:
    """UTC without an offset, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _changed(found: Mapping[str, Any]) -> datetime:
    try:
        changed = datetime.fromisoformat(str(found["date_modified"]))
    except (KeyError, ValueError) as error:
        raise SchemaError(
            "A response has no readable date_modified.", remedy="the API may have changed: update the connector."
        ) from error
    return changed if changed.tzinfo else changed.replace(tzinfo=UTC)
