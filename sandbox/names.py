"""The raw material of made-up people: names, places, mail domains and phone number plans."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_FIRST_NAMES = (
    "Ana Ben Carla David Elena Felix Grace Hugo Irene Jonas Karen Liam Maria Noah Olivia Paul Quinn Rosa "
    "Simon Tara Uma Victor Wanda Xavier Yara Zoe Adrian Bella Chloe Daniel Emma Frank Georgia Henry Ida "
    "Jack Kira Leo Mila Nina Oscar Petra Robin Sofia Thomas Vera William Amelie Bruno Clara Dominik "
    "Esther Finn Gloria Hannah Isaac Julia Kevin Laura Marco Nora Otto"
)

_LAST_NAMES = (
    "Adams Baker Carter Davies Evans Fischer Garcia Harris Ivanova Jones Keller Lambert Martin Neumann "
    "Owens Parker Quick Roberts Schmidt Taylor Usher Vogel Walker Xu Young Zimmer Allen Becker Clarke "
    "Dubois Edwards Fontaine Green Hofmann Ingram Jackson Klein Laurent Moreau Nguyen Olsen Petit Richter "
    "Scott Thompson Ullrich Vincent Weber Wagner Bernard Cooper Dumont Engel Foster Girard Hughes Jensen "
    "Kramer Leroy Mitchell Novak Patel Rossi Simpson"
)

FIRST_NAMES = tuple(_FIRST_NAMES.split())
LAST_NAMES = tuple(_LAST_NAMES.split())

MAIL_DOMAINS = (
    "box.example",
    "web.example",
    "net.example",
    "mail.box.example",
    "post.web.example",
    "home.net.example",
)


@dataclass(frozen=True, slots=True)
class Country:
    """One country: where people live in it and how its phone numbers are made.

    Attributes:
        code: ISO 3166 code.
        title: Name as it stands in a CRM.
        cities: Each with the digits that a phone number of the city starts with.
        calling_code: Calling code without the plus.
        trunk: What is dialled before a national number inside the country.
        serial_digits: How many digits after the start distinguish people.
        first_serial: Smallest serial (the North American plan forbids some leading digits).
        groups: Sizes of the digit groups people write.
    """

    code: str
    title: str
    cities: tuple[tuple[str, str], ...]
    calling_code: str
    trunk: str
    serial_digits: int
    first_serial: int
    groups: tuple[int, ...]


COUNTRIES = (
    Country(
        "US",
        "United States",
        (("New York", "212"), ("Chicago", "312"), ("Seattle", "206"), ("Austin", "512"), ("Boston", "617")),
        "1",
        "",
        7,
        2_000_000,
        (3, 3, 4),
    ),
    Country(
        "GB",
        "United Kingdom",
        (("London", "71"), ("Leeds", "72"), ("Bristol", "73"), ("Glasgow", "71")),
        "44",
        "0",
        8,
        10_000_000,
        (4, 6),
    ),
    Country(
        "DE",
        "Germany",
        (("Berlin", "151"), ("Hamburg", "160"), ("Munich", "170"), ("Cologne", "171")),
        "49",
        "0",
        8,
        10_000_000,
        (3, 8),
    ),
    Country(
        "FR",
        "France",
        (("Paris", "6"), ("Lyon", "6"), ("Lille", "6"), ("Nantes", "6")),
        "33",
        "0",
        8,
        10_000_000,
        (1, 2, 2, 2, 2),
    ),
)

# Numbers are handed out by serial; the stride spreads neighbours apart and shares no factor with the pool,
# so that no two people get one number.
PHONE_POOL = 7_900_000
PHONE_STRIDE = 3_141_593


def national_number(country: Country, start: str, serial: int) -> str:
    """The national significant number that belongs to a serial, unique below `PHONE_POOL`."""
    scattered = country.first_serial + (serial * PHONE_STRIDE) % PHONE_POOL
    return f"{start}{scattered:0{country.serial_digits}d}"


def indexes_in_phone(phone: str, population: int) -> Iterator[int]:
    """Indexes of those whose first E.164 number this could be: the serials whose numbers end alike."""
    shared = math.gcd(PHONE_STRIDE, PHONE_POOL)
    cycle = PHONE_POOL // shared
    digits = phone.removeprefix("+")
    if not (phone.startswith("+") and digits.isascii() and digits.isdigit()):
        return
    for country in COUNTRIES:
        if not digits.startswith(country.calling_code) or len(digits) <= country.serial_digits:
            continue
        scattered = (int(digits[-country.serial_digits :]) - country.first_serial) % PHONE_POOL
        if scattered % shared == 0:
            yield from range(scattered // shared * pow(PHONE_STRIDE // shared, -1, cycle) % cycle, population, cycle)


def written_phone(country: Country, national: str, style: int) -> str:
    """A number as somebody typed it: 0 E.164, 1 spaced with the calling code, 2 as dialled in the country."""
    if style == 0:
        return f"+{country.calling_code}{national}"
    parts = []
    position = 0
    for size in country.groups:
        parts.append(national[position : position + size])
        position += size
    if position < len(national):
        parts.append(national[position:])
    if style == 1:
        return f"+{country.calling_code} {' '.join(parts)}"
    if country.code == "US":
        return f"({parts[0]}) {'-'.join(parts[1:])}"
    return country.trunk + " ".join(parts)
