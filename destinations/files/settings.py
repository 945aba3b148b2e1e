"""What a project says about files that are written: where to, how they are called, and what is in them."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from millstream.destinations.contract import DestinationSettings, FieldType
from millstream.destinations.files.naming import check_template
from millstream.state.project_root import at_project_root
from millstream.state.vendors.files import PROTOCOLS, PlaceAccess, encoding_named

FileFormat = Literal["csv", "jsonl", "parquet"]
Compression = Literal["none", "gzip", "zstd"]
HashedAs = Literal["email", "phone", "text"]


class FilesSettings(DestinationSettings):
    """Files in one folder, bucket or on one server."""

    base_url: str = Field(default="", description="Left out: `url` says where the files go.")
    url: str = Field(
        description="The folder: a path (a relative one starts at the project file's folder), s3://…, gs://…, az://…, "
        "sftp://…"
    )
    username: str | None = Field(
        default=None, description="S3: access key id; Azure: storage account; SFTP: user. Left out: the machine's own."
    )
    password: SecretStr | None = Field(
        default=None, description="S3: secret access key; Azure: account key; SFTP: password."
    )
    service_account: SecretStr | None = Field(default=None, description="Google Cloud: the key file, its JSON as text.")
    options: Mapping[str, str | int | bool] = Field(
        default_factory=dict,
        description="More for the file system: endpoint_url, port, key_filename, host_key (of an SFTP server), …",
    )
    format: FileFormat = Field(default="csv", description="How files are written.")
    compression: Compression = Field(default="none", description="How files are packed; Parquet does it inside.")
    path: str = Field(
        default="{audience}/dt={date}/{operation}-{id}",
        description="Name of a file of changes from the folder on, without its ending: {audience}, {sync}, {date}, "
        "{year}, {month}, {day}, {operation}, {id}.",
    )
    full_path: str | None = Field(
        default=None,
        description="Name of a file with everybody (mode replace), where it is another; without {id} each takes the "
        "place of the one before.",
    )
    rows_per_file: int = Field(default=50_000, ge=1, le=5_000_000, description="Most rows in a file of changes.")
    types: Mapping[str, FieldType] = Field(
        default_factory=dict,
        description="Types of columns: number, boolean, date, timestamp; the others are text.",
    )
    hashed: Mapping[str, HashedAs] = Field(
        default_factory=dict,
        description="Columns that are written as SHA-256, and what they are: email (in lower case), phone (+ and "
        "digits), text (as it is). The match key may be one.",
    )
    encoding: str = Field(
        default="utf-8", description="Of csv: utf-8, utf-8-sig (with a mark for spreadsheets), latin-1, cp1252, …"
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(default=",", description="Of csv.")
    line_end: Literal["lf", "crlf"] = Field(default="lf", description="Of csv: what ends a line.")
    null: str = Field(default="", description="Of csv: what stands where there is no value, without quotes.")
    guard_formulas: bool = Field(
        default=False,
        description="Of csv: put ' before text that a spreadsheet would take for a formula. It changes the values.",
    )

    @property
    def root(self) -> str:
        """The folder as a URL."""
        return self.url if "://" in self.url else f"file://{Path(self.url).absolute()}"

    @property
    def access(self) -> PlaceAccess:
        """The place and the credential."""
        return PlaceAccess(
            url=self.root,
            username=self.username,
            password=self.password,
            service_account=self.service_account,
            options=self.options,
        )

    @property
    def full_template(self) -> str:
        """Name of a file with everybody."""
        return self.full_path or self.path

    @field_validator("url")
    @classmethod
    def _from_the_project(cls, value: str, info: ValidationInfo) -> str:
        if "://" not in value:
            return at_project_root(value, info)
        if value.partition("://")[0] not in PROTOCOLS:
            raise ValueError(f"files cannot be written there; write a path or one of {', '.join(PROTOCOLS)}://")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        name = encoding_named(value)
        if not codecs.lookup(value)._is_text_encoding:
            raise ValueError(f"{value!r} is no encoding of text")
        return name

    @field_validator("delimiter")
    @classmethod
    def _can_divide(cls, value: str) -> str:
        if value in '"\r\n':
            raise ValueError("a quote or a line's end cannot be the delimiter")
        return value

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        check_template(self.path, needs_id=True)
        check_template(self.full_template, needs_id=False)
        if any(letter in self.null for letter in f'"\r\n{self.delimiter}'):
            raise ValueError("null holds a quote, a delimiter or a line's end, so would not be read as it is")
        if self.format != "csv" and self.encoding != "utf-8":
            raise ValueError(f"{self.format} is UTF-8 always: leave encoding out, or write csv")
        wrong = sorted(name for name in self.hashed if self.types.get(name, "text") != "text")
        if wrong:
            raise ValueError(f"{wrong[0]} is hashed, so is text: leave it out of types")
        return self
