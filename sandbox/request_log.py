"""What a sandbox was asked, and what it answered."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millstream.sandbox.system import Call, JsonObject


@dataclass(slots=True)
class RequestLog:
    """What was asked and answered: counts for all, details of the last thousand."""

    counts: Counter[tuple[str, str, str, int]] = field(default_factory=Counter)
    recent: deque[JsonObject] = field(default_factory=lambda: deque(maxlen=1000))

    def add(self, system: str, call: Call, status: int, seconds: float) -> None:
        """Note one finished request; status 0 stands for a connection that was cut."""
        self.counts[system, call.method, call.route.template, status] += 1
        self.recent.append(
            {
                "system": system,
                "at": time.time(),
                "method": call.method,
                "route": call.route.template,
                "path": call.path,
                "query": call.query,
                "status": status,
                "ms": round(seconds * 1000, 3),
                "faults": sorted(call.strike.orders),
            }
        )

    def clear(self) -> None:
        """Forget everything."""
        self.counts.clear()
        self.recent.clear()

    def by_system(self) -> dict[str, list[JsonObject]]:
        """Counts for each system by method, route and status."""
        rows: dict[str, list[JsonObject]] = {}
        for (system, method, template, status), count in sorted(self.counts.items()):
            rows.setdefault(system, []).append({"method": method, "route": template, "status": status, "count": count})
        return rows
