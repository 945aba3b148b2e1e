"""One spelling for each kind of value, so that what was meant alike compares alike.

Everything here works on single values and is called once for each distinct one.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

_APOSTROPHES = "'\u2019\u02bc`\u00b4"
_LETTERS = str.maketrans({
    "ß": "ss", "ł": "l", "ø": "o", "æ": "ae", "œ": "oe", "đ": "d", "ð": "d", "þ": "th", "\u0131": "i",
    # Cyrillic and Greek as they are written in Latin letters, in passports and addresses, so that both compare.
    **dict(zip("абвгдезиклмнопрстуфыэіїґў", "abvgdeziklmnoprstufyeiigu", strict=True)),
    "ё": "e", "ж": "zh", "й": "y", "\u0445": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "",
    "ю": "yu", "я": "ya", "є": "ye", "ђ": "dj", "\u0458": "j", "љ": "lj", "њ": "nj", "ћ": "c", "џ": "dz",
    **dict(zip("αβγδεζηικλμνξοπρστυφωςάέήίόύώ", "avgdeziiklmnxoprstyfosaeiioyo", strict=True)),
    "θ": "th", "χ": "ch", "ψ": "ps",
})  # fmt: skip
_NOTHING = frozenset(
    {"", "na", "n a", "nan", "none", "null", "nil", "unknown", "not known", "not available", "missing", "nichts",
     "not provided", "not given", "not specified", "not applicable", "no data", "unbekannt", "keine angabe",
     "inconnu", "desconocido", "sconosciuto", "xxx", "no fixed abode", "address unknown", "unknown address"}
)  # fmt: skip
_TITLES = frozenset(
    {
        "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "dame", "lady", "lord", "rev", "herr",
        "frau",
        "dipl", "ing", "med", "phil", "mag", "m", "mme", "mlle", "monsieur", "madame", "sr", "sra", "srta", "don",
        "dona", "sig", "sigra", "signor", "signora", "pan", "pani", "jr", "ii", "iii", "iv", "phd", "md", "esq",
        "univprof",
    }
)  # fmt: skip
_ADDRESSED = {
    **dict.fromkeys(("mr", "herr", "monsieur", "don", "sir", "lord", "signor", "sig", "pan", "sr", "m"), "m"),
    **dict.fromkeys(
        ("mrs", "ms", "miss", "frau", "mme", "mlle", "madame", "sra", "srta", "dona", "signora", "lady", "pani"), "f"
    ),
}
_SEXES = frozenset({"f", "w", "male", "female", "man", "woman", "mann", "weiblich", "mannlich", "homme", "femme", "h"})
_SUFFIXES = {"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "jr", "iii": "iii", "iv": "iv"}
_PARTICLES = frozenset(
    {"van", "von", "der", "den", "de", "del", "della", "di", "da", "dos", "das", "du", "la", "le", "el", "al", "bin",
     "ibn", "ben", "ter", "ten", "zu", "zur", "st", "san", "mac", "mc"}
)  # fmt: skip
_STREETS = {
    "street": "st", "str": "st", "strasse": "st", "road": "rd", "avenue": "ave", "av": "ave", "drive": "dr",
    "drv": "dr",
    "lane": "ln", "court": "ct", "crt": "ct", "place": "pl", "square": "sq", "boulevard": "blvd", "bd": "blvd",
    "crescent": "cres", "cr": "cres", "circuit": "cct", "close": "cl", "terrace": "tce", "ter": "tce",
    "highway": "hwy",
    "parade": "pde", "rue": "r", "calle": "c", "piazza": "pza", "plaza": "pza", "platz": "pl", "weg": "wg",
    "gasse": "g",
    "apartment": "apt", "north": "n", "south": "s", "east": "e", "west": "w",
}  # fmt: skip
_MONTHS = {
    "jan": 1, "ene": 1, "gen": 1, "feb": 2, "fev": 2, "mar": 3, "mrz": 3, "maer": 3, "apr": 4, "avr": 4, "abr": 4,
    "may": 5, "mai": 5, "mag": 5, "jun": 6, "juin": 6, "giu": 6, "jul": 7, "juil": 7, "lug": 7, "aug": 8, "aou": 8,
    "ago": 8, "sep": 9, "set": 9, "oct": 10, "okt": 10, "ott": 10, "out": 10, "nov": 11, "dec": 12, "dez": 12,
    "dic": 12,
}  # fmt: skip
_LINES = re.compile(r"[,;\n]")
_UNIT = re.compile(
    r"\s*(#|(apt|apartment|unit|flat|suite|ste|room|floor|wohnung|appt|appartement|piso|interno|int|bus)\b)", re.I
)
_POSTCODE = re.compile(
    r"\b([a-z]{1,2}\d[a-z\d]? ?\d[a-z]{2}|[a-z]\d[a-z] ?\d[a-z]\d|\d{4} ?[a-z]{2}|\d{5}-\d{3,4}|\d{2}-\d{3}|\d{3} \d{2}"
    r"|\d{4,6})\b",
    re.I,
)
"""British, Canadian, Dutch, American with four more and Brazilian, Polish, Czech and Swedish, all others."""
_STREET_END = re.compile(r"(?<=\w)(strasse|straat|str)\b")


def fold(text: str) -> str:
    """Lower case without accents; words of letters and digits with one space between; empty where nothing is said."""
    folded = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    # An apostrophe stands within a name, other marks between two.
    kept = (
        letter if letter.isalnum() else " "
        for letter in folded
        if not unicodedata.combining(letter) and letter not in _APOSTROPHES
    )
    words = " ".join("".join(kept).split())
    return "" if words in _NOTHING else words


class Name(NamedTuple):
    """The parts of a whole name, folded."""

    first: str
    middle: str
    last: str


def titles_among(names: Iterable[str]) -> frozenset[str]:
    """What counts as a title in a column of whole names: ``M.`` does not where other letters stand there as often."""
    letters = Counter(word for word in (fold(name).partition(" ")[0] for name in names) if len(word) == 1)
    others = [count for letter, count in letters.items() if letter != "m"]
    return _TITLES - {"m"} if len(others) > 1 and max(others) * 2 >= letters["m"] else _TITLES


def split_name(text: str, titles: frozenset[str] = _TITLES) -> Name:
    """The parts of a name written ``First Middle Last`` or ``Last, First Middle``."""
    before, comma, after = text.partition(",")
    if comma and _words(after, titles):
        given, family = _words(after, titles), _words(before, titles)
        return Name("".join(given[:1]), "".join(given[1:]), "".join(family))
    words = _words(text, titles)
    if len(words) < 2:
        return Name("", "", "".join(words))
    start = len(words) - 1
    while start > 1 and words[start - 1] in _PARTICLES:
        start -= 1
    return Name(words[0], "".join(words[1:start]), "".join(words[start:]))


def given_name(text: str) -> str:
    """A first name without titles, in one word."""
    return "".join(_words(text))


def _words(text: str, titles: frozenset[str] = _TITLES) -> list[str]:
    words = fold(text).split()
    kept = [word for word in words if word not in titles] if len(words) > 1 else words
    return kept or words


def email(text: str) -> str:
    """An address in lower case; what is no address stays as it is written, for it may be one with a typing error."""
    address = "".join(unicodedata.normalize("NFKC", text).split()).removeprefix("mailto:").strip("<>,;").casefold()
    return "" if address in _NOTHING or len(address) < 4 else address


def email_local(address: str) -> str:
    """The part before the ``@`` without tag and dots; empty where there is no ``@``."""
    local, at, _ = address.partition("@")
    return local.partition("+")[0].replace(".", "") if at else ""


def phone(text: str) -> str:
    """The last eight digits, which stay when a calling code or a trunk zero is written or left out."""
    digits = "".join(letter for letter in unicodedata.normalize("NFKC", text) if letter.isdigit())
    short = digits[-8:]
    return "" if len(digits) < 6 or len(set(short)) == 1 else short


def code(text: str) -> str:
    """Letters and digits only: national ids, postcodes."""
    letters = fold(text).replace(" ", "")
    return "" if letters and not letters.strip("0") else letters


def postcode(text: str) -> str:
    """A postcode; a ZIP+4 code without its last four."""
    return code(re.sub(r"^(\d{5})(-\d{4}|\.0)$", r"\1", text.strip()))


def sex(text: str) -> str:
    """The first letter, also of what a form of address says."""
    word = fold(text)
    return "" if word in _TITLES and word not in _ADDRESSED else _ADDRESSED.get(word, word[:1])


def is_sex(text: str) -> bool:
    """Whether this says of which sex somebody is."""
    word = fold(text)
    return word in _ADDRESSED or word in _SEXES


def suffix(text: str) -> str:
    """What tells father and son of one name apart, at the end of a name or of what stands before its comma."""
    for part in text.split(","):
        word = fold(part).rpartition(" ")
        if word[2] in _SUFFIXES and (word[0] or "," in text):
            return _SUFFIXES[word[2]]
    return ""


class Address(NamedTuple):
    """The parts of an address, folded."""

    street: str
    house: str
    postcode: str
    city: str


def address(text: str) -> Address:
    """Street, house number and, behind commas, the place; words for kinds of street are shortened to one form."""
    lines = [line for line in _LINES.split(text) if line.strip() and not _UNIT.match(line)]
    if len(lines) > 1 and not any(letter.isalpha() for letter in lines[0]):
        lines[:2] = [" ".join(lines[:2])]  # 12, rue de la Paix
    words = [_STREETS.get(word, word) for word in _STREET_END.sub(" st", fold("".join(lines[:1]))).split()]
    numbers = [word for word in words if word[0].isdigit()]
    street = [word for word in words if not word[0].isdigit()]
    place = ", ".join(lines[1:])
    found = _POSTCODE.search(place)
    towns = [fold(line) for line in _LINES.split(_POSTCODE.sub(" ", place))]
    town = next((line for line in towns if len(line) > 2), "").replace(" ", "")
    return Address("".join(street), numbers[0] if numbers else "", postcode(found.group()) if found else "", town)


class DateOrder(NamedTuple):
    """How the dates of a column are written: whether the day stands before the month."""

    day_first: bool


def date_order(texts: Iterable[str]) -> DateOrder:
    """Told from dates whose day is beyond 12."""
    votes: Counter[bool] = Counter()
    for text in texts:
        parts = re.findall(r"\d+", text)
        if len(parts) >= 3 and len(parts[0]) <= 2 and len(parts[1]) <= 2:
            first, second = int(parts[0]), int(parts[1])
            if (first > 12) != (second > 12):
                votes[first > 12] += 1
    return DateOrder(day_first=votes[True] >= votes[False])


def birth_date(text: str, order: DateOrder) -> str:
    """``YYYY-MM-DD``, ``YYYY`` or empty. A date that cannot be stays, for it may be one with a typing error."""
    plain = text.strip().casefold().partition("t")[0] if re.match(r"\s*\d{4}-\d", text) else text.strip().casefold()
    parts = re.findall(r"\d+", plain.removesuffix(".0"))
    word = re.search(r"[^\W\d]{3,}", unicodedata.normalize("NFKD", plain))
    month = next((number for start, number in _MONTHS.items() if word and word.group().startswith(start)), None)
    if month is not None and len(parts) >= 2:
        return _of_parts(*(parts[:2] if len(parts[0]) == 4 else parts[1::-1]), month=month)
    if len(parts) == 1:
        digits = parts[0]
        if len(digits) == 8:
            return _of_digits(digits, order)
        return digits if len(digits) == 4 and digits[:2] in ("18", "19", "20") else ""
    slipped = _slipped(parts, order)
    if slipped:
        return slipped
    if len(parts) < 3:
        return ""
    if len(parts[0]) > 2:
        return _joined(parts[0], parts[1], parts[2])
    day, middle = (parts[0], parts[1]) if order.day_first else (parts[1], parts[0])
    return _joined(_century(parts[2]), middle, day)


def _slipped(parts: list[str], order: DateOrder) -> str:
    """The date where a mark between its parts was left out or stands a digit too early or late; else empty."""
    digits = "".join(parts[:3])
    if len(parts) == 1 or len(digits) != 8 or sorted(len(part) for part in parts[:3]) == [2, 2, 4]:
        return ""
    found = _of_digits(digits, order)
    return found if days(found) else ""


def _of_parts(year: str, day: str, *, month: int) -> str:
    return _joined(_century(year), str(month), day)


def _of_digits(digits: str, order: DateOrder) -> str:
    if digits[:2] in ("18", "19", "20") and digits[4:6] <= "12":
        return _joined(digits[:4], digits[4:6], digits[6:])
    if digits[4:6] in ("18", "19", "20"):
        day, month = (digits[:2], digits[2:4]) if order.day_first else (digits[2:4], digits[:2])
        return _joined(digits[4:], month, day)
    return _joined(digits[:4], digits[4:6], digits[6:])


def _century(year: str) -> str:
    if len(year) != 2:
        return year
    return f"{19 if int(year) > date.today().year % 100 else 20}{year}"


def _joined(year: str, month: str, day: str) -> str:
    """A date. A digit too many stays, one that the year lacks is not made up: what was meant is one slip away."""
    return f"{year}-{month:0>2}-{day:0>2}" if int(year) else ""


def days(birth: str) -> int | None:
    """The number of a day in the calendar, or None where there is no such day."""
    try:
        return date.fromisoformat(birth).toordinal()
    except ValueError:
        return None
