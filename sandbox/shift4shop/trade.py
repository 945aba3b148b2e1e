"""Who buys in the shop, and what: a pure function of the company."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.draws import bases_of, cut, draw, mix, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.person import Person
from millstream.sandbox.system import JsonObject

SHOPPER, ORDER, NEWS = topic(600), tuple(topic(601 + number) for number in range(4)), topic(606)
SHOPPER_CUT, GUEST_CUT, NEWS_CUT = cut(0.3), cut(0.25), cut(0.5)
FIRST_CUSTOMER, FIRST_ORDER = 70_000, 400_000
ORDERS_PER_PERSON = 5
ZONE = ZoneInfo("America/New_York")
"""The store's own zone; its times are told without it."""

TILL_PHONE = "2025550100"
PRODUCTS = (
    (11, "MUG-1", "Travel mug", 19.5),
    (12, "KET-2", "Kettle", 64.0),
    (13, "GRI-3", "Coffee grinder", 129.0),
    (14, "FIL-4", "Filter papers", 6.25),
)


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one person; a guest's has no customer id."""

    index: int
    number: int
    guest: bool
    placed_ms: int
    updated_ms: int
    bits: int

    @property
    def order_id(self) -> int:
        """The shop's number for it."""
        return FIRST_ORDER + self.index * ORDERS_PER_PERSON + self.number


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer account."""

    index: int
    updated_ms: int

    @property
    def customer_id(self) -> int:
        """The shop's number for it."""
        return FIRST_CUSTOMER + self.index


def shoppers(company: Company) -> list[int]:
    """Who has ever bought something."""
    bits = draw(bases_of(company.key, np.arange(company.people, dtype=np.uint64)), SHOPPER)
    return [int(index) for index in np.flatnonzero(share(bits, 0) < SHOPPER_CUT)]


def is_guest(company: Company, index: int) -> bool:
    """Whether a shopper buys without an account."""
    return share(draw(company.base(index), SHOPPER), 1) < GUEST_CUT


def make_customers(company: Company) -> list[Customer]:
    """All accounts, by number."""
    customers = []
    for index in shoppers(company):
        if not is_guest(company, index):
            bits = draw(company.base(index), SHOPPER)
            changed = company.changes[index].modified_ms if index in company.changes else None
            updated = company.today_ms - (share(bits, 2) % 300 + 1) * DAY_MS + share(bits, 3) * 1000
            customers.append(Customer(index, changed or updated))
    return customers


