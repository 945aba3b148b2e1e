"""Responses and the answers in them, read form by form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from millstream.sources.contract import Page, Row
from millstream.sources.typeform.places import (
    Place,
    Stretch,
    last_read,
    moment_of,
    ordering_moment,
)
from millstream.sources.typeform.rows import Fields, answer_rows, response_row
from millstream.sources.typeform.settings import ResponseType, TypeformSettings
from millstream.sources.typeform.walk import FirstPages, walk
from millstream.state.errors import IncompleteError, NotFoundError, PermissionDeniedError

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.typeform.definitions import Definitions

Form = Mapping[str, Any]


@dataclass(frozen=True)
class _Asked:
    """What one form is asked for: responses of one type, for one stream."""

    pull: Pull
    form: Form
    kind: ResponseType

    @property
    def form_id(self) -> str:
        return str(self.form["id"])


Shape = Callable[[_Asked, Mapping[str, Any], Fields], Iterator[Row]]


class ResponseReader:
    """Reads responses for both streams that tell of them; each has its own places."""

    def __init__(
        self,
        settings: TypeformSettings,
        definitions: Definitions,
        forms: Callable[[Pull], list[Form]],
        *,
        for_both: bool,
    ) -> None:
        self._settings = settings
        self._definitions = definitions
        self._forms = forms
        self._pages = FirstPages(keep=for_both)

    def responses(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Rows of the ``responses`` stream, and those that a sweep found deleted."""

        def shape(asked: _Asked, found: Mapping[str, Any], fields: Fields) -> Iterator[Row]:
            yield response_row(asked.form, found, asked.kind, fields, self._settings)

        yield from self._read(pull, shape)

    def answers(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Rows of the ``answers`` stream."""

        def shape(asked: _Asked, found: Mapping[str, Any], fields: Fields) -> Iterator[Row]:
            yield from answer_rows(asked.form, found, fields)

        yield from self._read(pull, shape)

    def _read(self, pull: Pull, shape: Shape) -> Iterator[Page | pa.Table]:
        """Every form; what one of them lacks keeps no other one from being read.

        Raises:
            PermissionDeniedError: No form may be read at all.
            IncompleteError: Responses that were announced did not come.
        """
        self._definitions.learn(pull)
        forms = self._forms(pull)
        pull.noted_of("places", {str(form["id"]) for form in forms})
        refused: dict[str, PermissionDeniedError | NotFoundError] = {}
        incomplete: list[IncompleteError] = []
        for form in forms:
            try:
                # A started response that is submitted meanwhile comes again, and the last one counts.
                for kind in (one for one in get_args(ResponseType) if one in self._settings.response_types):
                    yield from self._read_form(_Asked(pull, form, kind), shape)
            except (PermissionDeniedError, NotFoundError) as error:
                refused[str(form["id"])] = error
            except IncompleteError as error:
                incomplete.append(error)
            pull.place = last_read(pull)
        if refused and len(refused) == len(forms):
            raise next(iter(refused.values()))
        for form_id, why in refused.items():
            pull.warn(f"Form {form_id} was left out: {why.what}")
        if incomplete:
            raise incomplete[0]

    def _read_form(self, asked: _Asked, shape: Shape) -> Iterator[Page | pa.Table]:
        pull, place = asked.pull, Place(asked.pull, self._settings, asked.form_id, asked.kind)
        for stretch in place.stretches():
            seen: set[str] = set()
            newest = None
            for items in walk(
                pull, self._pages, asked.form_id, asked.kind, stretch, check_total=self._settings.check_totals
            ):
                fields: Fields = self._definitions.of(pull, asked.form)["fields"]
                moments = [ordering_moment(found, asked.kind) for found in items]
                rows = [row for found in items for row in shape(asked, found, fields)]
                newest = max(moments) if newest is None else max(newest, *moments)
                if stretch.is_sweep:
                    seen.update(str(found["token"]) for found in items)
                else:
                    place.reached(moments)
                yield rows
            if stretch.is_sweep:
                yield from _deleted(asked, stretch, seen)
            place.finished(stretch, newest)


def _deleted(asked: _Asked, stretch: Stretch, seen: set[str]) -> Iterator[pa.Table]:
    """The stored responses of a form that were not seen, marked as deleted.

    Raises:
        IncompleteError: The form seems to have lost all of them.
    """
    import pyarrow as pa

    pull = asked.pull
    assert pull.stored is not None
    known = pull.stored.rows(
        "responses",
        columns=("token", "submitted_at"),
        equal={"survey_id": asked.form_id},
        unequal={"deleted": True},
    ).to_pylist()
    swept = [one["token"] for one in known if (at := moment_of(one, "submitted_at")) and at >= (stretch.since or at)]
    gone = [token for token in swept if token not in seen]
    if gone and not seen and not pull.accept_empty:
        raise IncompleteError(
            f"Form {asked.form_id} has no responses any more, and {len(gone)} are stored; they were kept.",
            remedy="if they really were deleted, run `millstream ingest --accept-empty`.",
        )
    for table in pull.stored.rows_of_keys("responses", pa.table({"token": pa.array(gone, pa.string())})):
        marks = pa.array([True] * len(table), pa.bool_())
        yield table.set_column(table.column_names.index("deleted"), "deleted", marks)
