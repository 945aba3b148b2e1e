"""Products and order statuses: small lists that are read whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.shift4shop.lists import Listing, count, in_utc, pages

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from millstream.sources.pull import Pull
    from millstream.sources.shift4shop.settings import Shift4ShopSettings

PRODUCTS = Listing(path="Products", key="SKUInfo.CatalogID")
STATUSES = Listing(path="OrderStatus", key="OrderStatusID")
PRODUCT_COLUMNS = (
    Column("id", description="Catalog id.", required=True),
    Column("sku"),
    Column("name"),
    Column("description", description="The short one.", optional=True),
    Column("price", "double"),
    Column("cost", "double", optional=True),
    Column("stock", "double", optional=True),
    Column("categories", "json", "Names of its categories.", optional=True),
    Column("updated_at", "timestamp", "Last change.", optional=True),
)
STATUS_COLUMNS = (
    Column("id", description="Status id.", required=True),
    Column("name", description="What the status is called in the shop."),
    Column("definition", description="What the vendor calls it.", optional=True),
    Column("visible", "bool", optional=True),
)


def read_products(pull: Pull, settings: Shift4ShopSettings) -> Iterator[Page]:
    """Pages of products as rows."""
    total = count(pull, PRODUCTS, {})
    pull.expect(total or 0)
    for found in pages(pull, PRODUCTS, {}, size=settings.page_size, total=total, seen=set()):
        yield [shape_product(product, settings.zone) for product in found]


def shape_product(product: Mapping[str, Any], zone: ZoneInfo) -> Row:
    """A product as a row."""
    facts = product.get("SKUInfo") or {}
    fields = {"SKU": "sku", "Name": "name", "Price": "price", "Cost": "cost", "Stock": "stock"}
    row: Row = {column: facts[name] for name, column in fields.items() if name in facts}
    return row | {
        "id": facts.get("CatalogID"),
        "description": product.get("ShortDescription"),
        "categories": [one.get("CategoryName") for one in product.get("CategoryList") or ()],
        "updated_at": in_utc(product.get("LastUpdate"), zone),
    }


def read_statuses(pull: Pull, settings: Shift4ShopSettings) -> Iterator[Page]:
    """Order statuses as rows."""
    for found in pages(pull, STATUSES, {}, size=settings.page_size, total=None, seen=set()):
        yield [shape_status(status) for status in found]


def shape_status(status: Mapping[str, Any]) -> Row:
    """A status as a row."""
    fields = {
        "OrderStatusID": "id",
        "StatusText": "name",
        "StatusDefinition": "definition",
        "Visible": "visible",
    }
    return {column: status[name] for name, column in fields.items() if name in status}
