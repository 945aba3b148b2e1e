"""Custom lists: a segment that is handed over as a file, whole, in three steps."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from millstream.destinations.http import Http, Upload

_KINDS = {"identity": "i", "objectId": "g"}
"""How the file says what a person is named by."""


def can_list(key_name: str) -> bool:
    """Whether people with this identifier can be in a custom list."""
    return key_name in _KINDS


def replace_list(
    http: Http, name: str, values: Iterable[str], *, key_name: str, owner: str, email: str, label: str
) -> None:
    """Make these people the only ones in the custom list of this name; it is made where there is none.

    Args:
        http: The engine's HTTP for the project.
        name: Name of the list.
        values: Who is in it.
        key_name: What they are named by.
        owner: Who the list is said to be made by.
        email: Who CleverTap tells when it is done.
        label: Names the file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("Type", "Identity"))
    writer.writerows((_KINDS[key_name], value) for value in values)
    # The place for the file is signed by itself, and is another host's.
    place = str(http.post("/get_custom_list_segment_url")["presignedS3URL"])
    http.upload(place, Upload(content=text.getvalue().encode(), media_type="text/csv"))
    facts = {"name": name, "email": email, "filename": f"{label}.csv", "creator": owner, "url": place, "replace": True}
    http.post("/upload_custom_list_segment_completed", facts)
