"""What a sync is: a source of people in the store, a destination, a mapping, a mode, and its guards."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from millstream.destinations.modes import Leaving, SyncMode
from millstream.state.consent import ConsentRequirement


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldMapping(_Part):
    """A column of the source and what a missing value means at the destination."""

    column: str = Field(description="Trait or column that gives the value.")
    null: Literal["ignore", "clear"] = Field(
        default="ignore", description="A missing value leaves the field alone, or clears it."
    )
    required: bool = Field(default=False, description="Whether a person without a value is not sent.")


class Guards(_Part):
    """When to stop a sync before its first request."""

    largest_removal_share: float = Field(
        default=0.3, ge=0, le=1, description="Largest share of the acknowledged members one run may take out."
    )
    removals_always_allowed: int = Field(
        default=50, ge=0, description="Up to so many removals the share is not looked at."
    )
    allow_empty: bool = Field(default=False, description="Let an empty source take everyone out, instead of stopping.")
    largest_size_change: float | None = Field(
        default=1.0,
        gt=0,
        description="Largest change of the number of people to hold, as a share of its median over earlier runs: 1.0 "
        "lets it double. Looked at from 100 people and three runs on; null never looks.",
    )
    largest_missing_share: float = Field(
        default=0.5, ge=0, le=1, description="Largest share of people without a value for a required field."
    )
    schema_changes: Literal["stop", "allow"] = Field(
        default="stop", description="What happens when a mapped column has another type than in the last run."
    )


class Sync(_Part):
    """Keeps a destination in step with an audience, a table or a query of the store."""

    destination: str = Field(description="Name of a destination of this project.")
    audience: str | None = Field(default=None, description="Audience whose members are sent.")
    table: str | None = Field(default=None, description="Table of the store, as schema.table, that is sent.")
    sql: str | None = Field(default=None, description="One SELECT over the store whose rows are sent.")
    mode: SyncMode = Field(default=SyncMode.MIRROR, description="What the sync may do.")
    into: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the list, tag or audience at the destination; the audience's name when left out.",
    )
    match: dict[str, str] = Field(
        default={"email": "email"},
        description="The destination's match key and the column that holds it.",
        min_length=1,
        max_length=1,
    )
    fields: dict[str, str | FieldMapping] = Field(
        default_factory=dict, description="Destination fields and the columns that fill them."
    )
    consent: ConsentRequirement | Literal["not_needed"] = Field(
        description="Consent a person must have granted to be sent, or not_needed. People without it are not sent."
    )
    create_fields: bool = Field(
        default=False, description="Whether mapped fields that the destination lacks are made, where its API can."
    )
    on_leave: Leaving | None = Field(
        default=None,
        description="What happens to those who left; mode mirror only, and leave_audience when left out.",
    )
    holdout: bool | None = Field(
        default=None,
        description="Whether holdouts and priority lists apply; when left out, wherever consent is needed.",
    )
    guards: Guards = Field(default_factory=Guards, description="When to stop before the first request.")
    enabled: bool = Field(default=True, description="Whether runs include it.")

    @field_validator("into", mode="before")
    @classmethod
    def _without_spaces_around(cls, value: object) -> object:
        """Vendors cut them off, and would not find the audience by its name again."""
        return value.strip() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_source(self) -> Sync:
        given = [name for name in ("audience", "table", "sql") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError("give exactly one of audience, table and sql")
        if self.on_leave is not None and self.mode is not SyncMode.MIRROR:
            raise ValueError(f"mode {self.mode.value} leaves alone who left: take 'on_leave' away, or use mode mirror")
        needs_audience = self.mode in (SyncMode.ADD, SyncMode.REMOVE, SyncMode.REPLACE) or (
            self.mode is SyncMode.MIRROR and self.leaving is Leaving.LEAVE_AUDIENCE
        )
        if needs_audience and not self.audience_name:
            raise ValueError(f"mode {self.mode.value} needs 'into': the list or tag to keep at the destination")
        if self.leaving is Leaving.CLEAR_FIELDS and not self.fields:
            raise ValueError("on_leave clear_fields needs fields to clear")
        return self

    @property
    def audience_name(self) -> str | None:
        """Name of the audience at the destination; None for a sync that only keeps people's fields."""
        if self.mode in (SyncMode.UPSERT, SyncMode.UPDATE):
            return self.into
        return self.into or self.audience

    @property
    def leaving(self) -> Leaving:
        """What happens to someone who is taken out."""
        return self.on_leave or Leaving.LEAVE_AUDIENCE

    @property
    def has_holdouts(self) -> bool:
        """Whether holdouts and priority lists apply."""
        return self.consent != "not_needed" if self.holdout is None else self.holdout

    @property
    def match_key(self) -> str:
        """The destination's match key."""
        return next(iter(self.match))

    @property
    def match_column(self) -> str:
        """The column with the match value."""
        return self.match[self.match_key]

    def mappings(self) -> dict[str, FieldMapping]:
        """The field mappings, short forms spelled out."""
        return {
            name: FieldMapping(column=mapping) if isinstance(mapping, str) else mapping
            for name, mapping in self.fields.items()
        }
