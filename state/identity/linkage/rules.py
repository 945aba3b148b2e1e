"""When two profiles that share no identifier are probably one person: ``identity.linkage`` in the project file."""

from __future__ import annotations

import hashlib
import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from millstream.state.identity.linkage.kinds import Kind

_COLUMNS: dict[str, Kind] = {
    "first_name": "first_name", "firstname": "first_name", "given_name": "first_name",
    "middle_name": "middle_name",
    "last_name": "last_name", "lastname": "last_name", "family_name": "last_name", "surname": "last_name",
    "full_name": "full_name", "name": "full_name",
    "gender": "sex", "sex": "sex",
    "birth_date": "birth_date", "birthdate": "birth_date", "date_of_birth": "birth_date", "birthday": "birth_date",
    "dob": "birth_date",
    "address": "address", "street": "street", "street_address": "address", "house_number": "house_number",
    "postcode": "postcode", "postal_code": "postcode", "zip": "postcode", "zip_code": "postcode",
    "city": "city", "town": "city",
    "state": "region", "region": "region", "province": "region",
}  # fmt: skip

VERSION = 2
"""Of the code that compares: to be raised with every change after which the same two profiles would be compared in
another way (``comparisons``, ``spelling``, ``short_names``, ``copies``, ``placeholders``, ``conditions``), or another
model be made of the same pairs (``model``, ``guessing``). A model of another version is not used again."""


class LinkageRules(BaseModel):
    """Probabilistic linkage with Splink."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=False,
        description="Whether profiles are linked by what their traits have in common; needs millstream[linkage].",
    )
    columns: dict[str, Kind] = Field(
        default_factory=lambda: dict(_COLUMNS),
        description="Which traits to compare, and the kind of each. E-mail addresses and phone numbers are compared "
        "without being named here.",
    )
    merge_at: float = Field(
        default=0.95,
        ge=0.5,
        lt=1,
        description="Probability from which profiles become one by themselves.",
    )
    suggest_at: float = Field(
        default=0.5,
        gt=0,
        lt=1,
        description="Probability from which a link is suggested, to be accepted or refused by hand.",
    )
    max_cluster: int = Field(
        default=100,
        ge=2,
        description="No more profiles than this become one person by linkage; of equal profiles five count.",
    )
    max_pairs: int | None = Field(
        default=None,
        ge=1000,
        description="The most pairs compared in a run; by default 50 for each profile, from one to ten millions.",
    )
    backend: Literal["duckdb", "postgres", "spark"] = Field(
        default="duckdb",
        description="Where Splink compares: in memory by DuckDB, in PostgreSQL, or in Spark.",
    )
    url: SecretStr | dict[Literal["env", "file", "prefect"], str] | None = Field(
        default=None,
        description="Where that is: postgresql://…, or the master of Spark (local[*], spark://…, sc://…); one with a "
        "password by reference, as {env: NAME}.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> LinkageRules:
        if self.suggest_at > self.merge_at:
            raise ValueError("suggest_at must not be above merge_at")
        return self

    def place(self) -> str | None:
        """The URL, which has been read by now if the project file only says where it stands."""
        return self.url.get_secret_value() if isinstance(self.url, SecretStr) else None

    def pairs(self, rows: int) -> int:
        """The most pairs to compare among so many rows."""
        return self.max_pairs or max(1_000_000, min(10_000_000, 50 * rows))

    def fingerprint(self) -> str:
        """Changes when the same profiles could be linked in another way, by other rules or by other code."""
        text = f"{VERSION} {self.model_dump_json(exclude={'backend', 'url', 'max_pairs'})}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def odds(probability: float) -> float:
    """A probability as a match weight: the binary logarithm of its odds."""
    return math.log2(probability / (1 - probability))
