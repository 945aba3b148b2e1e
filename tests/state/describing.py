"""Short ways to describe profiles in a test, and to look at what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from millstream.state.profiles import ProfilesReport, SurvivorshipRules, TraitRule, build_profiles
from millstream.state.store import column_types

if TYPE_CHECKING:
    from tests.state.conftest import Customers


def describe(customers: Customers, rules: SurvivorshipRules | None = None) -> ProfilesReport:
    """Resolve, and describe what changed."""
    customers.resolve()
    return build_profiles(customers.connection, rules or SurvivorshipRules(), now=customers.tick())


def by(sources: Sequence[str] = (), **traits: TraitRule) -> SurvivorshipRules:
    """Rules by trait."""
    return SurvivorshipRules(sources=tuple(sources), traits=traits)


def row(customers: Customers, record_id: str) -> Mapping[str, object]:
    """The golden row of the profile that a record belongs to."""
    cursor = customers.connection.execute(
        "SELECT * FROM customers.profiles WHERE profile_id = ?", [customers.profile(record_id)]
    )
    names = [column[0] for column in cursor.description or ()]
    found = cursor.fetchone()
    assert found is not None
    return dict(zip(names, found, strict=True))


def origin(customers: Customers, name: str) -> tuple[object, ...]:
    """Where the one value of a trait in the store comes from: record, time, last confirmed, how often said."""
    [found] = customers.rows(
        "SELECT record_id, observed_at, confirmed_at, support FROM customers.profile_traits WHERE name = ?", name
    )
    return found


def pairs(customers: Customers, sql: str) -> dict[object, object]:
    """The first column's values with those of the second."""
    return {found[0]: found[1] for found in customers.rows(sql)}


def contents(customers: Customers) -> tuple[Sequence[tuple[object, ...]], ...]:
    """All that describing writes: columns in a fixed order, profiles, origins, consents and what is denied."""
    columns = sorted(column_types(customers.connection, "customers", "profiles").items())
    names = ", ".join(f'"{name}"' for name, _ in columns)
    return (
        columns,
        customers.rows(f"SELECT {names} FROM customers.profiles ORDER BY profile_id"),
        *(
            sorted(customers.rows(f"SELECT * FROM customers.{table}"))
            for table in ("profile_traits_origin", "profile_consents", "denied_values", "awaited_profiles")
        ),
    )
