"""The folder, bucket or server on which files lie: what is there, and reading it. Errors become Millstream's own."""

from __future__ import annotations

import glob
import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from millstream.sources.files.settings import FilesSettings
from millstream.state.errors import MillstreamError, NotFoundError, SchemaError
from millstream.state.vendors.files import PlaceAccess, error_of, open_place

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_CHUNK = 1024 * 1024
ARCHIVE = ".zip"
"""How the name of a file ends that holds other files; their rows name it and the file in it."""


@dataclass(frozen=True)
class FoundFile:
    """A file as it was listed.

    Attributes:
        path: From the folder on.
        url: Where it is.
        size: Bytes.
        modified: When it was last changed.
    """

    path: str
    url: str
    size: int
    modified: datetime

    @property
    def version(self) -> str:
        """Changes when the file does."""
        return f"{self.modified:%Y-%m-%dT%H:%M:%S.%fZ} {self.size}"


class Place:
    """Where the files are.

    Args:
        settings: The folder and how to get at it.
    """

    def __init__(self, settings: FilesSettings) -> None:
        self._settings = settings
        self.protocol = settings.url.partition("://")[0] if "://" in settings.url else "file"
        self.url = settings.url if "://" in settings.url else f"file://{Path(settings.url).absolute()}"

    @cached_property
    def _files(self) -> AbstractFileSystem:
        settings = self._settings
        return open_place(
            PlaceAccess(
                url=self.url,
                username=settings.username,
                password=settings.password,
                service_account=settings.service_account,
                options=settings.options,
            )
        )

    def check(self) -> None:
        """See that the folder is there.

        Raises:
            MillstreamError: It is not, or may not be looked at.
        """
        with self._our_errors(self._settings.url):
            if not self._files.exists(self.url):
                raise NotFoundError(
                    f"There is no folder {self._settings.url}.",
                    remedy="check `url`; a relative path starts at the project file's folder.",
                )
            if self.protocol == "file" and not self._files.isdir(self.url):
                raise NotFoundError(
                    f"{self._settings.url} is no folder.", remedy="let `url` name the folder, and `files` the file."
                )

    def listing(self, pattern: str) -> list[FoundFile]:
        """The files that a pattern matches, those changed first before the others.

        Raises:
            MillstreamError: The folder is not there, or may not be looked at.
        """
        self.check()
        with self._our_errors(pattern):
            listed = self._in_folder(pattern) if self.protocol == "file" else self._elsewhere(pattern)
            found = [file for file in listed if not file.path.rpartition("/")[2].startswith(("~$", "."))]
        return sorted(found, key=lambda file: (file.modified, file.path))

    def _in_folder(self, pattern: str) -> Iterator[FoundFile]:
        """Of this machine; dlt's listing escapes odd letters of names, and none of those files could be opened."""
        folder = Path(self.url.removeprefix("file://"))
        for path in {folder / name for name in glob.glob(pattern, root_dir=folder, recursive=True)}:
            if path.is_file():
                facts = path.stat()
                changed = datetime.fromtimestamp(facts.st_mtime, UTC)
                yield FoundFile(path.relative_to(folder).as_posix(), str(path), facts.st_size, changed)

    def _elsewhere(self, pattern: str) -> Iterator[FoundFile]:
        from dlt.common.storages.fsspec_filesystem import glob_files

        for item in glob_files(self._files, self.url, pattern, fetch_file_info=True):
            changed = item["modification_date"].astimezone(UTC)
            yield FoundFile(item["relative_path"], item["file_url"], item.get("size_in_bytes", 0), changed)

    def look_again(self, file: FoundFile) -> FoundFile | None:
        """The file as it is now; None if it is gone."""
        return next((found for found in self.listing(_literally(file.path)) if found.path == file.path), None)

    @contextmanager
    def parts(self, file: FoundFile) -> Iterator[Iterator[tuple[str, BinaryIO]]]:
        """A file's content, taken out of its compression: one part, or one for each file in an archive.

        Raises:
            MillstreamError: It cannot be read.
        """
        with self._our_errors(file.path), self._open(file) as opened:
            yield _parts(file.path, opened)

    def checksum(self, file: FoundFile) -> str | None:
        """Tells equal content under another name or date; None where reading it once more would cost a download."""
        if self.protocol != "file":
            return None
        digest = hashlib.blake2b(digest_size=16)
        with self._our_errors(file.path), self._open(file) as opened:
            while data := opened.read(_CHUNK):
                digest.update(data)
        return digest.hexdigest()

    def _open(self, file: FoundFile) -> IO[bytes]:
        return cast("IO[bytes]", self._files.open(file.url, "rb"))

    @contextmanager
    def _our_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except MillstreamError:
            raise
        except Exception as error:
            ours = _ours(error, what)
            if ours is None:
                raise
            raise ours from error


def _literally(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _parts(path: str, opened: IO[bytes]) -> Iterator[tuple[str, BinaryIO]]:
    name = path.lower()
    if name.endswith(".gz"):
        with gzip.GzipFile(fileobj=opened) as content:
            yield path, cast("BinaryIO", content)
    elif name.endswith(ARCHIVE):
        with zipfile.ZipFile(opened) as archive:
            for member in archive.infolist():
                hidden = any(part.startswith((".", "__MACOSX")) for part in member.filename.split("/"))
                if not member.is_dir() and not hidden:
                    with _member(archive, member, path) as inside:
                        yield f"{path}/{member.filename}", cast("BinaryIO", inside)
    else:
        yield path, cast("BinaryIO", opened)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> IO[bytes]:
    """A file of an archive, opened.

    Raises:
        SchemaError: It has a password, or is packed in a way that is not known here.
    """
    try:
        return archive.open(member)
    except RuntimeError as error:
        raise SchemaError(
            f"{path} cannot be unpacked: {error}.", remedy="have it packed without a password, by deflate."
        ) from error


def _ours(error: Exception, what: str) -> MillstreamError | None:
    """An error of reading as ours: of a broken file, or of the place."""
    kind, text = type(error).__name__, str(error)[:200]
    if isinstance(error, (gzip.BadGzipFile, zipfile.BadZipFile, EOFError, UnicodeError)) or kind == "error":
        return SchemaError(f"{what} cannot be unpacked: {text}.", remedy="have it written anew.")
    return error_of(error, what, done="read")
