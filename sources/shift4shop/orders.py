"""Orders, with what was bought, sent, paid and given back; card data stays at the vendor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.shift4shop.customers import ADDRESS_TRAITS, CUSTOMER_ID
from millstream.sources.shift4shop.lists import Listing, in_utc, in_window, read_changed
from millstream.state.model.declarations import Event, Identifier, People

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.shift4shop.settings import Shift4ShopSettings

LISTING = Listing(path="Orders", key="OrderID")
_FIELDS = {
    "OrderID": "order_id",
    "BillingEmail": "email",
    "BillingPhoneNumber": "phone",
    "BillingFirstName": "first_name",
    "BillingLastName": "last_name",
    "BillingCompany": "company",
    "BillingAddress": "street",
    "BillingAddress2": "street2",
    "BillingCity": "city",
    "BillingState": "region",
    "BillingZipCode": "postal_code",
    "BillingCountry": "country",
    "BillingPaymentMethod": "payment_method",
    "OrderStatusID": "status_id",
    "OrderAmount": "total",
    "OrderDiscount": "discount",
    "AlternateOrderID": "alternate_order_id",
    "OrderType": "order_type",
    "Referer": "referer",
}
"""What is kept of an order. Card fields, comments and answers to checkout questions are left where they are."""

_ITEM_FIELDS = {
    "CatalogID": "product_id",
    "ItemID": "sku",
    "ItemDescription": "name",
    "ItemOptions": "variant",
    "ItemQuantity": "quantity",
    "ItemUnitPrice": "price",
}
_SHIPMENT_FIELDS = {
    "ShipmentID": "id",
    "ShipmentMethodName": "method",
    "ShipmentOrderStatus": "status_id",
    "ShipmentShippedDate": "shipped",
    "ShipmentTrackingCode": "tracking_code",
}
_TRANSACTION_FIELDS = {
    "TransactionIndexID": "id",
    "TransactionType": "type",
    "TransactionMethod": "method",
    "TransactionAmount": "amount",
    "TransactionCaptured": "captured",
}
COLUMNS = (
    Column("order_id", required=True),
    Column("invoice", description="Invoice number with its prefix.", optional=True),
    Column("customer_id", description="The customer's id; none of a guest."),
    Column("status_id", description="Order status."),
    Column("status", description="The status in words.", optional=True),
    Column("placed", "bool", "Whether it was placed, not only begun."),
    Column("ordered_at", "timestamp", "When it was placed.", required=True),
    Column("updated_at", "timestamp", "Last change."),
    Column("cancelled_at", "timestamp", "Last change of a cancelled one.", optional=True),
    Column("refunded_at", "timestamp", "When money was last given back.", optional=True),
    Column("refunded", "double", "Money given back in all.", optional=True),
    Column("email", description="Billing address."),
    Column("phone", description="Billing number, as typed."),
    Column("first_name"),
    Column("last_name"),
    Column("company", optional=True),
    Column("street", optional=True),
    Column("street2", optional=True),
    Column("city", optional=True),
    Column("region", optional=True),
    Column("postal_code", optional=True),
    Column("country", optional=True),
    Column("payment_method", optional=True),
    Column("total", "double", "What is to be paid in all."),
    Column("tax", "double", "All sales taxes.", optional=True),
    Column("discount", "double", optional=True),
    Column("currency", description="By setting: the API does not say it.", optional=True),
    Column("products", "json", "What was bought: product_id, sku, name, variant, quantity and price of each."),
    Column("shipments", "json", "Shipments with method, status, date and tracking code.", optional=True),
    Column("transactions", "json", "Payments and refunds with type, method, amount and time.", optional=True),
    Column("alternate_order_id", description="The order's id in another system.", optional=True),
    Column("order_type", optional=True),
    Column("referer", description="Page that led to the shop.", optional=True),
)
_PROPERTIES = ("order_id", "invoice", "status", "products", "tax", "discount", "payment_method")
PEOPLE = People(
    repeats=True,
    identifiers=(
        Identifier(kind="email", column="email"),
        Identifier(kind=CUSTOMER_ID, column="customer_id"),
        Identifier(kind="phone", column="phone"),
        Identifier(kind="address", columns=("street", "postal_code")),
    ),
    traits=ADDRESS_TRAITS,
    events=(
        Event(
            at="ordered_at",
            name="Order Completed",
            when=("placed", ("true",)),
            properties=_PROPERTIES,
            value="total",
            currency="currency",
            channel="web",
        ),
        Event(
            at="cancelled_at",
            name="Order Cancelled",
            properties=_PROPERTIES,
            value="total",
            currency="currency",
            channel="web",
        ),
        Event(
            at="refunded_at",
            name="Order Refunded",
            properties=_PROPERTIES,
            value="refunded",
            currency="currency",
            channel="web",
        ),
    ),
    observed_at="ordered_at",
    country="country",
)


def read_orders(pull: Pull, settings: Shift4ShopSettings, statuses: Mapping[str, str]) -> Iterator[Page]:
    """Pages of orders as rows."""
    for rows in read_changed(pull, LISTING, settings, seen=set()):
        shaped = [shape_order(order, settings, statuses) for order in rows]
        yield [row for row in shaped if in_window(pull, row.get("updated_at"))] if shaped else rows


def shape_order(order: Mapping[str, Any], settings: Shift4ShopSettings, statuses: Mapping[str, str]) -> Row:
    """An order as a row, without what is nobody's business."""
    row: Row = {column: order[name] for name, column in _FIELDS.items() if name in order}
    zone, status = settings.zone, order.get("OrderStatusID")
    if "CustomerID" in order:
        row["customer_id"] = order["CustomerID"] or None
    if "LastUpdate" in order:
        row["updated_at"] = in_utc(order["LastUpdate"], zone)
    if "OrderStatusID" in order:
        row["placed"] = status not in settings.unfinished_statuses
        row["status"] = statuses.get(str(status))
    if "OrderItemList" in order:
        row["products"] = _listed(order, "OrderItemList", _ITEM_FIELDS)
    transactions = [_transaction(one, settings) for one in order.get("TransactionList") or ()]
    return row | {
        "invoice": f"{order.get('InvoiceNumberPrefix') or ''}{order.get('InvoiceNumber') or ''}" or None,
        "ordered_at": in_utc(order.get("OrderDate"), zone),
        "cancelled_at": row.get("updated_at") if status in settings.cancelled_statuses else None,
        "tax": sum(order.get(name) or 0 for name in ("SalesTax", "SalesTax2", "SalesTax3")),
        "currency": settings.currency,
        "shipments": _listed(order, "ShipmentList", _SHIPMENT_FIELDS),
        "transactions": transactions,
        **_refunds(transactions, settings),
    }


def _listed(order: Mapping[str, Any], name: str, fields: Mapping[str, str]) -> list[Row]:
    return [_picked(one, fields) for one in order.get(name) or ()]


def _picked(found: Mapping[str, Any], fields: Mapping[str, str]) -> Row:
    return {key: found[name] for name, key in fields.items() if name in found}


def _transaction(found: Mapping[str, Any], settings: Shift4ShopSettings) -> Row:
    at = in_utc(found.get("TransactionDateTime"), settings.zone)
    return {**_picked(found, _TRANSACTION_FIELDS), "at": at.isoformat() if isinstance(at, datetime) else at}


def _refunds(transactions: list[Row], settings: Shift4ShopSettings) -> Row:
    """When and how much was given back; its amount may be written as a negative one."""
    types = {kind.lower() for kind in settings.refund_types}
    refunds = [one for one in transactions if str(one.get("type") or "").strip().lower() in types]
    return {
        "refunded_at": max((one["at"] for one in refunds if one["at"]), default=None),
        "refunded": sum(abs(one.get("amount") or 0) for one in refunds) if refunds else None,
    }
