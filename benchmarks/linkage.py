"""``python -m benchmarks.linkage``: how well probabilistic linkage finds people again, on any labelled file of people.

Columns are recognised by their names and contents; the column that tells the truth is used for nothing but counting.
What links is the code that links profiles in the store, with its defaults, save one: it merges from even odds on,
for F1 minds people fused as much as people missed, where a store of customers minds them more.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet
import yaml

from benchmarks.measuring import Meter
from millstream.state.identity.linkage.kinds import Kind, detect_kinds
from millstream.state.identity.linkage.linker import link_people
from millstream.state.identity.linkage.people import read_people
from millstream.state.identity.linkage.rules import LinkageRules

_MERGE_AT = 0.5
Columns = dict[str, list[str | None]]


@dataclass(frozen=True)
class Quality:
    """Pairs found, against pairs there are."""

    true_pairs: int
    found_pairs: int
    both: int

    @property
    def precision(self) -> float:
        """Share of the pairs found that are true; 1 where none was found."""
        return self.both / self.found_pairs if self.found_pairs else 1.0

    @property
    def recall(self) -> float:
        """Share of the true pairs that were found; 1 where there are none."""
        return self.both / self.true_pairs if self.true_pairs else 1.0

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the options, link, and print."""
    given = _parser().parse_args(arguments)
    columns = read_columns(given.data)
    if given.truth not in columns:
        raise SystemExit(f"{given.data}: no column {given.truth!r}. There are: {', '.join(columns)}.")
    truth = columns.pop(given.truth)
    if not truth:
        raise SystemExit(f"{given.data}: there are no rows below the header.")
    kinds = _kinds(columns, given.mapping)
    meter = Meter()
    with meter.phase("link") as phase:
        labels = _link(columns, kinds, LinkageRules(merge_at=given.merge_at, suggest_at=given.merge_at), len(truth))
    quality = measure(truth, labels)
    facts: dict[str, object] = {
        "precision": round(quality.precision, 5),
        "recall": round(quality.recall, 5),
        "f1": round(quality.f1, 5),
        "seconds": round(phase.wall, 2),
        "peak_mb": round(phase.peak_mb, 1),
        "rows": len(truth),
        "true_pairs": quality.true_pairs,
        "found_pairs": quality.found_pairs,
        "kinds": dict(kinds),
    }
    print(orjson.dumps(facts).decode() if given.json else _told(facts))


def read_columns(path: Path) -> Columns:
    """The columns of a CSV or Parquet file, as text; empty fields are None.

    A CSV file may be UTF-8 with or without a mark, UTF-16 or Windows' Latin, parted by comma, semicolon, tab or bar.

    Raises:
        SystemExit: It is not there, or no such file.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pyarrow.parquet.read_table(path)
            names, columns = table.column_names, [column.to_pylist() for column in table.columns]
        else:
            names, columns = _read_csv(_decoded(path.read_bytes()))
    except (OSError, csv.Error, pa.ArrowException, ValueError) as error:
        raise SystemExit(f"{path}: {_reason(error)}") from None
    return {name: [_as_text(value) for value in values] for name, values in zip(_distinct(names), columns, strict=True)}


def _reason(error: Exception) -> str:
    """What went wrong, in one line and without the path, which stands in front."""
    return (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _read_csv(text: str) -> tuple[list[str], list[list[str]]]:
    head = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t|", key=head.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = next((line for line in lines if line), None)
    if names is None:
        raise ValueError("the file is empty.")
    rows = [line for line in lines if line]
    longest = max((len(line) for line in rows), default=0)
    if longest > len(names):
        raise ValueError(f"a row has {longest} fields, the header {len(names)}.")
    rows = [line + [""] * (len(names) - len(line)) for line in rows]
    return names, [[line[place] for line in rows] for place in range(len(names))]


def _as_text(value: object) -> str | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    # Whole numbers become fractions where a column of them has gaps.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _distinct(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for number, name in enumerate(names, 1):
        plain = name.strip() or f"column {number}"
        found.append(plain if plain not in found else f"{plain} {number}")
    return found


def measure(truth: Sequence[str | None], labels: Sequence[int]) -> Quality:
    """Count pairs. A row of which the truth is not known is in no pair."""
    rows = [row for row, person in enumerate(truth) if person is not None]
    _, persons = np.unique([str(truth[row]) for row in rows], return_inverse=True)
    _, groups = np.unique([labels[row] for row in rows], return_inverse=True)
    both = persons.astype(np.int64) * (int(groups.max(initial=0)) + 1) + groups
    return Quality(_pairs(persons), _pairs(groups), _pairs(np.unique(both, return_inverse=True)[1]))


def _pairs(numbers: np.ndarray) -> int:
    sizes = np.bincount(numbers) if len(numbers) else np.zeros(1, np.int64)
    return int((sizes * (sizes - 1) // 2).sum())


def _kinds(columns: Columns, mapping: Path | None) -> dict[str, Kind]:
    try:
        said = (yaml.safe_load(mapping.read_text(encoding="utf-8")) or {}) if mapping else {}
        if not isinstance(said, dict):
            raise ValueError("not a mapping of columns to kinds.")
        unknown = [str(name) for name in said if str(name) not in columns]
        if unknown:
            raise ValueError(f"no column {', '.join(unknown)}. There are: {', '.join(columns)}.")
        return detect_kinds(columns, {str(name): str(kind) for name, kind in said.items()})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SystemExit(f"{mapping}: {_reason(error)}") from None


def _link(columns: Columns, kinds: Mapping[str, Kind], rules: LinkageRules, rows: int) -> list[int]:
    linked = link_people(read_people(columns, kinds), rules) if columns else None
    return list(range(rows)) if linked is None else [int(label) for label in linked.labels]


def _told(facts: Mapping[str, object]) -> str:
    kinds = facts["kinds"]
    assert isinstance(kinds, Mapping)
    return "\n".join(
        [
            f"{facts['rows']:,} rows, {facts['true_pairs']:,} true pairs, {facts['found_pairs']:,} found",
            "columns: " + ", ".join(f"{name} ({kind})" for name, kind in kinds.items()),
            f"precision {facts['precision']:.4f}  recall {facts['recall']:.4f}  F1 {facts['f1']:.4f}  "
            f"{facts['seconds']:.1f} s  {facts['peak_mb']:.0f} MB",
        ]
    )


def _probability(text: str) -> float:
    value = float(text)
    if not 0.5 <= value < 1:
        raise argparse.ArgumentTypeError("must be at least 0.5 and less than 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.linkage",
        description="Link a labelled file of people without its labels, and count right and wrong pairs.",
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV with a header, or Parquet")
    parser.add_argument("--truth", required=True, help="the column that says which rows are one person")
    parser.add_argument("--mapping", type=Path, help="YAML or JSON: column to kind, where it is not recognised")
    parser.add_argument("--merge-at", type=_probability, default=_MERGE_AT, help="from 0.5: when rows become one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    main()
