"""Ways to run a connector in tests: into a real DuckDB file as an ordinary dlt source, or one reader alone."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb

from millstream.sources.contract import Row, Source, iter_rows
from millstream.sources.dlt_settings import set_dlt
from millstream.sources.dlt_source import SourcePull
from millstream.sources.pull import Pull, client_of
from millstream.sources.stream_report import StreamReport
from millstream.state.http import Retries

QUICK = Retries(attempts=4, first_wait=0.01, longest_wait=0.02)


@dataclass
class Loads:
    """Pulls of one source into one DuckDB file; dlt's state goes from one to the next."""

    folder: Path
    name: str
    reports: dict[str, StreamReport] = field(default_factory=dict)

    def run(self, source: Source[Any], **options: Any) -> dict[str, StreamReport]:
        """Pull and load; what became of each stream."""
        pull = SourcePull(source, retries=QUICK, **options)
        pipeline = dlt.pipeline(
            pipeline_name=self.name,
            destination=dlt.destinations.duckdb(str(self.folder / "store.duckdb")),
            dataset_name=f"raw_{self.name}",
            pipelines_dir=str(self.folder / "dlt"),
        )
        pipeline.run(pull.dlt_source(), loader_file_format="parquet")
        self.reports = pull.reports
        return pull.reports

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query; tables stand without their schema."""
        with duckdb.connect(str(self.folder / "store.duckdb")) as connection:
            connection.execute(f"USE raw_{self.name}")
            return connection.execute(query).fetchall()


def loads(folder: Path, name: str) -> Loads:
    """An empty store, with dlt set as the engine sets it."""
    set_dlt()
    return Loads(folder, name)


def pull_of(
    source: Source[Any],
    stream: str,
    *,
    state: MutableMapping[str, Any] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    pulled_at: datetime | None = None,
) -> Pull:
    """What a stream's reader gets, without dlt around it."""
    client, pacer = client_of(source, retries=QUICK)
    found = next(one for one in source.streams() if one.name == stream)
    moment = pulled_at or datetime.now(UTC)
    return Pull(found, client, pacer=pacer, state=state, since=since, until=until, pulled_at=moment)


def read(pull: Pull) -> list[Row]:
    """All rows of the pull's stream."""
    stream = pull.stream
    pages = stream.read(pull) if stream.read else pull.pages()
    rows = list(iter_rows(pages))
    if stream.shape_columns:
        columns = stream.shape_columns(rows) if rows else {}
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [stream.shape(row) for row in rows] if stream.shape else rows
