"""Which record's word counts when several records of one person disagree: the ``survivorship`` section."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from millstream.state.errors import ConfigurationError
from millstream.state.profiles.shipped import LIFETIMES, RESTRICTIVE

Strategy = Literal[
    "most_recent",
    "first",
    "source_priority",
    "most_frequent",
    "longest",
    "highest",
    "lowest",
    "most_restrictive",
    "list",
]
CONTACTS = ("email", "phone")
"""Fixed columns of a profile that identifiers fill; rules may name them as they name traits."""
# Goes into the fingerprint: a change of what the same rules make of the same records describes everybody anew.
_MEANING = "2"


class TraitRule(BaseModel):
    """How the value of one trait is chosen, and for how long it is believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategy: Strategy | None = Field(
        default=None,
        description="most_recent: the value observed last; first: the one observed first; source_priority: the value "
        "of the most trusted source that has one; most_frequent: the one on most records; longest: the longest text; "
        "highest, lowest: the largest or smallest number, date or time; most_restrictive: what permits least, by "
        "`restrictive`; list: all values. Left out: most_restrictive for traits known to be opt-outs or opt-ins, as "
        "unsubscribed, else most_recent.",
    )
    sources: tuple[str, ...] = Field(
        default=(),
        description="Sources (or source.stream) for this trait, the most trusted first; "
        "empty means the project's list.",
    )
    restrictive: tuple[bool | int | float | str, ...] = Field(
        default=(),
        description="For most_restrictive: the values that permit least, the least first; [true] for a trait "
        "that says whether somebody opted out. Case does not matter.",
    )
    lifetime_days: Annotated[int, Field(ge=1)] | Literal["never"] | None = Field(
        default=None,
        description="For how many days a value is believed after the last record that says it; older ones are marked "
        "stale. never: for ever. Left out: as shipped (e-mail and job a year, phone two, address three, name ten).",
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.restrictive and self.strategy not in (None, "most_restrictive"):
            raise ValueError(f"restrictive is for most_restrictive only, and the strategy is {self.strategy}")
        return self


class SurvivorshipRules(BaseModel):
    """The rules by which a profile's one row is made of its records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: tuple[str, ...] = Field(
        default=(),
        description="Sources (or source.stream), the most trusted first; those not named come last. Decides "
        "source_priority, and all other strategies where they are in a tie.",
    )
    traits: dict[str, TraitRule] = Field(
        default_factory=dict,
        description="Rules by trait name, and by email and phone. Traits not named take the most recent value.",
    )
    lifetime_days: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="For how many days the values of traits are believed of which nothing is said or shipped; "
        "left out: for ever.",
    )

    @field_validator("traits")
    @classmethod
    def _complete(cls, traits: dict[str, TraitRule]) -> dict[str, TraitRule]:
        """Names in lower case, as profiles have them."""
        folded = {name.lower(): rule for name, rule in traits.items()}
        if len(folded) < len(traits):
            raise ValueError("two rules are for one trait: names that differ in case only are the same")
        for name, rule in folded.items():
            if rule.strategy == "list" and name in CONTACTS:
                raise ValueError(f"{name} holds one value; all of them are in customers.profile_identifiers")
            if rule.strategy == "most_restrictive" and not rule.restrictive and name not in RESTRICTIVE:
                raise ValueError(
                    f"{name}: most_restrictive has to be told which values permit least, as `restrictive: [true]`"
                )
            if rule.restrictive and rule.strategy is None and name not in RESTRICTIVE:
                raise ValueError(f"{name}: restrictive needs `strategy: most_restrictive`")
        return folded

    def rule(self, trait: str) -> TraitRule:
        """The rule of a trait by its name in lower case, with what is unsaid as shipped; its strategy is never None."""
        rule = self.traits.get(trait, TraitRule())
        strategy = rule.strategy or ("most_restrictive" if trait in RESTRICTIVE else "most_recent")
        return rule.model_copy(
            update={
                "strategy": strategy,
                "sources": rule.sources or self.sources,
                "restrictive": rule.restrictive or RESTRICTIVE.get(trait, ()),
            }
        )

    def lifetime(self, trait: str, kinds: Mapping[str, int | None]) -> int | None:
        """Days for which a value of a trait is believed, or None for ever.

        Args:
            trait: Its name in lower case.
            kinds: What the rules of identity say of kinds of identifiers, which counts for email and phone.
        """
        said = self.traits[trait].lifetime_days if trait in self.traits else None
        if said is not None:
            return None if said == "never" else said
        if trait in CONTACTS and kinds.get(trait) is not None:
            return kinds[trait]
        return LIFETIMES.get(trait, self.lifetime_days)

    def check(self, declared: Iterable[tuple[str, str]]) -> None:
        """Hold the rules against the types of the traits that the sources bring.

        Args:
            declared: Name and type of each trait.

        Raises:
            ConfigurationError: A strategy that makes no sense for a trait of that type.
        """
        types: dict[str, set[str]] = {}
        for name, kind in declared:
            types.setdefault(name.lower(), set()).add(kind)
        for name, rule in self.traits.items():
            kinds = types.get(name, set())
            if rule.strategy in ("highest", "lowest") and kinds == {"text"}:
                raise ConfigurationError(
                    f"{rule.strategy!r} compares numbers, dates or times, and the trait {name!r} is text.",
                    where=f"survivorship.traits.{name}.strategy",
                    remedy="give the trait another type where its source is set up, or choose another strategy.",
                )
            if rule.strategy == "longest" and kinds and "text" not in kinds:
                raise ConfigurationError(
                    f"'longest' compares texts, and the trait {name!r} is {' and '.join(sorted(kinds))}.",
                    where=f"survivorship.traits.{name}.strategy",
                    remedy="choose highest, lowest or another strategy.",
                )

    def fingerprint(self) -> str:
        """Changes when the same records could give another row; lifetimes do not change rows."""
        shipped = SurvivorshipRules(sources=self.sources)
        lifetime = {"lifetime_days"}
        pairs = ((name, self.rule(name).model_dump(exclude=lifetime)) for name in sorted(self.traits))
        other = [(name, rule) for name, rule in pairs if rule != shipped.rule(name).model_dump(exclude=lifetime)]
        return hashlib.sha256(repr((_MEANING, self.sources, other)).encode()).hexdigest()[:16]
