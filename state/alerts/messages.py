"""What is said of an alert: counts, names of the project and remedies; never a person."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC

from millstream.state.ledger.alerts import Alert

_TITLES = {
    "failed": ("failed", "works again"),
    "credentials": ("is not accepted by the vendor", "is accepted again"),
    "rejected": ("has many rows refused", "has its rows accepted again"),
    "guard": ("was stopped by a guard", "passes its guards again"),
    "drift": ("is not as acknowledged at its destination", "is as acknowledged again"),
    "stale": ("was not completed in time", "was completed again"),
    "not_started": ("did not start when it was due", "starts again"),
    "quality": ("is not as good as it should be", "is good enough again"),
    "test": ("is tried out", "is tried out"),
}


@dataclass(frozen=True)
class Message:
    """An alert as a channel tells it.

    Attributes:
        project: Name of the project.
        alert: What changed.
    """

    project: str
    alert: Alert

    @property
    def id(self) -> str:
        """The same for each try to tell this change, so that a receiver can leave out what it has."""
        alert = self.alert
        text = "\n".join((self.project, alert.name, alert.state, alert.since.astimezone(UTC).isoformat()))
        return f"alert_{hashlib.sha256(text.encode()).hexdigest()[:24]}"

    @property
    def firing(self) -> bool:
        """Whether something is wrong, and not right again."""
        return self.alert.state == "firing"

    @property
    def title(self) -> str:
        """``sync welcome failed``."""
        wrong, right = _TITLES[self.alert.kind]
        return f"{self.alert.subject} {wrong if self.firing else right}"

    def as_json(self) -> dict[str, object]:
        """For programs."""
        alert = self.alert
        return {
            "project": self.project,
            "alert": alert.name,
            "kind": alert.kind,
            "subject": alert.subject,
            "state": alert.state,
            "since": alert.since.astimezone(UTC).isoformat(),
            "title": self.title,
            "what": alert.what,
            "owner": alert.owner,
        }

    def lines(self) -> list[str]:
        """For people: what happened, since when, who looks after it."""
        alert = self.alert
        facts = [f"since {alert.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"]
        if alert.owner:
            facts.append(f"owner: {alert.owner}")
        return [self.title, alert.what, ", ".join(facts)]


def headline(messages: Sequence[Message]) -> str:
    """``[shop] sync welcome failed``; of several, how many."""
    project = messages[0].project
    if len(messages) == 1:
        return f"[{project}] {messages[0].title}"
    wrong = sum(message.firing for message in messages)
    parts = {"wrong": wrong, "right again": len(messages) - wrong}
    return f"[{project}] " + ", ".join(f"{count} {what}" for what, count in parts.items() if count)
