"""How a module is read: at first by bulk, then what changed and what was deleted."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Page, Row
from millstream.sources.zoho_crm import lists
from millstream.sources.zoho_crm.bulk import BulkReads, Load, day_start
from millstream.sources.zoho_crm.modules import Module
from millstream.sources.zoho_crm.people import SHARED_BY
from millstream.state.errors import ConfigurationError, NotFoundError, PermissionDeniedError, RefusedError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.zoho_crm.settings import ZohoCrmSettings

PAGES_A_PART = 50
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
Finish = Callable[[Row], Row]


class ModuleReader:
    """Reads one module. Its notes: ``since``, the place among the changes; ``deleted_since``; ``load``, the first one.

    Args:
        module: What is read.
        settings: The connection.
        bulk: Runs bulk jobs.
        finish: What else a row needs.
    """

    def __init__(
        self, module: Module, settings: ZohoCrmSettings, bulk: BulkReads, finish: Finish | None = None
    ) -> None:
        self._module = module
        self._settings = settings
        self._bulk = bulk
        self._finish = finish or (lambda row: row)
        self._lookback = timedelta(minutes=settings.lookback_minutes)

    def read(self, pull: Pull) -> Iterator[Page]:
        """Pages of rows; the notes are in step with each of them."""
        existing = lists.existing_fields(pull, self._module.name)
        self._check_custom(pull, existing)
        names = self._module.wanted(existing)
        if pull.is_backfill:
            yield from self._changes(pull, names, pull.since)
            yield from self._deletions(pull, pull.since)
            return
        reread = False
        if "since" not in pull.state:
            reread = pull.stored is not None and bool(pull.stored.columns(pull.stream.name))
            yield from self._first_load(pull, names)
        pull.since = datetime.fromisoformat(pull.state["since"]) - self._lookback
        yield from self._changes(pull, names, pull.since)
        # What is stored may have been deleted long before a full read began.
        deleted_since = datetime.fromisoformat(pull.state["deleted_since"]) - self._lookback
        yield from self._deletions(pull, None if reread else deleted_since)
        pull.place = pull.state["since"]

    def _first_load(self, pull: Pull, names: tuple[str, ...]) -> Iterator[Page]:
        first = day_start(self._settings.start_date) if self._settings.start_date else _BEGINNING
        if self._settings.first_load == "list":
            self._say_how_long(pull)
            pull.state["since"] = (first + self._lookback).isoformat()
            pull.state["deleted_since"] = pull.pulled_at.isoformat()
            return
        load: Load = pull.state.setdefault("load", {})
        if not load.get("read"):
            for records in self._bulk.read(pull, self._module, names, load):
                yield self._rows(records)
            load["read"] = True
        if self._module.hides_converted:
            yield from self._converted(pull, names, load, first)
        pull.state["since"] = pull.state["deleted_since"] = _utc(datetime.fromisoformat(load["began"]))
        del pull.state["load"]

    def _converted(self, pull: Pull, names: tuple[str, ...], load: Load, first: datetime) -> Iterator[Page]:
        """Converted records, which no document says to be in a bulk file."""
        since = datetime.fromisoformat(load["converted"]) if "converted" in load else first
        for changes in lists.changed(pull, self._module, names, since, converted="true"):
            if changes.reached:
                load["converted"] = changes.reached.isoformat()
            yield self._rows(changes.records)

    def _changes(self, pull: Pull, names: tuple[str, ...], since: datetime | None) -> Iterator[Page]:
        """What changed since a moment, up to the end of a backfill's window."""
        converted = "both" if self._module.hides_converted else None
        pages = lists.changed(pull, self._module, names, since, converted=converted)
        for number, changes in enumerate(pages, start=1):
            inside = [one for one in changes.records if pull.until is None or lists.modified(one) < pull.until]
            if changes.reached and not pull.is_backfill:
                pull.state["since"] = max(pull.state["since"], _utc(changes.reached))
            yield self._rows(inside)
            if changes.reached and pull.until is not None and changes.reached >= pull.until:
                return
            if number % PAGES_A_PART == 0:
                yield pull.until_loaded()

    def _deletions(self, pull: Pull, since: datetime | None) -> Iterator[Page]:
        """What was deleted since a moment."""
        last: datetime | None = None
        for records in lists.deleted(pull, self._module, since):
            moments = [lists.deleted_at(record) for record in records]
            if last is None and self._refuses(pull):
                yield pull.until_loaded()  # what this pull has brought may be deleted, too
            last = max([*moments, last] if last else moments, default=None)
            gone = [
                (record.get("id"), at)
                for record, at in zip(records, moments, strict=True)
                if pull.until is None or at < pull.until
            ]
            stored = self._stored(pull, [record_id for record_id, _ in gone])
            yield [self._finish(self._module.gone(record_id, at, stored.get(record_id))) for record_id, at in gone]
        if last and not pull.is_backfill:
            # They come in an order that nothing says: the place moves when all have come.
            pull.state["deleted_since"] = max(pull.state["deleted_since"], _utc(last))

    def _refuses(self, pull: Pull) -> bool:
        """Whether the module's records may hold a refusal, which outlives them."""
        return pull.stored is not None and pull.stream.people is not None and bool(pull.stream.people.consents)

    def _stored(self, pull: Pull, ids: list[Any]) -> Mapping[Any, Row]:
        """The stored rows of deleted records by id: of these Zoho tells nothing any more."""
        import pyarrow as pa

        if pull.stored is None or not self._refuses(pull):
            return {}
        keys = pa.table({"id": pa.array(map(str, ids), pa.string())})
        tables = pull.stored.rows_of_keys(pull.stream.name, keys)
        return {row["id"]: row for table in tables for row in table.to_pylist()}

    def _rows(self, records: list[Any]) -> Page:
        return [self._finish(self._module.shape(record)) for record in records]

    def _check_custom(self, pull: Pull, existing: frozenset[str]) -> None:
        """Complain about fields of the settings that neither contacts nor leads have.

        Raises:
            ConfigurationError: Names the field, and those that are spelled alike.
        """
        missing = sorted({one.name for one in self._module.fields if one.custom} - existing)
        if not missing:
            return
        known = set(existing)
        for module in SHARED_BY - {self._module.name}:
            with suppress(PermissionDeniedError):
                known |= lists.existing_fields(pull, module)
        wrong = [name for name in missing if name not in known]
        if wrong:
            raise ConfigurationError(
                f"Neither contacts nor leads have a field {wrong[0]!r}.",
                allowed=difflib.get_close_matches(wrong[0], sorted(known)),
                remedy="name it in identifiers and traits as under Setup > Developer Hub > APIs > API names.",
            )

    def _say_how_long(self, pull: Pull) -> None:
        """Warn where the credits of a day do not suffice for a first load by lists."""
        try:
            requests = math.ceil(lists.count(pull, self._module) / lists.ROWS_A_PAGE)
        except (RefusedError, NotFoundError, PermissionDeniedError):
            return
        left = max(0, self._settings.credits_per_day - pull.calls)
        if requests > left:
            days = math.ceil((requests - left) / self._settings.credits_per_day)
            until = (pull.pulled_at + timedelta(days=days)).date()
            pull.warn(
                f"{self._module.name} need {requests} requests and {left} are left today: with a run each day, the "
                f"first load will be done about {until}."
            )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
