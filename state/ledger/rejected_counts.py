"""How many rows are not accepted, by sync, code and reason: counted by the journal's database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from millstream.state.ledger.tables import rejected

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal


@dataclass(frozen=True)
class RejectedCount:
    """Rows that a destination did not take, for one reason.

    Attributes:
        sync: Name of the sync.
        status: rejected, suppressed, retry_later or unknown.
        code: The destination's word for the reason.
        rows: How many there are.
    """

    sync: str
    status: str
    code: str
    rows: int


def rejected_counts(journal: Journal) -> list[RejectedCount]:
    """The rows that wait for a change or for their next try, most first.

    By code: the vendor's own words stay in the journal.
    """
    rows = sa.func.count().label("rows")
    query = (
        sa.select(rejected.c.sync, rejected.c.status, rejected.c.code, rows)
        .group_by(rejected.c.sync, rejected.c.status, rejected.c.code)
        .order_by(rows.desc(), rejected.c.sync, rejected.c.code)
    )
    with journal.engine.connect() as connection:
        return [
            RejectedCount(sync, status, code or "", count) for sync, status, code, count in connection.execute(query)
        ]
