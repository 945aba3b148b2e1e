"""What files are called: the same name for the same rows of a plan, and no name that two audiences share."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from string import Formatter

MANIFEST = ".manifest.json"
"""What follows the name of a file in the name of its manifest."""
ID = "id"
PLACEHOLDERS = ("audience", "sync", "date", "year", "month", "day", "operation", ID)

_LONGEST = 60
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]*")
_WITH_HASH = re.compile(r".*-[0-9a-f]{10}")
_OF_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(-.*)?")
_FOR_FOLDERS = re.compile(r"[^<>:\"|?*\\\x00-\x1f]+")


def safe_name(name: str) -> str:
    """A name as a part of a path, on every system; two names never have the same.

    A plain name stays as it is. Any other is made plain and followed by a hash of itself; so is a plain one that looks
    as if it had been.
    """
    is_plain = _PLAIN.fullmatch(name) and len(name) <= _LONGEST
    if is_plain and not _WITH_HASH.fullmatch(name) and not _OF_DEVICES.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[: _LONGEST - 11].rstrip("-")
    stem = f"x-{stem}" if _OF_DEVICES.fullmatch(stem) else stem or "x"
    return f"{stem}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def check_template(template: str, *, needs_id: bool) -> None:
    """See that a template gives names, one for each file.

    Raises:
        ValueError: It does not.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{template!r} has a brace without its other: {error}") from error
    names = [name for _, name, _, _ in parts if name is not None]
    for name in names:
        if name not in PLACEHOLDERS:
            raise ValueError(f"there is no {{{name}}} for names of files; there are {', '.join(PLACEHOLDERS)}")
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError(f"{template!r} has more than a name in braces")
    steps = template.split("/")
    if any(not step or step in (".", "..") or not _FOR_FOLDERS.fullmatch(step) for step in steps):
        raise ValueError(f"{template!r} is no path from the folder on: names between slashes, and none of . and ..")
    if "audience" not in names:
        raise ValueError(f"{template!r} lacks {{audience}}: two audiences would have the same files")
    if needs_id and ID not in names:
        raise ValueError(f"{template!r} lacks {{id}}: each file of changes would take the place of the one before")


def fill(template: str, values: Mapping[str, str]) -> str:
    """A name; the values are safe."""
    return template.format_map(dict(values))


def dates(moment: datetime) -> dict[str, str]:
    """What a moment fills in."""
    return {
        "date": f"{moment:%Y-%m-%d}",
        "year": f"{moment:%Y}",
        "month": f"{moment:%m}",
        "day": f"{moment:%d}",
    }


def folder_of(template: str, values: Mapping[str, str]) -> str:
    """The lowest folder that holds all files of a template, as far as the values are known; empty for the root."""
    known = ""
    for text, name, _, _ in Formatter().parse(template):
        known += text
        if name is None:
            continue
        if name not in values:
            break
        known += values[name]
    return known.rpartition("/")[0]


def id_of(*parts: str | bytes) -> str:
    """A short name that follows from the parts."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]
