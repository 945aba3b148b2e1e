"""A local server that stands in for the vendors' APIs, over one made-up company."""

from __future__ import annotations

from millstream.sandbox.server import PortError, Sandbox, build_app, serve
from millstream.sandbox.system import SandboxOptions

__all__ = ["PortError", "Sandbox", "SandboxOptions", "build_app", "serve"]
