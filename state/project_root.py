"""Relative paths of the project file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationInfo


def at_project_root(path: str, info: ValidationInfo) -> str:
    """A relative path as one that starts at the project file's folder, where that is known."""
    root = info.context.get("root") if isinstance(info.context, Mapping) else None
    return str(Path(root, path)) if isinstance(root, Path) else path
