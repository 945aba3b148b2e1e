"""Conformance: events that the tracking plan knows, and that carry what it asks for."""

from __future__ import annotations

from millstream.state.quality.looking import Finding, Look, found


def conformance(look: Look) -> list[Finding]:
    """By source: events outside the plan, and planned events with missing, wrong or forbidden properties."""
    rows = look.rows(
        """
        SELECT source, count(*), count(CASE WHEN plan_status = 'unplanned' THEN 1 END),
               count(CASE WHEN plan_status = 'violating' THEN 1 END)
        FROM customers.events GROUP BY source ORDER BY source
        """
    )
    planned = [(source, "planned events", events, unplanned) for source, events, unplanned, _ in rows]
    proper = [
        (source, "properties", int(str(events)) - int(str(unplanned)), violating)
        for source, events, unplanned, violating in rows
    ]
    return [*found("conformance", planned), *found("conformance", proper)]
