"""Probabilistic linkage: profiles that share no identifier, yet by all that is known of them are one person.

Rows are spelled alike (``spelling``, ``short_names``, ``people``), pairs are found (``blocking``) and compared
(``comparisons``, ``engine``: Splink), a model is trained on them without labels (``model``), pairs are scored
(``scoring``) and grouped (``clusters``); ``linker`` does all of that on rows from anywhere, ``linking`` on the store.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from millstream.state.identity.linkage.rules import LinkageRules

if TYPE_CHECKING:
    from millstream.state.identity.linkage.linking import LinkReport, link
    from millstream.state.identity.linkage.review import Suggestion, accept, refuse, suggestions

__all__ = ["LinkReport", "LinkageRules", "Suggestion", "accept", "link", "refuse", "suggestions"]

_HOMES = {
    "LinkReport": "linking",
    "link": "linking",
    "Suggestion": "review",
    "accept": "review",
    "refuse": "review",
    "suggestions": "review",
}


def __getattr__(name: str) -> object:
    # Late: numpy and pyarrow cost time that reading a project file should not take.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
