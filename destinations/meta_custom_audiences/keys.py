"""The keys by which Meta finds people: how each is normalised before it is hashed, and as which fields it is mapped.

The rules are those of Meta's page on customer file audiences; where that leaves something open, those of its own
library that prepares people's data for the Conversions API.
"""

from __future__ import annotations

import re
import string
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime

from millstream.destinations.contract import DestinationField
from millstream.destinations.fields import HashRule
from millstream.destinations.hashing import Normalise, email_address, phone_number, sha256_of
from millstream.destinations.meta_custom_audiences.states import STATES
from millstream.state.identity.normalise.phones import region
from millstream.state.privacy import redact

_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NOT_LATIN = re.compile(r"[^a-z0-9]+")
_NOT_LETTER = re.compile(r"[^a-z]+")
_ADVERTISING_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})\b")
_US_ZIP = re.compile(r"(\d{5})(\d{4})?")
_UK_POSTCODE = re.compile(r"[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}")
_GENDERS = {"m": "m", "male": "m", "man": "m", "f": "f", "female": "f", "woman": "f"}
_FIRST_YEAR = 1900


def _phone(country: str | None) -> Normalise:
    """Digits with the calling code, without ``+``."""
    e164 = phone_number(country)

    def normalise(value: str) -> str | None:
        number = e164(value)
        return number.removeprefix("+") if number else None

    return normalise


def name(value: str) -> str | None:
    """Lower case without punctuation and spaces; letters of other alphabets and accents stay."""
    composed = unicodedata.normalize("NFC", value).lower().translate(_ASCII_PUNCTUATION)
    return "".join(composed.split()) or None


def initial(value: str) -> str | None:
    """The first letter of a first name."""
    whole = name(value)
    return whole[0] if whole else None


def city(value: str) -> str | None:
    """Letters a to z in lower case; what is none of them is left out, as Meta's own library does."""
    plain = _NOT_LATIN.sub("", value.lower())
    return plain if plain[:1].isalpha() else None


def state(value: str) -> str | None:
    """The two letters of a state of the US or a province of Canada; elsewhere, its name in letters alone."""
    decomposed = unicodedata.normalize("NFKD", value.lower())
    return STATES.get(_NOT_LETTER.sub("", decomposed)) or _NOT_LETTER.sub("", value.lower()) or None


def postal_code(value: str) -> str | None:
    """Lower case without spaces and dashes: in the US the first five digits, in the UK area, district and sector."""
    plain = re.sub(r"[\s-]+", "", value.lower())
    if american := _US_ZIP.fullmatch(plain):
        return american[1]
    return plain[:-2] if _UK_POSTCODE.fullmatch(plain) else plain or None


def country(value: str) -> str | None:
    """ISO 3166-1 alpha-2 in lower case, also of a country's English name."""
    code = region(value)
    return code.lower() if code else None


def gender(value: str) -> str | None:
    """``m`` or ``f``; Meta takes no other."""
    return _GENDERS.get(value.strip().lower())


def birth_year(value: str) -> str | None:
    """Four digits, of a year or a date such as 1990-05-07."""
    text = _part_of_date(value, 1)
    year = int(text) if len(text) == 4 and text.isdecimal() else 0
    return str(year) if _FIRST_YEAR <= year <= datetime.now(UTC).year else None


def birth_month(value: str) -> str | None:
    """Two digits, of a month's number or a date."""
    return _two_digits(_part_of_date(value, 2), most=12)


def birth_day(value: str) -> str | None:
    """Two digits, of a day's number or a date."""
    return _two_digits(_part_of_date(value, 3), most=31)


def advertising_id(value: str) -> str | None:
    """A mobile advertising id: lower case, its hyphens stay; not hashed."""
    text = value.strip().lower()
    return text if _ADVERTISING_ID.fullmatch(text) and set(text) != {"0", "-"} else None


def own_id(value: str) -> str | None:
    """The operator's own id of a person, as it is; not hashed, so an address or a phone number is none."""
    text = value.strip()
    return text if text and redact(text) == text else None


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key of Meta's.

    Attributes:
        column: Its name in a payload's schema.
        rule: Makes the cell of a value.
        description: What it is.
        is_clear: Whether Meta takes it as it is, not hashed.
        finds_alone: Whether somebody is found by it without any other key.
    """

    column: str
    rule: HashRule
    description: str
    is_clear: bool = False
    finds_alone: bool = False

    def field(self, name: str) -> DestinationField:
        """The key as a field that can be mapped; hashed before the connector sees it, where Meta wants it hashed."""
        return DestinationField(name=name, description=self.description, hashed=None if self.is_clear else self.rule)


def keys_of(phone_country: str | None) -> dict[str, Key]:
    """All keys by the name of their field, which is also their column's in Meta's customer files."""
    phone = sha256_of(_phone(phone_country))
    return {
        "email": Key(
            column="EMAIL", rule=sha256_of(email_address), description="E-mail address.", finds_alone=True
        ),
        "phone": Key(column="PHONE", rule=phone, description="Phone number with calling code.", finds_alone=True),
        "extern_id": Key(
            column="EXTERN_ID", rule=own_id, description="Your own id.", is_clear=True, finds_alone=True
        ),
        "madid": Key(
            column="MADID", rule=advertising_id, description="Advertising id of a phone.", is_clear=True,
            finds_alone=True,
        ),
        "fn": Key(column="FN", rule=sha256_of(name), description="First name."),
        "fi": Key(column="FI", rule=sha256_of(initial), description="First letter of the first name."),
        "ln": Key(column="LN", rule=sha256_of(name), description="Last name."),
        "gen": Key(column="GEN", rule=sha256_of(gender), description="Gender, m or f."),
        "doby": Key(column="DOBY", rule=sha256_of(birth_year), description="Year of birth, or the date."),
        "dobm": Key(column="DOBM", rule=sha256_of(birth_month), description="Month of birth, or the date."),
        "dobd": Key(column="DOBD", rule=sha256_of(birth_day), description="Day of birth, or the date."),
        "ct": Key(column="CT", rule=sha256_of(city), description="City."),
        "st": Key(column="ST", rule=sha256_of(state), description="State or province."),
        "zip": Key(column="ZIP", rule=sha256_of(postal_code), description="Postal code."),
        "country": Key(column="COUNTRY", rule=sha256_of(country), description="Country."),
    }  # fmt: skip


def _part_of_date(value: str, part: int) -> str:
    found = _DATE.match(value.strip())
    return found[part] if found else value.strip()


def _two_digits(text: str, *, most: int) -> str | None:
    if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= most:
        return None
    return text.zfill(2)
