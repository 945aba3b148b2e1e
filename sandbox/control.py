"""The `/_sandbox` routes: what tests and the demo do to the sandbox itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from millstream.sandbox import truth
from millstream.sandbox.faults import FaultOrder
from millstream.sandbox.system import Environment, System

Endpoint = Callable[[Request], Awaitable[Response]]


class AdvanceOrder(BaseModel):
    """Body of `POST /_sandbox/advance`."""

    model_config = ConfigDict(extra="forbid")

    share: float = Field(0.01, ge=0, le=1, description="About which share of the people changes")
    seed: int = Field(1, description="Another seed changes other people")
    at_ms: int | None = Field(None, description="When it happens (default: now)")


class TokenOrder(BaseModel):
    """Body of `POST /_sandbox/tokens`."""

    model_config = ConfigDict(extra="forbid")

    system: str = Field(description="Whose tokens")
    expires_in: float = Field(gt=0, description="Life of tokens issued from now on, in seconds")


def routes(environment: Environment, systems: Mapping[str, System]) -> list[Route]:
    """All control routes."""
    control = _Control(environment, systems)
    table: list[tuple[str, str, Endpoint]] = [
        ("GET", "/health", control.health),
        ("GET", "/faults", control.list_faults),
        ("POST", "/faults", control.add_fault),
        ("DELETE", "/faults", control.clear_faults),
        ("GET", "/requests", control.list_requests),
        ("DELETE", "/requests", control.clear_requests),
        ("POST", "/advance", control.advance),
        ("POST", "/tokens", control.tokens),
        ("POST", "/reset", control.reset),
        ("GET", "/truth", control.truth),
        ("GET", "/state/{system}", control.state),
        ("GET", "/credentials/{system}", control.credentials),
    ]
    return [Route(f"/_sandbox{path}", endpoint, methods=[method]) for method, path, endpoint in table]


class _Control:
    def __init__(self, environment: Environment, systems: Mapping[str, System]) -> None:
        self._environment = environment
        self._systems = systems

    async def health(self, request: Request) -> Response:
        del request
        company = self._environment.company
        return _json(
            {
                "status": "ok",
                "systems": sorted(self._systems),
                "people": company.population,
                "seed": company.seed,
                "today": company.today.isoformat(),
                "limits": self._environment.options.limits,
            }
        )

    async def list_faults(self, request: Request) -> Response:
        del request
        armed = [
            {
                **fault.order.model_dump(by_alias=True, exclude_defaults=True),
                "seen": fault.seen,
                "hits": fault.hits,
            }
            for fault in self._environment.faults.armed
        ]
        return _json({"faults": armed})

    async def add_fault(self, request: Request) -> Response:
        try:
            order = FaultOrder.model_validate_json(await request.body())
        except ValidationError as error:
            return _refused(error)
        if order.system not in self._systems:
            return self._no_system(order.system)
        if order.kind == "expire_token":
            self._systems[order.system].tokens.expire_issued()
            # Fixed tokens cannot be renewed: unless told otherwise, they are refused just once.
            order = order.model_copy(update={"times": order.times or 1})
        self._environment.faults.add(order)
        return _json({"armed": len(self._environment.faults.armed)}, 201)

    async def clear_faults(self, request: Request) -> Response:
        self._environment.faults.clear(request.query_params.get("system"))
        return _json({"armed": len(self._environment.faults.armed)})

    async def list_requests(self, request: Request) -> Response:
        log = self._environment.log
        answer: dict[str, object] = {"systems": log.by_system()}
        if request.query_params.get("detail") == "1":
            answer["recent"] = list(log.recent)
        return _json(answer)

    async def clear_requests(self, request: Request) -> Response:
        del request
        self._environment.log.clear()
        return _json({})

    async def advance(self, request: Request) -> Response:
        try:
            order = AdvanceOrder.model_validate_json(await request.body() or b"{}")
        except ValidationError as error:
            return _refused(error)
        return _json(self._environment.company.advance(order.share, order.seed, order.at_ms))

    async def tokens(self, request: Request) -> Response:
        try:
            order = TokenOrder.model_validate_json(await request.body())
        except ValidationError as error:
            return _refused(error)
        if order.system not in self._systems:
            return self._no_system(order.system)
        self._systems[order.system].tokens.expires_in = order.expires_in
        return _json({})

    async def reset(self, request: Request) -> Response:
        del request
        self._environment.company.reset()
        self._environment.faults.clear()
        self._environment.log.clear()
        for system in self._systems.values():
            system.restart()
        return _json({})

    async def truth(self, request: Request) -> Response:
        del request
        return StreamingResponse(truth.lines(self._environment.company), media_type="application/x-ndjson")

    async def state(self, request: Request) -> Response:
        system = self._systems.get(request.path_params["system"])
        return self._no_system(request.path_params["system"]) if system is None else _json(system.state())

    async def credentials(self, request: Request) -> Response:
        name = request.path_params["system"]
        system = self._systems.get(name)
        if system is None:
            return self._no_system(name)
        return _json(system.credentials(f"{str(request.base_url).rstrip('/')}/{name}"))

    def _no_system(self, name: str) -> Response:
        return _json({"error": f"no system {name!r}; there are {', '.join(sorted(self._systems))}"}, 404)


def _json(value: object, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _refused(error: ValidationError) -> Response:
    problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return _json({"error": "; ".join(problems)}, 422)
