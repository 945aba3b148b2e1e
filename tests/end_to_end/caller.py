"""Calls the metered vendor as quickly as it may. A program of its own: the tests start several at once.

    python caller.py FOLDER URL SECONDS '{"requests": 40, ...}'

It prints how many requests it made and what they cost, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel, SecretStr

from millstream.destinations.http import Http
from millstream.state.errors import MillstreamError
from millstream.state.http import BearerAuth, RateLimit
from millstream.state.ledger.journal import Journal


class Settings(BaseModel):
    """A connection."""

    base_url: str
    token: SecretStr = SecretStr("metered")


def main(folder: str, url: str, seconds: str, limit: str) -> None:
    """Call until the time is over, in as many threads as the limit allows."""
    journal = Journal("sqlite:///journal.sqlite", root=Path(folder))
    settings = Settings(base_url=f"{url}/metered")
    allowed = RateLimit(**json.loads(limit))
    budget = journal.budgets.of("metered", settings, allowed)
    http = Http(
        system="metered", base_url=settings.base_url, auth=BearerAuth(settings.token), limit=allowed, budget=budget
    )
    ends = time.monotonic() + float(seconds)
    errors: list[str] = []

    def call() -> None:
        try:
            while time.monotonic() < ends:
                http.get("things")
        except MillstreamError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(allowed.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    sys.stdout.write(json.dumps({"calls": http.calls, "cpu": time.process_time(), "errors": errors}))


if __name__ == "__main__":
    main(*sys.argv[1:])
