"""A destination whose operations may not be repeated: whoever gets no answer must not ask again."""

from __future__ import annotations

from typing import ClassVar

from millstream.destinations.hubspot import HubSpot
from millstream.destinations.modes import Operation


class Once(HubSpot):
    """HubSpot, as if writing the same twice did harm."""

    name = "once"
    title = "Once"
    idempotent: ClassVar[frozenset[Operation]] = frozenset()
