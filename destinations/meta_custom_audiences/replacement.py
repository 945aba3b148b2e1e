"""Replacing all members of an audience, by one session of uploads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from millstream.destinations.contract import DeliveryRow, Outcome
from millstream.destinations.http import Http
from millstream.destinations.meta_custom_audiences.answers import outcomes_of
from millstream.destinations.meta_custom_audiences.members import Members, Person
from millstream.destinations.rows import in_order, last_of_each
from millstream.state.errors import ConfigurationError

_LARGEST_ID = 2**53 - 1
"""Meta takes 64 bits; other programs that read the answer may not."""

Sorted = tuple[Sequence[DeliveryRow], list[Person], dict[str, Outcome]]
"""Rows of a batch, those that go out, and outcomes of the others."""


class Replacement:
    """One session: batches are numbered from one, and Meta has to be told which is the last.

    A batch that is repeated because its answer was lost has the same number and the same people. A session that ends
    half way leaves the audience as it was; Meta gives it up after a while.

    Args:
        http: Calls the vendor.
        path: Where the audience's users are replaced.
        members: Makes cells of rows.
        label: Names the replacement.
        single: Whether the audience was made with a single key.
        limited_data_use: Whether people come with Limited Data Use.
    """

    def __init__(
        self, http: Http, path: str, members: Members, *, label: str, single: bool, limited_data_use: bool
    ) -> None:
        self._http = http
        self._path = path
        self._members = members
        self._single = single
        self._limited = limited_data_use
        digest = hashlib.sha256(f"{path} {label}".encode()).digest()
        self._session_id = int.from_bytes(digest[:8], "big") % _LARGEST_ID + 1
        self._number = 0
        self._total = 0
        self._rest: list[DeliveryRow] = []
        self._refused: dict[str, Outcome] = {}

    def run(self, batches: Iterable[Sequence[DeliveryRow]], match_key: str) -> list[Outcome]:
        """Send everybody; outcomes of all rows, in order."""
        outcomes: list[Outcome] = []
        waiting: Sorted | None = None
        for batch in self._sorted(batches, match_key):
            if waiting is not None:
                self._total += len(batch[1])
                outcomes += self._send(waiting, last=False)
            else:
                self._total = len(batch[1])
            waiting = batch
        if waiting is None and self._rest:
            # A wrong mapping must not empty the audience.
            raise ConfigurationError(
                f"None of {len(self._rest):,} rows has a {match_key} that Meta could find anybody by.",
                remedy="check the sync's match; the audience is as it was.",
            )
        # Where nobody is left, a row that matches nobody empties the audience: a request cannot be without rows.
        outcomes += self._send(waiting or ((), [], {}), last=True)
        return outcomes + in_order(self._rest, self._refused)

    def _sorted(self, batches: Iterable[Sequence[DeliveryRow]], match_key: str) -> Iterator[Sorted]:
        """Batches that have somebody to send; rows of those that have none go along with the next."""
        for batch in batches:
            people: list[Person] = []
            for row in last_of_each(batch):
                person = self._members.person(row, match_key, anew=True)
                if isinstance(person, Person):
                    people.append(person)
                else:
                    self._refused[row.key] = person
            self._rest += batch
            if people:
                yield self._rest, people, self._refused
                self._rest, self._refused = [], {}

    def _send(self, batch: Sorted, *, last: bool) -> list[Outcome]:
        rows, people, refused = batch
        self._number += 1
        nobody = {"EMAIL": hashlib.sha256(f"nobody {self._session_id}".encode()).hexdigest()}
        session = {
            "session_id": self._session_id,
            "batch_seq": self._number,
            "last_batch_flag": last,
            "estimated_num_total": max(1, self._total),
        }
        cells = [one.cells for one in people] or [nobody]
        payload = self._members.payload(cells, single=self._single, limited_data_use=self._limited)
        answer: Mapping[str, Any] = self._http.post(self._path, {"session": session, "payload": payload}, replay=True)
        return in_order(rows, refused | (outcomes_of(answer, people) if people else {}))
