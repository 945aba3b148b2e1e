"""Audiences: who belongs to which set of people, since when and why."""

from millstream.state.audiences.compile import Compiled, checked_select, compile_audience, compile_audiences
from millstream.state.audiences.explain import Why, why
from millstream.state.audiences.nodes import Rule
from millstream.state.audiences.ready_made import written_out
from millstream.state.audiences.rules import Audience
from millstream.state.audiences.select import AudienceReport, evaluation_order, select_audiences
from millstream.state.audiences.tables import create_audience_tables

__all__ = [
    "Audience",
    "AudienceReport",
    "Compiled",
    "Rule",
    "Why",
    "checked_select",
    "compile_audience",
    "compile_audiences",
    "create_audience_tables",
    "evaluation_order",
    "select_audiences",
    "why",
    "written_out",
]
