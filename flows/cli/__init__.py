"""The command line. ``millstream --help`` imports nothing heavy: commands import what they need when they run."""

from __future__ import annotations

from millstream.flows.cli.application import main

__all__ = ["main"]
