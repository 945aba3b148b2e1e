"""Profiles: what is true of a person, one row each, and where each value comes from."""

from millstream.state.profiles.columns import existing_columns
from millstream.state.profiles.consents import merge_consents
from millstream.state.profiles.freshness import TraitFreshness
from millstream.state.profiles.golden import ProfilesReport, build_profiles
from millstream.state.profiles.rules import SurvivorshipRules, TraitRule
from millstream.state.profiles.tables import create_profile_tables

__all__ = [
    "ProfilesReport",
    "SurvivorshipRules",
    "TraitFreshness",
    "TraitRule",
    "build_profiles",
    "create_profile_tables",
    "existing_columns",
    "merge_consents",
]
