"""The trained model as the store keeps it: Splink's settings, and what Millstream adds to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from millstream.state.identity.linkage.comparisons import Comparison, comparisons_for
from millstream.state.identity.linkage.engine import splink_settings
from millstream.state.identity.linkage.model import Model, Sort
from millstream.state.identity.linkage.people import People
from millstream.state.identity.linkage.rules import LinkageRules

if TYPE_CHECKING:
    from millstream.state.store import Connection

_GROWTH = 2
"""Profiles that have grown by this factor since the training want a new one."""


@dataclass(frozen=True)
class Memory:
    """What the last runs left.

    Attributes:
        settings: The model as JSON has it.
        watermark: The newest record that they saw.
    """

    settings: Mapping[str, Any]
    watermark: datetime

    def model(self, people: People, rules: LinkageRules) -> Model | None:
        """The model, unless the data have outgrown it: other things can be compared now, or many more profiles."""
        comparisons = comparisons_for(people, rules.backend)
        ours = self.settings["millstream"]
        names = [[each.name, *(level.name for level in each.levels)] for each in comparisons]
        if names != ours["comparisons"] or people.size > _GROWTH * ours["rows"]:
            return None
        return Model(
            comparisons,
            ours["match"],
            _arrays(ours["m"]),
            _arrays(ours["u"]),
            [Sort(tuple(each["sharing"]), each["share"], _arrays(each["h"])) for each in ours["relatives"]],
        )


def _arrays(values: list[list[float]]) -> list[np.ndarray]:
    return [np.array(each) for each in values]


def read(connection: Connection, rules: LinkageRules) -> Memory | None:
    """The model that the last run with these rules, on profiles resolved by the same rules, left."""
    row = connection.execute("SELECT fingerprint, settings FROM customers.linkage_model").fetchone()
    if row is None or row[0] != _fingerprint(connection, rules):
        return None
    settings = json.loads(row[1])
    return Memory(settings, datetime.fromisoformat(settings["millstream"]["watermark"]))


def write(
    connection: Connection,
    rules: LinkageRules,
    model: Model,
    *,
    watermark: datetime,
    rows: int,
    trained_at: datetime | None,
) -> None:
    """Keep the model.

    Args:
        connection: The open store.
        rules: By which it was made.
        model: The model.
        watermark: The newest record it has seen.
        rows: How many profiles there are.
        trained_at: When it was trained; None where it is the one that is kept, used again.
    """
    before = connection.execute("SELECT trained_at, settings FROM customers.linkage_model").fetchone()
    if trained_at is None and before is not None:
        trained_at, rows = before[0], json.loads(before[1])["millstream"]["rows"]
    settings = splink_settings([_trained(model, place) for place in range(len(model.comparisons))])
    settings["probability_two_random_records_match"] = model.match
    settings["millstream"] = {
        "watermark": watermark.astimezone(UTC).isoformat(),
        "rows": rows,
        "comparisons": [[each.name, *(level.name for level in each.levels)] for each in model.comparisons],
        "match": model.match,
        "m": [each.tolist() for each in model.m],
        "u": [each.tolist() for each in model.u],
        "relatives": [
            {"sharing": each.sharing, "share": each.share, "h": [values.tolist() for values in each.h]}
            for each in model.sorts
        ],
    }
    connection.execute("DELETE FROM customers.linkage_model")
    connection.execute(
        "INSERT INTO customers.linkage_model VALUES (?, ?, ?)",
        [trained_at, _fingerprint(connection, rules), json.dumps(settings)],
    )


def _trained(model: Model, place: int) -> Comparison:
    comparison = model.comparisons[place]
    chances = zip(comparison.levels, reversed(model.m[place]), reversed(model.u[place]), strict=True)
    return replace(comparison, levels=tuple(replace(level, m=float(m), u=float(u)) for level, m, u in chances))


def newest_record(connection: Connection) -> datetime:
    """When a record last changed."""
    row = connection.execute("SELECT max(modelled_at) FROM customers.records").fetchone()
    newest = row[0] if row else None
    return newest if isinstance(newest, datetime) else datetime.fromtimestamp(0, UTC)


def _fingerprint(connection: Connection, rules: LinkageRules) -> str:
    row = connection.execute("SELECT rules_fingerprint FROM customers.resolve_state").fetchone()
    return f"{rules.fingerprint()} {row[0] if row else ''}"
