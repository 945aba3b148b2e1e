"""The installed sources: Millstream's own and those of plugins, all by the same entry points."""

from __future__ import annotations

from millstream.sources.contract import DeclaredSettings, Source
from millstream.state.errors import PluginError
from millstream.state.plugins import Plugins, check_declared

AnySource = Source[DeclaredSettings]
DECLARED = ("name", "title", "category", "docs_url", "api_version", "Settings", "rate_limit")


def check_source(name: str, found: object) -> type[AnySource]:
    """What an entry point gave, as a source.

    Raises:
        PluginError: It is not a source, or leaves out something that a source declares.
    """
    if not (isinstance(found, type) and issubclass(found, Source)):
        raise PluginError(
            f"{found!r} is not a source.", where=f"source {name}", remedy="derive it from millstream.sources.Source."
        )
    check_declared("source", name, found, DECLARED)
    return found


SOURCES: Plugins[AnySource] = Plugins("millstream.sources", kind="source", check=check_source)
