"""Guessing what a mistyped name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(given: object, allowed: Iterable[str]) -> str | None:
    """``did you mean 'hubspot'?`` where one of the allowed names is close, else None."""
    close = difflib.get_close_matches(str(given), list(allowed), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else None
