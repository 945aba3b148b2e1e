"""A real PostgreSQL for the tests: the server that MILLSTREAM_TEST_POSTGRES names, or one that is started here.

The one started here lives in a folder of its own, in memory where there is room, listens on a free port of the
loopback interface, writes nothing through to the disk, and is gone with the tests.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from tests.memory import folder_in_memory

GIVEN = "MILLSTREAM_TEST_POSTGRES"
BYTE_BY_BYTE = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8' TEMPLATE template0"
_HASTY = (
    "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "shared_buffers=64MB",
    "max_wal_size=256MB",
)  # fmt: skip
_ROOM = 2 * 1024**3
"""Free bytes from which on the server's files lie in memory; those of each worker come to half of that at most."""


@dataclass(frozen=True)
class Server:
    """A server that makes databases.

    Attributes:
        url: Of its database ``postgres``, with a user who may make others.
    """

    url: str

    @contextmanager
    def database(self, options: str = BYTE_BY_BYTE) -> Iterator[str]:
        """The URL of a new database."""
        name = f"millstream_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} {options}")
        try:
            yield self.url_of(name)
        finally:
            self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url_of(self, database: str) -> str:
        """The URL of one of its databases."""
        return self.url.rsplit("/", 1)[0] + f"/{database}"

    def _execute(self, statement: str) -> None:
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)


def missing() -> str | None:
    """Why there is no PostgreSQL to test on; None where there is one."""
    if os.environ.get(GIVEN) or _programs() is not None:
        return None
    return f"no PostgreSQL here: install Debian's package postgresql, or give the URL of a server in {GIVEN}"


@contextmanager
def running_server() -> Iterator[Server]:
    """A server for the tests of one process."""
    if given := os.environ.get(GIVEN):
        yield Server(given)
        return
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="millstream-postgres-", dir=folder_in_memory(_ROOM)))
    try:
        with _started(programs, folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; Debian keeps them off the path."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _unprivileged() -> dict[str, object]:
    """Who the server runs as: it refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("root cannot run PostgreSQL, and there is no user postgres or nobody")


@contextmanager
def _started(programs: Path, folder: Path) -> Iterator[Server]:
    identity = _unprivileged()
    if identity:
        os.chown(folder, int(str(identity["user"])), int(str(identity["group"])))
    data, log, port = folder / "data", folder / "log", _free_port()
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **identity,
    )  # fmt: skip
    options = [word for setting in (*_HASTY, f"unix_socket_directories={folder}") for word in ("-c", setting)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), *options],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, **identity,
        )  # fmt: skip
    try:
        url = f"postgresql://tester@127.0.0.1:{port}/postgres"
        _wait(url, process, log)
        yield Server(url)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text(errors="replace")
        with suppress(psycopg2.OperationalError):
            psycopg2.connect(url, connect_timeout=5).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"PostgreSQL did not start: {log.read_text(errors='replace')}")


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
