"""Audiences: who belongs to which set of people, since when and why."""

from millstream.state.audiences.compile import Compiled, Compiler, checked_select, compile_audience
from millstream.state.audiences.explain import Why, why
from millstream.state.audiences.rules import Audience, Rule
from millstream.state.audiences.select import AudienceReport, evaluation_order, select_audiences
from millstream.state.audiences.tables import create_audience_tables

__all__ = [
    "Audience",
    "AudienceReport",
    "Compiled",
    "Compiler",
    "Rule",
    "Why",
    "checked_select",
    "compile_audience",
    "create_audience_tables",
    "evaluation_order",
    "select_audiences",
    "why",
]
