"""Rows of tables: what every table here is made of."""

from __future__ import annotations

Cell = str | int | float | bool | None
Row = dict[str, Cell]
"""A row by the heads of its columns; all rows of a table have the same."""
