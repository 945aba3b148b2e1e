"""Stand-in for customer list audiences of Meta's Marketing API, below a version: `/meta_custom_audiences/v25.0`."""

from __future__ import annotations

from millstream.sandbox.meta_custom_audiences.graph import MetaCustomAudiences

SYSTEM = MetaCustomAudiences

__all__ = ["SYSTEM", "MetaCustomAudiences"]
