"""What reached the vendors: every row of every write, in the order in which they came."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from millstream.sandbox.request_log import RequestLog
from millstream.sandbox.system import Call

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A row as a vendor got it.

    Attributes:
        system: The vendor.
        key: The person's address.
        fields: What was written.
        refused: Whether the vendor did nothing with it.
        answered: Whether the sender could read an answer that says so, or that it was done.
    """

    system: str
    key: str
    fields: Fields
    refused: bool
    answered: bool


class Witness(RequestLog):
    """A request log that keeps rows, and can act in the middle of a request.

    Attributes:
        ever: All rows that were taken.
        faults: How often each kind of fault hit.
        requests: Requests since the last ``take``.
        writes: Those of them with rows.
        of_each: Requests of each vendor since then.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        super().__init__()
        self._addresses = addresses
        self._lock = threading.Lock()
        self._sent: list[Sent] = []
        self.ever: list[Sent] = []
        self._at: tuple[Callable[[Witness], bool], Callable[[], None]] | None = None
        self.faults: Counter[str] = Counter()
        self.requests = self.writes = 0
        self.of_each: Counter[str] = Counter()

    def add(self, system: str, call: Call, status: int, seconds: float) -> None:
        """Note a request whose work is done, and whose answer is not sent yet."""
        super().add(system, call, status, seconds)
        with self._lock:
            self.requests += 1
            self.of_each[system] += 1
            self.faults.update(list(call.strike.orders))
            rows = [
                Sent(system, key, fields, _refused(call, status) or call.refuses(key), _answered(call, status))
                for key, fields in _rows(call, self._addresses)
            ]
            self._sent += rows
            self.writes += bool(rows)
            if self._at and self._at[0](self):
                act, self._at = self._at[1], None
                act()

    def take(self) -> list[Sent]:
        """The rows since the last time."""
        with self._lock:
            sent, self._sent = self._sent, []
            self.ever += sent
            self.requests = self.writes = 0
            self.of_each.clear()
            return sent

    def act_when(self, now: Callable[[Witness], bool], act: Callable[[], None]) -> None:
        """Do something once a request has come with which a condition holds."""
        with self._lock:
            self._at = (now, act)

    def do_not_act(self) -> None:
        """Forget what was to be done."""
        with self._lock:
            self._at = None


def _refused(call: Call, status: int) -> bool:
    failed = call.strike.get("server_error")
    not_begun = call.strike.get("rate_limited") is not None or (failed is not None and failed.when == "before")
    return not_begun or status in {400, 401, 403, 404}


def _answered(call: Call, status: int) -> bool:
    return 0 < status < 500 and call.strike.get("truncated") is None


def _rows(call: Call, addresses: dict[str, str]) -> Iterator[tuple[str, Fields]]:
    """Address and fields of each row of a request that writes fields."""
    if call.method == "POST" and call.path.endswith("/batch/upsert"):
        for row in _body(call)["inputs"]:
            yield row["id"], _fields(row["properties"])
    elif call.method == "POST" and call.route.template == "/3.0/lists/{list_id}":
        for row in _body(call)["members"]:
            yield row["email_address"], _fields(row.get("merge_fields") or {})
    elif call.method in {"PUT", "PATCH"} and call.route.template.endswith("/members/{member}"):
        if call.params["member"] in addresses:
            yield addresses[call.params["member"]], _fields(_body(call).get("merge_fields") or {})
    elif call.method == "POST" and call.path == "/3.0/batches":
        for operation in _body(call)["operations"]:
            member = str(operation["path"]).partition("/members/")[2]
            if operation["method"] in {"PUT", "PATCH"} and member in addresses:
                written = orjson.loads(str(operation["body"]))
                yield addresses[member], _fields(written.get("merge_fields") or {})


def _body(call: Call) -> Any:
    return orjson.loads(call.body)


def _fields(fields: dict[str, str]) -> Fields:
    return tuple(sorted((name, str(value)) for name, value in fields.items()))
