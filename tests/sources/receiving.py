"""Sending to a receiver without a socket, and loading what it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson

from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import IngestReport, ingest
from millstream.sources.receiving.application import Reception
from millstream.sources.receiving.serving import application
from millstream.sources.segment import Segment, SegmentSettings
from millstream.state.identity.resolve import resolve
from millstream.state.identity.rules import IdentityRules
from millstream.state.model.build import build_model
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.store import DuckDBStore, Store
from tests.sources.loading import QUICK

KEY = "wk-web-1"


@dataclass(frozen=True)
class Post:
    """A request to be sent."""

    path: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = KEY
    method: str = "POST"

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Send it."""
        content = self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)
        auth = httpx.BasicAuth(self.key, "") if self.key else None
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return await client.request(self.method, self.path, content=content, headers=headers, auth=auth)


class Place:
    """A folder with a source, its spool, and a store into which it is loaded."""

    def __init__(self, folder: Path, store: Store | None = None, **settings: Any) -> None:
        self.folder = folder
        self.settings = {"spool": str(folder / "spool"), "write_keys": {"web": KEY}, "free_disk_mb": 0, **settings}
        self.store = store or DuckDBStore(folder / "store.duckdb")

    def source(self, **settings: Any) -> Segment:
        """The source."""
        return Segment(SegmentSettings.model_validate({**self.settings, **settings}))

    def app(self, **settings: Any) -> Reception:
        """Its receiver."""
        return application(self.source(**settings))

    def send(self, *posts: Post, app: Reception | None = None, **settings: Any) -> list[httpx.Response]:
        """Send requests side by side to a receiver, which is closed after it if it is not given."""
        receiver = app or self.app(**settings)
        try:
            return asyncio.run(_send(receiver, posts))
        finally:
            if app is None:
                receiver.writer.close()

    def call(self, name: str, *messages: Mapping[str, Any]) -> None:
        """Have calls taken."""
        for answer in self.send(*(Post(f"/v1/{name}", message) for message in messages)):
            assert answer.status_code == 200, answer.text

    def lines(self) -> list[dict[str, Any]]:
        """What is in the spool: the records, with their kinds."""
        found = []
        for path in self.files():
            for line in path.read_bytes().splitlines():
                kind, _, record = line.split(b" ", 2)
                found.append({"kind": kind.decode(), **orjson.loads(record)})
        return found

    def files(self) -> list[Path]:
        """The spool's files."""
        return sorted((self.folder / "spool").glob("*.spool"))

    def pull(self, source: Segment | None = None, **options: Any) -> IngestReport:
        """Load what was received."""
        pull = SourcePull(source or self.source(), retries=QUICK, **options)
        return ingest(pull, self.store, name="segment", pipelines=self.folder / "dlt")

    def people(self, *, rules: IdentityRules | None = None, plan: TrackingPlan | None = None) -> None:
        """Load what was received, and work out who is who."""
        assert [str(error) for error in self.pull().errors] == []
        rules, now = rules or IdentityRules(), datetime.now(UTC)
        with self.store.open() as connection:
            build_model(
                connection, "segment", self.source().streams(), plan=plan or TrackingPlan(), rules=rules, now=now
            )
            resolve(connection, rules, run_id=f"run-{now.timestamp()}", now=now)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the store."""
        with self.store.open() as connection:
            return connection.execute(query).fetchall()


async def _send(app: Reception, posts: Sequence[Post]) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
        return list(await asyncio.gather(*(post.send(client) for post in posts)))
