"""What all stand-ins share: routing, authentication, limits, faults, the request log and JSON answers.

A system declares its routes and facts and codes its handlers; see the README for how to write one.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar
from urllib.parse import parse_qsl

import orjson
from pydantic import BaseModel, ValidationError

from millstream.sandbox.company import Company
from millstream.sandbox.faults import FaultOrder, Faults, Strike, rename_everywhere, row_is_refused
from millstream.sandbox.request_log import RequestLog
from millstream.sandbox.tokens import Tokens
from millstream.sandbox.wire import cut_connection, read_body, send_answer

if TYPE_CHECKING:
    from datetime import date

    from starlette.types import Receive, Scope, Send

JsonObject = dict[str, object]
Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """How a sandbox is set up.

    Attributes:
        people: Size of the made-up company.
        seed: Another seed is another company.
        today: The company's present (default: the current day in UTC).
        port: TCP port on the loopback interface; 0 takes a free one.
        limits: Whether the vendors' rate limits are enforced.
        latency_ms: How long every answer is held back.
        truth: File that the truth is written to at start.
    """

    people: int = 5000
    seed: int = 7
    today: date | None = None
    port: int = 8790
    limits: bool = True
    latency_ms: float = 0
    truth: Path | None = None


@dataclass(slots=True)
class Answer:
    """What a handler gives back. `body` is JSON-ready, or bytes to be sent as they are."""

    body: object = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    def encoded(self) -> bytes:
        """The bytes of the body."""
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else orjson.dumps(self.body)


class ApiError(Exception):
    """A refusal in the vendor's own words."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.answer = Answer(body, status, dict(headers or {}))


