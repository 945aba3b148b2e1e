"""Customer value: what people are expected to buy and to spend in the time ahead, learned, tried and told.

The models learn twice. First from what was known a horizon ago; what they foretell for the horizon since is compared
with what people did, beside a baseline. Then from all that is known now, for the traits. Where a model did not come
closer than its baseline, the trait holds what the baseline says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from millstream.state.traits.contract import Context, Result
from millstream.state.traits.prediction.bg_nbd import BgNbd, fit_bg_nbd
from millstream.state.traits.prediction.gamma_gamma import GammaGamma, fit_gamma_gamma
from millstream.state.traits.prediction.repeat_buying import DAYS_A_WEEK, Buyers, Numbers, PurchaseDays
from millstream.state.traits.prediction.value_cards import Learned, Tried, cards, compared

FEWEST_REPEAT_BUYERS = 50
"""In simulations with so many, nine fits of ten foretell the orders of all people within a quarter of what the true
parameters do; with half as many it is a third, and single habits decide."""

FEWEST_LATER_BUYERS = 30
"""People with a priced order on the held-out time, for order values to be tried on."""

LARGEST_SAMPLE = 200_000
"""People who came back that the models learn from; so many leave parameters uncertain by less than a hundredth."""

DIGITS = 4
"""To which values are told: what is behind changes with every fit, and would be news to whoever they are sent to."""

_SEED = 20_050_301


@dataclass(frozen=True)
class Foretold:
    """What is foretold of each person for the horizon.

    Attributes:
        purchases: Expected purchases.
        active: Probability that they still are customers.
        buys: Probability that they buy at all, which follows from it.
        order_value: Expected value of a purchase; None where no values could be learned from.
    """

    purchases: Numbers
    active: Numbers
    buys: Numbers
    order_value: Numbers | None

    @property
    def value(self) -> Numbers | None:
        """Expected value of all purchases."""
        return None if self.order_value is None else self.purchases * self.order_value


@dataclass(frozen=True)
class Models:
    """Both models, learned from the same people."""

    buying: BgNbd
    spending: GammaGamma | None

    @staticmethod
    def of(buyers: Buyers) -> Models:
        """Learn from people; of very many who came back from a sample, each of whom stands for several."""
        back = buyers.repeats > 0
        sample = _sampled(back)
        histories, _ = buyers.grouped(sample | ~back)
        if not np.array_equal(sample, back):
            stands_for = np.where(histories.repeats > 0, back.sum() / sample.sum(), 1.0)
            histories = replace(histories, people=histories.people * stands_for)
        buying, spenders = fit_bg_nbd(histories), _spenders(buyers)
        if spenders.sum() < FEWEST_REPEAT_BUYERS:
            return Models(buying, None)
        spenders = _sampled(spenders)
        orders = buyers.repeats_paid[spenders]
        return Models(buying, fit_gamma_gamma(orders, buyers.repeats_spent[spenders] / orders))

    def foretell(self, buyers: Buyers, horizon: int) -> Foretold:
        """What the models say of people for so many days."""
        weeks = horizon / DAYS_A_WEEK
        histories, back = buyers.grouped()
        means = np.divide(buyers.repeats_spent, buyers.repeats_paid, where=buyers.repeats_paid > 0, out=_zeros(buyers))
        return Foretold(
            self.buying.expected_purchases(histories, weeks)[back],
            self.buying.probability_active(histories)[back],
            self.buying.probability_of_purchase(histories, weeks)[back],
            self.spending.expected_order_value(buyers.repeats_paid, means) if self.spending else None,
        )


def plain(buyers: Buyers, horizon: int, lapsed_days: int) -> Foretold:
    """What goes without a model: everybody goes on at their past rate and spends what they spent so far.

    Args:
        buyers: The people.
        horizon: How many days ahead.
        lapsed_days: Who bought nothing for so many days counts as gone, for the probability to be active only.
    """
    rate = np.divide(buyers.repeats, buyers.age, where=buyers.age > 0, out=_zeros(buyers))
    active = (buyers.age - buyers.recency < lapsed_days).astype(np.float64)
    paid = float(buyers.paid.sum())
    overall = float(buyers.spent.sum()) / paid if paid else 0.0
    means = np.divide(buyers.spent, buyers.paid, where=buyers.paid > 0, out=np.full(len(buyers), overall))
    return Foretold(rate * horizon, active, active * -np.expm1(-rate * horizon), means)


def predict_value(context: Context) -> Result:
    """The traits of the set ``value`` for everybody who ever bought, with a card each."""
    zone, horizon = ZoneInfo(context.rules.timezone), context.rules.horizon_days
    today = context.as_of.astimezone(zone).date()
    with PurchaseDays(context.connection, context.rules.timezone) as days:
        first = days.first()
        if first is None or (today - first).days < 2 * horizon:
            return _nothing(_too_short(first, today, horizon))
        then = days.buyers(today - timedelta(days=horizon))
        returned = int((then.repeats > 0).sum())
        if returned < FEWEST_REPEAT_BUYERS:
            return _nothing(_too_few(returned, horizon))
        tried = _tried(then, horizon, context.rules.lapsed_days)
        now = days.buyers(today)
    models = Models.of(now)
    learned = Learned(
        buying=models.buying,
        spending=models.spending,
        people=len(now) - max(0, int((now.repeats > 0).sum()) - LARGEST_SAMPLE),
        window=(datetime.combine(first, time(), zone), context.as_of),
        horizon=horizon,
        lapsed_days=context.rules.lapsed_days,
        alike=_alike(now),
    )
    rows = _chosen(models.foretell(now, horizon), plain(now, horizon, context.rules.lapsed_days), tried)
    lack = "" if "predicted_value" in rows else _UNPRICED
    rows = {name: values.round(DIGITS) for name, values in rows.items()}
    return Result(pa.table({"profile_id": now.profile_id, **rows}), cards(learned, tried), nothing_to_learn=lack)


def _tried(then: Buyers, horizon: int, lapsed_days: int) -> dict[str, Tried]:
    """Each trait's model beside its baseline, on what people did after they were last looked at."""
    models = Models.of(then)
    model, baseline = models.foretell(then, horizon), plain(then, horizon, lapsed_days)
    tried = {
        "expected_purchases": compared(then.later, model.purchases, baseline.purchases),
        "probability_active": compared((then.later > 0).astype(np.float64), model.buys, baseline.buys),
    }
    priced = then.later_paid > 0
    if model.order_value is None or baseline.order_value is None or priced.sum() < FEWEST_LATER_BUYERS:
        return tried
    means = np.divide(then.later_spent, then.later_paid, where=priced, out=_zeros(then))
    tried["expected_order_value"] = compared(
        means[priced], model.order_value[priced], baseline.order_value[priced], weights=then.later_paid[priced]
    )
    # A purchase without a value is taken to have been worth what the person's others were.
    known = priced | (then.later == 0)
    value = _chosen(model, baseline, tried)
    tried["predicted_value"] = compared(
        (then.later * means)[known],
        (value["expected_purchases"] * value["expected_order_value"])[known],
        (baseline.purchases * baseline.order_value)[known],
    )
    return tried


