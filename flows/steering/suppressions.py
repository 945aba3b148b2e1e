"""The suppression list: people who must not be addressed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from millstream.state.consent import CHANNELS
from millstream.state.errors import ConfigurationError
from millstream.state.ledger import suppressions
from millstream.state.suggestions import did_you_mean

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace

_LOOKS_LIKE = {
    "e-mail address": (r".+@.+", "ana@example.com"),
    "phone number": (r"(?=[+(]|.*\s)[+\d\s()./-]+", "+4930123456, with the calling code"),
}
"""What somebody meant who wrote such a text, and how it is written; whatever else is said may be anybody's id."""


def suppress(
    workspace: Workspace, who: Iterable[str], *, reason: str, channel: str = suppressions.EVERY_CHANNEL
) -> int:
    """Put identifiers or profile ids on the suppression list, and say how many are new.

    Each is written down in every spelling under which the store may know it; only hashes are kept.

    Raises:
        ConfigurationError: No sync could ever ask for that channel, so that nobody would be kept back; or one of them
            names nobody.
    """
    who = list(who)
    if channel != suppressions.EVERY_CHANNEL and channel not in (known := _channels(workspace)):
        told = f"{channel!r} is no channel."
        raise ConfigurationError(told, where="--channel", allowed=known, remedy=did_you_mean(channel, known))
    _check_names(workspace, who)
    return suppressions.suppress(workspace.journal, _spelled(workspace, who), reason=reason, channel=channel)


def _channels(workspace: Workspace) -> list[str]:
    """The usual channels, and those of the project's syncs."""
    consents = (sync.consent for sync in workspace.project.syncs.values())
    return sorted({*CHANNELS, *(consent.channel for consent in consents if consent != "not_needed")})


def release(workspace: Workspace, who: Iterable[str], *, channel: str = suppressions.EVERY_CHANNEL) -> int:
    """Take identifiers off the list, and say how many were on it.

    Raises:
        ConfigurationError: One of them is blank.
    """
    who = list(who)
    _check_not_blank(who)
    return suppressions.release(workspace.journal, _spelled(workspace, who), channel=channel)


def _check_names(workspace: Workspace, who: Sequence[str]) -> None:
    """Refuse what would keep nobody back.

    Raises:
        ConfigurationError: One of the values is blank, too long, or an address or a number that is none.
    """
    from millstream.state.identity.normalise import LONGEST, spell

    _check_not_blank(who)
    for value in map(str.strip, who):
        if len(value) > LONGEST:
            raise ConfigurationError(f"{_masked(value)} is longer than {LONGEST} characters: it names nobody.")
        kinds = [spell(workspace.project.identity, kind, value) for kind in ("email", "phone")]
        for kind, (looks, written) in _LOOKS_LIKE.items() if not any(kinds) else ():
            if re.fullmatch(looks, value):
                raise ConfigurationError(
                    f"{_masked(value)} is no {kind}: it names nobody, and nobody was put on the list.",
                    remedy=f"write it as {written}.",
                )


def _check_not_blank(who: Sequence[str]) -> None:
    if not all(value.strip() for value in who):
        raise ConfigurationError(
            "A blank names nobody; the list is as it was.",
            where="suppress",
            remedy="give e-mail addresses, phone numbers, vendors' ids or profile ids.",
        )


def _masked(value: str) -> str:
    """Enough to find it again among what was given."""
    return f"{value[0]}*** ({len(value)} characters)"


def _spelled(workspace: Workspace, who: Iterable[str]) -> set[str]:
    from millstream.state.identity.normalise import spell

    rules = workspace.project.identity
    values = {value.strip() for value in who if value.strip()}
    spelled = [spell(rules, kind, value) for value in values for kind in ("email", "phone")]
    return values | {each.value for each in spelled if each}


@dataclass(frozen=True)
class SuppressionCount:
    """Entries of the suppression list that are alike."""

    channel: str
    reason: str
    entries: int
    latest: datetime


def suppression_list(workspace: Workspace) -> list[SuppressionCount]:
    """How many entries there are, by channel and reason."""
    counted: dict[tuple[str, str], list[datetime]] = {}
    for row in suppressions.all_suppressions(workspace.journal):
        counted.setdefault((row["channel"], row["reason"]), []).append(row["since"])
    return [
        SuppressionCount(channel or "all", reason, len(times), max(times).astimezone(UTC))
        for (channel, reason), times in sorted(counted.items())
    ]


def lines_of(path: Path) -> list[str]:
    """Values in a text file, one a line; the first column of a CSV.

    Raises:
        ConfigurationError: It cannot be read, or holds none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"{path} cannot be read: {why}.", where="--file", remedy="name a text file, one address or id a line."
        ) from error
    values = [row[0].strip() for row in csv.reader(text.splitlines()) if row and row[0].strip()]
    if not values:
        raise ConfigurationError(f"{path} names nobody.", where="--file", remedy="write one a line.")
    return values
