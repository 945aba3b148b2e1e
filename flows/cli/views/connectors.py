"""The installed connectors, shown."""

from __future__ import annotations

from collections.abc import Mapping

from millstream.flows.cli.output import joined, print_error, print_json, print_line, print_table
from millstream.flows.looking.connectors import (
    Connectors,
    DestinationFacts,
    SettingFacts,
    SourceFacts,
    streams_with_cursors,
)


def show_connectors(found: Connectors, *, in_detail: bool, as_json: bool) -> bool:
    """Show them; plugins that failed are reported and do not make the command fail."""
    if as_json:
        print_json(found)
        return True
    if found["sources"] or not in_detail:
        print_table("Sources", [_source_row(source) for source in found["sources"]])
    if found["destinations"] or not in_detail:
        print_table("Destinations", [_destination_row(destination) for destination in found["destinations"]])
    if in_detail:
        _show_details(found)
    else:
        print_line("\nTheir streams and settings: millstream connectors NAME")
    for failure in found["failed"]:
        print_error(failure)
    return True


def _source_row(source: SourceFacts) -> Mapping[str, str]:
    return {
        "name": source["name"],
        "title": source["title"],
        "category": source["category"],
        "API": source["api_version"],
        "signs in with": joined(source["auth"]),
        "package": source["package"],
        "streams (cursor)": streams_with_cursors(source),
    }


def _destination_row(destination: DestinationFacts) -> Mapping[str, str]:
    return {
        "name": destination["name"],
        "title": destination["title"],
        "API": destination["api_version"],
        "package": destination["package"],
        "modes": joined(destination["modes"]),
        "finds people by": joined(destination["match_keys"]),
    }


def _show_details(found: Connectors) -> None:
    for source in found["sources"]:
        print_table(
            f"Streams of the source {source['name']}",
            [
                {"stream": stream["name"], "permission": stream["scope"], "one row": stream["description"]}
                for stream in source["streams"]
            ],
        )
        print_table(f"Settings of the source {source['name']}", map(_setting_row, source["settings"]))
    for destination in found["destinations"]:
        print_table(f"Settings of the destination {destination['name']}", map(_setting_row, destination["settings"]))


def _setting_row(setting: SettingFacts) -> Mapping[str, str]:
    needed = "required" if setting["required"] else (setting["default"] or "")
    return {
        "setting": setting["name"],
        "type": setting["type"],
        "default": needed,
        "description": setting["description"],
    }
