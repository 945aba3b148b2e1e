"""Audiences held against what is known of people, before a run: traits that nobody has, events that never happened."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import compile_audiences
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.checks import CheckResult
from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import existing_columns
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.state.store import Connection
    from millstream.state.traits.rules import TraitRules

KIND = "audience"


def check_audiences(
    connection: Connection,
    audiences: Mapping[str, Audience],
    *,
    planned: Collection[str],
    rules: TraitRules | None = None,
) -> list[CheckResult]:
    """What is off with audiences; nothing is told of the others. Nothing is written.

    An audience that cannot be computed is not ok. One that asks for an event which no plan knows and nobody did is: it
    may be new. Of a store without people nothing can be told.

    Args:
        connection: The open store.
        audiences: All audiences of the project, by name.
        planned: The events of the tracking plan, by their canonical names.
        rules: The section ``traits`` of the project file; the usual when left out.
    """
    traits = existing_columns(connection, "people")
    if not traits or connection.execute("SELECT 1 FROM customers.people LIMIT 1").fetchone() is None:
        return []
    names = {str(name) for (name,) in connection.execute("SELECT DISTINCT name FROM customers.events").fetchall()}
    known = names | set(planned)
    found = []
    for name, audience in written_out(audiences, rules, traits=traits).items():
        try:
            compile_audiences(audiences, traits=traits, as_of=datetime.now(UTC), only_names=[name], rules=rules)
        except ConfigurationError as error:
            told = CheckResult(name=name, kind=KIND, ok=False, problem="other", detail=error.what, remedy=error.remedy)
            found.append(told)
        found += _unknown_events(name, audience, known)
    return found


def _unknown_events(name: str, audience: Audience, known: Collection[str]) -> Iterator[CheckResult]:
    for event in sorted(audience.events() - set(known)):
        yield CheckResult(
            name=name,
            kind=KIND,
            ok=True,
            detail=f"No event is called {event!r}, neither in the tracking plan nor among those that happened.",
            remedy=did_you_mean(event, known) or "add it to the tracking plan, if it will come.",
        )
