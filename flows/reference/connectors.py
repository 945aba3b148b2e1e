"""Millstream's own connectors: ``docs/connectors.md``, and the README's table."""

from __future__ import annotations

from millstream.flows.looking.connectors import (
    Connectors,
    DestinationFacts,
    SettingFacts,
    SourceFacts,
    describe_connectors,
    streams_with_cursors,
)
from millstream.flows.reference.markdown import table
from millstream.state.plugins import OWN_PACKAGE

BEGIN_CONNECTORS = "<!-- made by `make docs` from what the connectors declare; change that -->"


def connectors_text() -> str:
    """Millstream's own connectors with their settings, as Markdown."""
    found = _own_connectors()
    sources, destinations = found["sources"], found["destinations"]
    lines = [BEGIN_CONNECTORS, "# Connectors", ""]
    lines += ["`millstream connectors` lists these and those of installed plugins.", "", "## Sources", ""]
    heads = ("source", "system", "kind", "API", "signs in with", "streams, and what each goes on from")
    lines += table(heads, map(_source_cells, sources))
    lines += ["", "## Destinations", ""]
    lines += table(("destination", "system", "API", "modes", "finds people by"), map(_destination_cells, destinations))
    for kind, connector in [*(("source", one) for one in sources), *(("destination", one) for one in destinations)]:
        lines += ["", f"## Settings of the {kind} {connector['name']}", ""]
        lines += table(("setting", "type", "default", "meaning"), map(_setting_cells, connector["settings"]))
    return "\n".join(lines) + "\n"


def _own_connectors() -> Connectors:
    """What is installed, without plugins."""
    found = describe_connectors()
    return {
        "sources": [source for source in found["sources"] if source["package"] == OWN_PACKAGE],
        "destinations": [one for one in found["destinations"] if one["package"] == OWN_PACKAGE],
        "failed": [],
    }


def readme_text() -> str:
    """Millstream's own connectors, a line each, as Markdown."""
    found = _own_connectors()
    sources = [
        (f"[{one['title']}](docs/sources/{one['name']}.md)", one["category"], streams_with_cursors(one), _signs_in(one))
        for one in found["sources"]
    ]
    destinations = [
        (f"[{one['title']}](docs/destinations/{one['name']}.md)", ", ".join(one["modes"]), ", ".join(one["match_keys"]))
        for one in found["destinations"]
    ]
    return "\n".join(
        [
            *table(("source", "kind", "streams", "signs in with"), sources),
            "",
            *table(("destination", "modes", "finds people by"), destinations),
        ]
    )


def _signs_in(source: SourceFacts) -> str:
    return ", ".join(source["auth"])


def _source_cells(source: SourceFacts) -> tuple[str, ...]:
    link = f"[`{source['name']}`](sources/{source['name']}.md)"
    kind, version, streams = source["category"], source["api_version"], streams_with_cursors(source)
    return link, source["title"], kind, version, _signs_in(source), streams


def _destination_cells(destination: DestinationFacts) -> tuple[str, ...]:
    link = f"[`{destination['name']}`](destinations/{destination['name']}.md)"
    modes, keys = ", ".join(destination["modes"]), ", ".join(destination["match_keys"])
    return link, destination["title"], destination["api_version"], modes, keys


def _setting_cells(setting: SettingFacts) -> tuple[str, ...]:
    default = "required" if setting["required"] else (setting["default"] or "")
    return f"`{setting['name']}`", setting["type"], default, setting["description"]
