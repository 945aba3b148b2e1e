"""Manifests: what a file holds, written after it. A file without one was never finished, and is to be ignored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal

import orjson

from millstream.destinations.files.settings import Compression, FileFormat
from millstream.state.errors import SchemaError

VERSION = 1

Kind = Literal["full", "changes"]
Verb = Literal["full", "upsert", "remove", "delete"]


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """A file of a manifest.

    Attributes:
        name: Its name, in the folder of the manifest.
        rows: Its rows, without the header.
        bytes: Its size.
        sha256: Of its bytes, in hexadecimal digits.
    """

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What was written.

    Attributes:
        kind: Everybody, or changes.
        operation: What the rows of the file are for; ``full`` where they are everybody.
        audience: Name of the audience; None where the rows are about people as such.
        sync: The sync; None outside of a delivery.
        plan: The plan; None outside of a delivery.
        written_at: When; of two manifests of an audience, the later one holds.
        match_key: The column by which people are known.
        columns: All columns, in order.
        hashed: Those that are hashed.
        format: How the file is written.
        encoding: Of its text.
        delimiter: Between its cells.
        compression: How it is packed.
        files: The files; one.
        version: Of the manifest's own form.
    """

    kind: Kind
    operation: Verb
    audience: str | None
    sync: str | None
    plan: str | None
    written_at: datetime
    match_key: str
    columns: tuple[str, ...]
    hashed: tuple[str, ...]
    format: FileFormat
    encoding: str
    delimiter: str
    compression: Compression
    files: tuple[WrittenFile, ...]
    version: int = VERSION

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    def as_json(self) -> bytes:
        """As it is written."""
        return orjson.dumps({"rows": self.rows, **asdict(self)}, option=orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z)

    @classmethod
    def parse(cls, content: bytes, name: str) -> Manifest:
        """A manifest that was written.

        Args:
            content: It.
            name: Its file.

        Raises:
            SchemaError: It is none, or one of a later version.
        """
        try:
            facts = orjson.loads(content)
            if facts["version"] != VERSION:
                raise ValueError(f"version {facts['version']}")
            files = tuple(WrittenFile(**file) for file in facts.pop("files"))
            facts.pop("rows")
            facts |= {name: tuple(facts[name]) for name in ("columns", "hashed")}
            written_at = datetime.fromisoformat(facts.pop("written_at"))
            return cls(**facts, written_at=written_at, files=files)
        except (ValueError, KeyError, TypeError) as error:
            raise SchemaError(
                f"The manifest {name} cannot be read ({error}).", remedy="take it away if it is not Millstream's."
            ) from error
