"""Purchase histories and the two models of customer value, by their papers' formulas, in pandas and scipy.

BG/NBD: Fader, Hardie, Lee, "Counting Your Customers the Easy Way" (2005), equations 3, 7 and 10.
Gamma-Gamma: Fader, Hardie, "The Gamma-Gamma Model of Monetary Value" (2013), equation 5.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import permutations
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy.special import betaln, gammaln, hyp2f1

from tests.truth.audiences import Known
from tests.truth.life import line_items, purchases
from tests.truth.project import HORIZON_DAYS, LAPSED_DAYS
from tests.truth.traits import ZONE

WEEK = 7.0
Parameters: TypeAlias = Mapping[str, float]
Numbers: TypeAlias = "pd.Series[float]"


def histories(known: Known) -> pd.DataFrame:
    """How each customer bought, by profile: a purchase is a day of the project's zone; times are in days."""
    today = pd.Timestamp(known.ran.described_at).tz_convert(ZONE).date()
    rows = {profile: _history(bought, today) for profile, bought in purchases(known.facts).groupby("profile")}
    return pd.DataFrame.from_dict(rows, orient="index")


def _history(bought: pd.DataFrame, today: date) -> dict[str, float]:
    by_day = bought.assign(day=bought["at"].dt.tz_convert(ZONE).dt.date, value=bought.value.astype(float))
    days = by_day.groupby("day").value.sum(min_count=1)
    again = days.iloc[1:].dropna()
    return {
        "repeats": len(days) - 1,
        "recency": (days.index[-1] - days.index[0]).days,
        "age": (today - days.index[0]).days,
        "mean": days.mean(),
        "paid": days.notna().sum(),
        "spent": days.sum(),
        "repeats_paid": len(again),
        "repeats_spent": again.sum(),
    }


def log_likelihood(told: Parameters, bought: pd.DataFrame) -> float:
    """How likely the histories are, by equation 3."""
    r, alpha, a, b = (told[name] for name in ("r", "alpha", "a", "b"))
    x, tx, t = bought.repeats, bought.recency / WEEK, bought.age / WEEK
    active = betaln(a, b + x) - (r + x) * np.log(alpha + t)
    gone = betaln(a + 1, np.maximum(b + x - 1, 1e-9)) - (r + x) * np.log(alpha + tx)
    either = np.where(x > 0, np.logaddexp(active, gone), active)
    found: float = (gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b) + either).sum()
    return found


def probability_active(told: Parameters, bought: pd.DataFrame) -> Numbers:
    """By equation 7's denominator: one over it."""
    r, alpha, a, b = (told[name] for name in ("r", "alpha", "a", "b"))
    x, tx, t = bought.repeats, bought.recency / WEEK, bought.age / WEEK
    odds = a / (b + x - 1).where(x > 0, 1.0) * ((alpha + t) / (alpha + tx)) ** (r + x)
    return 1 / (1 + odds.where(x > 0, 0.0))


def expected_purchases(told: Parameters, bought: pd.DataFrame) -> Numbers:
    """By equation 10, for the project's horizon."""
    r, alpha, a, b = (told[name] for name in ("r", "alpha", "a", "b"))
    x, t, ahead = bought.repeats, bought.age / WEEK, HORIZON_DAYS / WEEK
    series = hyp2f1(r + x, b + x, a + b + x - 1, ahead / (alpha + t + ahead))
    while_active = (a + b + x - 1) / (a - 1) * (1 - ((alpha + t) / (alpha + t + ahead)) ** (r + x) * series)
    return while_active * probability_active(told, bought)


def expected_order_value(told: Parameters, bought: pd.DataFrame) -> Numbers:
    """The mean of somebody's repeat orders, drawn to that of all the more the fewer they are."""
    p, q, v = (told[name] for name in ("p", "q", "v"))
    return p * (v + bought.repeats_spent) / (p * bought.repeats_paid + q - 1)


def as_before(trait: str, bought: pd.DataFrame) -> Numbers:
    """The baselines of ``docs/predictions.md``: everybody goes on as before."""
    rate = (bought.repeats / bought.age).where(bought.age > 0, 0.0) * HORIZON_DAYS
    mean = bought["mean"].fillna(bought.spent.sum() / bought.paid.sum())
    baselines = {
        "expected_purchases": rate,
        "probability_active": (bought.age - bought.recency < LAPSED_DAYS).astype(float),
        "expected_order_value": mean,
        "predicted_value": rate * mean,
    }
    return baselines[trait]


def baskets(known: Known) -> pd.DataFrame:
    """The products of everybody's orders, with whose they are."""
    return line_items(purchases(known.facts))


def bought_together(items: pd.DataFrame) -> dict[tuple[str, str], int]:
    """In how many orders each pair of products was."""
    pairs: dict[tuple[str, str], int] = {}
    for _, order in items.groupby(["profile", "order"])["product"]:
        for pair in permutations(sorted(set(order)), 2):
            pairs[pair] = pairs.get(pair, 0) + 1
    return pairs
