"""Limits of each endpoint: a burst of a second, a steady minute, and for one endpoint a day."""

from __future__ import annotations

import math

from millstream.sandbox.limits import Window
from millstream.sandbox.system import Call

# By the vendor's sizes: requests in a second and in a minute.
SIZES = {"XS": (1, 15), "S": (3, 60), "M": (10, 150), "L": (75, 750)}
LISTS_A_DAY = 150


class Limits:
    """The windows of all endpoints; apps have their own beside those of the account's keys."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, ...], list[Window]] = {}

    def take(self, call: Call) -> tuple[dict[str, str], float | None]:
        """Count a request: the headers of the answer, and the seconds to wait if there is no room for it."""
        size = next((tag for tag in _asked(call) if tag in SIZES), None)
        if size is None:
            return {}, None
        key = (call.caller.partition(":")[0], call.method, call.route.template, size)
        if key not in self._windows:
            burst, steady = SIZES[size]
            daily = [Window(LISTS_A_DAY, 86_400)] if "daily" in call.route.tags else []
            self._windows[key] = [Window(burst, 1), Window(steady, 60), *daily]
        windows = self._windows[key]
        full = [window for window in windows if window.remaining <= 0]
        if full:
            return {}, max(window.wait for window in full)
        for window in windows:
            window.take()
        steady_window = windows[1]
        return {
            "RateLimit-Limit": str(steady_window.allowed),
            "RateLimit-Remaining": str(steady_window.remaining),
            "RateLimit-Reset": str(math.ceil(steady_window.wait)),
        }, None


def _asked(call: Call) -> list[str]:
    # What costs the vendor more has tighter limits.
    if "profile_count" in call.query.get("additional-fields[list]", ""):
        return ["XS"]
    if "predictive_analytics" in call.query.get("additional-fields[profile]", ""):
        return ["M"]
    if "include" in call.query and "{id}" in call.route.template:
        return ["XS"]
    return sorted(call.route.tags)
