"""What may join records into one person: the project file's ``identity`` section.

Joining on equal identifiers is only as good as the identifiers. A mailbox shared by an office, or the ``test@``
address of a form, would fuse hundreds of people into one; a family's number or tablet, two or three. So each kind of
identifier has a largest number of records that one value may stand on, a largest number of values that one person may
have, and patterns of values that never join anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from millstream.state.identity import shipped
from millstream.state.identity.linkage.rules import LinkageRules

Spelling = Literal["text", "lower", "digits", "alphanumeric", "email", "phone", "device", "address"]

_SPELLING_BY_KIND: Mapping[str, Spelling] = {
    "email": "email",
    "phone": "phone",
    "device_id": "device",
    "cookie_id": "device",
    "anonymous_id": "device",
    "address": "address",
}
_LISTS_BY_SPELLING: Mapping[object, tuple[str, ...]] = {
    "email": shipped.EMAILS,
    "phone": shipped.PHONES,
    "device": shipped.DEVICES,
    "address": shipped.ADDRESSES,
}
RESERVED_KINDS = frozenset({"linkage", "merge"})
"""The kinds of joins that are made by likeness and by hand."""

_WILDCARDS = {r"\*": ".*", r"\?": ".", r"\#": "[0-9]+"}
_JOINING_FIELDS = ("priority", "max_records", "blocked", "blocked_also", "merges", "max_values", "window_days")


def _checked_pattern(pattern: str) -> str:
    if "[" in pattern:
        raise ValueError("a pattern knows only * (anything), ? (one character) and # (digits), not [...]")
    return pattern.lower()


def _checked_expression(expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"{expression!r} is not a regular expression: {error}") from error
    return expression


Pattern = Annotated[str, AfterValidator(_checked_pattern)]
Expression = Annotated[str, AfterValidator(_checked_expression)]
Count = Annotated[int, Field(ge=1)]


class KindRule(BaseModel):
    """How one kind of identifier is spelled, and joins records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: int = Field(
        default=50,
        ge=0,
        description="Lower is stronger: which identifier is named first as the reason of a merge, and which joins "
        "where a limit does not let all of them join.",
    )
    max_records: Count = Field(
        default=200,
        description="A value found on more records than this belongs to no single person and joins nothing.",
    )
    max_values: Count | None = Field(
        default=None,
        description="How many different values of this kind one person may have; a join that would give them more is "
        "refused. Left out: any number.",
    )
    window_days: Count | None = Field(
        default=None,
        description="Count the values of max_values only within so many days, by when their records were true; "
        "left out: ever.",
    )
    agree_on: str | None = Field(
        default=None,
        min_length=1,
        description="A trait on which records have to agree to be joined by a value of this kind, as first_name for "
        "the phone of a family.",
    )
    household: bool = Field(
        default=False,
        description="Whether different people with one value of this kind live in one household.",
    )
    scope: Literal["global", "source"] = Field(
        default="global",
        description="Where a value means the same person: global, in all sources; source, only within one account, as "
        "the ids that a vendor counts up for each of its customers.",
    )
    spelling: Spelling | None = Field(
        default=None,
        description="What is the same value: text, as it stands; lower, in small letters; digits and alphanumeric, "
        "only these and in small letters; or as an email, phone, device or address. Left out: by the kind.",
    )
    valid: Expression | None = Field(
        default=None,
        description="A regular expression that the whole value, as spelled, has to match; others are left out.",
    )
    lifetime_days: Count | None = Field(
        default=None,
        description="For how many days after it was last seen a value still counts as the person's; left out: as "
        "shipped.",
    )
    blocked: tuple[Pattern, ...] = Field(
        default=(),
        description="Values that never join records, in place of the shipped list; * stands for anything, ? for one "
        "character, # for digits; case is ignored.",
    )
    blocked_also: tuple[Pattern, ...] = Field(
        default=(),
        description="Further values that never join records, beside the shipped list.",
    )
    merges: bool = Field(default=True, description="Whether this kind joins records at all.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.agree_on is not None and not self.merges:
            raise ValueError("agree_on needs a kind that joins: leave it out, or set merges to true")
        if self.window_days is not None and self.max_values is None:
            raise ValueError("window_days says how long the values of max_values count: set max_values too")
        return self

    def blocked_expression(self) -> str | None:
        """The blocked patterns as one regular expression over lower-case values, or None without patterns."""
        patterns = (*self.blocked, *self.blocked_also)
        if not patterns:
            return None
        account = "(?:[^:]*:)?" if self.scope == "source" else ""
        return f"^{account}(?:{'|'.join(map(_as_expression, patterns))})$"


def _as_expression(pattern: str) -> str:
    escaped = re.escape(pattern)
    for wildcard, meaning in _WILDCARDS.items():
        escaped = escaped.replace(wildcard, meaning)
    return escaped


class HouseholdRule(BaseModel):
    """Which people live together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_profiles: int = Field(
        default=8,
        ge=2,
        description="A number or an address that more people than this have is no household's.",
    )


def _default_kinds() -> dict[str, KindRule]:
    return {
        "user_id": KindRule(priority=10, max_records=200, max_values=1, blocked=shipped.PLACEHOLDERS),
        "email": KindRule(priority=20, max_records=50, max_values=10, blocked=shipped.EMAILS),
        "phone": KindRule(
            priority=30,
            max_records=10,
            max_values=10,
            agree_on="first_name",
            household=True,
            blocked=shipped.PHONES,
        ),
        "anonymous_id": _device_rule(priority=80),
        "cookie_id": _device_rule(priority=85),
        "device_id": _device_rule(priority=90),
        # Families and neighbours have one address: it tells who lives together, not who is who.
        "address": KindRule(priority=100, max_records=50, merges=False, household=True, blocked=shipped.ADDRESSES),
    }


def _device_rule(priority: int) -> KindRule:
    """Browsers forget their ids all the time, so a person has many; but not dozens in a season."""
    return KindRule(
        priority=priority, max_records=200, max_values=50, window_days=90, lifetime_days=None, blocked=shipped.DEVICES
    )


def _default_other() -> KindRule:
    return KindRule(scope="source", blocked=shipped.PLACEHOLDERS)


class IdentityRules(BaseModel):
    """The rules by which records become profiles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[str, KindRule] = Field(
        default_factory=_default_kinds,
        description="Rules by kind of identifier. What is not said about a kind that Millstream knows is as shipped; "
        "a list of blocked patterns replaces the shipped one.",
    )
    other: KindRule = Field(
        default_factory=_default_other,
        description="The rule of kinds that are not named, such as a vendor's own ids; what is not said is as shipped.",
    )
    household: HouseholdRule = Field(default_factory=HouseholdRule, description="Which people live together.")
    linkage: LinkageRules = Field(
        default_factory=LinkageRules,
        description="Linking people who share no identifier by what else is known of them, with Splink.",
    )
    email_providers: bool = Field(
        default=True,
        description="Whether addresses are compared as their provider delivers them: dots and tags (ana+shop@) do not "
        "count where the provider is known to ignore them. They are always written to as the person gave them.",
    )
    default_country: str | None = Field(
        default=None,
        description="Country (ISO 3166 code or English name) of phone numbers without calling code, "
        "where the record does not say.",
    )

    @field_validator("kinds", mode="before")
    @classmethod
    def _complete(cls, kinds: object) -> object:
        """What a project leaves unsaid about a kind is as shipped, also where it names the kind."""
        if not isinstance(kinds, Mapping):
            return kinds
        if reserved := sorted(RESERVED_KINDS & {str(kind) for kind in kinds}):
            raise ValueError(f"the kind {reserved[0]!r} is Millstream's own: choose another name")
        known = _default_kinds()
        return {**known, **{kind: _completed(rule, known.get(kind) or _own_kind(rule)) for kind, rule in kinds.items()}}

    @field_validator("default_country")
    @classmethod
    def _is_country(cls, country: str | None) -> str | None:
        from millstream.state.identity.normalise.phones import region

        if country is not None and region(country) is None:
            raise ValueError(f"{country!r} is no country that is known: write its ISO 3166 code (DE) or English name")
        return country

    @field_validator("other", mode="before")
    @classmethod
    def _complete_other(cls, rule: object) -> object:
        return _completed(rule, _default_other())

    def rule(self, kind: str) -> KindRule:
        """The rule of a kind."""
        return self.kinds.get(kind, self.other)

    def spelling(self, kind: str) -> Spelling:
        """How values of a kind are spelled."""
        return self.rule(kind).spelling or _SPELLING_BY_KIND.get(kind, "text")

    def naming(self, kinds: Iterable[str]) -> IdentityRules:
        """These rules, with kinds that the project names elsewhere: what it names means the same in all sources."""
        named = {kind: self.other.model_copy(update={"scope": "global"}) for kind in kinds if kind not in self.kinds}
        return self.model_copy(update={"kinds": {**self.kinds, **named}}) if named else self

    def fingerprint(self) -> str:
        """Changes when, and only when, the same records with the same identifiers could give other profiles."""
        fields = {*_JOINING_FIELDS, "agree_on"}
        return _fingerprint({kind: rule.model_dump(include=fields) for kind, rule in self._all()})

    def spelling_key(self, kind: str) -> str:
        """All that decides which value a raw one of this kind becomes; kinds that are spelled alike share it."""
        from millstream.state.identity.normalise import VERSIONS

        spelling, valid = self.spelling(kind), self.rule(kind).valid
        parts: list[str] = [spelling, VERSIONS[spelling]]
        if spelling == "phone" and self.default_country:
            parts.append(self.default_country)
        if spelling == "email" and not self.email_providers:
            parts.append("as written")
        return " ".join(parts) + (f" {valid}" if valid else "")

    def spelling_fingerprint(self, kinds: Iterable[str]) -> str:
        """Changes when the same raw values of these kinds could give other identifiers."""
        return _fingerprint({kind: (self.spelling_key(kind), self.rule(kind).scope) for kind in kinds})

    def household_fingerprint(self) -> str:
        """Changes when the same profiles could give other households."""
        fields = {"household", "max_records", "blocked", "blocked_also"}
        kinds = {kind: rule.model_dump(include=fields) for kind, rule in self._all() if rule.household}
        return _fingerprint({**kinds, " ": self.household.model_dump()})

    def _all(self) -> list[tuple[str, KindRule]]:
        return [*sorted(self.kinds.items()), ("", self.other)]


def _own_kind(rule: object) -> KindRule:
    """What is shipped for a kind that only a project knows: the list of what never is anybody's, by its spelling."""
    spelling = rule.get("spelling") if isinstance(rule, Mapping) else getattr(rule, "spelling", None)
    return KindRule(blocked=_LISTS_BY_SPELLING.get(spelling, shipped.PLACEHOLDERS))


def _completed(rule: object, known: KindRule) -> object:
    """A rule as given, with what is unsaid as shipped; of that only what still makes sense."""
    given = rule.model_dump(exclude_unset=True) if isinstance(rule, KindRule) else rule
    if not isinstance(given, Mapping):
        return rule
    unsaid = known.model_dump(exclude=set(given))
    if given.get("merges") is False:
        unsaid["agree_on"] = None
    if given.get("max_values", known.max_values) is None:
        unsaid["window_days"] = None
    return {**unsaid, **given}


def _fingerprint(said: Mapping[str, object]) -> str:
    text = repr([(key, said[key]) for key in sorted(said)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]
