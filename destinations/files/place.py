"""The folder, bucket or server that files are written to: each appears there whole, or not at all."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar, cast

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from millstream.destinations.stopping import sleep_unless_stopped
from millstream.state.errors import MillstreamError, NotFoundError, PermissionDeniedError, RetryableError
from millstream.state.vendors.files import PlaceAccess, error_of, open_place

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_ATTEMPTS = 5
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 30.0
_PART = ".part"
"""Ends the name of a file that is being written, where a place shows files before they are whole."""

Given = TypeVar("Given")


class Place:
    """Where files go.

    Args:
        access: The place and the credential.
        first_wait: Seconds before the second try.

    Attributes:
        writes: Files that were begun to be written, tries included.
    """

    def __init__(self, access: PlaceAccess, *, first_wait: float = _FIRST_WAIT) -> None:
        self._access = access
        self._first_wait = first_wait
        self._opened: AbstractFileSystem | None = None
        self.writes = 0

    @property
    def shows_parts(self) -> bool:
        """Whether a file can be seen while it is written; object stores show only whole ones."""
        return self._access.protocol in ("file", "sftp")

    def url(self, name: str) -> str:
        """Where a file is."""
        return f"{self._access.url.rstrip('/')}/{name}"

    def check(self) -> None:
        """See that the place answers and may be looked at.

        Raises:
            MillstreamError: It does not.
        """
        try:
            self._tried(self._access.url, "read", lambda files: files.ls(self._path(""), detail=False))
        except NotFoundError:
            # Folders are made when the first file comes. A bucket is not, so is asked for itself.
            if not self.shows_parts and self._access.protocol != "memory":
                bucket = self._path("").split("/")[0]
                self._tried(self._access.url, "read", lambda files: files.ls(bucket, detail=False))

    def put(self, source: Path, name: str) -> None:
        """Write a file, under its name only once it is whole; one that is there is replaced.

        Raises:
            MillstreamError: It was not written.
        """

        def write(files: AbstractFileSystem) -> None:
            self.writes += 1
            if self._access.protocol == "file":
                _put_into_folder(source, Path(self._path(name)))
            elif self._access.protocol == "sftp":
                _put_on_server(files, source, self._path(name))
            else:
                files.put_file(str(source), self._path(name))

        self._tried(name, "written", write)

    def put_bytes(self, content: bytes, name: str) -> None:
        """As ``put``, of what is in memory."""
        with TemporaryDirectory() as folder:
            source = Path(folder, "content")
            source.write_bytes(content)
            self.put(source, name)

    def get(self, name: str) -> bytes:
        """A file.

        Raises:
            MillstreamError: It cannot be read; ``NotFoundError`` where there is none.
        """
        return cast("bytes", self._tried(name, "read", lambda files: files.cat_file(self._path(name))))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return bool(self._tried(name, "read", lambda files: files.exists(self._path(name))))

    def remove(self, name: str) -> None:
        """Take a file away, if it is there."""

        def take(files: AbstractFileSystem) -> None:
            if files.exists(self._path(name)):
                files.rm_file(self._path(name))

        self._tried(name, "written", take)

    def names(self, folder: str, ending: str) -> list[str]:
        """Names of the files in a folder and those below it; none where there is no folder."""
        root = self._path("").rstrip("/")

        def find(files: AbstractFileSystem) -> list[str]:
            if not files.exists(self._path(folder)):
                return []
            return [str(path) for path in files.find(self._path(folder))]

        found = self._tried(folder or self._access.url, "read", find)
        below = [path[len(root) :].lstrip("/") for path in found if path.startswith(root)]
        return sorted(name for name in below if name.endswith(ending))

    def _path(self, name: str) -> str:
        files = self._files()
        root = str(files._strip_protocol(self._access.url)).rstrip("/")
        return f"{root}/{name}" if name else root or "/"

    def _files(self) -> AbstractFileSystem:
        if self._opened is None:
            self._opened = open_place(self._access)
        return self._opened

    def _tried(self, what: str, done: str, work: Callable[[AbstractFileSystem], Given]) -> Given:
        """Do something with the place, again after what may pass, with a new connection."""
        tries = Retrying(
            retry=retry_if_exception_type(RetryableError),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            sleep=sleep_unless_stopped,
            reraise=True,
        )
        return cast("Given", tries(self._once, what, done, work))

    def _once(self, what: str, done: str, work: Callable[[AbstractFileSystem], Given]) -> Given:
        try:
            return work(self._files())
        except MillstreamError:
            raise
        except Exception as error:
            ours = error_of(error, what, done=done)
            if ours is None:
                raise
            if isinstance(ours, RetryableError):
                self._opened = None
            raise ours.at("files") from error

    def _wait(self, state: RetryCallState) -> float:
        top = min(_LONGEST_WAIT, self._first_wait * 2 ** (state.attempt_number - 1))
        return random.uniform(top / 2, top)


def _put_into_folder(source: Path, target: Path) -> None:
    """Write beside, have it on the disk, rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}")
    shutil.copyfile(source, part)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _put_on_server(files: AbstractFileSystem, source: Path, target: str) -> None:
    """Upload beside, compare sizes, rename over what is there; servers that cannot do that have it taken away first."""
    folder, _, name = target.rpartition("/")
    part = f"{folder}/.{name}{_PART}"
    files.makedirs(folder, exist_ok=True)
    files.ftp.put(str(source), part, confirm=True)
    try:
        files.ftp.posix_rename(part, target)
    except PermissionError as error:
        raise PermissionDeniedError(
            f"{name} may not be renamed.", remedy="let the user rename and replace files in the folder."
        ) from error
    except OSError:
        if files.exists(target):
            files.ftp.remove(target)
        files.ftp.rename(part, target)
