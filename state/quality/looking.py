"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.state.identity.rules import IdentityRules
    from millstream.state.model.declarations import People
    from millstream.state.quality.rules import Dimension, QualityRules
    from millstream.state.store import Connection

PEOPLE = ""
"""The source of what is true of people as a whole."""

AS_A_WHOLE = "people"
"""What a project file, and people, call it."""


@dataclass(frozen=True)
class Stream:
    """A stream of the project that says something about people.

    Attributes:
        source: Name of the source in the project.
        name: Name of the stream.
        people: What its rows say.
        account: Name of the vendor's account.
    """

    source: str
    name: str
    people: People
    account: str


@dataclass(frozen=True)
class Look:
    """What checks look at.

    Attributes:
        connection: The open store.
        streams: What the project's sources declare.
        identity: How identifiers are spelled.
        rules: The section ``quality``.
        as_of: The time of the run, aware.
    """

    connection: Connection
    streams: Sequence[Stream]
    identity: IdentityRules
    rules: QualityRules
    as_of: datetime

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """The rows of a query."""
        return self.connection.execute(sql, list(values)).fetchall()


@dataclass(frozen=True)
class Finding:
    """What one check came to.

    Attributes:
        dimension: What was looked at.
        source: Whose word; empty for people as a whole, ``a / b`` for two sources that are compared.
        subject: What it is about.
        checked: How many were looked at.
        failed: How many of them are not as they should be.
    """

    dimension: Dimension
    source: str
    subject: str
    checked: int
    failed: int

    @property
    def said_by(self) -> str:
        """The source, as people are told."""
        return self.source or AS_A_WHOLE

    @property
    def score(self) -> float:
        """The good share; 1 where there was nothing to look at."""
        return 1 - self.failed / self.checked if self.checked else 1.0


def found(dimension: Dimension, rows: Sequence[tuple[object, ...]]) -> list[Finding]:
    """Findings of rows with source, subject, checked and failed; checks of nothing are left out."""
    return [
        Finding(dimension, str(source), str(subject), int(str(checked)), int(str(failed)))
        for source, subject, checked, failed in rows
        if checked
    ]
