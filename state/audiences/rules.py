"""The language of audiences: the ``audiences`` section of the project file.

An audience is a rule, a tree of conditions that are true or false of each profile; or a SELECT of ``profile_id``; or
one of those that come with Millstream::

    big_spenders:
      description: Bought for 500 or more in the last 90 days and may be written to.
      rule:
        all:
          - {event: Order Completed, within: 90d, value: {at_least: 500}}
          - {consent: email}
          - none:
              - {trait: lifecycle_stage, in: [partner, employee]}

Every condition is either true or false: a comparison with a trait that a profile does not have is false,
``not_equals`` and ``not_in`` are true where ``equals`` and ``in`` are false.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal, get_args

from pydantic import Field, model_validator

from millstream.state.audiences.nodes import Node, Rule, events_of, referred, traits_of

ReadyMade = Literal[
    "power_users",
    "casual_users",
    "dormant_users",
    "first_time_buyers",
    "lapsed_customers",
    "high_value_at_risk",
    "cart_left",
    "promoters",
    "detractors",
    "newly_churned",
    "upsell_candidates",
    "birthday_this_week",
]
"""The audiences of ``ready_made.yaml``."""
READY_MADE: tuple[str, ...] = get_args(ReadyMade)


class Audience(Node):
    """A set of people, by a rule or by SQL, or a ready-made one."""

    description: str = Field(default="", description="Who they are, in a sentence.")
    rule: Rule | None = Field(default=None, description="The condition that members meet.")
    sql: str | None = Field(default=None, description="One SELECT that gives a column profile_id.")
    ready_made: ReadyMade | None = Field(
        default=None, description="An audience that comes with Millstream (docs/audiences.md)."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Audience:
        if sum(given is not None for given in (self.rule, self.sql, self.ready_made)) != 1:
            raise ValueError("an audience has either a rule or sql or ready_made")
        return self

    def fingerprint(self) -> str:
        """Changes when the same profiles could give other members. Of a ready-made one, ask what it is written out."""
        said = self.model_dump(mode="json", exclude={"description"}, exclude_defaults=True)
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def refers_to(self) -> set[str]:
        """The audiences that this one is made of."""
        return set() if self.rule is None else referred(self.rule)

    def events(self) -> set[str]:
        """The names of events that its rule asks for."""
        return set() if self.rule is None else events_of(self.rule)

    def traits(self) -> set[str]:
        """The traits that its rule names."""
        return set() if self.rule is None else traits_of(self.rule)
