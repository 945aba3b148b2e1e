"""What stands in the logs of somebody who looks for a fault: no signature, no password, no name of a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from millstream.sources.dlt_source import SourcePull
from millstream.sources.files import Files, FilesSettings
from millstream.sources.ingest import ingest
from millstream.state.library_logs import log_no_contents
from millstream.state.store import DuckDBStore
from tests.sftp_server import PASSWORD, USER, sftp_server

SECRET = "moto-secret-of-ours"
NAME = "ada.example.csv"


@pytest.fixture(autouse=True)
def levels() -> Iterator[None]:
    """The libraries' loggers as they were."""
    names = [name for name in logging.Logger.manager.loggerDict if name.split(".")[0] in ("botocore", "paramiko")]
    before = {name: logging.getLogger(name).level for name in {"botocore", "paramiko", *names}}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def pulled(folder: Path, **settings: Any) -> int:
    """Rows that a pull brings from a place."""
    facts = {"settle_seconds": 0, "streams": {"people": {"files": "*.csv", "primary_key": ["No"]}}, **settings}
    store = DuckDBStore(folder / "store.duckdb")
    report = ingest(SourcePull(Files(FilesSettings(**facts))), store, name="tills", pipelines=folder / "dlt")
    assert report.ok, report.errors
    return report.rows


def test_a_bucket_leaves_no_signature(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        url = "http://{}:{}".format(*server.get_host_and_port())
        owner = {"aws_access_key_id": "AKIAOFOURS", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=url, **owner)
        client.create_bucket(Bucket="exports")
        client.put_object(Bucket="exports", Key=NAME, Body=b"No\n1\n")
        caplog.set_level(logging.DEBUG)
        access = {"username": "AKIAOFOURS", "password": SECRET, "options": {"endpoint_url": url}}
        assert pulled(tmp_path, url="s3://exports", **access) == 1
    finally:
        server.stop()
    _assert_nothing_told(caplog, SECRET, "AKIAOFOURS", "Signature", NAME)


def test_a_server_leaves_no_name_and_no_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "server" / "out").mkdir(parents=True)
    (tmp_path / "server" / "out" / NAME).write_text("No\n1\n")
    with sftp_server(tmp_path / "server") as server:
        caplog.set_level(logging.DEBUG)
        options = {"port": server.port, "host_key": server.fingerprint}
        assert pulled(tmp_path, url=server.url, username=USER, password=PASSWORD, options=options) == 1
    _assert_nothing_told(caplog, PASSWORD, NAME)


def test_a_level_of_its_own_does_not_let_it_tell_more(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("botocore", "botocore.auth"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    log_no_contents("botocore")
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("botocore.auth").debug("what is signed")
    logging.getLogger("botocore.auth").warning("what went wrong")
    assert [record.getMessage() for record in caplog.records] == ["what went wrong"]


def _assert_nothing_told(caplog: pytest.LogCaptureFixture, *words: str) -> None:
    ours = [record for record in caplog.records if not record.name.startswith(("asyncssh", "werkzeug", "moto"))]
    told = {f"{record.name}: {word}" for record in ours for word in words if word in record.getMessage()}
    assert not told
