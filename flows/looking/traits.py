"""The computed traits of a project: which there are, how they are computed, what came out.

Nobody is shown: of values that anyone might be known by, only those that several people share are told.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.flows.steps.describing import usable_sets_of
from millstream.state.errors import ConfigurationError
from millstream.state.sql import quoted
from millstream.state.store import column_types
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.store import Connection
    from millstream.state.traits.contract import ModelCard, Trait, TraitSet
    from millstream.state.traits.report import SetState
if TYPE_CHECKING:
    from millstream.flows.steps import Workspace
    from millstream.state.traits.contract import ModelCard, TraitSet

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEWEST = 5
"""People who share a text before it is told."""
MOST_GROUPS = 20


@dataclass(frozen=True)
class TraitStatus:
    """A computed trait and how things stand with it.

    Attributes:
        trait: Its name.
        trait_set: The set it is computed in.
        type: How its values are read.
        unit: What a number counts.
        description: What it means.
        people: How many have a value; None before the first run.
        share: Of all people.
        computed_at: When the values were computed; None: never.
        status: How the set's last run went; ``never computed`` before the first.
        message: Why, unless it is computed or kept.
    """

    trait: str
    trait_set: str
    type: str
    unit: str
    description: str
    people: int | None
    share: float | None
    computed_at: datetime | None
    status: str
    message: str


@dataclass(frozen=True)
class Group:
    """A value, and how many people have it."""

    value: str
    people: int


@dataclass(frozen=True)
class TraitDetails:
    """All there is to know of a trait.

    Attributes:
        status: How things stand with it.
        file: Where it is computed.
        about: What its set is about.
        inputs: The relations that the set reads.
        every: At most how often it is computed, in words; empty for each run.
        sql: The set's SELECT; None for a function.
        card: What stands behind a predicted trait.
        quantiles: Of numbers and times: what so large a share of the people is at most at, by the share.
        groups: Of text and yes or no: the values, the most frequent first.
        others: People with other values than those told.
    """

    status: TraitStatus
    file: str
    about: str
    inputs: tuple[str, ...]
    every: str
    sql: str | None
    card: ModelCard | None
    quantiles: dict[str, float | str]
    groups: tuple[Group, ...]
    others: int

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        from millstream.state.traits.cards import card_json

        return {**asdict(self), "card": card_json(self.card) if self.card else None}


def list_traits(workspace: Workspace) -> list[TraitStatus]:
    """Every trait that the project computes, set by set.

    Raises:
        ConfigurationError: The section `traits` is wrong.
    """
    with workspace.store.open() as connection:
        sets = usable_sets_of(workspace, connection)
        states, coverage = _states(connection), _coverage(connection)
    return [_status(one, name, states, coverage) for one in sets for name in one.traits]


def trait_details(workspace: Workspace, name: str) -> TraitDetails:
    """All there is to know of one trait.

    Raises:
        ConfigurationError: There is no such trait, or the section `traits` is wrong.
    """
    from millstream.state.traits.cards import latest_cards

    with workspace.store.open() as connection:
        by_trait = {trait: one for one in usable_sets_of(workspace, connection) for trait in one.traits}
        if name not in by_trait:
            raise ConfigurationError(
                f"No trait {name!r} is computed.",
                remedy=did_you_mean(name, by_trait) or "see `millstream traits`.",
            )
        one = by_trait[name]
        status = _status(one, name, _states(connection), _coverage(connection))
        quantiles, groups, others = _distribution(connection, name, one.traits[name])
        return TraitDetails(
            status=status,
            file=one.file,
            about=one.description,
            inputs=one.inputs,
            every=f"{one.every.total_seconds() / 3600:g} h" if one.every else "",
            sql=one.sql,
            card=latest_cards(connection).get(name),
            quantiles=quantiles,
            groups=groups,
            others=others,
        )


def _states(connection: Connection) -> dict[str, SetState]:
    from millstream.state.traits.tables import set_states

    return set_states(connection) if column_types(connection, "customers", "trait_sets") else {}


def _coverage(connection: Connection) -> dict[str, tuple[int, float]]:
    """People with a value and their share, by the trait, after the last run."""
    if not column_types(connection, "customers", "trait_coverage"):
        return {}
    rows = connection.execute(
        """
        SELECT trait, people, share FROM customers.trait_coverage
        WHERE as_of = (SELECT max(as_of) FROM customers.trait_coverage)
        """
    ).fetchall()
    return {trait: (people, share) for trait, people, share in rows}


def _status(
    one: TraitSet, name: str, states: dict[str, SetState], coverage: dict[str, tuple[int, float]]
) -> TraitStatus:
    trait, state = one.traits[name], states.get(one.name)
    people, share = coverage.get(name, (None, None))
    return TraitStatus(
        name,
        one.name,
        trait.type,
        trait.unit,
        trait.description,
        people,
        share,
        state.computed_at if state else None,
        "failed" if one.broken else state.status if state else "never computed",
        one.broken or (state.message if state else ""),
    )


def _distribution(
    connection: Connection, name: str, trait: Trait
) -> tuple[dict[str, float | str], tuple[Group, ...], int]:
    if name not in column_types(connection, "customers", "computed"):
        return {}, (), 0
    if trait.type in ("text", "boolean"):
        groups, others = _groups(connection, name, trait)
        return {}, groups, others
    function = "quantile_cont" if trait.type == "number" else "quantile_disc"
    asked = ", ".join(f"{function}({quoted(name)}, {share})" for share in QUANTILES)
    row = connection.execute(f"SELECT {asked} FROM customers.computed WHERE {quoted(name)} IS NOT NULL").fetchone()
    if row is None or row[0] is None:
        return {}, (), 0
    told = {
        f"{share:.0%}": float(value) if trait.type == "number" else f"{value:%Y-%m-%d}"
        for share, value in zip(QUANTILES, row, strict=True)
    }
    return told, (), 0


def _groups(connection: Connection, name: str, trait: Trait) -> tuple[tuple[Group, ...], int]:
    rows = connection.execute(
        f"""
        SELECT CAST({quoted(name)} AS TEXT) AS value, count(*) AS people FROM customers.computed
        WHERE {quoted(name)} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
        """
    ).fetchall()
    told = [
        Group(value, people)
        for value, people in rows
        if people >= FEWEST or value in trait.allowed or trait.type == "boolean"
    ][:MOST_GROUPS]
    return tuple(told), sum(people for _, people in rows) - sum(one.people for one in told)


def model_cards(workspace: Workspace) -> dict[str, ModelCard]:
    """What stands behind each predicted trait, as of the run that computed it last."""
    from millstream.state.traits.cards import latest_cards

    with workspace.store.open() as connection:
        return latest_cards(connection)
