"""One spelling for each identifier, so that equal people have equal values.

Reading a phone number takes some 90 microseconds: call this on distinct values and keep the results
(``customers.normalised``).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))

# Names people write which the territory names of Unicode do not have.
_OTHER_NAMES = {
    "america": "US", "bosnia": "BA", "burma": "MM", "czech republic": "CZ", "czechia": "CZ", "england": "GB",
    "great britain": "GB", "holland": "NL", "hong kong": "HK", "ivory coast": "CI", "korea": "KR", "macedonia": "MK",
    "northern ireland": "GB", "republic of korea": "KR", "russian federation": "RU", "scotland": "GB",
    "swaziland": "SZ", "the netherlands": "NL", "turkey": "TR", "turkiye": "TR", "u.k.": "GB", "u.s.": "US",
    "u.s.a.": "US", "uae": "AE", "uk": "GB", "united states of america": "US", "usa": "US", "viet nam": "VN",
    "wales": "GB",
}  # fmt: skip


def normalise(
    kind: str,
    original: str,
    country: str | None = None,
    default_country: str | None = None,
) -> str | None:
    """The one spelling of an identifier.

    Args:
        kind: ``email``, ``phone`` or any other kind.
        original: What the vendor holds.
        country: The record's country as ISO 3166 code or English name; only phones need it.
        default_country: The country to assume where ``country`` is missing or not known.

    Returns:
        An address in lower case, a phone number as E.164, any other value without space around it; None where
        the value is empty or is no address or phone number.
    """
    text = unicodedata.normalize("NFKC", original).translate(_INVISIBLE).strip()
    if not text:
        return None
    if kind == "email":
        return _email(text)
    if kind == "phone":
        return _phone(text, region(country) or region(default_country))
    return text


def _email(text: str) -> str | None:
    """Lower case with an ASCII domain. Dots and plus tags stay: whether they matter is up to each mail provider."""
    local, at, domain = text.removeprefix("mailto:").strip("<>").lower().rpartition("@")
    if not at or len(local) > 64 or not _LOCAL.fullmatch(local):
        return None
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:  # an empty or overlong label, or a character that no domain may have
        return None
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        return None
    address = f"{local}@{domain}"
    return address if len(address) <= 254 else None


def _phone(text: str, region_code: str | None) -> str | None:
    """E.164 where the number is known to be valid, or has a possible length of seven digits or more.

    Whether a number range is in use is not asked of those: ranges open faster than the library's tables are
    updated, and a number that is merely unknown to them still tells two people apart.
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region_code)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        digits = phonenumbers.national_significant_number(number)
        if len(digits) < 7 or not phonenumbers.is_possible_number(number):
            return None
    number.extension = None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@cache
def region(country: str | None) -> str | None:
    """The ISO 3166 code of a country given as code or English name, or None when it is not known."""
    name = " ".join((country or "").split())
    if not name:
        return None
    from phonenumbers import SUPPORTED_REGIONS

    if name.upper() in SUPPORTED_REGIONS:
        return name.upper()
    return _OTHER_NAMES.get(name.lower()) or _regions_by_name().get(_plain(name))


@cache
def _regions_by_name() -> dict[str, str]:
    from phonenumbers.geodata.locale import LOCALE_DATA

    names: dict[str, str] = {}
    for code, by_language in LOCALE_DATA.items():
        name = by_language.get("en", "")
        # '*de' means: as in German.
        name = by_language.get(name[1:], "") if name.startswith("*") else name
        if name:
            names[_plain(name)] = code
    return names


def _plain(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().replace("&", "and"))
    return "".join(letter for letter in decomposed if letter.isalnum())
