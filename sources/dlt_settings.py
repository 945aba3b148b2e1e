"""How dlt is set before its first use; what the environment says goes first."""

from __future__ import annotations

import os

_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    # dlt warns of every JSON column that Arrow brings as text; its real errors come as exceptions.
    "RUNTIME__LOG_LEVEL": "ERROR",
    "EXTRACT__NEXT_ITEM_MODE": "fifo",  # streams one after the other: some follow others
    "LOAD__RAISE_ON_MAX_RETRIES": "2",
    # Rows are merged from a staging dataset; no second copy of people's data stays there.
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
}


def set_dlt() -> None:
    """Set dlt. Whatever first asks dlt for its configuration starts it, telemetry too, so this comes before."""
    for setting, value in _SETTINGS.items():
        os.environ.setdefault(setting, value)
