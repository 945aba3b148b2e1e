"""The store: its three keys, its limit of two requests a second, and its lists."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar

from millstream.sandbox.limits import Window
from millstream.sandbox.shift4shop.errors import refusal
from millstream.sandbox.shift4shop.trade import (
    PRODUCTS,
    ZONE,
    Customer,
    Order,
    customer_row,
    make_customers,
    make_orders,
    order_row,
    phone_of,
    product_row,
)
from millstream.sandbox.system import Answer, ApiError, Call, JsonObject, Route, System, route

SECURE_URL = "https://sandbox.3dcartstores.com"
PRIVATE_KEY, TOKEN = "sandbox-shift4shop-key", "sandbox-shift4shop-token"
REQUESTS_A_SECOND = 2
DEFAULT_LIMIT, LARGEST_LIMIT = 10, 200
ROOT = "/3dCartWebAPI/v1"
CHANGED = {"limit", "offset", "countonly", "lastupdatestart", "lastupdateend"}
ORDER_PARAMETERS = CHANGED | {"datestart", "dateend", "orderstatus", "billingemail"}
CUSTOMER_PARAMETERS = CHANGED | {"email", "phone"}


class Shift4Shop(System):
    """One store that keeps its times in New York."""

    name: ClassVar[str] = "shift4shop"
    title: ClassVar[str] = "Shift4Shop"

    def reset(self) -> None:
        self._second = Window(REQUESTS_A_SECOND, 1)
        self._advances = -1
        self._customers: list[Customer] = []
        self._orders: list[Order] = []

    def routes(self) -> Sequence[Route]:
        return [
            route("GET", f"{ROOT}/Customers", self._list_customers),
            route("GET", f"{ROOT}/Customers/{{customer_id}}", self._one_customer),
            route("GET", f"{ROOT}/Orders", self._list_orders),
            route("GET", f"{ROOT}/Orders/{{order_id}}", self._one_order),
            route("GET", f"{ROOT}/Products", self._products),
            route("GET", f"{ROOT}/OrderStatus", self._statuses),
        ]

    def authenticate(self, call: Call) -> str:
        given = tuple(call.headers.get(name, "") for name in ("secureurl", "privatekey", "token"))
        if given != (SECURE_URL, PRIVATE_KEY, TOKEN) or call.strike.get("expire_token") is not None:
            raise refusal(401, "The combination of SecureURL, PrivateKey and Token is not valid")
        return TOKEN

    def admit(self, call: Call) -> dict[str, str]:
        del call
        if not self._second.take():
            raise self.rate_limited(self._second.wait, None)
        return {}

    def not_found(self, method: str, path: str) -> ApiError:
        return refusal(404, f"There is no {method} {path}")

    def rate_limited(self, seconds: float, policy: str | None) -> ApiError:
        del policy
        return refusal(429, "Too many requests", {"Retry-After": str(max(1, math.ceil(seconds)))})

    def server_error(self, status: int) -> ApiError:
        return refusal(status, "Internal error")

    def malformed_json(self, detail: str) -> ApiError:
        return refusal(400, detail)

    def invalid_body(self, problems: Sequence[tuple[str, str]]) -> ApiError:
        return refusal(400, "; ".join(f"{where}: {what}" for where, what in problems))

    def credentials(self, base_url: str) -> JsonObject:
        return {
            "base_url": f"{base_url}{ROOT}",
            "secure_url": SECURE_URL,
            "private_key": PRIVATE_KEY,
            "token": TOKEN,
            "time_zone": str(ZONE),
        }

    # Handlers

    def _refresh(self) -> None:
        if self._advances != self.company.advances:
            self._customers, self._orders = make_customers(self.company), make_orders(self.company)
            self._advances = self.company.advances

    def _list_customers(self, call: Call) -> Answer:
        _check_query(call, CUSTOMER_PARAMETERS)
        self._refresh()
        since, until = _moment(call, "lastupdatestart"), _moment(call, "lastupdateend")
        email, phone = call.query.get("email"), call.query.get("phone")
        found = [
            one
            for one in self._customers
            if _between(one.updated_ms, since, until)
            and (email is None or self.company.person(one.index).email == email.lower())
            and (phone is None or phone_of(self.company.person(one.index)) == phone)
        ]
        return self._page(call, len(found), lambda place: customer_row(self.company, found[place]))

    def _list_orders(self, call: Call) -> Answer:
        _check_query(call, ORDER_PARAMETERS)
        self._refresh()
        changed = _moment(call, "lastupdatestart"), _moment(call, "lastupdateend")
        placed = _moment(call, "datestart"), _moment(call, "dateend")
        found = [
            one
            for one in self._orders
            if _between(one.updated_ms, *changed) and _between(one.placed_ms, *placed) and self._fits(call, one)
        ]
        return self._page(call, len(found), lambda place: order_row(self.company, found[place]))

    def _fits(self, call: Call, order: Order) -> bool:
        status, email = call.query.get("orderstatus"), call.query.get("billingemail")
        if status is None and email is None:
            return True
        row = order_row(self.company, order)
        return (status is None or str(row["OrderStatusID"]) == status) and (
            email is None or row["BillingEmail"] == email.lower()
        )

    def _one_customer(self, call: Call) -> Answer:
        self._refresh()
        for one in self._customers:
            if str(one.customer_id) == call.params["customer_id"]:
                return Answer([customer_row(self.company, one)])
        raise refusal(404, "No customers found")

    def _one_order(self, call: Call) -> Answer:
        self._refresh()
        for one in self._orders:
            if str(one.order_id) == call.params["order_id"]:
                return Answer([order_row(self.company, one)])
        raise refusal(404, "No orders found")

    def _products(self, call: Call) -> Answer:
        _check_query(call, CHANGED)
        return self._page(call, len(PRODUCTS), lambda place: product_row(place, self.company))

    def _statuses(self, call: Call) -> Answer:
        _check_query(call, CHANGED)
        names = {1: "New", 2: "Processing", 4: "Shipped", 5: "Cancelled"}
        rows: list[JsonObject] = [
            {"OrderStatusID": key, "StatusDefinition": name, "StatusText": name, "Visible": True}
            for key, name in names.items()
        ]
        return self._page(call, len(rows), lambda place: rows[place])

    @staticmethod
    def _page(call: Call, total: int, row: Callable[[int], JsonObject]) -> Answer:
        """A bare list; where nothing is found the vendor answers 404."""
        limit, offset = _whole(call, "limit", DEFAULT_LIMIT), _whole(call, "offset", 0)
        if not 1 <= limit <= LARGEST_LIMIT:
            raise refusal(400, f"limit must be from 1 to {LARGEST_LIMIT}")
        if call.query.get("countonly") == "1":
            return Answer([{"TotalCount": total}])
        if call.strike.get("empty") is not None or offset >= total:
            raise refusal(404, "No records found")
        # A page of fewer rows than asked for means the end here, so the `short_page` fault does nothing.
        return Answer([row(place) for place in range(offset, min(total, offset + limit))])


def _check_query(call: Call, allowed: set[str]) -> None:
    for name in sorted(set(call.query) - allowed):
        raise refusal(400, f"Unknown parameter {name}")


def _whole(call: Call, name: str, default: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise refusal(400, f"{name} must be a whole number")
    return int(text)


def _moment(call: Call, name: str) -> int | None:
    """A time on the store's clock, in milliseconds since 1970."""
    text = call.query.get(name)
    if text is None:
        return None
    for pattern in ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y"):
        try:
            return int(datetime.strptime(text, pattern).replace(tzinfo=ZONE).timestamp() * 1000)
        except ValueError:
            continue
    raise refusal(400, f"{name} must have the form mm/dd/yyyy hh:mm:ss")


def _between(ms: int, since: int | None, until: int | None) -> bool:
    second = ms // 1000 * 1000
    return (since is None or second >= since) and (until is None or second <= until)
