"""What a sync's audience is in Braze, and what is written for people to be in it or out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, get_args

from millstream.destinations.braze.attributes import LONGEST, NO_FIELDS
from millstream.destinations.braze.settings import AudienceKind
from millstream.state.errors import ConfigurationError


@dataclass(frozen=True)
class Audience:
    """An audience; ``str`` gives the id that the engine keeps.

    Attributes:
        kind: What it is.
        name: The attribute of a flag, the element of a list, or the id of a group or cohort.
    """

    kind: AudienceKind
    name: str

    @classmethod
    def parse(cls, audience_id: str) -> Audience:
        """What ``str`` gave."""
        kind, _, name = audience_id.partition(":")
        if kind not in get_args(AudienceKind):
            return cls("flag", audience_id)
        return cls(cast(AudienceKind, kind), name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    def check(self) -> None:
        """Raise ``ConfigurationError`` for a name that can be no attribute."""
        if self.kind not in ("flag", "list"):
            return
        if self.name in NO_FIELDS or self.name.startswith(("$", "_")) or len(self.name) > LONGEST:
            raise ConfigurationError(
                f"Braze takes no audience {self.name[:40]!r}: names have at most {LONGEST} characters, and begin with "
                "neither a dollar sign nor an underscore.",
                where="braze",
                remedy="give the sync another name in 'into'.",
            )

    def coming_in(self, attribute: str) -> dict[str, object]:
        """What puts a profile in, as part of its attributes."""
        if self.kind == "flag":
            return {self.name: True}
        if self.kind == "list":
            return {attribute: {"add": [self.name]}}
        return {"subscription_groups": [{"subscription_group_id": self.name, "subscription_state": "subscribed"}]}

    def going_out(self, attribute: str) -> dict[str, object]:
        """What takes a profile out; of a flag or a list alone."""
        return {self.name: False} if self.kind == "flag" else {attribute: {"remove": [self.name]}}
