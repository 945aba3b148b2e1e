"""Appending to the spool: what comes in while one write is on its way to the disk goes there together next."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from millstream.sources.receiving import spool

logger = logging.getLogger("millstream.receive")

FILE_BYTES = 32 * 1024 * 1024
FILE_SECONDS = 60.0
LOOK_SECONDS = 1.0
_MEGABYTE = 1024 * 1024
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True)
class NoRoom:
    """Why nothing can be kept now.

    Attributes:
        status: 507 where the disk is full, 503 where it is only us who want no more.
        reason: For whoever sent something.
        retry_after: Seconds after which it is worth trying again.
    """

    status: int
    reason: str
    retry_after: int = 30


_NOT_KEPT = NoRoom(503, "It could not be kept.")


class NoRoomError(Exception):
    """Nothing can be kept now."""

    def __init__(self, why: NoRoom) -> None:
        super().__init__(why.reason)
        self.why = why


@dataclass
class _File:
    path: Path
    descriptor: int
    opened: float
    bytes: int = 0

    @property
    def is_done(self) -> bool:
        return self.bytes >= FILE_BYTES or (self.bytes > 0 and time.monotonic() - self.opened >= FILE_SECONDS)


class SpoolWriter:
    """Appends to files of its own. ``add`` is called in one event loop; files are written in a thread.

    Args:
        folder: The spool; made when missing, for nobody else to read.
        most_mb: Size of the spool beyond which nothing is added.
        free_mb: Free space on the disk below which nothing is added.
    """

    def __init__(self, folder: Path, *, most_mb: int, free_mb: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._most, self._free = most_mb * _MEGABYTE, free_mb * _MEGABYTE
        self._file: _File | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._committing: asyncio.Task[None] | None = None
        self._looking = threading.Lock()
        self._looked = float("-inf")
        self._no_room: NoRoom | None = None
        self.bytes = 0
        self.free = 0
        self.commits = 0

    async def add(self, lines: bytes) -> None:
        """Keep lines: when this comes back, they are on the disk.

        Raises:
            NoRoomError: They are not, and are not to be counted on.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((lines, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        await done

    async def _commit(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                taken, self._waiting = self._waiting, []
                lines = b"".join(lines for lines, _ in taken)
                why: NoRoom | None = _NOT_KEPT
                try:
                    await loop.run_in_executor(self._thread, self._append, lines)
                    why = None
                except NoRoomError as error:
                    why = error.why
                finally:
                    _settle(taken, why)
        finally:
            self._committing = None

    def look(self) -> NoRoom | None:
        """Why nothing can be added now, by a look at the disk that is a second old at most."""
        with self._looking:
            if time.monotonic() - self._looked >= LOOK_SECONDS:
                self._measure()
            return self._no_room

    def _measure(self) -> None:
        try:
            room = os.statvfs(self.folder)
            self.free, self.bytes = room.f_bavail * room.f_frsize, spool.size(self.folder)
        except OSError as error:
            self._refuse(NoRoom(507, f"The spool cannot be looked at: {error.strerror}."))
            return
        if self.free < self._free:
            self._refuse(NoRoom(507, "The disk is nearly full."))
        elif self.bytes >= self._most:
            self._refuse(NoRoom(503, "Too much is waiting to be loaded."))
        else:
            self._refuse(None)

    def _refuse(self, why: NoRoom | None) -> None:
        """Refuse what comes, or take it again, until the next look."""
        before, self._no_room = self._no_room, why
        self._looked = time.monotonic()
        if why and why != before:
            logger.warning("Senders are told to come later: %s", why.reason)
        if before and not why:
            logger.warning("There is room again.")

    def _append(self, lines: bytes) -> None:
        if why := self.look():
            raise NoRoomError(why)
        try:
            if self._file is None or self._file.is_done:
                self._close_file()
                self._file = self._new_file()
            left = memoryview(lines)
            while left:
                left = left[os.write(self._file.descriptor, left) :]
            _sync(self._file.descriptor)
        except OSError as error:
            # What a file holds after a failed write or sync is anybody's guess: it is never written to again.
            self._close_file()
            why = NoRoom(507, f"The spool cannot be written: {error.strerror}.")
            with self._looking:
                self._refuse(why)
            raise NoRoomError(why) from error
        self._file.bytes += len(lines)
        self.commits += 1

    def _new_file(self) -> _File:
        """An empty file, locked before anybody can see it under its name."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"
        hidden, path = self.folder / f".{name}", self.folder / f"{name}{spool.SUFFIX}"
        descriptor = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            spool.take_lock(descriptor)
            hidden.rename(path)
            _sync_folder(self.folder)
        except OSError:
            os.close(descriptor)
            raise
        return _File(path, descriptor, time.monotonic())

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file.descriptor)
            self._file = None

    def rest(self) -> None:
        """Close a file that has been open for long, so that it can be removed once it is loaded."""
        self._thread.submit(self._close_if_done)

    def _close_if_done(self) -> None:
        if self._file is not None and self._file.is_done:
            self._close_file()

    def close(self) -> None:
        """Finish what is being written, and close the file."""
        self._thread.shutdown(wait=True)
        self._close_file()


def _settle(taken: list[tuple[bytes, asyncio.Future[None]]], why: NoRoom | None) -> None:
    for _, done in taken:
        if done.done():
            continue
        if why is None:
            done.set_result(None)
        else:
            done.set_exception(NoRoomError(why))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