@dataclass(slots=True)
class Call:
    """One request on its way to a handler.

    Attributes:
        method: HTTP method.
        path: Path below the system's mount, decoded.
        params: What the route template's braces matched.
        query: Query parameters (the last one of a repeated name; see `query_list`).
        headers: Request headers, names in lower case.
        body: Raw body.
        route: The route that matched.
        strike: Faults that hit this request.
        base_url: Address of the system as the client sees it, without a slash at the end.
        caller: Who asks, as the system's `authenticate` named them.
    """

    system: System
    method: str
    path: str
    params: dict[str, str]
    query_list: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    route: Route
    strike: Strike
    base_url: str
    caller: str = ""
    query: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.query = dict(self.query_list)

    def json(self) -> object:
        """The body as JSON; malformed JSON is refused as the vendor refuses it."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise self.system.malformed_json(str(error)) from error

    def body_as(self, model: type[Body]) -> Body:
        """The body checked against a model; what does not fit is refused as the vendor refuses it."""
        return self.checked(model, self.json())

    def checked(self, model: type[Body], value: object) -> Body:
        """Any JSON value checked against a model (strictly: no conversion of types)."""
        try:
            return model.model_validate(value, strict=True)
        except ValidationError as error:
            problems = [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors()]
            raise self.system.invalid_body(problems) from error

    def form(self) -> dict[str, str]:
        """The body as a submitted form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def page_limit(self, asked: int) -> int:
        """How many rows this page may hold: what was asked, or fewer under the `short_page` fault.

        The handler puts the cursor after the last row it really gives, so nothing is lost.
        """
        return asked if self.strike.get("short_page") is None else max(1, asked // 3)

    def refusal(self) -> FaultOrder | None:
        """The `refuse_rows` order that applies to this write, if any."""
        return self.strike.get("refuse_rows")

    def refuses(self, row_key: str) -> bool:
        """Whether the row with this key is to be refused."""
        order = self.refusal()
        return order is not None and row_is_refused(order, row_key)


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: `template` has `{name}` for a path part; `tags` say what the system must know about it.

    Tags are the system's own (for instance `public` for no authentication, `search` for a limit of its own).
    """

    method: str
    template: str
    handler: Callable[[Call], Answer]
    tags: frozenset[str] = frozenset()


def route(method: str, template: str, handler: Callable[[Call], Answer], *tags: str) -> Route:
    """A route with its tags written one after the other."""
    return Route(method, template, handler, frozenset(tags))


@dataclass(slots=True)
class Environment:
    """What the systems of one sandbox have in common."""

    options: SandboxOptions
    company: Company
    faults: Faults = field(default_factory=Faults)
    log: RequestLog = field(default_factory=RequestLog)


class System:
    """A stand-in for one vendor's API: an ASGI application mounted at `/<name>`.

    A subclass sets `name` and `title`, lists its `routes()`, and gives the vendor's words for refusals. State
    lives on the instance and is made in `reset()`, which runs at the start and on `/_sandbox/reset`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    # Keys that hold the records of a page, for the `empty` fault.
    record_keys: ClassVar[tuple[str, ...]] = ("results", "data")

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.company = environment.company
        self.in_flight = 0
        self.tokens = Tokens()
        self._unmatched = Route("*", "(no such route)", self._no_route)
        self._routes: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        self.restart()

    # What a vendor's module says

    def routes(self) -> Sequence[Route]:
        """All endpoints; the first that matches wins."""
        raise NotImplementedError

    def reset(self) -> None:
        """Put all state back to the start (also the limits' windows)."""
        raise NotImplementedError

    def authenticate(self, call: Call) -> str:
        """Name the caller, or raise `ApiError`. Also decides what the caller may use (`call.route.tags`)."""
        raise NotImplementedError

    def admit(self, call: Call) -> dict[str, str]:
        """Count the request against the limits: the headers every answer carries, or raise `ApiError`.

        Called only where limits are on.
        """
        del call
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        """No such endpoint."""
        raise NotImplementedError

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        """Too many requests; wait for `seconds`."""
        raise NotImplementedError

    def server_error(self, status: int) -> ApiError:
        """The vendor's own failure."""
        raise NotImplementedError

    def malformed_json(self, detail: str) -> ApiError:
        """The body is not JSON."""
        raise NotImplementedError

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        """The body is JSON but not what the endpoint takes: (where, what) for each problem."""
        raise NotImplementedError

    def empty(self, body: JsonObject) -> JsonObject:
        """The answer an account without data would give instead of `body`."""
        emptied = {key: [] if key in self.record_keys else value for key, value in body.items()}
        if emptied != body:
            emptied.pop("paging", None)
            emptied.update({key: 0 for key in ("total", "total_items") if key in body})
            emptied.update({key: False for key in ("hasMore",) if key in body})
        return emptied

    def state(self) -> JsonObject:
        """What `GET /_sandbox/state/<name>` shows to tests."""
        return {}

    def credentials(self, base_url: str) -> JsonObject:
        """What `GET /_sandbox/credentials/<name>` gives: credentials that work at this address."""
        del base_url
        return {}

    # The engine

    def restart(self) -> None:
        """Put all state back to the start. Routes are read again, since handlers may be part of the state."""
        self.reset()
        self._routes = {}
        for one in self.routes():
            self._routes.setdefault(one.method, []).append((_pattern(one.template), one))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.in_flight += 1
        started = time.perf_counter()
        try:
            call = await self._call(scope, receive)
            answer = await self._answer(call)
            if answer is None:
                self.environment.log.add(self.name, call, 0, time.perf_counter() - started)
                await cut_connection(scope, send)
                return
            self.environment.log.add(self.name, call, answer.status, time.perf_counter() - started)
            await send_answer(answer, send)
        finally:
            self.in_flight -= 1

    async def _call(self, scope: Scope, receive: Receive) -> Call:
        method: str = scope["method"]
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        found, params = self._match(method, path)
        root = str(scope.get("root_path", "")).removesuffix(f"/{self.name}")
        return Call(
            system=self,
            method=method,
            path=path,
            params=params,
            query_list=parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True),
            headers=headers,
            body=await read_body(receive),
            route=found,
            strike=self.environment.faults.strike(self.name, method, path),
            base_url=f"{scope['scheme']}://{headers.get('host', 'localhost')}{root}/{self.name}",
        )

    def _match(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        for pattern, candidate in self._routes.get(method, ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return candidate, match.groupdict()
        return self._unmatched, {}

    async def _answer(self, call: Call) -> Answer | None:
        latency = self.environment.options.latency_ms
        if latency:
            await asyncio.sleep(latency / 1000)
        reset, slow = call.strike.get("reset"), call.strike.get("slow")
        if slow is not None and slow.when == "before":
            await asyncio.sleep(slow.seconds)
        if reset is not None and reset.when == "before":
            return None
        try:
            answer = self._work(call)
        except ApiError as error:
            answer = error.answer
        if slow is not None and slow.when == "after":
            await asyncio.sleep(slow.seconds)
        if reset is not None:
            return None
        return self._spoil(call, answer)

    def _work(self, call: Call) -> Answer:
        headers: dict[str, str] = {}
        try:
            limited, failed = call.strike.get("rate_limited"), call.strike.get("server_error")
            if limited is not None:
                raise self.rate_limited(limited.seconds, limited.policy)
            if failed is not None and failed.when == "before":
                raise self.server_error(failed.status)
            if call.strike.get("html") is not None:
                return Answer(b"<html><body>Please sign in.</body></html>", 200, {}, "text/html")
            call.caller = self.authenticate(call)
            if self.environment.options.limits:
                headers = self.admit(call)
            answer = call.route.handler(call)
            if failed is not None:
                raise self.server_error(failed.status)
        except ApiError as error:
            error.answer.headers = {**headers, **error.answer.headers}
            raise
        answer.headers = {**headers, **answer.headers}
        return answer

    def _spoil(self, call: Call, answer: Answer) -> Answer:
        if not call.strike.orders or answer.status >= 400 or isinstance(answer.body, bytes):
            return answer
        renamed, dropped = call.strike.get("rename_field"), call.strike.get("drop_field")
        if call.strike.get("empty") is not None and isinstance(answer.body, dict):
            answer.body = self.empty(answer.body)
        if renamed is not None and renamed.from_name:
            answer.body = rename_everywhere(answer.body, renamed.from_name, renamed.to_name)
        if dropped is not None and dropped.field:
            answer.body = rename_everywhere(answer.body, dropped.field, None)
        if call.strike.get("truncated") is not None:
            whole = answer.encoded()
            answer.body = whole[: len(whole) * 2 // 3]
        return answer

    def _no_route(self, call: Call) -> Answer:
        raise self.not_found(call.method, call.path)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(f"(?P<{part}>[^/]+?)" if number % 2 else re.escape(part) for number, part in enumerate(parts)) + "/?"
    )
