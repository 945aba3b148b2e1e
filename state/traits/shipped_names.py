"""Which trait sets come with Millstream, without reading them."""

from __future__ import annotations

from pathlib import Path

SHIPPED = Path(__file__).parent / "shipped"
ENDINGS = (".sql", ".py")


def is_set(path: Path) -> bool:
    """Whether a file is a trait set: those that begin with an underscore are not."""
    return path.suffix in ENDINGS and not path.name.startswith(("_", "."))


def shipped_names() -> list[str]:
    """Names of the sets that come with Millstream."""
    return sorted(path.stem for path in SHIPPED.iterdir() if is_set(path))
