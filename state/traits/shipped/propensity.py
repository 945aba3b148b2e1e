"""Propensity: how likely somebody will do a chosen event soon, for each of ``traits.propensities``."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from millstream.state.traits.contract import Context, ModelCard, Result, Trait, TraitSet
from millstream.state.traits.prediction.features import FEATURES, INPUTS, event_features

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.traits.prediction.learning import Learned, Question
    from millstream.state.traits.rules import Propensity, TraitRules


def compute(context: Context) -> Result:
    """Learn each of them from what people did, and tell everybody's probability."""
    from millstream.state.traits.prediction import history
    from millstream.state.traits.prediction.learning import NothingToLearnError, learned
    from millstream.state.traits.prediction.telling import Words, card

    found: dict[str, Learned] = {}
    cards: dict[str, ModelCard] = {}
    nothing: list[str] = []
    with history.sampled(context, "events") as begin:
        for name, propensity in context.rules.propensities.items():
            words = Words(
                number="probability",
                happens=f"will do '{propensity.event}'",
                happened=f"did '{propensity.event}'",
                baseline=f"the days since the last '{propensity.event}' alone",
            )
            try:
                found[name] = learned(context, _question(context, name, propensity), begin)
                cards[f"propensity_{name}"] = card(found[name], words)
            except NothingToLearnError as error:
                nothing.append(str(error))
    return Result(_rows(context, found), cards, nothing_to_learn=" ".join(nothing))


def _question(context: Context, name: str, propensity: Propensity) -> Question:
    from millstream.state.traits.prediction import history
    from millstream.state.traits.prediction.learning import Question

    return Question(
        name=f"propensity_{name}",
        horizon=timedelta(days=propensity.within_days),
        population="events",
        features=(*event_features(propensity.event), *FEATURES),
        recency="days_since_it",
        event=partial(history.did_between, context, propensity.event),
    )


def _rows(context: Context, found: dict[str, Learned]) -> pa.Table:
    """A column each. All are told of the same people in the same order: those of whom any event is known."""
    import pyarrow as pa

    columns: dict[str, list[object]] = {}
    for name, one in found.items():
        profile_ids: list[object] = []
        probabilities: list[object] = []
        for people, foretold in one.now(context):
            profile_ids += people
            probabilities += foretold.tolist()
        columns["profile_id"] = profile_ids
        columns[f"propensity_{name}"] = probabilities
    types = {name: pa.string() if name == "profile_id" else pa.float64() for name in columns or ["profile_id"]}
    return pa.table({name: pa.array(columns.get(name, []), kind) for name, kind in types.items()})


def TRAITS(rules: TraitRules) -> TraitSet | None:  # noqa: N802  what every file of traits calls it
    """A trait for each propensity that the project asks for."""
    if not rules.propensities:
        return None
    return TraitSet(
        name="propensity",
        description="How likely people will do the events that the project chose, learned from what people did before.",
        inputs=INPUTS,
        every=timedelta(days=1),
        needs=("sklearn", "predictions"),
        compute=compute,
        traits={
            f"propensity_{name}": Trait(
                description=f"How likely somebody will do '{one.event}' in the next {one.within_days} days: 0 to 1.",
                type="number",
                unit="share",
                at_least=0,
                at_most=1,
            )
            for name, one in rules.propensities.items()
        },
    )
