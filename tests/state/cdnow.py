"""CDNOW: the purchases that the papers on BG/NBD and Gamma-Gamma publish their results for.

Those of 2,357 customers who first bought in the first quarter of 1997, until the end of June 1998. The package
lifetimes brings the files; it is not imported, since it runs with no newer numpy.
"""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pyarrow as pa

from millstream.state.traits.prediction.repeat_buying import Histories, Numbers

CALIBRATED_UNTIL = date(1997, 9, 30)
"""The end of the 39 weeks that the papers learn from."""

ENDS = datetime(1998, 6, 30, 23, tzinfo=UTC)
"""The end of the 39 weeks after, on which they try."""

WEEKS = 39


def _path(name: str) -> Path:
    return Path(str(distribution("lifetimes").locate_file(f"lifetimes/datasets/{name}")))


def published() -> tuple[Histories, Numbers]:
    """The histories of the 39 weeks as they were published, and the mean value of each customer's repeat orders."""
    with _path("cdnow_customers_summary_with_transactions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    repeats, recency, age, mean = (np.array([float(row[name]) for row in rows]) for name in ("x", "t_x", "T", "zbar"))
    return Histories(repeats, recency, age, np.ones(len(rows))), mean


def purchases() -> pa.Table:
    """The purchases, as the relation has them."""
    rows = [line.split() for line in _path("CDNOW_sample.txt").read_text().splitlines() if line.strip()]
    days = [datetime.strptime(day, "%Y%m%d").replace(hour=12, tzinfo=UTC) for _, _, day, _, _ in rows]
    return pa.table(
        {
            "profile_id": pa.array([customer for _, customer, _, _, _ in rows]),
            "happened_at": pa.array(days, pa.timestamp("us", "UTC")),
            "value": pa.array([float(value) for *_, value in rows]),
        }
    )
