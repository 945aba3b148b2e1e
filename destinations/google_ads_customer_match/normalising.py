"""How Google wants values before they are hashed, and those that it wants as they are.

Source: the page on formatting user data of the Data Manager API, and the reference of its messages.
"""

from __future__ import annotations

import re
import unicodedata

from millstream.destinations import hashing
from millstream.state.identity.normalise.phones import region

_GOOGLE_MAIL = frozenset({"gmail.com", "googlemail.com"})
_TITLES = re.compile(r"(?:(?:mr|mrs|ms|miss|dr|prof)(?:\.\s*|\s+|$))+")
_SUFFIXES = re.compile(r"(?:(?:,\s*|\s+)(?:jr|sr|2nd|3rd|ii|iii|iv|v|vi|cpa|dc|dds|vm|jd|md|phd)\.?)+$")


def email_address(value: str) -> str | None:
    """Lower case without spaces; at Google's own mail also without dots, and what follows a plus, in the name."""
    address = hashing.email_address("".join(value.split()))
    if address is None:
        return None
    name, _, domain = address.partition("@")
    if domain in _GOOGLE_MAIL:
        name = name.partition("+")[0].replace(".", "")
    return f"{name}@{domain}" if name else None


def given_name(value: str) -> str | None:
    """Lower case without titles and punctuation."""
    return _without_punctuation(_TITLES.sub("", _lower(value), count=1))


def family_name(value: str) -> str | None:
    """Lower case without suffixes, such as Jr., and punctuation."""
    return _without_punctuation(_SUFFIXES.sub("", _lower(value)))


def region_code(value: str) -> str | None:
    """ISO 3166-1 alpha-2, also of a country's English name; not hashed."""
    return region(value)


def postal_code(value: str) -> str | None:
    """Without spaces around it; not hashed."""
    return value.strip() or None


def _lower(value: str) -> str:
    return unicodedata.normalize("NFC", value).strip().lower()


def _without_punctuation(text: str) -> str | None:
    kept = "".join(letter for letter in text if not unicodedata.category(letter).startswith("P"))
    return kept.strip() or None
