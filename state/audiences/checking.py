"""Audiences held against what is known of people, before a run.

Told are traits that nobody has or that could not be computed, events that never happened, and consents that nobody
has on record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import compile_audiences
from millstream.state.audiences.nodes import ConsentCondition, leaves
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.checks import CheckResult
from millstream.state.consent import recorded_consents, unrecorded
from millstream.state.errors import ConfigurationError
from millstream.state.profiles.columns import existing_columns
from millstream.state.profiles.people_view import PREFIX, has_people
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

    An audience that cannot be computed is not ok, nor is one by a trait that is empty for want of a library. One that
    asks for an event which no plan knows and nobody did is: it may be new; so is one by a consent that nobody has on
    record, or by a prediction for which there is too little to learn from. Of a store without people nothing can be
    told.

    Args:
        connection: The open store.
        audiences: All audiences of the project, by name.
        planned: The events of the tracking plan, by their canonical names.
        rules: The section ``traits`` of the project file; the usual when left out.
    """
    if not has_people(connection):
        return []
    traits = existing_columns(connection, "people")
    names = {str(name) for (name,) in connection.execute("SELECT DISTINCT name FROM customers.events").fetchall()}
    known = names | set(planned)
    empty = _sets_without_values(connection)
    consents = recorded_consents(connection)
    found = []
    for name, audience in written_out(audiences, rules, traits=traits).items():
        try:
            compile_audiences(audiences, traits=traits, as_of=datetime.now(UTC), only_names=[name], rules=rules)
        except ConfigurationError as error:
            told = CheckResult(name=name, kind=KIND, ok=False, problem="other", detail=error.what, remedy=error.remedy)
            found.append(told)
        found += _empty_traits(name, audience, empty)
        found += _unknown_events(name, audience, known)
        found += _unrecorded_consents(name, audience, consents)
    return found


def _sets_without_values(connection: Connection) -> dict[str, tuple[str, str]]:
    """Status and message of the set of each computed trait that has no values for a reason that is known."""
    if not existing_columns(connection, "trait_sets"):
        return {}
    rows = connection.execute(
        """
        SELECT computed.trait, trait_set.status, trait_set.message FROM customers.computed_traits AS computed
        JOIN customers.trait_sets AS trait_set ON trait_set.name = computed.trait_set
        WHERE trait_set.status IN ('unavailable', 'nothing to learn') AND trait_set.people = 0
        """
    ).fetchall()
    return {name: (status, message) for trait, status, message in rows for name in (trait, f"{PREFIX}{trait}")}


def _empty_traits(name: str, audience: Audience, empty: Mapping[str, tuple[str, str]]) -> Iterator[CheckResult]:
    for trait in sorted(audience.traits() & set(empty)):
        status, message = empty[trait]
        yield CheckResult(
            name=name,
            kind=KIND,
            ok=status != "unavailable",
            problem="other" if status == "unavailable" else None,
            detail=f"Nobody has the trait {trait!r}: {message}",
            remedy="then run `millstream describe`." if status == "unavailable" else None,
        )


def _unknown_events(name: str, audience: Audience, known: Collection[str]) -> Iterator[CheckResult]:
    for event in sorted(audience.events() - set(known)):
        yield CheckResult(
            name=name,
            kind=KIND,
            ok=True,
            detail=f"No event is called {event!r}, neither in the tracking plan nor among those that happened.",
            remedy=did_you_mean(event, known) or "add it to the tracking plan, if it will come.",
        )


def _unrecorded_consents(name: str, audience: Audience, recorded: Collection[tuple[str, str]]) -> Iterator[CheckResult]:
    asked = {
        (one.consent, one.topic)
        for one in (leaves(audience.rule) if audience.rule is not None else ())
        if isinstance(one, ConsentCondition)
    }
    for channel, topic in sorted(asked):
        if told := unrecorded(channel, topic, recorded):
            yield CheckResult(name=name, kind=KIND, ok=True, detail=told[0], remedy=told[1])
