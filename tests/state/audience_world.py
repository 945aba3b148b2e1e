"""People with traits and events, written straight where audiences read them; for tests of the language of audiences."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from millstream.state.audiences import Audience, compile_audiences, create_audience_tables, why
from millstream.state.profiles.columns import existing_columns
from millstream.state.profiles.people_view import create_people_view
from millstream.state.sql import quoted
from millstream.state.store import Connection
from millstream.state.traits.rules import TraitRules

AS_OF = datetime(2026, 6, 1, tzinfo=UTC)


def ago(**span: float) -> datetime:
    """A moment so long before the run."""
    return AS_OF - timedelta(**span)


@dataclass(frozen=True)
class Did:
    """Something that somebody did."""

    name: str
    at: datetime
    value: float | None = None
    channel: str | None = None
    campaign: str | None = None
    properties: Mapping[str, object] = field(default_factory=dict)


class AudienceWorld:
    """A store with nothing in it but what audiences are computed from."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        create_audience_tables(connection)
        self._events = 0

    def forget(self) -> None:
        """Take everybody out."""
        for table in ("profiles", "members", "events", "memberships", "identifiers", "profile_consents"):
            self.connection.execute(f"DELETE FROM customers.{table}")

    def have_traits(self, **types: str) -> None:
        """Let people have traits, by their SQL types."""
        for name, sql_type in types.items():
            self.connection.execute(f"ALTER TABLE customers.profiles ADD COLUMN {quoted(name)} {sql_type}")
        create_people_view(self.connection)

    def person(self, profile_id: str, *did: Did, **traits: object) -> None:
        """Add somebody."""
        names = ["profile_id", *traits]
        marks = ", ".join("?" for _ in names)
        self.connection.execute(
            f"INSERT INTO customers.profiles ({', '.join(map(quoted, names))}) VALUES ({marks})",
            [profile_id, *traits.values()],
        )
        self.connection.execute("INSERT INTO customers.members VALUES (?, ?)", [f"app.people:{profile_id}", profile_id])
        self.did(profile_id, did)

    def known_by(self, profile_id: str, kind: str) -> None:
        """Have somebody be known by an identifier."""
        value = f"{kind} of {profile_id}"
        self.connection.execute(
            "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
            "VALUES (?, ?, ?, ?, TRUE, ?)",
            [f"app.people:{profile_id}", kind, value, value, value],
        )

    def consents(self, profile_id: str, channel: str, status: str, topic: str = "marketing") -> None:
        """Have somebody grant or deny consent."""
        self.connection.execute(
            "INSERT INTO customers.profile_consents VALUES (?, ?, ?, ?)", [profile_id, channel, topic, status]
        )

    def keep(self, members: Mapping[str, Iterable[str]]) -> None:
        """Write memberships down, as a run does."""
        rows = [[audience, profile_id, AS_OF] for audience, ids in members.items() for profile_id in ids]
        if rows:
            self.connection.executemany(
                "INSERT INTO customers.memberships (audience, profile_id, entered_at, entered_run, rule_fingerprint, "
                "reason) VALUES (?, ?, ?, 'run', 'rule', 'meets the rule')",
                rows,
            )

    def did(self, profile_id: str, events: Iterable[Did]) -> None:
        """Have somebody do something."""
        rows = []
        for one in events:
            self._events += 1
            rows.append(
                [
                    f"e{self._events}", f"app.people:{profile_id}", one.name, one.name, one.at, one.value, one.channel,
                    one.campaign, json.dumps(one.properties), one.value,
                ]
            )  # fmt: skip
        if rows:
            self.connection.executemany(
                "INSERT INTO customers.events VALUES (?, ?, 'app', 'people', ?, ?, ?, ?, NULL, ?, ?, ?, 'planned', ?, "
                "NULL)",
                rows,
            )

    def members(self, rules: Mapping[str, object]) -> dict[str, set[str]]:
        """The members of audiences, each by its rule."""
        return self.members_of({name: Audience.model_validate({"rule": rule}) for name, rule in rules.items()})

    def who(self, rule: object) -> set[str]:
        """Those of whom a rule is true."""
        return self.members({"tried": rule})["tried"]

    def members_of(
        self, audiences: Mapping[str, Audience], *, only_names: list[str] | None = None, rules: TraitRules | None = None
    ) -> dict[str, set[str]]:
        """The members of audiences by one query; every pair comes once."""
        compiled = compile_audiences(
            audiences,
            traits=existing_columns(self.connection, "people"),
            as_of=AS_OF,
            only_names=only_names,
            rules=rules,
        )
        rows = self.connection.execute(compiled.sql, list(compiled.values)).fetchall()
        assert len(rows) == len(set(rows))
        found: dict[str, set[str]] = {name: set() for name in audiences if only_names is None or name in only_names}
        for audience, profile_id in rows:
            found[audience].add(profile_id)
        return found

    def explains(self, rule: object, profile_id: str) -> bool:
        """Whether ``why`` takes a rule to be true of somebody."""
        return why(self.connection, Audience.model_validate({"rule": rule}), profile_id, as_of=AS_OF).holds
