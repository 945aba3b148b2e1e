"""Trying recommendations: learn from the earlier orders, leave out people's last one, and look what was in it."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from millstream.state.traits.contract import Calibration
from millstream.state.traits.prediction.baselines import GroupRates, group_rates
from millstream.state.traits.prediction.baskets import Baskets
from millstream.state.traits.prediction.judging import CHANCE, MARGIN, calibration
from millstream.state.traits.prediction.recommending import Recommender, recommender

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

LEARNED_FROM = 0.8
"""The share of the orders, the earliest ones, that is learned from before the trial."""

LEAST_PEOPLE = 100
"""People that must be there to try on."""

MOST_PEOPLE = 5_000
"""People that are tried on, chosen by a hash of their ids."""

PLACES = 10
STALE_DAYS = 365
"""Products that nobody bought for so long are not recommended."""


@dataclass(frozen=True)
class LeftOut:
    """People whose last order is left out.

    Attributes:
        people: Their numbers.
        cut: The number of the first order that is not learned from.
    """

    people: Integers
    cut: int


@dataclass(frozen=True)
class Trial:
    """What came of recommending, beside what is popular.

    Attributes:
        people: How many people it was tried on.
        hits: Share of the people whose last order had one of the ten recommended products.
        first_hits: Whose last order had the first one.
        popular_hits: The share of ``hits`` by what is popular.
        popular_first_hits: That of ``first_hits``.
        better: Whether recommending was better by the margin, and by more than chance.
        chance_of: How likely the first product is bought next, by its strength.
        calibration: That beside what happened, on the half of the people that it was not learned from.
        since: When the orders that were tried on begin, in seconds since 1970.
    """

    people: int
    hits: float
    first_hits: float
    popular_hits: float
    popular_first_hits: float
    better: bool
    chance_of: GroupRates
    calibration: tuple[Calibration, ...]
    since: float


def left_out(bought: Baskets) -> LeftOut:
    """The people to try on: those with a product in their last order that they had not bought before, in some order."""
    cut = int(len(bought.person) * LEARNED_FROM)
    last = np.full(len(bought.profile_ids), -1, np.int64)
    np.maximum.at(last, bought.person, np.arange(len(bought.person)))
    in_last = bought.basket == last[bought.buyer]
    products = max(len(bought.product_ids), 1)
    before = np.unique((bought.buyer * products + bought.product)[~in_last])
    new = in_last & ~np.isin(bought.buyer * products + bought.product, before)
    tried = np.intersect1d(bought.buyer[new & (bought.basket >= cut)], np.unique(before // products))
    if len(tried) > MOST_PEOPLE:
        hashes = np.array([crc32(bought.profile_ids[person].encode()) for person in tried])
        tried = np.sort(tried[np.argsort(hashes, kind="stable")[:MOST_PEOPLE]])
    return LeftOut(tried, cut)


def tried(bought: Baskets, chosen: LeftOut) -> Trial:
    """Recommend to people from all but their last order, having learned from the earlier orders of everybody."""
    learned = bought.basket < chosen.cut
    on_sale = on_sale_at(bought, float(bought.at[chosen.cut]), learned)
    results = []
    for by_likeness in (True, False):
        made = recommender(
            bought.buyer[learned],
            bought.basket[learned],
            bought.product[learned],
            on_sale=on_sale,
            by_likeness=by_likeness,
        )
        results.append(_hits(bought, chosen, made))
    model, popular = results
    gain = model.any - popular.any
    luck = CHANCE * float(gain.std()) / float(np.sqrt(len(gain)))
    better = (
        float(gain.mean()) > max(MARGIN * float(popular.any.mean()), luck)
        and model.first.mean() >= popular.first.mean()
    )
    used = model if better else popular
    half = np.array([crc32(bought.profile_ids[person].encode()) % 2 == 0 for person in chosen.people])
    return Trial(
        people=len(chosen.people),
        hits=float(model.any.mean()),
        first_hits=float(model.first.mean()),
        popular_hits=float(popular.any.mean()),
        popular_first_hits=float(popular.first.mean()),
        better=bool(better),
        chance_of=chances(used.strength, used.first),
        calibration=calibration(
            used.first[~half], chances(used.strength[half], used.first[half]).predict(used.strength[~half])
        )
        if half.any() and not half.all()
        else (),
        since=float(bought.at[chosen.cut]),
    )


def on_sale_at(bought: Baskets, moment: float, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of each product, whether one of the known items is young enough at a moment."""
    last = np.full(len(bought.product_ids), -np.inf)
    np.maximum.at(last, bought.product[known], bought.at[bought.basket[known]])
    recent: NDArray[np.bool_] = last > moment - STALE_DAYS * 86_400
    return recent


def chances(strength: Numbers, happened: Numbers) -> GroupRates:
    """How likely a recommended product is bought, by the strength: never less for a stronger one."""
    from scipy.optimize import isotonic_regression

    found = group_rates(strength, happened)
    group = np.searchsorted(found.edges, strength, side="left")
    sizes = np.maximum(np.bincount(group, minlength=len(found.rates)), 1)
    rising = isotonic_regression(found.rates, weights=sizes.astype(np.float64)).x
    return GroupRates(found.edges, rising, found.unknown)


@dataclass(frozen=True)
class _Hits:
    """Of each of the people, whether the first, or any, recommended product was in the order that was left out."""

    first: Numbers
    any: Numbers
    strength: Numbers


def _hits(bought: Baskets, chosen: LeftOut, made: Recommender) -> _Hits:
    place = np.full(len(bought.profile_ids), -1, np.int64)
    place[chosen.people] = np.arange(len(chosen.people))
    last = np.full(len(bought.profile_ids), -1, np.int64)
    np.maximum.at(last, bought.person, np.arange(len(bought.person)))
    buyer = bought.buyer
    in_last = bought.basket == last[buyer]
    known = (place[buyer] >= 0) & ~in_last
    wanted = (place[buyer] >= 0) & in_last
    products, strengths = made.recommend(place[buyer[known]], bought.product[known], len(chosen.people), PLACES)
    size = len(bought.product_ids)
    targets = np.unique(place[buyer[wanted]] * size + bought.product[wanted])
    keys = np.arange(len(chosen.people))[:, None] * size + products
    hit = np.isin(keys, targets) & (products >= 0)
    return _Hits(hit[:, 0].astype(np.float64), hit.max(axis=1).astype(np.float64), strengths[:, 0])
