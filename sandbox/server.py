"""One process, one port, all systems: building the application and running it."""

from __future__ import annotations

import importlib
import logging
import socket
import threading
import time
from contextlib import suppress
from datetime import date
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from starlette.applications import Starlette
from starlette.routing import Mount

from millstream.sandbox import control, truth
from millstream.sandbox.company import Company
from millstream.sandbox.system import Environment, JsonObject, SandboxOptions, System

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("millstream.sandbox")

BUILT_IN = {
    "activecampaign": "millstream.sandbox.activecampaign:SYSTEM",
    "adobe_analytics": "millstream.sandbox.adobe_analytics:SYSTEM",
    "braze": "millstream.sandbox.braze:SYSTEM",
    "clevertap": "millstream.sandbox.clevertap:SYSTEM",
    "customerio": "millstream.sandbox.customerio:SYSTEM",
    "ga4": "millstream.sandbox.ga4:SYSTEM",
    "google_ads_customer_match": "millstream.sandbox.google_ads_customer_match:SYSTEM",
    "hubspot": "millstream.sandbox.hubspot:SYSTEM",
    "intercom": "millstream.sandbox.intercom:SYSTEM",
    "klaviyo": "millstream.sandbox.klaviyo:SYSTEM",
    "mailchimp": "millstream.sandbox.mailchimp:SYSTEM",
    "marketo": "millstream.sandbox.marketo:SYSTEM",
    "meta_custom_audiences": "millstream.sandbox.meta_custom_audiences:SYSTEM",
    "mixpanel": "millstream.sandbox.mixpanel:SYSTEM",
    "qualtrics": "millstream.sandbox.qualtrics:SYSTEM",
    "salesforce": "millstream.sandbox.salesforce:SYSTEM",
    "segment": "millstream.sandbox.segment:SYSTEM",
    "shift4shop": "millstream.sandbox.shift4shop:SYSTEM",
    "surveymonkey": "millstream.sandbox.surveymonkey:SYSTEM",
    "typeform": "millstream.sandbox.typeform:SYSTEM",
    "vero": "millstream.sandbox.vero:SYSTEM",
    "webhook": "millstream.sandbox.webhook:SYSTEM",
    "zendesk": "millstream.sandbox.zendesk:SYSTEM",
    "zoho_crm": "millstream.sandbox.zoho_crm:SYSTEM",
}
ENTRY_POINT_GROUP = "millstream.sandbox"
HOST = "127.0.0.1"


def find_systems() -> dict[str, type[System]]:
    """The built-in systems and those of plugins; one that cannot be imported is reported and left out."""
    places = dict(BUILT_IN)
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        places.setdefault(entry_point.name, entry_point.value)
    found: dict[str, type[System]] = {}
    for name, place in sorted(places.items()):
        module, _, attribute = place.partition(":")
        try:
            found[name] = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            logger.warning("sandbox system %s is left out: %s", name, error)
    return found


def build_app(options: SandboxOptions) -> Starlette:
    """The whole sandbox as one application: every system at `/<name>`, control at `/_sandbox`."""
    company = Company(options.people, options.seed, options.today)
    environment = Environment(options, company)
    systems = {name: system(environment) for name, system in find_systems().items()}
    if options.truth is not None:
        truth.write(company, options.truth)
    mounts = [Mount(f"/{name}", app=system) for name, system in systems.items()]
    app = Starlette(routes=[*control.routes(environment, systems), *mounts])
    app.state.environment = environment
    app.state.systems = systems
    return app


class _WithTransport:
    """Passes the connection on to the application, so that the `reset` fault can cut it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        scope.setdefault("extensions", {})["millstream.transport"] = transport
        await self._app(scope, receive, send)


def _server(app: Starlette) -> uvicorn.Server:
    import uvicorn

    config = uvicorn.Config(
        _WithTransport(app),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=2,
    )
    return uvicorn.Server(config)


class PortError(OSError):
    """The port is taken, or not ours to listen on."""


def _listen(port: int) -> socket.socket:
    # asyncio sends small packets at once only on sockets that say they are TCP.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise PortError(error.errno, error.strerror, f"{HOST}:{port}") from error
    return listener


def serve(options: SandboxOptions) -> None:
    """Run a sandbox in this process until it is interrupted.

    Raises:
        PortError: It cannot listen there.
    """
    app = build_app(options)
    with _listen(options.port) as listener:
        names = ", ".join(app.state.systems)
        logger.info("sandbox at http://%s:%d with %s", HOST, listener.getsockname()[1], names)
        with suppress(KeyboardInterrupt):
            _server(app).run(sockets=[listener])


class Sandbox:
    """A sandbox in a thread of this process, for tests.

    Example:
        with Sandbox(people=200, limits=False) as sandbox:
            requests.get(sandbox.url + "/_sandbox/health")
    """

    def __init__(
        self,
        *,
        people: int = 5000,
        seed: int = 7,
        today: date | None = None,
        port: int = 0,
        limits: bool = True,
        latency_ms: float = 0,
        truth: Path | None = None,
    ) -> None:
        self.options = SandboxOptions(people, seed, today, port, limits, latency_ms, truth)
        self.app = build_app(self.options)
        self.environment: Environment = self.app.state.environment
        self.systems: dict[str, System] = self.app.state.systems
        self.url = ""
        self._server = _server(self.app)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def company(self) -> Company:
        """The company this sandbox shows."""
        return self.environment.company

    def truth(self, index: int) -> JsonObject:
        """The truth about one person."""
        return truth.record(self.company, index)

    def system_url(self, name: str) -> str:
        """Base URL of one system."""
        return f"{self.url}/{name}"

    @property
    def is_idle(self) -> bool:
        """Whether no connection is open, and all that came over those that were closed has been worked off."""
        return not (self._server.server_state.connections or self._server.server_state.tasks)

    def start(self) -> None:
        """Start serving; returns when requests are answered."""
        self._listener = _listen(self.options.port)
        self.url = f"http://{HOST}:{self._listener.getsockname()[1]}"
        sockets = [self._listener]
        self._thread = threading.Thread(target=self._server.run, args=(sockets,), name="sandbox", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 30
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Stop serving and release the port."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._listener is not None:
            self._listener.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
