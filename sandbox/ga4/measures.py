"""Metrics: what each is worked out from, for groups of cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from millstream.sandbox.ga4.fields import INTEGER, METRICS
from millstream.sandbox.ga4.traffic import Ints, people_of_groups

Numbers = NDArray[np.float64]


class Groups:
    """Sums over groups of cells, worked out when a metric needs them.

    Args:
        groups: The group of each cell.
        count: How many groups there are.
        day: Day of each cell.
        sums: What adds up, for each cell.
        rate: What one unit of the property's currency is worth in the report's.
    """

    def __init__(self, groups: Ints, count: int, day: Ints, sums: dict[str, Ints], rate: float) -> None:
        self._groups = groups
        self._count = count
        self._day = day
        self._sums = sums
        self._rate = rate
        self._done: dict[str, Numbers] = {}

    def total(self, name: str) -> Numbers:
        """The sum of something in each group."""
        if name not in self._done:
            self._done[name] = np.bincount(self._groups, self._sums[name], self._count).astype(np.float64)
        return self._done[name]

    def people(self) -> Numbers:
        """Different people in each group."""
        if "people" not in self._done:
            self._done["people"] = people_of_groups(self._groups, self._count, self._day, self._sums["users"])
        return self._done["people"]

    def money(self) -> Numbers:
        """Revenue of each group in the report's currency."""
        return np.asarray(np.round(self.total("revenue") / 100 * self._rate, 2), dtype=np.float64)

    def ratio(self, above: Numbers, below: Numbers) -> Numbers:
        """One sum by another; nothing by nothing is nothing."""
        return np.divide(above, below, out=np.zeros(self._count), where=below > 0)


_MEASURES: dict[str, Callable[[Groups], Numbers]] = {
    "sessions": lambda it: it.total("sessions"),
    "engagedSessions": lambda it: it.total("engaged"),
    "engagementRate": lambda it: it.ratio(it.total("engaged"), it.total("sessions")),
    "bounceRate": lambda it: it.ratio(it.total("sessions") - it.total("engaged"), it.total("sessions")),
    "averageSessionDuration": lambda it: it.ratio(it.total("duration"), it.total("sessions")),
    "sessionsPerUser": lambda it: it.ratio(it.total("sessions"), it.people()),
    "screenPageViewsPerSession": lambda it: it.ratio(it.total("views"), it.total("sessions")),
    "totalUsers": lambda it: it.people(),
    "activeUsers": lambda it: it.people() - it.people() // 25,
    "newUsers": lambda it: it.total("new_users"),
    "userEngagementDuration": lambda it: it.total("engagement"),
    "screenPageViews": lambda it: it.total("views"),
    "eventCount": lambda it: it.total("events"),
    "keyEvents": lambda it: it.total("purchases"),
    "sessionKeyEventRate": lambda it: it.ratio(it.total("purchases"), it.total("sessions")),
    "eventsPerSession": lambda it: it.ratio(it.total("events"), it.total("sessions")),
    "screenPageViewsPerUser": lambda it: it.ratio(it.total("views"), it.people()),
    "addToCarts": lambda it: it.total("carts"),
    "transactions": lambda it: it.total("purchases"),
    "ecommercePurchases": lambda it: it.total("purchases"),
    "purchaseRevenue": lambda it: it.money(),
    "totalRevenue": lambda it: it.money(),
    "averagePurchaseRevenue": lambda it: it.ratio(it.money(), it.total("purchases")),
    "itemsPurchased": lambda it: it.total("purchases"),
    "itemRevenue": lambda it: it.money(),
}


def measure(groups: Groups, name: str) -> Numbers:
    """One metric for each group."""
    return _MEASURES[name](groups)


def written(name: str, number: float) -> str:
    """A value as it stands in an answer: every one is a string."""
    if METRICS[name].type == INTEGER or number == int(number):
        return str(int(number))
    return repr(round(float(number), 6))
