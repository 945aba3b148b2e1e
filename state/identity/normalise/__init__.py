"""One spelling for each identifier, so that equal people have equal values.

Two spellings come of what a vendor holds. The ``value`` is what joins: folded as far as two texts can be known to
mean the same mailbox, line or device. The ``contact`` is what to write to or to name elsewhere: valid, but the
person's own, with the dots and tags that they chose.

Reading a phone number takes some 30 to 90 microseconds: call this on distinct values and keep the results
(``customers.normalised``).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import NamedTuple

from millstream.state.identity.normalise import addresses, devices, emails, phones
from millstream.state.identity.normalise.addresses import fold_address
from millstream.state.identity.normalise.devices import fold_device
from millstream.state.identity.normalise.emails import fold_provider, read_email
from millstream.state.identity.normalise.phones import read_phone, region
from millstream.state.identity.rules import IdentityRules, Spelling

__all__ = ["LONGEST", "VERSIONS", "Spelled", "normalise", "region", "spell"]

# Among them the marks of direction that phones and spreadsheets put around what is copied from them.
_INVISIBLE = dict.fromkeys(
    (0xAD, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)
)
_NO_DIGIT = re.compile(r"\D")
_NO_ALPHANUMERIC = re.compile(r"[\W_]")
_DEFAULT_RULES = IdentityRules()

LONGEST = 600
"""Characters of the longest identifier; more is a text, or a file, that came into the wrong column."""

VERSION = 1
"""The same for what is done here to the texts of any kind: raised, all kinds are spelled anew."""

VERSIONS: Mapping[Spelling, str] = {
    **dict.fromkeys(("text", "lower", "digits", "alphanumeric"), f"{VERSION}"),
    "email": f"{VERSION}.{emails.VERSION}",
    "phone": f"{VERSION}.{phones.VERSION}",
    "device": f"{VERSION}.{devices.VERSION}",
    "address": f"{VERSION}.{addresses.VERSION}",
}
"""Which version of the code each spelling is made by."""


class Spelled(NamedTuple):
    """An identifier, spelled.

    Attributes:
        value: What joins: equal values of a kind mean the same.
        contact: What to write to, to call, or to know the person by elsewhere.
    """

    value: str
    contact: str


def spell(rules: IdentityRules, kind: str, original: str, country: str | None = None) -> Spelled | None:
    """The spellings of an identifier, or None where it is empty or not valid.

    Args:
        rules: How kinds are spelled, and which values are valid.
        kind: Its kind.
        original: What the vendor holds.
        country: The record's country as ISO 3166 code or English name; only phone numbers need it.
    """
    # Of ASCII nothing has to be composed, and nothing is invisible.
    text = original if original.isascii() else unicodedata.normalize("NFKC", original).translate(_INVISIBLE)
    text = text.strip()
    if not text or max(len(original), len(text)) > LONGEST:
        return None
    spelling = rules.spelling(kind)
    if spelling == "email":
        spelled = _email(text, providers=rules.email_providers)
    elif spelling == "phone":
        spelled = _phone(text, region(country) or region(rules.default_country))
    else:
        value = _FOLDS[spelling](text)
        spelled = Spelled(value, text) if value else None
    valid = rules.rule(kind).valid
    if spelled and valid is not None and re.fullmatch(valid, spelled.value) is None:
        return None
    return spelled


def normalise(
    kind: str,
    original: str,
    country: str | None = None,
    default_country: str | None = None,
) -> str | None:
    """The joining value of an identifier under the shipped rules.

    Args:
        kind: ``email``, ``phone`` or any other kind.
        original: What the vendor holds.
        country: The record's country as ISO 3166 code or English name; only phones need it.
        default_country: The country to assume where ``country`` is missing or not known.

    Returns:
        The value, or None where it is empty or is no address or phone number.
    """
    spelled = spell(_DEFAULT_RULES, kind, original, country if region(country) else default_country)
    return spelled.value if spelled else None


def _email(text: str, *, providers: bool) -> Spelled | None:
    address = read_email(text)
    if address is None:
        return None
    return Spelled(fold_provider(address) if providers else address, address)


def _phone(text: str, region_code: str | None) -> Spelled | None:
    number = read_phone(text, region_code)
    if number is None:
        return None
    # A desk is not its company: who shares only the number before the extension is somebody else.
    extension = f";ext={number.extension}" if number.extension else ""
    return Spelled(number.e164 + extension, number.e164)


def _lower(text: str) -> str:
    return unicodedata.normalize("NFKC", text.lower())


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(digit)) for digit in _NO_DIGIT.sub("", text))


def _alphanumeric(text: str) -> str:
    return _NO_ALPHANUMERIC.sub("", _lower(text))


_FOLDS: Mapping[Spelling, Callable[[str], str | None]] = {
    "text": str,
    "lower": _lower,
    "digits": _digits,
    "alphanumeric": _alphanumeric,
    "device": fold_device,
    "address": fold_address,
}
