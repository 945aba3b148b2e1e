"""The Shift4Shop connector: its streams, and how it signs in.

Documentation: https://apirest.3dcart.com/v1/getting-started/index.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from requests.auth import AuthBase

from millstream.sources.contract import Page, Source, Stream
from millstream.sources.shift4shop import catalog, customers, orders
from millstream.sources.shift4shop.lists import Listing, page, pages
from millstream.sources.shift4shop.settings import Shift4ShopSettings
from millstream.state.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)
from millstream.state.http import RateLimit
from millstream.state.privacy import redact

if TYPE_CHECKING:
    from requests import PreparedRequest

    from millstream.sources.pull import Pull
    from millstream.state.errors import MillstreamError
    from millstream.state.http import Answer

_LISTINGS: Mapping[str, Listing] = {
    "order_statuses": catalog.STATUSES,
    "products": catalog.PRODUCTS,
    "customers": customers.LISTING,
    "orders": orders.LISTING,
}


class StoreAuth(AuthBase):
    """Three headers: the store, the app, and what the store gave the app."""

    def __init__(self, settings: Shift4ShopSettings) -> None:
        self._settings = settings

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Sign the request."""
        request.headers["SecureURL"] = self._settings.secure_url
        request.headers["PrivateKey"] = self._settings.private_key.get_secret_value()
        request.headers["Token"] = self._settings.token.get_secret_value()
        return request


class Shift4Shop(Source[Shift4ShopSettings]):
    """Shift4Shop: one store."""

    name: ClassVar[str] = "shift4shop"
    title: ClassVar[str] = "Shift4Shop"
    category: ClassVar[str] = "commerce"
    docs_url: ClassVar[str] = "https://apirest.3dcart.com/v1/getting-started/index.html"
    api_version: ClassVar[str] = "v1"
    Settings = Shift4ShopSettings
    rate_limit: ClassVar[RateLimit] = RateLimit(requests=2, seconds=1.0)

    def __init__(self, settings: Shift4ShopSettings) -> None:
        super().__init__(settings)
        self._statuses: dict[str, str] | None = None

    def auth(self) -> AuthBase:
        """The store's and the app's headers."""
        return StoreAuth(self.settings)

    def pace(self) -> RateLimit:
        """The store's limit."""
        return replace(self.rate_limit, requests=self.settings.requests_per_second)

    def streams(self) -> tuple[Stream, ...]:
        """What orders refer to first, then customers and their orders."""
        settings = self.settings
        return (
            Stream(
                name="order_statuses",
                description="A status that an order may have in this shop.",
                primary_key=("id",),
                columns=catalog.STATUS_COLUMNS,
                disposition="replace",
                read=partial(catalog.read_statuses, settings=settings),
                scope="OrderStatus",
            ),
            Stream(
                name="products",
                description="A product of the catalogue.",
                primary_key=("id",),
                columns=catalog.PRODUCT_COLUMNS,
                disposition="replace",
                read=partial(catalog.read_products, settings=settings),
                scope="Products",
            ),
            Stream(
                name="customers",
                description="A customer with an account.",
                primary_key=("id",),
                columns=customers.customer_columns(settings),
                read=partial(customers.read_customers, settings=settings),
                resumable=True,
                people=customers.customer_people(settings),
                scope="Customers",
            ),
            Stream(
                name="orders",
                description="An order, of a customer or of a guest.",
                primary_key=("order_id",),
                columns=orders.COLUMNS,
                read=self._read_orders,
                resumable=True,
                people=orders.PEOPLE,
                scope="Orders",
            ),
        )

    def probe(self, pull: Pull) -> None:
        """Read an order status: every store has some."""
        pull.get(catalog.STATUSES.path, {"limit": 1})

    def probe_stream(self, pull: Pull) -> None:
        """Read a row."""
        page(pull, _LISTINGS[pull.stream.name].path, {"limit": 1})

    def classify(self, answer: Answer) -> MillstreamError | None:
        """The vendor's words stand in a list, where no other vendor has them."""
        if answer.status_code not in (400, 401, 403, 404):
            return None
        what = f"Shift4Shop refused with HTTP {answer.status_code}{_words(answer)}"
        if answer.status_code == 401:
            return AuthenticationError(
                what,
                remedy="the three belong together: secure_url of the store, private_key of the app, and token that "
                "this store gave this app (Modules > REST API in the store's admin).",
            )
        if answer.status_code == 403:
            return PermissionDeniedError(
                what,
                remedy="let the app read this in the developer portal and have the store's owner authorise it anew; "
                "a store has full access only after a week with a payment method.",
            )
        if answer.status_code == 404:
            return NotFoundError(what, remedy="check the base_url of the connection.")
        return RefusedError(what, status=400)

    def _read_orders(self, pull: Pull) -> Iterator[Page]:
        yield from orders.read_orders(pull, self.settings, self._status_names(pull))

    def _status_names(self, pull: Pull) -> Mapping[str, str]:
        """What the shop calls its statuses, asked for once in a pull."""
        if self._statuses is None:
            found = pages(pull, catalog.STATUSES, {}, size=self.settings.page_size, total=None, seen=set())
            rows = [catalog.shape_status(status) for some in found for status in some]
            self._statuses = {str(row.get("id")): str(row.get("name")) for row in rows}
        return self._statuses


def _words(answer: Answer) -> str:
    body = answer.said()
    first = body[0] if isinstance(body, list) and body else body
    found = first.get("Message") or first.get("Value") if isinstance(first, dict) else None
    return f": {redact(str(found))[:300]}" if found else "."
