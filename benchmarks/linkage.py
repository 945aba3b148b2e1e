"""``python -m benchmarks.linkage``: how well probabilistic linkage finds people again, on any labelled file of people.

Columns are recognised by their names and contents; the column that tells the truth is used for nothing but counting.
What links is the code that links profiles in the store, with its defaults, save one: it merges from even odds on,
for F1 minds people fused as much as people missed, where a store of customers minds them more.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
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
    mapping = yaml.safe_load(given.mapping.read_text()) if given.mapping else {}
    kinds = detect_kinds(columns, {str(name): str(kind) for name, kind in mapping.items()})
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
    """The columns of a CSV or Parquet file, as text; empty fields are None."""
    if path.suffix.lower() in (".parquet", ".pq"):
        table = pyarrow.parquet.read_table(path)
    else:
        names = pyarrow.csv.open_csv(path).schema.names
        options = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        )
        table = pyarrow.csv.read_csv(path, convert_options=options)
    return {
        name: [None if value is None or value == "" else str(value) for value in table[position].to_pylist()]
        for position, name in enumerate(table.column_names)
    }


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.linkage",
        description="Link a labelled file of people without its labels, and count right and wrong pairs.",
    )
    parser.add_argument("--data", type=Path, required=True, help="CSV with a header, or Parquet")
    parser.add_argument("--truth", required=True, help="the column that says which rows are one person")
    parser.add_argument("--mapping", type=Path, help="YAML or JSON: column to kind, where it is not recognised")
    parser.add_argument("--merge-at", type=float, default=_MERGE_AT, help="probability from which rows become one")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    main()
