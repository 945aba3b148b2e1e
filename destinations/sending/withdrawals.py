"""Consent while sending: who withdrew it, or came onto the suppression list, after the plan was made is not sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.destinations.planning.eligible import consents_for, find_suppressed
from millstream.destinations.rules import Suppression
from millstream.destinations.sync import Sync
from millstream.state.store import Store, looked_up_in_little_memory, parquet_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from millstream.state.store import Connection

FRESH_FOR = 60.0
"""Seconds for which an answer counts."""
FRESH_FOR_LOOKS = 20.0
"""Where the look itself takes long, its answer counts for so many times as long as it took."""


@dataclass
class Withdrawals:
    """Rows of a plan that must not be put in any more.

    Attributes:
        store: Where consents are.
        path: The plan's file.
        sync: What is sent.
        suppressions: Gives the suppression list's entries for the sync's channel, as they are now.
        looked_at: When consent was last looked at, by ``time.monotonic()``.
    """

    store: Store
    path: Path
    sync: Sync
    suppressions: Callable[[], Sequence[Suppression]]
    looked_at: float

    def __post_init__(self) -> None:
        self._fresh_for = FRESH_FOR
        self._withdrawn: dict[int, str] = {}
        self._lock = threading.Lock()

    def now(self) -> dict[int, str]:
        """Numbers of the rows, and why. Looks again when the last answer is too old.

        Raises:
            StoreLockedError: The store cannot be looked at: who may be addressed is not known, so nobody is.
        """
        with self._lock:
            if time.monotonic() - self.looked_at > self._fresh_for:
                started = time.monotonic()
                self._withdrawn = self._look()
                self.looked_at = time.monotonic()
                self._fresh_for = max(FRESH_FOR, FRESH_FOR_LOOKS * (self.looked_at - started))
            return self._withdrawn

    def _look(self) -> dict[int, str]:
        suppressions = self.suppressions()

        def withdrawn(connection: Connection) -> list[tuple[int, str]]:
            planned = parquet_rows(connection, "planned", self.path)
            find_suppressed(connection, planned, suppressions)
            joins = "LEFT JOIN suppressed_rows AS listed ON listed.match_value = planned.match_value"
            reasons = "WHEN listed.reason IS NOT NULL THEN 'suppression list: ' || listed.reason"
            if self.sync.consent != "not_needed":
                said = consents_for(self.sync.consent)
                joins += f" LEFT JOIN ({said}) AS consents ON consents.profile_id = planned.profile_id"
                status = "coalesce(consents.status, 'no consent record')"
                reasons += f" WHEN {status} <> 'granted' THEN 'consent: ' || {status}"
            return connection.execute(
                f"""
                WITH judged AS (
                    SELECT number, CASE {reasons} END AS held_for
                    FROM {planned} AS planned {joins} WHERE operation <> 'remove'
                )
                SELECT number, held_for FROM judged WHERE held_for IS NOT NULL
                """
            ).fetchall()

        rows = looked_up_in_little_memory(self.store, withdrawn)
        return {int(number): str(reason) for number, reason in rows}
