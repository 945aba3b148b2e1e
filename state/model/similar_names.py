"""Names of events that are probably meant for one: by their letters, by their words, by a slip of the keyboard.

A person decides; here is only proposed. So what is alike by chance but means the contrary (``Subscribed``,
``Unsubscribed``) or another thing (``Level 1 Completed``, ``Level 2 Completed``) is left apart.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Literal

from millstream.state.model.tracking_plan import fold

Reason = Literal["letters", "words", "spelling"]

_CAMEL = re.compile(r"(?<=[^\W_])(?<![A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ENDINGS = ("ing", "ed", "es", "s", "e")
_TURNS_ROUND = ("un", "de", "dis", "non", "re", "in", "im")
_SHORTEST = 5
_LEAST_SHARED_PAIRS = 0.6
_LEAST_ALIKE = 0.85


@dataclass(frozen=True)
class Similar:
    """A name that another one is probably meant for.

    Attributes:
        name: The name.
        reason: ``letters``: but for case and separators. ``words``: the same words in another order or form.
            ``spelling``: a few letters differ.
    """

    name: str
    reason: Reason


@dataclass
class KnownNames:
    """Names that others are compared with; each stands for something, mostly itself."""

    _by_letters: dict[str, str] = field(default_factory=dict)
    _by_words: dict[tuple[str, ...], str] = field(default_factory=dict)
    _by_pair: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _pairs: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, stands_for: str) -> None:
        """Make a name known; the first of several alike counts."""
        letters = fold(name)
        if letters in self._by_letters:
            return
        self._by_letters[letters] = stands_for
        self._by_words.setdefault(_words_as_compared(name), stands_for)
        pairs = _pairs_of(letters)
        self._pairs[letters] = pairs.total()
        for pair in pairs:
            self._by_pair[pair].append(letters)

    def closest(self, name: str) -> Similar | None:
        """What a name is probably meant for."""
        letters, words = fold(name), _words_as_compared(name)
        if letters in self._by_letters:
            return Similar(self._by_letters[letters], "letters")
        if words in self._by_words:
            return Similar(self._by_words[words], "words")
        if len(letters) < _SHORTEST:
            return None
        found = max(((_alike(letters, other), other) for other in self._candidates(letters)), default=(0.0, ""))
        return Similar(self._by_letters[found[1]], "spelling") if found[0] >= _LEAST_ALIKE else None

    def _candidates(self, letters: str) -> Iterable[str]:
        """Names that share most pairs of letters: comparing all with all letter by letter would take minutes."""
        pairs = _pairs_of(letters)
        shared: Counter[str] = Counter()
        for pair in pairs:
            shared.update(self._by_pair.get(pair, ()))
        total = pairs.total()
        return [
            other
            for other, count in shared.items()
            if len(other) >= _SHORTEST and 2 * count >= _LEAST_SHARED_PAIRS * (total + self._pairs[other])
        ]


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: ``signedUp``, ``signed_up`` and ``Signed Up`` have ``signed`` and ``up``."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    letters = (letter if unicodedata.category(letter)[0] in "LNM" else " " for letter in spaced.casefold())
    return "".join(letters).split()


def _words_as_compared(name: str) -> tuple[str, ...]:
    """Words without their endings, in the order of the alphabet; a name without words is compared as it is."""
    return tuple(sorted(map(_stem, words_of(name)))) or (name,)


def _stem(word: str) -> str:
    """``viewed``, ``viewing`` and ``views`` as ``view``. It only has to be the same for each, not a word."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def _pairs_of(letters: str) -> Counter[str]:
    return Counter(letters[at : at + 2] for at in range(len(letters) - 1))


def _alike(one: str, other: str) -> float:
    """From 0 to 1; 0 for what differs in a number, or by a syllable that turns the meaning round."""
    if re.sub(r"\D", "", one) != re.sub(r"\D", "", other):
        return 0.0
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.quick_ratio() < _LEAST_ALIKE:
        return 0.0
    changes = [change for change in matcher.get_opcodes() if change[0] != "equal"]
    changed = {part for _, a, b, c, d in changes for part in (one[a:b], other[c:d])}
    return 0.0 if changed & set(_TURNS_ROUND) else matcher.ratio()
