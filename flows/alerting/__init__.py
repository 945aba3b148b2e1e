"""Alerts: what runs and the clock say about the project, kept in the journal, and told on each change of state."""

from millstream.flows.alerting.watching import WatchReport, after_run, try_channels, watch

__all__ = ["WatchReport", "after_run", "try_channels", "watch"]
