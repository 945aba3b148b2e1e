"""Responses: several surveys' exports are in the making at once, and each is read as soon as it is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from millstream.sources.contract import Page
from millstream.sources.qualtrics.errors import TOO_LARGE, is_about_size
from millstream.sources.qualtrics.exports import Exports, Progress
from millstream.sources.qualtrics.places import Place, newest_read, recorded_at, say_since
from millstream.sources.qualtrics.rows import facts_of, response_row
from millstream.state.errors import (
    IncompleteError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RefusedError,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.qualtrics.definitions import Definitions
    from millstream.sources.qualtrics.settings import QualtricsSettings

log = logging.getLogger(__name__)

ROWS_A_PAGE = 2_000
LONGEST_PAUSE = 15.0
LONG_LOAD = 3
"""Minutes of starting exports after which a load says how long it will take."""

Item = TypeVar("Item")
Survey = Mapping[str, Any]
Refusal = PermissionDeniedError | NotFoundError


class ResponseReader:
    """Reads the responses of all surveys."""

    def __init__(
        self, settings: QualtricsSettings, definitions: Definitions, surveys: Callable[[Pull], list[Survey]]
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._surveys = surveys
        self._exports = Exports(settings)

    def read(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Rows of every survey; what one of them lacks keeps no other one from being read.

        Raises:
            PermissionDeniedError: No survey may be read at all.
            QuotaExhaustedError: Exports are still in the making; their ids are kept for the next pull.
            IncompleteError: An export could not be made.
        """
        self._definitions.learn(pull)
        surveys = self._surveys(pull)
        pull.noted_of("places", {str(survey["id"]) for survey in surveys})
        places = [place for survey in surveys if (place := Place(pull, self._settings, survey)).is_due]
        say_since(pull)
        self._say_how_long(len(places))
        refused: dict[str, Refusal] = {}
        incomplete: list[IncompleteError] = []
        for some in _batches(places, self._settings.exports_at_once):
            yield from self._read_some(pull, some, refused, incomplete)
            pull.place = newest_read(pull)
        if refused and len(refused) == len(places):
            raise next(iter(refused.values()))
        for survey_id, why in refused.items():
            pull.warn(f"Survey {survey_id} was left out: {why.what}")
        if incomplete:
            raise incomplete[0]

    def _say_how_long(self, exports: int) -> None:
        minutes = exports / self._settings.exports_per_minute
        if minutes >= LONG_LOAD:
            log.info("qualtrics: %d exports to start, which takes about %.0f minutes.", exports, minutes)

    def _read_some(
        self, pull: Pull, places: list[Place], refused: dict[str, Refusal], incomplete: list[IncompleteError]
    ) -> Iterator[Page | pa.Table]:
        waited, pause = 0.0, self._settings.poll_seconds
        for place in places:
            place.begin()
        while places:
            if self._start(pull, places, refused, incomplete) and not pull.is_backfill:
                # An export is the vendor's work: its id is stored before it is waited for.
                yield pull.until_loaded()
            progressed = False
            for place in [one for one in places if one.job is not None]:
                try:
                    progress = self._look(pull, place)
                    progressed |= progress is None or progress.status == "complete"
                    if progress is not None and progress.status == "complete":
                        yield from self._read_file(pull, place, progress)
                except IncompleteError as error:
                    incomplete.append(error)
                    places.remove(place)
            for place in [one for one in places if one.is_done and one.resumes]:
                place.begin()  # what an earlier pull had begun is read: now for what is new since
            places = [place for place in places if not place.is_done]
            if places and not progressed:
                self._give_up_after(waited, places)
                pull.wait(pause)
                waited += pause
                pause = min(pause * 1.5, LONGEST_PAUSE)

    def _start(
        self, pull: Pull, places: list[Place], refused: dict[str, Refusal], incomplete: list[IncompleteError]
    ) -> bool:
        """Start the exports that are missing; whether any was."""
        before = [place.job for place in places]
        for place in tuple(places):
            try:
                if place.job is None:
                    self._start_one(pull, place)
            except (PermissionDeniedError, NotFoundError) as error:
                refused[place.survey_id] = error
                places.remove(place)
            except IncompleteError as error:
                incomplete.append(error)
                places.remove(place)
        return [place.job for place in places] != before

    def _start_one(self, pull: Pull, place: Place) -> None:
        body = place.body()
        try:
            place.started(self._exports.start(pull, place.survey_id, body))
        except RefusedError as error:
            if "continuationToken" in body:
                place.lost(token=True)
                self._start_one(pull, place)
            elif error.status == TOO_LARGE or is_about_size(error.what):
                place.failed(error.what, too_large=True)
                self._start_one(pull, place)
            else:
                raise

    def _look(self, pull: Pull, place: Place) -> Progress | None:
        """How far a survey's export is; None where it has to be started anew."""
        assert place.job is not None
        try:
            progress = self._exports.look(pull, place.survey_id, place.job)
        except NotFoundError:
            place.lost()
            return None
        if progress.status == "failed":
            place.failed(progress.reason, too_large=is_about_size(progress.reason))
            return None
        return progress

    def _give_up_after(self, waited: float, places: list[Place]) -> None:
        if waited < self._settings.export_wait_minutes * 60:
            return
        raise QuotaExhaustedError(
            f"{len(places)} exports are not ready after {self._settings.export_wait_minutes:g} minutes.",
            remedy="run again: the next pull goes on with the same exports. See export_wait_minutes.",
        )

    # What is in a file

    def _read_file(self, pull: Pull, place: Place, progress: Progress) -> Iterator[Page | pa.Table]:
        questions = self._questions(pull, place.survey)
        newest = None
        assert progress.file_id is not None
        page: Page = []
        try:
            with self._exports.responses(pull, place.survey_id, progress.file_id) as responses:
                for some in _batches(responses, ROWS_A_PAGE):
                    if page:
                        yield page
                    moments = [recorded_at(facts_of(found)) for found in some]
                    newest = max(moments) if newest is None else max(newest, *moments)
                    page = [response_row(place.survey, found, questions, self._settings) for found in some]
                    if place.seen is not None:
                        place.seen.update(str(row["id"]) for row in page)
        except NotFoundError:
            place.lost()
            return
        except RefusedError as error:
            place.failed(error.what, too_large=error.status == TOO_LARGE or is_about_size(error.what))
            return
        gone = list(_deleted(pull, place)) if place.ends_sweep else []
        place.read(newest, progress.token)
        yield from chain(gone, [page])

    def _questions(self, pull: Pull, survey: Survey) -> Any:
        try:
            return self._definitions.questions(pull, survey)
        except (PermissionDeniedError, NotFoundError) as error:
            pull.warn(f"Survey {survey['id']} is read without its questions: {error.what}")
            return {}


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _deleted(pull: Pull, place: Place) -> Iterator[pa.Table]:
    """The stored responses of a survey that were not seen, marked as deleted.

    Raises:
        IncompleteError: The survey seems to have lost all of them.
    """
    import pyarrow as pa

    assert pull.stored is not None
    assert place.seen is not None
    equal = {"survey_id": place.survey_id}
    columns = ("id", "recorded_at")
    known = pull.stored.rows("responses", columns=columns, equal=equal, unequal={"deleted": True}).to_pylist()
    since = place.swept_from
    gone = [row["id"] for row in known if row["id"] not in place.seen and (not since or row["recorded_at"] >= since)]
    if not gone:
        return
    if not place.seen and not pull.accept_empty:
        raise IncompleteError(
            f"Survey {place.survey_id} has no responses any more, and {len(gone)} are stored; they were kept.",
            remedy="if they really were deleted, run `millstream ingest --accept-empty`.",
        )
    for table in pull.stored.rows_of_keys("responses", pa.table({"id": pa.array(gone, pa.string())})):
        marks = pa.array([True] * len(table), pa.bool_())
        yield table.set_column(table.column_names.index("deleted"), "deleted", marks)
