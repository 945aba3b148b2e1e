"""Identity: which records are the same person, why, and under which id."""

from millstream.state.identity.explain import (
    BlockedValue,
    Change,
    IdentifierSeen,
    ProfileExplanation,
    RecordSeen,
    explain_profile,
)
from millstream.state.identity.find import find_profiles
from millstream.state.identity.normalise import normalise, region
from millstream.state.identity.resolve import ResolveReport, resolve
from millstream.state.identity.rules import IdentityRules, KindRule
from millstream.state.identity.spanning import Join
from millstream.state.identity.tables import create_identity_tables

__all__ = [
    "BlockedValue",
    "Change",
    "IdentifierSeen",
    "IdentityRules",
    "Join",
    "KindRule",
    "ProfileExplanation",
    "RecordSeen",
    "ResolveReport",
    "create_identity_tables",
    "explain_profile",
    "find_profiles",
    "normalise",
    "region",
    "resolve",
]