def _chosen(model: Foretold, baseline: Foretold, tried: dict[str, Tried]) -> dict[str, Numbers]:
    """The traits, each from the model or its baseline, whichever was closer on the held-out time."""

    def pick(trait: str, foretold: Numbers, otherwise: Numbers) -> Numbers:
        return foretold if tried[trait].better else otherwise

    rows = {
        "expected_purchases": pick("expected_purchases", model.purchases, baseline.purchases),
        "probability_active": pick("probability_active", model.active, baseline.active),
    }
    if "expected_order_value" not in tried or model.order_value is None or baseline.order_value is None:
        return rows
    rows["expected_order_value"] = pick("expected_order_value", model.order_value, baseline.order_value)
    if "predicted_value" in tried:
        value = rows["expected_purchases"] * rows["expected_order_value"]
        rows["predicted_value"] = pick("predicted_value", value, baseline.purchases * baseline.order_value)
    return rows


def _sampled(people: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """As many of these people as models learn from at most, always the same."""
    which = np.flatnonzero(people)
    if len(which) <= LARGEST_SAMPLE:
        return people
    drawn = np.random.default_rng(_SEED).choice(which, LARGEST_SAMPLE, replace=False)
    chosen = np.zeros(len(people), dtype=np.bool_)
    chosen[drawn] = True
    return chosen


def _spenders(buyers: Buyers) -> NDArray[np.bool_]:
    """Who came back and spent something."""
    return (buyers.repeats_paid > 0) & (buyers.repeats_spent > 0)


def _alike(buyers: Buyers) -> float:
    """Correlation of how often people come back with what they spend each time: Gamma-Gamma supposes there is none."""
    spenders = _spenders(buyers)
    orders = buyers.repeats_paid[spenders]
    means = buyers.repeats_spent[spenders] / orders
    if len(orders) < 2 or np.ptp(orders) == 0 or np.ptp(means) == 0:
        return 0.0
    return float(np.corrcoef(orders, means)[0, 1])


def _zeros(buyers: Buyers) -> Numbers:
    return np.zeros(len(buyers))


def _nothing(why: str) -> Result:
    return Result(pa.table({"profile_id": pa.array([], pa.string())}), nothing_to_learn=why)


def _too_short(first: date | None, today: date, horizon: int) -> str:
    if first is None:
        return "Nobody has bought anything yet: there is nothing that customer value could be learned from."
    return (
        f"Purchases are known for {(today - first).days} days; to foretell {horizon} days takes {2 * horizon}: as many "
        "to learn from, and as many to try the prediction on. A shorter traits.horizon_days needs less."
    )


def _too_few(returned: int, horizon: int) -> str:
    return (
        f"{returned} people came back to buy again up to {horizon} days ago; it takes {FEWEST_REPEAT_BUYERS} to tell "
        "habit from chance."
    )


_UNPRICED = (
    "What an order is worth could not be learned: it takes a known value above 0 in the base currency on the repeat "
    f"orders of {FEWEST_REPEAT_BUYERS} people, and on orders of {FEWEST_LATER_BUYERS} people in the time that the "
    "prediction is tried on."
)
