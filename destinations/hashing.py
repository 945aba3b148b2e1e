"""Hash rules for vendors that may not see who somebody is: a value is normalised as each of them says, then hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from millstream.destinations.fields import HashRule
from millstream.state.identity.normalise.phones import read_phone, region

Normalise = Callable[[str], str | None]
"""Brings a value into the one form that the vendor hashes, too; None for a value that is none of its kind."""


def _known_country(code: str) -> str:
    known = region(code)
    if known is None:
        raise ValueError("phone_country is no country's ISO code, such as DE")
    return known


PhoneCountry = Annotated[str, AfterValidator(_known_country)]
"""ISO code of the country whose phone numbers are meant where one has no calling code."""

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_NOT_DIGIT = re.compile(r"\D+")


def sha256_of(normalise: Normalise) -> HashRule:
    """The rule that normalises and gives the SHA-256 in hexadecimal digits, lower case.

    A value that is such a hash already stays what it is: hashed twice, it would match nobody.
    """

    def rule(value: str) -> str | None:
        if is_sha256(text := value.strip()):
            return text.lower()
        normal = normalise(value)
        return hashlib.sha256(normal.encode()).hexdigest() if normal else None

    return rule


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 in hexadecimal digits."""
    return _HASH.fullmatch(text) is not None


def email_address(value: str) -> str | None:
    """Without spaces around it, in lower case; None without a single @ between two texts."""
    address = value.strip().lower()
    name, _, domain = address.partition("@")
    return address if name and "." in domain and "@" not in domain and not re.search(r"\s", address) else None


def phone_number(country: str | None = None) -> Normalise:
    """Numbers as E.164, with ``+``.

    Args:
        country: ISO 3166 code of the country whose numbers are meant where one has no calling code. Without it, only
            numbers are read that begin with ``+`` or 00, or that are valid when their digits are taken as beginning
            with the calling code: a number that is somebody else's abroad is worse than none.
    """

    def normalise(value: str) -> str | None:
        found = read_phone(value, country)
        return found.e164 if found else _with_calling_code(value)

    return normalise


def _with_calling_code(value: str) -> str | None:
    import phonenumbers

    digits = _NOT_DIGIT.sub("", value)
    if not digits or digits.startswith("0"):
        return None
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return None
    return f"+{digits}" if phonenumbers.is_valid_number(number) else None
