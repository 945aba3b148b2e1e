"""Tokens that a vendor's callers bear."""

from __future__ import annotations

import time


class Tokens:
    """Bearer tokens of one system: fixed ones, and issued ones that expire."""

    def __init__(self, *fixed: str, expires_in: float = 1800) -> None:
        self.fixed = frozenset(fixed)
        self.expires_in = expires_in
        self._issued: dict[str, float] = {}

    def issue(self, prefix: str) -> str:
        """A new token that lives for `expires_in` seconds."""
        token = f"{prefix}-{len(self._issued) + 1:06d}"
        self._issued[token] = time.monotonic() + self.expires_in
        return token

    def expire_issued(self) -> None:
        """Make all issued tokens expired."""
        self._issued = dict.fromkeys(self._issued, 0.0)

    def state(self, token: str) -> str:
        """`valid`, `expired` or `unknown`."""
        if token in self.fixed:
            return "valid"
        if token not in self._issued:
            return "unknown"
        return "valid" if time.monotonic() < self._issued[token] else "expired"
