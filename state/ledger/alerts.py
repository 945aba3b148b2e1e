"""Alerts in the journal: the state of all that is watched, so that each change of state is told once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import sqlalchemy as sa

from millstream.state.ledger.tables import alerts
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from millstream.state.ledger.journal import Journal

AlertKind = Literal["failed", "credentials", "rejected", "guard", "drift", "stale", "not_started", "quality", "test"]


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that is watched, as it is now.

    Attributes:
        subject: What it is about: ``sync welcome``, ``connection crm``, ``schedule nightly``.
        kind: What may be wrong with it.
        firing: Whether it is.
        what: What is wrong, or right again, in one sentence without personal data.
        detail: Tells two conditions of one kind apart.
        owner: Who looks after it.
    """

    subject: str
    kind: AlertKind
    firing: bool
    what: str
    detail: str = ""
    owner: str | None = None

    @property
    def name(self) -> str:
        """By which it is known from one run to the next."""
        return " ".join(filter(None, (self.subject, self.kind, self.detail)))


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A change of state that people are to be told of.

    Attributes:
        name: See ``Condition``.
        kind: See ``Condition``.
        subject: See ``Condition``.
        owner: See ``Condition``.
        state: ``firing`` or ``recovered``.
        since: When it became so.
        what: See ``Condition``.
        told: Channels that know it already.
    """

    name: str
    kind: AlertKind
    subject: str
    owner: str | None
    state: str
    since: datetime
    what: str
    told: tuple[str, ...] = ()


def note(journal: Journal, conditions: Iterable[Condition], *, now: datetime) -> list[Alert]:
    """Keep how things are, and give what changed. Something that never fired and is right is not kept."""
    changed = []
    conditions = list(conditions)  # finding them may use the journal
    with journal.writing() as connection:
        for condition in conditions:
            known = connection.execute(alerts.select().where(alerts.c.name == condition.name)).mappings().one_or_none()
            fired = known is not None and known["state"] == "firing"
            if fired == condition.firing:
                continue
            row = _row(condition, now)
            if known is None:
                connection.execute(alerts.insert().values(**row))
            else:
                row["facts"]["seen"] = (known["facts"] or {}).get("seen")
                connection.execute(alerts.update().where(alerts.c.name == condition.name).values(**row))
            changed.append(_alert(row))
    return changed


def _row(condition: Condition, now: datetime) -> dict[str, Any]:
    return {
        "name": condition.name,
        "state": "firing" if condition.firing else "recovered",
        "since": now,
        "told_at": None,
        "what": redact(condition.what),
        "facts": {"kind": condition.kind, "subject": condition.subject, "owner": condition.owner},
        "told": [],
    }


def first_seen(journal: Journal, condition: Condition, *, now: datetime) -> datetime:
    """Since when something is watched: what was not done before that is nobody's fault."""
    query = sa.select(alerts.c.since, alerts.c.facts).where(alerts.c.name == condition.name)
    with journal.writing() as connection:
        known = connection.execute(query).one_or_none()
        if known is not None:
            seen = (known.facts or {}).get("seen")
            return datetime.fromisoformat(seen) if seen else cast("datetime", known.since)
        row = {**_row(condition, now), "state": "watched", "told_at": now}
        row["facts"]["seen"] = now.isoformat()
        connection.execute(alerts.insert().values(row))
    return now


def untold(journal: Journal) -> list[Alert]:
    """Changes of state that not all channels know, oldest first."""
    return _read(journal, alerts.c.told_at.is_(None))


def firing(journal: Journal) -> list[Alert]:
    """All that is wrong now, oldest first."""
    return _read(journal, alerts.c.state == "firing")


def _read(journal: Journal, which: sa.ColumnElement[bool]) -> list[Alert]:
    query = alerts.select().where(which).order_by(alerts.c.since, alerts.c.name)
    with journal.engine.connect() as connection:
        return [_alert(row) for row in connection.execute(query).mappings()]


def _alert(row: Any) -> Alert:
    facts = row["facts"] or {}
    return Alert(
        name=row["name"],
        kind=facts.get("kind", "failed"),
        subject=facts.get("subject", row["name"]),
        owner=facts.get("owner"),
        state=row["state"],
        since=row["since"],
        what=row["what"],
        told=tuple(row["told"] or ()),
    )


def told(journal: Journal, one: Alert, channel: str) -> None:
    """Note that a channel knows of a change of state, unless the state changed again meanwhile."""
    same = sa.and_(alerts.c.name == one.name, alerts.c.state == one.state, alerts.c.since == one.since)
    with journal.writing() as connection:
        known = connection.execute(sa.select(alerts.c.told).where(same)).scalar() or []
        connection.execute(alerts.update().where(same).values(told=[*known, channel]))


def all_told(journal: Journal, ones: Sequence[Alert], *, now: datetime) -> None:
    """Note that every channel knows."""
    with journal.writing() as connection:
        for one in ones:
            connection.execute(
                alerts.update()
                .where(alerts.c.name == one.name, alerts.c.state == one.state, alerts.c.since == one.since)
                .values(told_at=now)
            )
