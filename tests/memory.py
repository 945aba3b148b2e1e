"""A folder in memory for what tests write: none of it has to outlive the machine, and nobody waits for a disk."""

from __future__ import annotations

import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")


def folder_in_memory(room: int) -> Path | None:
    """The root of a file system in memory that has so many bytes free; None where there is none."""
    return _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= room else None
