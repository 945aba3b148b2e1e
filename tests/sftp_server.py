"""An SFTP server on this machine, of another make than the client: its files lie in a folder, and it can fail."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "millstream", "sandbox-sftp"


@dataclass
class SftpServer:
    """A running server.

    Attributes:
        folder: What its users see as the root.
        port: Where it listens.
        host_key: How it is known.
        fingerprint: The same, as people compare it.
        failures: So many files are refused with a failure when they are opened for writing.
        lost_answers: So many renames are carried out, and the connection is cut before the answer.
        cuts_uploads_after: The connection is cut when an upload has so many bytes.
        renames_over: Whether it can rename over a file that is there.
        logins: Logins so far.
    """

    folder: Path
    port: int = 0
    host_key: str = ""
    fingerprint: str = ""
    failures: int = 0
    lost_answers: int = 0
    cuts_uploads_after: int | None = None
    renames_over: bool = True
    logins: int = 0
    _connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        """A folder of it, which is not there yet."""
        return "sftp://127.0.0.1/out"

    def behave(self) -> None:
        """Do all as it should be done."""
        self.failures = self.lost_answers = 0
        self.cuts_uploads_after = None


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._server._connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        right = (username, password) == (USER, PASSWORD)
        self._server.logins += right
        return right


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, server: SftpServer) -> None:
        super().__init__(channel, chroot=str(server.folder).encode())
        self._server = server
        self._connection = channel.get_connection()

    def open(self, path: bytes, pflags: int, attrs: Any) -> Any:
        if pflags & asyncssh.FXF_WRITE and self._server.failures:
            self._server.failures -= 1
            raise asyncssh.SFTPFailure("busy")
        return super().open(path, pflags, attrs)

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        done = super().write(file_obj, offset, data)
        limit = self._server.cuts_uploads_after
        if limit is not None and offset + len(data) > limit:
            self._connection.abort()
        return done

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        if Path(self._server.folder, newpath.decode().lstrip("/")).exists():
            raise asyncssh.SFTPFailure("there is such a file")
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        if not self._server.renames_over:
            raise asyncssh.SFTPOpUnsupported("posix-rename")
        done = super().posix_rename(oldpath, newpath)
        if self._server.lost_answers:
            self._server.lost_answers -= 1
            self._connection.abort()
        return done


@contextmanager
def sftp_server(folder: Path) -> Iterator[SftpServer]:
    """A server that keeps its files in a folder."""
    server = SftpServer(folder)
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.host_key = " ".join(key.export_public_key().decode().split()[:2])
    server.fingerprint = key.get_fingerprint()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=lambda: _Login(server),
            server_host_keys=[key],
            sftp_factory=lambda channel: _Files(channel, server),
        )

    listener = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    server.port = listener.get_port()
    yield server

    async def close() -> None:
        listener.close()
        for connection in server._connections:
            connection.abort()
            await connection.wait_closed()
        await listener.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
