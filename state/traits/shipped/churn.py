"""Churn risk: how likely somebody who has bought will not buy again within the horizon."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from millstream.state.traits.contract import Context, Result, Trait, TraitSet
from millstream.state.traits.prediction.features import FEATURES, INPUTS

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.traits.prediction.learning import Learned

LOW, HIGH = 1 / 3, 2 / 3


def compute(context: Context) -> Result:
    """Learn from what customers did, and tell each one's risk."""
    import pyarrow as pa

    from millstream.state.traits.prediction import history
    from millstream.state.traits.prediction.learning import NothingToLearnError, Question, learned
    from millstream.state.traits.prediction.telling import Words, card

    question = Question(
        name="Churn risk",
        horizon=timedelta(days=context.rules.horizon_days),
        population="purchases",
        features=FEATURES,
        recency="days_since_order",
        event=partial(history.bought_between, context),
        is_absence=True,
    )
    words = Words(
        number="risk",
        happens="will not buy",
        happened="did not buy",
        baseline="the days since the last order alone",
    )
    try:
        with history.sampled(context, question.population) as begin:
            found = learned(context, question, begin)
    except NothingToLearnError as nothing:
        return Result(pa.table({"profile_id": pa.array([], pa.string())}), nothing_to_learn=str(nothing))
    return Result(_rows(context, found), dict.fromkeys(TRAITS.traits, card(found, words)))


def _rows(context: Context, found: Learned) -> pa.Table:
    import pyarrow as pa

    profile_ids: list[str] = []
    risks: list[float] = []
    for people, foretold in found.now(context):
        profile_ids += people
        risks += foretold.tolist()
    return pa.table(
        {
            "profile_id": pa.array(profile_ids, pa.string()),
            "churn_risk": pa.array(risks, pa.float64()),
            "churn_group": pa.array([_group(risk) for risk in risks], pa.string()),
        }
    )


def _group(risk: float) -> str:
    if risk < LOW:
        return "low"
    return "high" if risk >= HIGH else "medium"


TRAITS = TraitSet(
    name="churn",
    description="How likely customers are not to buy again soon, learned from what customers did before.",
    inputs=INPUTS,
    every=timedelta(days=1),
    needs=("sklearn", "predictions"),
    compute=compute,
    traits={
        "churn_risk": Trait(
            description="How likely somebody who has bought will not buy within `horizon_days`: 0 to 1.",
            type="number",
            unit="share",
            at_least=0,
            at_most=1,
        ),
        "churn_group": Trait(
            description="The risk in words: low below 1/3, high from 2/3 on, medium between.",
            type="text",
            allowed=("low", "medium", "high"),
        ),
    },
)
