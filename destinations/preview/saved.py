"""Plans in files: what was looked at is what is sent, or nothing is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from millstream.destinations.contract import DestinationSettings
from millstream.destinations.sync import Sync
from millstream.state.errors import ConfigurationError

_KEY = b"millstream.plan"
_COMPARED = ("operation", "match_value", "external_id", "payload_hash")


@dataclass(frozen=True, kw_only=True)
class SavedPlan:
    """A plan that was written to a file.

    Attributes:
        sync: Name of the sync.
        definition: Hash of what the sync was.
        rows: Hash of the operations: who, what, with which values, by which id.
        counts: Operations by kind.
        made_at: When, in ISO 8601.
        settings: Hash of the connection's settings; None where they could not be had, as without its secrets.
    """

    sync: str
    definition: str
    rows: str
    counts: dict[str, int]
    made_at: str
    settings: str | None = None


def save_plan(
    source: Path | None, target: Path, name: str, sync: Sync, *, settings: str | None, now: datetime
) -> SavedPlan:
    """Write a plan's file, with what it has to be compared with before it is sent.

    Args:
        source: The plan's own file; None where it has no operations.
        target: Where to.
        name: Name of the sync.
        sync: What it is.
        settings: Hash of the connection's settings.
        now: When it was made.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    table = pq.read_table(source) if source else pa.table({column: pa.array([], pa.string()) for column in _COMPARED})
    saved = SavedPlan(
        sync=name,
        definition=definition_of(sync),
        rows=rows_of(source),
        counts=_counts(table),
        made_at=now.isoformat(timespec="seconds"),
        settings=settings,
    )
    metadata = {**(table.schema.metadata or {}), _KEY: orjson.dumps(saved)}
    part = target.with_name(f".{target.name}.part")
    try:
        pq.write_table(table.replace_schema_metadata(metadata), part)
        part.rename(target)
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error}.", where="--out") from error
    return saved


def read_plan(path: Path) -> SavedPlan:
    """What a plan's file says it is.

    Raises:
        ConfigurationError: There is no such file, or it is no plan.
    """
    try:
        metadata = pq.read_schema(path).metadata or {}
        return SavedPlan(**orjson.loads(metadata[_KEY]))
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no file {path}.", where="--plan", remedy=f"write it first: `millstream plan SYNC --out {path}`."
        ) from error
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, orjson.JSONDecodeError) as error:
        raise ConfigurationError(
            f"{path} is no plan that `millstream plan --out` wrote.", where="--plan", remedy="make it anew."
        ) from error


def check_saved(
    saved: SavedPlan, name: str, sync: Sync, path: Path | None, counts: dict[str, int], *, settings: str
) -> None:
    """Refuse to send what was not looked at.

    Args:
        saved: What was looked at.
        name: Name of the sync that is to be sent.
        sync: What it is now.
        path: The file of the plan as it is now; None where it has no operations.
        counts: Operations of it, by kind.
        settings: Hash of the connection's settings as they are now.

    Raises:
        ConfigurationError: Says what changed since.
    """
    remedy = "look at `millstream plan` again, and save it anew with --out."
    if saved.sync != name:
        raise ConfigurationError(f"The plan is for sync {saved.sync!r}, not {name!r}.", where="--plan")
    if saved.definition != definition_of(sync):
        raise ConfigurationError(
            f"The sync was changed in the project file since {saved.made_at}. Nothing was sent.",
            where=f"sync {name}",
            remedy=remedy,
        )
    if saved.settings not in (None, settings):
        raise ConfigurationError(
            f"The destination {sync.destination!r} was changed in the project file since {saved.made_at}. "
            "Nothing was sent.",
            where=f"sync {name}",
            remedy=remedy,
        )
    if saved.rows != rows_of(path):
        was, now = _said(saved.counts), _said(counts)
        said = f"then {was}, now {now}" if was != now else f"{now} as then, but of other people or with other values"
        raise ConfigurationError(
            f"The data changed since {saved.made_at}: {said}. Nothing was sent.",
            where=f"sync {name}",
            remedy=remedy,
        )


def definition_of(sync: Sync) -> str:
    """A hash of what a sync is."""
    return hashlib.sha256(orjson.dumps(sync.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).hexdigest()


def settings_of(settings: DestinationSettings) -> str:
    """A hash of a connection's settings. A secret may be another one by now: it opens the same account."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def rows_of(path: Path | None) -> str:
    """A hash of a plan's operations, in their order."""
    digest = hashlib.sha256()
    if path is not None:
        with pq.ParquetFile(path) as plan:
            for batch in plan.iter_batches(columns=list(_COMPARED)):
                for row in zip(*(batch[name].to_pylist() for name in _COMPARED), strict=True):
                    digest.update(orjson.dumps(row))
    return digest.hexdigest()


def _counts(table: pa.Table) -> dict[str, int]:
    counted = table["operation"].value_counts().to_pylist()
    return {str(entry["values"]): int(entry["counts"]) for entry in counted}


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} to {kind}" for kind, count in sorted(counts.items()) if count) or "nothing to send"