def make_orders(company: Company) -> list[Order]:
    """All orders, by number."""
    orders: list[Order] = []
    for index in shoppers(company):
        base, guest = company.base(index), is_guest(company, index)
        count = share(draw(base, SHOPPER), 2) % 4 + 1
        for number in range(count):
            bits = draw(base, ORDER[number])
            placed = company.today_ms - (share(bits, 0) % 360 + 8) * DAY_MS + share(bits, 1) * 1000
            updated = placed + share(bits, 2) % (6 * DAY_MS // 1000) * 1000
            orders.append(Order(index, number, guest, placed, updated, bits))
        latest = _latest(company, index, guest)
        orders += [latest] if latest else []
    return orders


def _latest(company: Company, index: int, guest: bool) -> Order | None:
    """An order that came with the last change of a person, while the sandbox runs."""
    changed_ms = company.changes[index].modified_ms if index in company.changes else None
    bits = draw(company.base(index), NEWS)
    if changed_ms is None or share(bits, 0) >= NEWS_CUT:
        return None
    return Order(index, ORDERS_PER_PERSON - 1, guest, changed_ms, changed_ms, mix(bits))


def local(ms: int) -> str:
    """A time as the store writes it: on its own clock, without saying which."""
    return datetime.fromtimestamp(ms // 1000, UTC).astimezone(ZONE).strftime("%Y-%m-%dT%H:%M:%S")


def phone_of(person: Person) -> str:
    """The number as typed: without the calling code, or the till's."""
    return person.phone_national or (TILL_PHONE if person.index % 4 == 0 else "")


def customer_row(company: Company, customer: Customer) -> JsonObject:
    """An account as the API gives it, the password's hash included."""
    person = company.person(customer.index)
    address = {"City": person.city, "Country": person.country_code, "State": "", "ZipCode": f"{person.index:05d}"}
    return {
        "CustomerID": customer.customer_id,
        "Email": person.email,
        "Password": f"{mix(person.index + 1):x}",
        "BillingFirstName": person.first_name,
        "BillingLastName": person.last_name,
        "BillingCompany": "",
        "BillingAddress1": f"{person.index % 200 + 1} Main Street",
        "BillingAddress2": "",
        **{f"Billing{name}": value for name, value in address.items()},
        "BillingPhoneNumber": phone_of(person),
        "ShippingFirstName": person.first_name,
        "ShippingLastName": person.last_name,
        "ShippingAddress1": f"{person.index % 200 + 1} Main Street",
        **{f"Shipping{name}": value for name, value in address.items()},
        "CustomerGroupID": 1,
        "Enabled": True,
        "MailList": person.subscription == "SUBSCRIBED",
        "NonTaxable": False,
        "Comments": "",
        "AdditionalField1": person.customer_id or "",
        "AdditionalField2": "",
        "LastUpdate": local(customer.updated_ms),
    }


def order_row(company: Company, order: Order) -> JsonObject:
    """An order as the API gives it, card fields included."""
    person = company.person(order.index)
    items = _items(order)
    goods = sum(float(str(item["ItemUnitPrice"])) * float(str(item["ItemQuantity"])) for item in items)
    tax = round(goods * 0.08, 2)
    return {
        "InvoiceNumberPrefix": "AB-",
        "InvoiceNumber": order.order_id,
        "OrderID": order.order_id,
        "CustomerID": 0 if order.guest else FIRST_CUSTOMER + order.index,
        "OrderDate": local(order.placed_ms),
        "OrderStatusID": (1, 2, 4, 4, 4, 5)[share(order.bits, 3) % 6],
        "LastUpdate": local(order.updated_ms),
        "UserID": "",
        "BillingFirstName": person.first_name,
        "BillingLastName": person.last_name,
        "BillingCompany": "",
        "BillingAddress": f"{person.index % 200 + 1} Main Street",
        "BillingCity": person.city,
        "BillingState": "",
        "BillingZipCode": f"{person.index:05d}",
        "BillingCountry": person.country_code,
        "BillingPhoneNumber": phone_of(person),
        "BillingEmail": person.emails[-1] if order.number % 2 else person.email,
        "BillingPaymentMethod": "Online Credit Card",
        "CardNumber": "-4242",
        "CardVerification": "000",
        "CardName": f"{person.first_name} {person.last_name}",
        "OrderDiscount": 0.0,
        "SalesTax": tax,
        "SalesTax2": 0.0,
        "SalesTax3": 0.0,
        "OrderAmount": round(goods + tax, 2),
        "RewardPoints": "0",
        "Referer": "https://www.example.com/",
        "IP": f"192.0.2.{order.index % 250 + 1}",
        "CustomerComments": "",
        "OrderItemList": items,
        "ShipmentList": [{"ShipmentID": 0, "ShipmentLastUpdate": local(order.updated_ms), "ShipmentTrackingCode": ""}],
        "TransactionList": [],
        "QuestionList": [],
    }


def _items(order: Order) -> list[JsonObject]:
    items: list[JsonObject] = []
    for place in range(share(order.bits, 1) % 3 + 1):
        catalog, sku, name, price = PRODUCTS[(share(order.bits, 2) + place) % len(PRODUCTS)]
        items.append(
            {
                "CatalogID": catalog,
                "ItemIndexID": order.order_id * 10 + place,
                "ItemID": sku,
                "ItemQuantity": float(share(order.bits, 0) % 2 + 1),
                "ItemDescription": name,
                "ItemUnitPrice": price,
                "ItemOptions": "",
                "ItemDateAdded": local(order.placed_ms),
            }
        )
    return items


def product_row(number: int, company: Company) -> JsonObject:
    """One product of the catalogue."""
    catalog, sku, name, price = PRODUCTS[number]
    return {
        "SKUInfo": {"CatalogID": catalog, "SKU": sku, "Name": name, "Price": price, "Cost": price / 2, "Stock": 40},
        "ShortDescription": name,
        "LastUpdate": local(company.today_ms - 30 * DAY_MS),
        "CategoryList": [{"CategoryID": 1, "CategoryName": "Coffee"}],
    }


def shop_ids_of(company: Company, index: int) -> dict[str, object]:
    """What the shop knows one person by, for the truth."""
    shops = index < company.people and share(draw(company.base(index), SHOPPER), 0) < SHOPPER_CUT
    if not shops:
        return {"customer_id": None, "guest": False}
    guest = is_guest(company, index)
    return {"customer_id": None if guest else FIRST_CUSTOMER + index, "guest": guest}
