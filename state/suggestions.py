"""Guessing what a mistyped name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: object, allowed: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """``did you mean 'hubspot'?`` where one of the allowed names is close, else None.

    Args:
        given: What was written.
        allowed: What may have been meant.
        cutoff: How much of both is alike at least, from 0 to 1.
    """
    close = difflib.get_close_matches(str(given), sorted(allowed), n=1, cutoff=cutoff)
    return f"did you mean {close[0]!r}?" if close else None
