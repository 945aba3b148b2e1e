"""Profiles: what is true of a person, one row each, and where each value comes from."""

from millstream.state.profiles.columns import existing_columns, quoted
from millstream.state.profiles.golden import ProfilesReport, build_profiles
from millstream.state.profiles.rules import SurvivorshipRules, TraitRule
from millstream.state.profiles.tables import create_profile_tables

__all__ = [
    "ProfilesReport",
    "SurvivorshipRules",
    "TraitRule",
    "build_profiles",
    "create_profile_tables",
    "existing_columns",
    "quoted",
]
