"""The table ``customers.products_together``: pairs of products in one order, with support, confidence and lift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from millstream.state.traits.prediction.baskets import Baskets
from millstream.state.traits.prediction.co_occurrence import pairs
from millstream.state.traits.prediction.recommending import orders

if TYPE_CHECKING:
    import pyarrow as pa

MOST_PARTNERS = 20
"""Pairs of a product in the table: the likest."""


def products_together(bought: Baskets) -> pa.Table:
    """Each pair twice, once from either side.

    Columns: ``orders`` with both, ``support`` (their share of all orders), ``confidence`` (their share of the orders
    with ``product_a``), and ``lift``: how many times as often as if the two had nothing to do with each other.
    """
    import pyarrow as pa

    matrix = orders(bought.basket, bought.product, len(bought.product_ids))
    found = pairs(matrix, most=MOST_PARTNERS)
    counts = np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()
    total = max(matrix.shape[0], 1)
    confidence = found.together / counts[found.first] if len(found.first) else np.empty(0)
    lift = confidence / (counts[found.second] / total) if len(found.first) else np.empty(0)
    ids = pa.array(bought.product_ids, pa.string())
    names = pa.array(bought.names, pa.string())
    return pa.table(
        {
            "product_a": ids.take(pa.array(found.first)),
            "product_b": ids.take(pa.array(found.second)),
            "name_a": names.take(pa.array(found.first)),
            "name_b": names.take(pa.array(found.second)),
            "orders": pa.array(found.together, pa.int64()),
            "support": pa.array(found.together / total, pa.float64()),
            "confidence": pa.array(confidence, pa.float64()),
            "lift": pa.array(lift, pa.float64()),
        }
    )
