"""Odd days: a count that is far from what the same weekday had in the weeks before.

Expected is the median of the same weekday in the last eight weeks. The usual spread is the median distance of those
weeks' days from their own weekday's median, as a share of it, made comparable with a standard deviation; it is never
less than the spread that counts have by chance alone (the root of what is expected), so that small counts give no
false alarms.
Medians make single odd days in the weeks before harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WEEKS = 8
LEAST_WEEKS = 4
"""With fewer weeks before it a day is not judged."""

_AS_DEVIATION = 1.4826
"""What turns a median distance into a standard deviation, where distances are normal."""
_FITTED = 1.15
"""Distances from a median of a few values come out too small by so much (measured; see the tests)."""


def judge_days(counts: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What was to be expected of each day of a series, and by how many spreads it is off.

    Args:
        counts: Of consecutive days, none left out.

    Returns:
        Expected counts and scores, NaN for days that have too little before them.
    """
    import numpy as np

    days = len(counts)
    expected, score = np.full(days, np.nan), np.full(days, np.nan)
    for weeks in range(LEAST_WEEKS, WEEKS + 1):
        # The days that have just so many weeks before them, and at the most all others as well.
        judged = slice(weeks * 7, days if weeks == WEEKS else min(days, weeks * 7 + 7))
        if judged.start >= days:
            break
        stretches = np.lib.stride_tricks.sliding_window_view(counts[: judged.stop - 1], weeks * 7)
        before = stretches[judged.start - weeks * 7 :].reshape(-1, weeks, 7)  # the first column is the day's weekday
        medians = np.median(before, axis=1, keepdims=True)
        off = np.abs(before - medians) / np.maximum(medians, 1.0)
        usual = np.median(off, axis=(1, 2)) * _AS_DEVIATION * _FITTED
        middle = medians[:, 0, 0]
        expected[judged] = middle
        score[judged] = (counts[judged] - middle) / np.maximum(usual * middle, np.sqrt(np.maximum(middle, 1.0)))
    return expected, score
