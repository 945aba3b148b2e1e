"""Whoever takes the files that the destination ``files`` wrote: reads them in the order of their manifests."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


def members_of(folder: Path, audience_id: str) -> set[str]:
    """E-mail addresses of those who are in an audience by the files of a folder."""
    found: set[str] = set()
    for manifest, rows in _files(folder):
        if manifest["audience"] != audience_id:
            continue
        people = {row["email"] for row in rows}
        if manifest["kind"] == "full":
            found = people
        else:
            assert {row["_operation"] for row in rows} == {manifest["operation"]}
            found = found | people if manifest["operation"] == "upsert" else found - people
    return found


def _files(folder: Path) -> Iterator[tuple[dict[str, Any], list[dict[str, str]]]]:
    manifests = [(orjson.loads(path.read_bytes()), path) for path in folder.rglob("*.manifest.json")]
    for manifest, path in sorted(manifests, key=lambda one: str(one[0]["written_at"])):
        [file] = manifest["files"]
        with Path(path.parent, file["name"]).open(newline="", encoding="utf-8") as opened:
            rows = list(csv.DictReader(opened))
        assert len(rows) == file["rows"]
        yield manifest, rows
