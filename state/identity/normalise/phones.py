"""Phone numbers as E.164, and countries as ISO 3166."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

VERSION = 1
"""Raised by whoever changes which value comes of a text: what was kept of the version before is then spelled anew.

Newer tables of the library raise nothing: a number that they know as valid only now had its value before, too.
"""
_MEXICO = 52
_ABROAD = re.compile(r"(?:tel:)?\s*00(?=[\s\d])")

# Names people write which the territory names of Unicode do not have.
_OTHER_NAMES = {
    "america": "US", "bosnia": "BA", "burma": "MM", "czech republic": "CZ", "czechia": "CZ", "england": "GB",
    "great britain": "GB", "holland": "NL", "hong kong": "HK", "ivory coast": "CI", "korea": "KR", "macedonia": "MK",
    "northern ireland": "GB", "republic of korea": "KR", "russian federation": "RU", "scotland": "GB",
    "swaziland": "SZ", "the netherlands": "NL", "turkey": "TR", "turkiye": "TR", "u.k.": "GB", "u.s.": "US",
    "u.s.a.": "US", "uae": "AE", "uk": "GB", "united states of america": "US", "usa": "US", "viet nam": "VN",
    "wales": "GB",
}  # fmt: skip


class Phone(NamedTuple):
    """A number.

    Attributes:
        e164: With ``+`` and calling code, digits only.
        extension: The desk behind it, or None.
    """

    e164: str
    extension: str | None


def read_phone(text: str, region_code: str | None) -> Phone | None:
    """A number that is known to be valid, or has a possible length of seven digits or more; else None.

    Whether a number range is in use is not asked of those: ranges open faster than the library's tables are
    updated, and a number that is merely unknown to them still tells two people apart.

    Args:
        text: As people write it. 00 stands for + where it cannot be read otherwise.
        region_code: Country of a number without calling code.
    """
    import phonenumbers

    number = _parse(text, region_code)
    if number is None:
        return None
    extension = number.extension or None
    number.extension = None
    return Phone(str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)), extension)


def _parse(text: str, region_code: str | None) -> PhoneNumber | None:
    found = _parse_as(text, region_code)
    if found is None and _ABROAD.match(text):
        return _parse_as(_ABROAD.sub("+", text, count=1), None)
    return found


def _parse_as(text: str, region_code: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region_code)
    except phonenumbers.NumberParseException:
        return None
    national = str(number.national_number)
    if number.country_code == _MEXICO and len(national) == 11 and national.startswith("1"):
        # Until 2019 a 1 stood before mobile numbers that were dialled from abroad.
        number.national_number = int(national[1:])
    if phonenumbers.is_valid_number(number):
        return number
    digits = phonenumbers.national_significant_number(number)
    return number if len(digits) >= 7 and phonenumbers.is_possible_number(number) else None


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
