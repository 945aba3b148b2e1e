"""Settings of the source ``files``: where the files are, and which tables they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.sources.contract import ColumnType, DeclaredSettings
from millstream.sources.from_project import (
    ColumnName,
    Declared,
    DeletedSettings,
    StreamName,
    StreamSettings,
)
from millstream.sources.typed_values import Format
from millstream.state.project_root import at_project_root
from millstream.state.vendors.files import encoding_named
from millstream.state.zones import ZoneName

FileFormat = Literal["csv", "jsonl", "parquet", "xml", "excel"]
QUARANTINE = "quarantine"
SUFFIXES: Mapping[str, FileFormat] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".xml": "xml",
    ".xlsx": "excel",
    ".xls": "excel",
    ".xlsb": "excel",
    ".ods": "excel",
}
COMPRESSED = (".gz", ".zip")


class ColumnFormat(Declared):
    """How a column is written, where its type alone does not say."""

    type: ColumnType = Field(default="text", description="What its values become.")
    format: str | None = Field(default=None, description="How dates and times are written, as '%d.%m.%Y %H:%M'.")


class FileStream(StreamSettings):
    """Files that make one table."""

    files: str = Field(
        min_length=1, description="Which files, from the folder on: customers/*.csv; ** stands for any folders."
    )
    format: FileFormat | None = Field(default=None, description="Left out: by the name, before .gz or .zip.")
    primary_key: tuple[ColumnName, ...] = Field(
        default=(), description="Columns that make a row unique over all files; left out: the file and the line."
    )
    columns: Mapping[ColumnName, ColumnType | ColumnFormat] = Field(
        default_factory=dict, description="Types of columns, or {type, format}; the others are text."
    )
    encoding: str = Field(
        default="utf-8", validate_default=True, description="Of csv and jsonl: utf-8, latin-1, cp1252, utf-16, …"
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="Of csv; left out: comma, semicolon, tab or |, whichever the header has most of."
    )
    quote: str = Field(default='"', min_length=1, max_length=1, description="Of csv: around values with delimiters.")
    decimal: Literal[".", ","] = Field(default=".", description="What stands before the decimals of a number.")
    skip_lines: int = Field(default=0, ge=0, description="Lines of csv, or rows of a sheet, above the header.")
    header: tuple[str, ...] = Field(default=(), description="Names of the columns, where no header says them.")
    row: str | None = Field(default=None, description="Of xml: the element that is a row.")
    sheet: str | None = Field(default=None, description="Of excel: the sheet; left out: the first.")
    missing: tuple[str, ...] = Field(default=(), description="Words that mean no value, as 'NULL' or '-'.")
    deleted: ColumnName | DeletedSettings | None = Field(
        default=None, description="Which rows are deleted: a column that is true or false, or {column, values}."
    )
    replace: Literal["none", "file"] = Field(
        default="none", description="file: rows that a changed file no longer has are marked as deleted."
    )
    vanished: Literal["keep", "delete"] = Field(
        default="keep", description="delete: the rows of a file that is gone are marked as deleted."
    )

    def given_types(self) -> Mapping[str, ColumnType]:
        """Columns whose type the project file says."""
        given = {name: said if isinstance(said, str) else said.type for name, said in self.columns.items()}
        return {self.deleted: "bool", **given} if isinstance(self.deleted, str) else given

    @property
    def tells_deleted(self) -> bool:
        """Whether rows of this stream can be marked as deleted."""
        return self.deleted is not None or self.replace == "file" or self.vanished == "delete"

    @property
    def written_as(self) -> FileFormat:
        """The format of the files."""
        found = self.format or _format_of(self.files)
        assert found is not None
        return found

    def form(self, column: str, zone: ZoneInfo) -> Format:
        """How a column is written."""
        said = self.columns.get(column)
        pattern = said.format if isinstance(said, ColumnFormat) else None
        return Format(self.types().get(column, "text"), pattern, self.decimal == ",", zone)

    @field_validator("files")
    @classmethod
    def _below_the_folder(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/") or "://" in value:
            raise ValueError(f"{value!r} leaves the folder: it starts at the folder that `url` names")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        name = encoding_named(value)
        return "utf-8-sig" if name == "utf-8" else name

    @model_validator(mode="after")
    def _can_be_read(self) -> FileStream:
        if self.format is None and _format_of(self.files) is None:
            known = ", ".join(sorted(set(SUFFIXES.values())))
            raise ValueError(f"the name {self.files!r} does not say a format: add `format`, one of {known}")
        if self.written_as == "xml" and not self.row:
            raise ValueError("xml needs `row`: the element that is a row")
        return self


def _format_of(name: str) -> FileFormat | None:
    name = name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return next((found for suffix, found in SUFFIXES.items() if name.endswith(suffix)), None)


class FilesSettings(DeclaredSettings):
    """Files of one folder, bucket or server."""

    url: str = Field(
        description="The folder: a path (a relative one starts at the project file's folder), s3://…, gs://…, "
        "az://…, sftp://…"
    )
    streams: Mapping[StreamName, FileStream] = Field(
        min_length=1, description="Tables by name, each with its files, types, key, and what it says of people."
    )
    username: str | None = Field(
        default=None, description="S3: access key id; Azure: storage account; SFTP: user. Left out: the machine's own."
    )
    password: SecretStr | None = Field(
        default=None, description="S3: secret access key; Azure: account key; SFTP: password."
    )
    service_account: SecretStr | None = Field(default=None, description="Google Cloud: the key file, its JSON as text.")
    options: Mapping[str, str | int | bool] = Field(
        default_factory=dict, description="More for the file system: endpoint_url, port, key_filename, …"
    )
    timezone: ZoneName = Field(default="UTC", description="Time zone of times that name none, as Europe/Berlin.")
    settle_seconds: float = Field(
        default=5.0, ge=0, description="A file changed within so many seconds may still be written: it is waited for."
    )
    keep_broken_text: bool = Field(
        default=False, description="Keep the text of broken rows in quarantine, which are personal data; else a hash."
    )
    most_broken_rows: int = Field(
        default=1_000, ge=0, description="A file with more broken rows than this is refused: its format is another."
    )

    @field_validator("url")
    @classmethod
    def _from_the_project(cls, value: str, info: ValidationInfo) -> str:
        return value if "://" in value else at_project_root(value, info)

    @field_validator("streams")
    @classmethod
    def _not_the_quarantine(cls, value: Mapping[str, FileStream]) -> Mapping[str, FileStream]:
        if QUARANTINE in value:
            raise ValueError(f"{QUARANTINE!r} is the table of broken rows: take another name")
        return value
