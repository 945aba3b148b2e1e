"""The report: what is known of customers as one page for marketers, and as artifacts; counts only, nobody is named.

``gather`` reads store and journal into facts (``facts/``); ``sections/`` says them in blocks: figures, charts, tables;
``page`` and ``publishing`` show the same blocks.
"""

from millstream.flows.report.writing import ReportRun, report_run, write_report

__all__ = ["ReportRun", "report_run", "write_report"]
