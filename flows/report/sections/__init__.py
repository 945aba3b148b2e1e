"""The parts of the report: what they say of the facts, in words, charts and tables."""

from __future__ import annotations

from millstream.flows.report.blocks import Section
from millstream.flows.report.gather import ReportData
from millstream.flows.report.sections.audiences import audiences_section
from millstream.flows.report.sections.campaigns import campaigns_section
from millstream.flows.report.sections.deliveries import deliveries_section
from millstream.flows.report.sections.figures import figures_section
from millstream.flows.report.sections.headline import headline
from millstream.flows.report.sections.people import people_section
from millstream.flows.report.sections.quality import quality_section
from millstream.flows.report.sections.returning import returning_section
from millstream.flows.report.sections.traits import traits_section


def sections_of(data: ReportData) -> tuple[Section, ...]:
    """All parts, in the order in which they are read."""
    return (
        headline(data),
        people_section(data),
        audiences_section(data),
        figures_section(data),
        returning_section(data),
        campaigns_section(data),
        traits_section(data),
        quality_section(data),
        deliveries_section(data),
    )
