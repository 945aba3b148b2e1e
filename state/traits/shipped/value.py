"""The set ``value``: what customers are expected to buy and spend in the time ahead."""

from __future__ import annotations

from datetime import timedelta

from millstream.state.traits.contract import Context, Result, Trait, TraitSet


def compute(context: Context) -> Result:
    """Learn from all purchases and predict; numpy and scipy are imported only now, to keep the command line quick."""
    from millstream.state.traits.prediction.customer_value import predict_value

    return predict_value(context)


TRAITS = TraitSet(
    name="value",
    description="What customers are expected to buy and spend within the horizon, by the models BG/NBD and "
    "Gamma-Gamma. Empty for people without an order.",
    inputs=("purchases",),
    every=timedelta(days=1),
    compute=compute,
    traits={
        "expected_purchases": Trait(
            type="number",
            unit="orders",
            at_least=0.0,
            description="How many orders are expected within the horizon; orders of one day count as one.",
        ),
        "expected_order_value": Trait(
            type="number",
            unit="currency",
            at_least=0.0,
            description="What the next order is expected to be worth, in the base currency; orders of one day count "
            "as one.",
        ),
        "predicted_value": Trait(
            type="number",
            unit="currency",
            at_least=0.0,
            description="What is expected to be spent within the horizon: expected purchases times expected order "
            "value, or the person's past rate of spending where that was closer on held-out time.",
        ),
        "probability_active": Trait(
            type="number",
            unit="share",
            at_least=0.0,
            at_most=1.0,
            description="How probable it is that the person is still a customer; 1 for who bought only once.",
        ),
    },
)
