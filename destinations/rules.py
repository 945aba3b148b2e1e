"""What a project says about delivery as a whole: holdouts, priority lists, how long outcomes are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DeliveryRules(BaseModel):
    """Rules that hold for every sync of a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    holdout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of all people whom no sync with consent addresses, to measure against; 0.05: one in twenty.",
    )
    audience_holdouts: dict[str, float] = Field(
        default_factory=dict, description="Share held out of single audiences, by the audience's name."
    )
    priorities: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Priority lists: who is in several of a list's audiences is sent with the first of them only.",
    )
    retry_attempts: int = Field(
        default=7, ge=1, description="How often a rejected row is tried with the same values before it is held."
    )
    retry_days: int = Field(
        default=30, ge=1, description="For how many days it is tried with the same values before it is held."
    )
    keep_rejected_values: bool = Field(
        default=False,
        description="Whether match value and fields of rejected rows are kept in clear; else only hashes and keys are.",
    )
    keep_days: int = Field(
        default=400, ge=1, description="Days for which runs, batches and outcomes of rows are kept in the store."
    )

    @field_validator("audience_holdouts")
    @classmethod
    def _are_shares(cls, value: Mapping[str, float]) -> Mapping[str, float]:
        wrong = [name for name, share in value.items() if not 0 <= share < 1]
        if wrong:
            raise ValueError(f"the share held out of {wrong[0]!r} should be from 0 to below 1")
        return value

    def earlier_than(self, audience: str) -> tuple[str, ...]:
        """The audiences that come before this one in any priority list."""
        before = (names[: names.index(audience)] for names in self.priorities.values() if audience in names)
        return tuple(dict.fromkeys(name for names in before for name in names))

    def holdouts_of(self, audience: str | None) -> dict[str, float]:
        """Names and shares of the holdouts that apply to an audience, or to rows that are of none."""
        shares = {"global": self.holdout}
        if audience is not None:
            shares[f"audience {audience}"] = self.audience_holdouts.get(audience, 0.0)
        return {name: share for name, share in shares.items() if share}


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """People kept aside to compare with: always the same ones, because the salt never changes.

    Attributes:
        name: ``global``, or ``audience`` and its name.
        share: How many, from 0 to below 1.
        salt: Secret of the journal; who knows it could tell who is held out.
    """

    name: str
    share: float
    salt: str


@dataclass(frozen=True, kw_only=True)
class Suppression:
    """Someone who must not be sent anything, whatever their consent says.

    Attributes:
        channel: The channel it is for; empty for all.
        value_hash: SHA-256 of an identifier's normalised value, or of a profile id.
        reason: Why.
    """

    channel: str
    value_hash: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Restraints:
    """What keeps people back from one sync, beside consent.

    Attributes:
        holdouts: People kept aside to compare with.
        earlier: Audiences whose members are sent with those instead.
        suppressions: The entries of the suppression list for the sync's channel.
    """

    holdouts: tuple[Holdout, ...] = ()
    earlier: tuple[str, ...] = ()
    suppressions: tuple[Suppression, ...] = ()
