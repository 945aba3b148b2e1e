"""The rules that audiences were computed by, as the store keeps them: to compare with those of today."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from millstream.state.audiences.rules import Audience

if TYPE_CHECKING:
    from millstream.state.store import Connection

LATEST_RULES = """
SELECT audience, rule_fingerprint, definition, first_run, first_as_of FROM (
    SELECT *, row_number() OVER (PARTITION BY audience ORDER BY first_as_of DESC, first_run DESC) AS number
    FROM customers.audience_rules
) AS numbered WHERE number = 1
"""
"""The rule by which each audience was last computed; an audience that is gone from the project has no definition."""


def definition_of(audience: Audience) -> str:
    """The audience as JSON, with nothing that is left out in the project file."""
    return audience.model_dump_json(by_alias=True, exclude_defaults=True)


@dataclass(frozen=True)
class KeptRule:
    """The rule an audience was last computed by.

    Attributes:
        fingerprint: Of the audience then.
        audience: The audience then; None where it is not known, or this version cannot read it.
    """

    fingerprint: str
    audience: Audience | None


def rules_in_force(connection: Connection) -> dict[str, KeptRule]:
    """The rules that audiences were last computed by, by name. What is gone from the project since has none."""
    rows = connection.execute(
        f"SELECT audience, rule_fingerprint, definition FROM ({LATEST_RULES}) AS latest"
    ).fetchall()
    found = {str(name): KeptRule(str(print_of), _read(str(text))) for name, print_of, text in rows if text is not None}
    # Stays of before rules were kept tell by which one they are, but not what it was.
    members = connection.execute(
        "SELECT audience, max(rule_fingerprint) FROM customers.memberships WHERE left_at IS NULL GROUP BY audience"
    ).fetchall()
    return {str(name): KeptRule(str(print_of), None) for name, print_of in members} | found


def _read(definition: str) -> Audience | None:
    try:
        return Audience.model_validate_json(definition)
    except ValidationError:
        return None
