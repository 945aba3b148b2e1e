"""Tables, pages and links as Prefect's artifacts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from millstream.flows.showing.cells import Row
from millstream.flows.showing.markdown import markdown_table


def artifact_key(*parts: str) -> str:
    """A key that Prefect takes (lower-case letters, digits, dashes); runs of one thing share it, as versions."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")


def put_table(key: str, description: str, rows: Sequence[Row]) -> None:
    """Leave a table."""
    create_table_artifact(table=list(rows), key=key, description=description)


def put_page(
    key: str,
    description: str,
    title: str,
    *,
    lead: Iterable[str] = (),
    tables: Mapping[str, Sequence[Row]] | None = None,
    end: Iterable[str] = (),
) -> None:
    """Leave a page of Markdown.

    Args:
        key: Artifact key.
        description: What it is about, for lists of artifacts.
        title: Its head.
        lead: Paragraphs under it.
        tables: Tables by their heads.
        end: Paragraphs below them.
    """
    parts = [f"# {title}", *lead]
    for head, rows in (tables or {}).items():
        parts += [f"## {head}", markdown_table(rows)]
    create_markdown_artifact("\n\n".join([*parts, *end]), key=key, description=description)


def put_link(key: str, url: str, text: str, description: str | None = None) -> None:
    """Leave a link."""
    create_link_artifact(link=url, link_text=text, key=key, description=description)
