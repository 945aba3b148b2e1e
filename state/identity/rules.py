"""What may join records into one person: the project file's ``identity`` section.

Joining on equal identifiers is only as good as the identifiers. A mailbox shared by an office, or the ``test@``
address of a form, would fuse hundreds of people into one. So each kind of identifier has a largest number of records
that one value may stand on, and patterns of values that never join anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

_MAILBOXES = (
    "abuse", "accounting", "accounts", "admin", "billing", "bookings", "careers", "contact", "customerservice",
    "donotreply", "do-not-reply", "enquiries", "help", "hello", "hr", "info", "invoices", "it", "jobs", "kontakt",
    "mail", "marketing", "newsletter", "no-reply", "noreply", "nobody", "none", "office", "orders", "post",
    "postmaster", "press", "reception", "root", "sales", "service", "services", "shop", "spam", "support", "team",
    "test", "unknown", "webmaster",
)  # fmt: skip
_PLACEHOLDERS = (
    "(none)", "(not set)", "-", "0", "00000000-0000-0000-0000-000000000000", "anonymous", "guest", "n/a", "na",
    "none", "null", "nil", "not set", "test", "undefined", "unknown",
)  # fmt: skip
_REPEATED_DIGITS = tuple(f"+*{digit * 8}" for digit in "0123456789")


def _checked_pattern(pattern: str) -> str:
    if "[" in pattern:
        raise ValueError("a pattern knows only * (anything) and ? (one character), not [...]")
    return pattern.lower()


Pattern = Annotated[str, AfterValidator(_checked_pattern)]


class KindRule(BaseModel):
    """How one kind of identifier joins records."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: int = Field(
        default=50,
        ge=0,
        description="Lower is stronger: which identifier is named first as the reason of a merge.",
    )
    max_records: int = Field(
        default=200,
        ge=1,
        description="A value found on more records than this belongs to no single person and joins nothing.",
    )
    blocked: tuple[Pattern, ...] = Field(
        default=(),
        description="Values that never join records; * stands for anything, ? for one character; case is ignored.",
    )
    merges: bool = Field(default=True, description="Whether this kind joins records at all.")

    def blocked_expression(self) -> str | None:
        """The blocked patterns as one regular expression over lower-case values, or None without patterns."""
        if not self.blocked:
            return None
        parts = [re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".") for pattern in self.blocked]
        return f"^(?:{'|'.join(parts)})$"


def _default_kinds() -> dict[str, KindRule]:
    return {
        "user_id": KindRule(priority=10, max_records=200, blocked=_PLACEHOLDERS),
        "email": KindRule(priority=20, max_records=50, blocked=tuple(f"{name}@*" for name in _MAILBOXES)),
        "phone": KindRule(priority=30, max_records=10, blocked=_REPEATED_DIGITS),
        "device_id": KindRule(priority=90, max_records=200, blocked=_PLACEHOLDERS),
    }


class IdentityRules(BaseModel):
    """The rules by which records become profiles."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kinds: dict[str, KindRule] = Field(
        default_factory=_default_kinds,
        description="Rules by kind of identifier. What is not said about a kind that Millstream knows is as shipped; "
        "a list of blocked patterns replaces the shipped one.",
    )
    other: KindRule = Field(
        default=KindRule(blocked=_PLACEHOLDERS),
        description="The rule of kinds that are not named, such as a vendor's own ids.",
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
        complete: dict[object, object] = dict(_default_kinds().items())
        for kind, rule in kinds.items():
            shipped = _default_kinds().get(kind)
            given = rule.model_dump(exclude_unset=True) if isinstance(rule, KindRule) else rule
            complete[kind] = rule
            if shipped is not None and isinstance(given, Mapping):
                complete[kind] = {**shipped.model_dump(), **given}
        return complete

    def rule(self, kind: str) -> KindRule:
        """The rule of a kind."""
        return self.kinds.get(kind, self.other)

    def fingerprint(self) -> str:
        """Changes when, and only when, the same records could give other profiles."""
        joining = {kind: self.kinds[kind].model_dump(mode="json") for kind in sorted(self.kinds)}
        text = repr((joining, self.other.model_dump(mode="json")))
        return hashlib.sha256(text.encode()).hexdigest()[:16]
