"""The next best product: what goes with all that somebody bought, and which products are bought together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from millstream.state.traits.contract import Context, ModelCard, Result, Trait, TraitSet

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.state.traits.prediction.baskets import Baskets
    from millstream.state.traits.prediction.leaving_out import Trial

VERSION = 1
_CHUNK = 10_000
"""People that are recommended to at a time."""


def compute(context: Context) -> Result:
    """Learn from orders, and tell each customer's next product."""
    import pyarrow as pa

    from millstream.state.traits.prediction.baskets import baskets
    from millstream.state.traits.prediction.leaving_out import LEAST_PEOPLE, left_out, tried
    from millstream.state.traits.prediction.together import products_together

    bought = baskets(context.connection)
    tables = {"products_together": products_together(bought)}
    chosen = left_out(bought)
    if len(chosen.people) < LEAST_PEOPLE:
        return Result(
            pa.table({"profile_id": pa.array([], pa.string())}),
            tables=tables,
            nothing_to_learn=f"The next product needs {LEAST_PEOPLE} people who bought something new "
            f"lately after earlier orders, to be tried on; there are {len(chosen.people)}.",
        )
    trial = tried(bought, chosen)
    card = _card(context, bought, trial)
    cards = dict.fromkeys(("next_product", "next_product_id", "next_product_score"), card)
    return Result(_rows(context, bought, trial), cards, tables)


def _rows(context: Context, bought: Baskets, trial: Trial) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    from millstream.state.traits.prediction.leaving_out import on_sale_at
    from millstream.state.traits.prediction.recommending import recommender

    everything = np.ones(len(bought.basket), np.bool_)
    on_sale = on_sale_at(bought, context.as_of.timestamp(), everything)
    made = recommender(bought.buyer, bought.basket, bought.product, on_sale=on_sale, by_likeness=trial.better)
    order = np.argsort(bought.buyer, kind="stable")
    buyer, product = bought.buyer[order], bought.product[order]
    products, strengths = [], []
    for begin in range(0, len(bought.profile_ids), _CHUNK):
        people = min(_CHUNK, len(bought.profile_ids) - begin)
        first, last = np.searchsorted(buyer, [begin, begin + people])
        best, strength = made.recommend(buyer[first:last] - begin, product[first:last], people, 1)
        products.append(best[:, 0])
        strengths.append(strength[:, 0])
    chosen, strong = np.concatenate(products), np.concatenate(strengths)
    there = chosen >= 0
    ids = pa.array(bought.product_ids, pa.string())
    shown = pa.array([name or of for name, of in zip(bought.names, bought.product_ids, strict=True)], pa.string())
    return pa.table(
        {
            "profile_id": pa.array(bought.profile_ids, pa.string()).filter(pa.array(there)),
            "next_product": shown.take(pa.array(chosen[there])),
            "next_product_id": ids.take(pa.array(chosen[there])),
            "next_product_score": pa.array(np.round(trial.chance_of.predict(strong[there]), 4), pa.float64()),
        }
    )


def _card(context: Context, bought: Baskets, trial: Trial) -> ModelCard:
    from hashlib import sha256

    learned = sha256(bought.basket.tobytes() + bought.product.tobytes()).hexdigest()[:8]
    begin = datetime.fromtimestamp(float(bought.at[0]), UTC)
    return ModelCard(
        model="item co-occurrence",
        version=f"{VERSION}-{learned}",
        window=(begin, context.as_of),
        horizon=timedelta(days=(context.as_of - datetime.fromtimestamp(trial.since, UTC)).days),
        people=len(bought.profile_ids),
        metric="share of people whose next order had one of ten recommended products",
        score=round(trial.hits, 5),
        baseline="what is popular",
        baseline_score=round(trial.popular_hits, 5),
        lower_is_better=False,
        used="model" if trial.better else "baseline",
        parameters={
            "hit_rate_at_1": round(trial.first_hits, 5),
            "hit_rate_at_10": round(trial.hits, 5),
            "popular_hit_rate_at_1": round(trial.popular_first_hits, 5),
            "popular_hit_rate_at_10": round(trial.popular_hits, 5),
        },
        calibration=trial.calibration,
        sentence=_sentence(trial),
    )


def _sentence(trial: Trial) -> str:
    parts = [
        "What goes best with all that somebody bought, and is not among it; the score is how likely it is in their "
        "next order of something new.",
        f"Tried on {trial.people:,} people, whose last order was left out: of 100 people "
        f"{100 * trial.first_hits:.0f} bought the product in it, and {100 * trial.hits:.0f} one of the ten best; with "
        f"what is popular, {100 * trial.popular_first_hits:.0f} and {100 * trial.popular_hits:.0f}.",
    ]
    if trial.better:
        parts.append("So it says more than what is popular.")
    else:
        parts.append("That is not clearly better, so everybody is recommended what is popular and not bought yet.")
    return " ".join(parts)


TRAITS = TraitSet(
    name="next_product",
    description="The product that somebody may buy next, by what is bought together; and the table of such pairs.",
    inputs=("line_items",),
    every=timedelta(days=1),
    compute=compute,
    traits={
        "next_product": Trait(
            description="The product that goes best with what somebody bought and that they have not bought: its name, "
            "or its id where it has none. Only products that anybody bought within a year.",
            type="text",
        ),
        "next_product_id": Trait(description="The id of that product.", type="text"),
        "next_product_score": Trait(
            description="How likely that product is in their next order of something new: 0 to 1.",
            type="number",
            unit="share",
            at_least=0,
            at_most=1,
        ),
    },
)
