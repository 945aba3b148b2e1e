"""Rows that destinations did not accept: listed, counted, and written to a file."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson

from millstream.state.errors import ConfigurationError

if TYPE_CHECKING:
    from millstream.flows.steps import Workspace

Group = Literal["sync", "code", "reason", "fault"]
FORMATS = (".csv", ".jsonl", ".parquet")
_LINE = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
"""SQLAlchemy names columns by a kind of text of its own, which orjson takes for no text."""


@dataclass(frozen=True)
class RejectedGroup:
    """Rows that were refused alike.

    Attributes:
        group: The value they share.
        sync: Of which sync they are.
        rows: How many.
        held: How many of them are not tried again until they change.
        example: A profile id, to look at with ``explain``.
    """

    group: str
    sync: str
    rows: int
    held: int
    example: str | None


def rejected(workspace: Workspace, sync: str | None = None, *, code: str | None = None) -> list[dict[str, Any]]:
    """Rows that destinations did not accept, with reasons and when each is tried again.

    They hold clear personal data only where the project says ``keep_rejected_values``.
    """
    rows = workspace.journal.rejected_rows(sync)
    return [row for row in rows if code is None or row["code"] == code]


def grouped(rows: Iterable[dict[str, Any]], by: Group) -> list[RejectedGroup]:
    """The rows by sync and one of their facts, most first."""
    rows = list(rows)
    named = [(row["sync"], str(row[by] or row["status"])) for row in rows]
    held = Counter(name for name, row in zip(named, rows, strict=True) if row["next_try_at"] is None)
    examples = {name: row["profile_id"] for name, row in zip(named, rows, strict=True)}
    return [
        RejectedGroup(group=name[1], sync=name[0], rows=count, held=held[name], example=examples[name])
        for name, count in Counter(named).most_common()
    ]


def export(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the rows to a file, whose ending says how.

    Raises:
        ConfigurationError: Another ending, or a folder that is not there.
    """
    if path.suffix not in FORMATS:
        raise ConfigurationError(f"{path.name!r} does not say how to write it.", where="--export", allowed=FORMATS)
    if not path.parent.is_dir():
        raise ConfigurationError(f"There is no folder {path.parent}.", where="--export", remedy="make it first.")
    flat = [{**row, "clear_text": _text(row["clear_text"])} for row in rows]
    part = path.with_name(f".{path.name}.part")
    if path.suffix == ".jsonl":
        part.write_bytes(b"".join(orjson.dumps(row, option=_LINE) for row in rows))
    elif path.suffix == ".csv":
        _write_csv(flat, part)
    else:
        _write_parquet(flat, part)
    part.rename(path)


def _text(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _columns() -> list[str]:
    from millstream.state.ledger.tables import rejected as table

    return [column.name for column in table.columns]


def _write_csv(rows: Sequence[dict[str, Any]], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns())
        writer.writeheader()
        writer.writerows(
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            for row in rows
        )


def _write_parquet(rows: Sequence[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"attempts": pa.int64(), **dict.fromkeys(("first_at", "last_at", "next_try_at"), pa.timestamp("us", "UTC"))}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in _columns()])
    pq.write_table(pa.Table.from_pylist(list(rows), schema), path)
