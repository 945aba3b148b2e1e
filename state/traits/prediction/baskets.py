"""What people bought, in numbers: people, orders and products counted through, so that they fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from millstream.state.store import read_arrow

if TYPE_CHECKING:
    from millstream.state.store import Connection

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]

_PRODUCTS = """
CREATE TEMP TABLE basket_products AS
SELECT product_id, max(name) AS name, row_number() OVER (ORDER BY product_id) - 1 AS number
FROM line_items WHERE product_id IS NOT NULL GROUP BY product_id
"""
_ORDERS = """
CREATE TEMP TABLE basket_orders AS
SELECT profile_id, order_id, happened_at, dense_rank() OVER (ORDER BY profile_id) - 1 AS person,
       row_number() OVER (ORDER BY happened_at, profile_id, order_id) - 1 AS number
FROM (
    SELECT profile_id, order_id, max(happened_at) AS happened_at FROM line_items
    WHERE product_id IS NOT NULL GROUP BY profile_id, order_id
) AS orders
"""
_ITEMS = """
SELECT DISTINCT basket_orders.number AS basket, basket_products.number AS product
FROM line_items
JOIN basket_orders ON basket_orders.profile_id = line_items.profile_id AND basket_orders.order_id = line_items.order_id
JOIN basket_products ON basket_products.product_id = line_items.product_id
ORDER BY basket, product
"""


@dataclass(frozen=True)
class Baskets:
    """All that was bought.

    Attributes:
        profile_ids: The people, by their number.
        product_ids: The products, by their number.
        names: What they are called; None where nobody says.
        person: Whose order it is, by the order's number. Orders are counted in the order of time.
        at: When it was, in seconds since 1970.
        basket: The order of each item; an order has a product once.
        product: The product of each item.
    """

    profile_ids: list[str]
    product_ids: list[str]
    names: list[str | None]
    person: Integers
    at: Numbers
    basket: Integers
    product: Integers

    @property
    def buyer(self) -> Integers:
        """The person of each item."""
        return self.person[self.basket]


def baskets(connection: Connection) -> Baskets:
    """Read the relation ``line_items``."""
    with _numbered(connection):
        products = read_arrow(connection, "SELECT product_id, name FROM basket_products ORDER BY number")
        people = read_arrow(connection, "SELECT DISTINCT person, profile_id FROM basket_orders ORDER BY person")
        orders = read_arrow(
            connection,
            "SELECT person, CAST(extract(epoch FROM happened_at) AS DOUBLE) AS at FROM basket_orders ORDER BY number",
        )
        items = read_arrow(connection, _ITEMS)
    return Baskets(
        profile_ids=people.column("profile_id").to_pylist(),
        product_ids=products.column("product_id").to_pylist(),
        names=products.column("name").to_pylist(),
        person=orders.column("person").to_numpy().astype(np.int64),
        at=orders.column("at").to_numpy().astype(np.float64),
        basket=items.column("basket").to_numpy().astype(np.int64),
        product=items.column("product").to_numpy().astype(np.int64),
    )


@contextmanager
def _numbered(connection: Connection) -> Iterator[None]:
    connection.execute(_PRODUCTS)
    connection.execute(_ORDERS)
    try:
        yield
    finally:
        connection.execute("DROP TABLE basket_orders")
        connection.execute("DROP TABLE basket_products")
