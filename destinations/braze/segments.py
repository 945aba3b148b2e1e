"""Who is in an audience, read by the export of a segment that the project names for it.

Braze lists nobody by an attribute. A segment that filters on it, made in the dashboard, can be exported: to a file at a
signed address that leads nowhere until the file is there, which may take minutes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from millstream.destinations.contract import Member
from millstream.destinations.http import Http
from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import (
    MalformedAnswerError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)

_FIELDS = ["external_id", "email", "user_aliases"]
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
PATIENCE = 3_600.0
"""Seconds that an export is waited for."""


def members_of(http: Http, segment: str, *, alias_label: str) -> Iterator[Member]:
    """Export a segment, and give its people by all names that they may be matched by.

    Args:
        http: The engine's HTTP for the workspace.
        segment: The segment's id.
        alias_label: Label of the aliases that are names of people here.

    Raises:
        MillstreamError: The file goes to the workspace's own storage, or cannot be read.
    """
    body = {"segment_id": segment, "fields_to_export": _FIELDS}
    url = http.post("/users/export/segment", body).get("url")
    if not url:
        raise MillstreamError(
            "Braze writes exports into the workspace's own storage, where they cannot be fetched from.",
            where="braze",
            remedy="take the storage of exports back in Braze, or look at the segment there.",
        )
    for user in _unpacked(_fetched(http, str(url))):
        names = [user.get("external_id"), str(user.get("email") or "").lower()]
        names += [one["alias_name"] for one in user.get("user_aliases") or () if one["alias_label"] == alias_label]
        yield Member(tuple(str(name) for name in names if name))


def _fetched(http: Http, url: str) -> bytes:
    waited, wait = 0.0, _FIRST_WAIT
    while waited < PATIENCE:
        try:
            return http.download(url)
        except (NotFoundError, PermissionDeniedError):
            # Storage tells a file that is not there yet in either way.
            sleep_unless_stopped(wait)
            waited, wait = waited + wait, min(wait * 1.5, _LONGEST_WAIT)
    raise UnavailableError("Braze has not ended the export of the segment.")


def _unpacked(archive: bytes) -> Iterator[Mapping[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as files:
            for name in files.namelist():
                for line in files.read(name).splitlines():
                    if line.strip():
                        yield orjson.loads(line)
    except (zipfile.BadZipFile, orjson.JSONDecodeError) as error:
        raise MalformedAnswerError(f"The export of the segment cannot be read ({type(error).__name__}).") from error
