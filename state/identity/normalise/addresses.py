"""One spelling for postal addresses, good enough to find who lives at the same door."""

from __future__ import annotations

import re
import unicodedata

VERSION = 1
"""Raised by whoever changes which value comes of a text: what was kept of the version before is then spelled anew."""

_WORD = re.compile(r"[^\W_]+")
# Long to short, as 'st' is a saint too: what becomes equal by this was written differently, not another place.
_ABBREVIATIONS = {
    "street": "st", "saint": "st", "avenue": "ave", "av": "ave", "road": "rd", "boulevard": "blvd", "boul": "blvd",
    "drive": "dr", "lane": "ln", "court": "ct", "place": "pl", "square": "sq", "terrace": "ter", "highway": "hwy",
    "parkway": "pkwy", "apartment": "apt", "appartment": "apt", "suite": "ste", "floor": "fl", "building": "bldg",
    "north": "n", "east": "e", "south": "s", "west": "w", "strasse": "str", "platz": "pl", "calle": "c",
}  # fmt: skip
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"})


def fold_address(text: str) -> str | None:
    """Small letters without accents, words parted by one space, usual words cut short.

    None unless two words have a digit, as house number and postcode have: a street or a town by itself is no home.
    """
    plain = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    words = [_short(word) for word in _WORD.findall(plain)]
    if sum(any(map(str.isdigit, word)) for word in words) < 2:
        return None
    return " ".join(words)


def _short(word: str) -> str:
    if word.endswith("strasse") and len(word) > len("strasse"):
        return word[: -len("asse")]
    return _ABBREVIATIONS.get(word, word)
