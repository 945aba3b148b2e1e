"""Asking the person at the terminal."""

from __future__ import annotations

import sys

import typer

from millstream.flows.cli.output import print_note


def someone_is_there() -> bool:
    """Whether a person can answer."""
    return sys.stdin.isatty()


def agreed() -> bool:
    """Whether the person says yes; anything but a plain yes is a no."""
    if typer.confirm("\nDo it?", default=False, err=True):
        return True
    print_note("Nothing was changed.")
    return False
