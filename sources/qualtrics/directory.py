"""The directory: who can be invited, and who no longer wants to be.

The vendor gives no list of changes and no trace of what was deleted or merged, so all is listed and compared with the
rows stored before: what is the same is not stored again, and what is missing is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from millstream.sources.contract import Page, Row
from millstream.sources.qualtrics.paging import listings
from millstream.sources.qualtrics.rows import said_of
from millstream.state.errors import ConfigurationError, IncompleteError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.qualtrics.settings import QualtricsSettings

PAGES_A_PART = 200
"""Pages after which what was read is stored: a pull that is killed loses no more."""

Found = Mapping[str, Any]
_DONE = "done"


class DirectoryReader:
    """Reads the directories that the settings ask for."""

    def __init__(self, settings: QualtricsSettings) -> None:
        self._settings = settings
        self._listed: list[Found] | None = None

    def directories(self, pull: Pull) -> Iterator[Page]:
        """Rows of ``directories``."""
        self._listed = None
        yield [
            {
                "id": found.get("directoryId"),
                "name": found.get("name"),
                "contact_count": found.get("contactCount"),
                "is_default": found.get("isDefault"),
                "deduplication": found.get("deduplicationCriteria"),
            }
            for found in self._wanted(pull)
        ]

    def contacts(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Rows of ``contacts`` that are new or changed, and the stored ones that are gone."""
        if pull.is_backfill or not self._is_due(pull):
            return
        params = {"includeEmbedded": "true", "useNewPaginationScheme": "true"}
        for directory in self._ids(pull):
            compared = _Compared(pull, "contacts", {"directory_id": directory}, unequal={"deleted": True})
            walk = _Walk(pull, f"directories/{directory}/contacts", params)
            for number, elements in enumerate(walk.pages(), 1):
                yield compared.changed([self._contact(directory, found) for found in elements])
                if number % PAGES_A_PART == 0:
                    yield pull.until_loaded()
            if walk.was_whole:
                walk.note(None)  # where the list is not believed, the next pull begins it anew
                gone = compared.missing()
                walk.note(_DONE)
                yield from compared.marked(gone, "deleted", value=True)
        pull.state.pop("walk", None)
        pull.state["scanned"] = pull.pulled_at.isoformat()

    def opt_outs(self, pull: Pull) -> Iterator[Page | pa.Table]:
        """Rows of ``opt_outs`` that are new, and those of people who came back or were deleted."""
        if pull.is_backfill:
            return
        for directory in self._ids(pull):
            path, among = f"directories/{directory}/contacts", {"directory_id": directory}
            compared = _Compared(pull, "opt_outs", among, unequal={"opted_out": False, "deleted": True})
            for page in listings(pull, f"{path}/optedOutContacts", {}):
                yield compared.changed([_opt_out(directory, found) for found in page.elements])
            # All may have come back, where there are few.
            gone = compared.missing(may_be_all=True)
            back = [contact for contact in gone if _is_there(pull, f"{path}/{contact}")]
            yield from compared.marked(back, "opted_out", value=False)
            # A refusal outlives the contact that it was of.
            yield from compared.marked([contact for contact in gone if contact not in back], "deleted", value=True)
        pull.state["scanned"] = pull.pulled_at.isoformat()

    def _is_due(self, pull: Pull) -> bool:
        scanned = pull.state.get("scanned")
        if scanned is None or "walk" in pull.state:
            return True
        return pull.pulled_at - datetime.fromisoformat(scanned) >= timedelta(hours=self._settings.contacts_hours)

    def _ids(self, pull: Pull) -> list[str]:
        return [str(found["directoryId"]) for found in self._wanted(pull)]

    def _wanted(self, pull: Pull) -> list[Found]:
        """The directories, listed once in a pull.

        Raises:
            ConfigurationError: One that the settings name is not there.
        """
        if self._listed is None:
            found = [one for page in listings(pull, "directories", {}) for one in page.elements]
            wanted, known = self._settings.directories, {str(one.get("directoryId")) for one in found}
            unknown = [one for one in wanted or () if one not in known]
            if unknown and found:
                raise ConfigurationError(f"The account has no directory {unknown[0]!r}.", allowed=sorted(known))
            self._listed = [one for one in found if wanted is None or str(one.get("directoryId")) in wanted]
        return self._listed

    def _contact(self, directory: str, found: Found) -> Row:
        """A row of ``contacts``; lists of different age call the refusal by different names."""
        refused = found.get("directoryUnsubscribed", found.get("unsubscribed"))
        embedded = found.get("embeddedData") or {}
        row = {
            **_person(directory, found),
            "first_name": found.get("firstName") or None,
            "last_name": found.get("lastName") or None,
            "language": found.get("language") or None,
            "unsubscribed": refused,
            "embedded_data": embedded,
            **said_of(embedded, self._settings),
        }
        return {**row, "deleted": False, "row_hash": _hash(row)}


