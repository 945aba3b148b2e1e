"""Names of time zones in settings."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def known_zone(name: str) -> str:
    """The name, if there is such a time zone.

    Raises:
        ValueError: There is none.
    """
    try:
        ZoneInfo(name)
    except (OSError, ValueError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"there is no time zone {name!r}; write it as UTC or Europe/Berlin") from error
    return name


ZoneName = Annotated[str, AfterValidator(known_zone)]
"""A setting that names a time zone, such as ``Europe/Berlin``."""
