"""The installed destinations: Millstream's own and those of plugins, all by the same entry points."""

from __future__ import annotations

from millstream.destinations.contract import Destination, DestinationSettings
from millstream.state.errors import PluginError
from millstream.state.plugins import Plugins, check_declared

AnyDestination = Destination[DestinationSettings]
DECLARED = (
    "name",
    "title",
    "docs_url",
    "api_version",
    "Settings",
    "rate_limit",
    "match_keys",
    "modes",
    "fields",
    "batch_size",
    "membership_batch_size",
    "idempotent",
)


def check_destination(name: str, found: object) -> type[AnyDestination]:
    """What an entry point gave, as a destination.

    Raises:
        PluginError: It is not a destination, or leaves out something that a destination declares.
    """
    if not (isinstance(found, type) and issubclass(found, Destination)):
        raise PluginError(
            f"{found!r} is not a destination.",
            where=f"destination {name}",
            remedy="derive it from millstream.destinations.Destination.",
        )
    check_declared("destination", name, found, DECLARED)
    return found


DESTINATIONS: Plugins[AnyDestination] = Plugins("millstream.destinations", kind="destination", check=check_destination)
