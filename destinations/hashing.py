"""Hash rules for vendors that may not see who somebody is: a value is normalised as each of them says, then hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from millstream.destinations.fields import HashRule

Normalise = Callable[[str], str | None]
"""Brings a value into the one form that the vendor hashes, too; None for a value that is none of its kind."""


def sha256_of(normalise: Normalise) -> HashRule:
    """The rule that normalises and gives the SHA-256 in hexadecimal digits, lower case."""

    def rule(value: str) -> str | None:
        normal = normalise(value)
        return hashlib.sha256(normal.encode()).hexdigest() if normal else None

    return rule


def email_address(value: str) -> str | None:
    """Without spaces around it, in lower case; None without an @ between two texts."""
    address = value.strip().lower()
    name, _, domain = address.rpartition("@")
    return address if name and "." in domain and " " not in address else None