def _opt_out(directory: str, found: Found) -> Row:
    row = {**_person(directory, found), "unsubscribed_at": found.get("directoryUnsubscribeDate")}
    return {**row, "opted_out": True, "deleted": False, "row_hash": _hash(row)}


def _is_there(pull: Pull, path: str) -> bool:
    try:
        pull.get(path)
    except NotFoundError:
        return False
    return True


def _person(directory: str, found: Found) -> Row:
    return {
        "contact_id": found.get("contactId"),
        "directory_id": directory,
        "email": found.get("email") or None,
        "phone": found.get("phone") or None,
        "external_reference": found.get("extRef") or None,
    }


class _Walk:
    """The pages of a long list; the place lives in the stream's notes, so that a pull that was killed goes on."""

    def __init__(self, pull: Pull, path: str, params: Mapping[str, str]) -> None:
        self._notes: MutableMapping[str, Any] = pull.state
        self._pull = pull
        self._path = path
        self._params = params
        self.was_whole = True

    def pages(self) -> Iterator[list[Found]]:
        """The elements of each page."""
        start = self._notes.get("walk", {}).get(self._path)
        self.was_whole = start is None
        if start == _DONE:
            return
        for page in listings(self._pull, self._path, start or self._params):
            self.note(dict(page.next) if page.next else _DONE)
            yield page.elements

    def note(self, place: Mapping[str, str] | str | None) -> None:
        """Keep the place of this list."""
        walks: MutableMapping[str, Any] = self._notes.setdefault("walk", {})
        walks[self._path] = place


class _Compared:
    """Rows of a stream, compared with those stored before."""

    def __init__(self, pull: Pull, stream: str, equal: Mapping[str, object], *, unequal: Mapping[str, object]) -> None:
        self._pull = pull
        self._stream = stream
        self._known: dict[str, str] = {}
        self._seen: set[str] = set()
        # A first or a full pull stores every row anew.
        if pull.stored is not None and pull.state.get("scanned") is not None:
            columns = ("contact_id", "row_hash")
            rows = pull.stored.rows(stream, columns=columns, equal=equal, unequal=unequal).to_pylist()
            self._known = {row["contact_id"]: row["row_hash"] for row in rows}

    def changed(self, rows: list[Row]) -> list[Row]:
        """Those that differ from what is stored."""
        self._seen.update(str(row["contact_id"]) for row in rows)
        return [row for row in rows if self._known.get(str(row["contact_id"])) != row["row_hash"]]

    def missing(self, *, may_be_all: bool = False) -> list[str]:
        """Ids of the stored rows that were not seen.

        Raises:
            IncompleteError: All of them are missing, which is not believed.
        """
        gone = [key for key in self._known if key not in self._seen]
        if gone and not self._seen and not may_be_all and not self._pull.accept_empty:
            raise IncompleteError(
                f"The list of {self._stream} is empty, and {len(gone)} are stored; they were kept.",
                remedy="if the account really is empty now, run `millstream ingest --accept-empty`.",
            )
        return gone

    def marked(self, keys: list[str], column: str, *, value: bool) -> Iterator[pa.Table]:
        """The stored rows of some ids, with a column set."""
        import pyarrow as pa

        if not keys:
            return
        assert self._pull.stored is not None
        for table in self._pull.stored.rows_of_keys(self._stream, pa.table({"contact_id": pa.array(keys)})):
            # What comes back later is a change, whatever it holds: hence no hash.
            for name, mark in ((column, value), ("row_hash", "")):
                table = table.set_column(table.column_names.index(name), name, pa.array([mark] * len(table)))  # noqa: PLW2901
            yield table


def _hash(row: Row) -> str:
    return hashlib.blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()
