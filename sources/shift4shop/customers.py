"""Customers of the shop; their passwords stay at the vendor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Column, Page, Row
from millstream.sources.shift4shop.lists import Listing, in_utc, in_window, read_changed
from millstream.state.errors import IncompleteError
from millstream.state.model.declarations import Consent, Identifier, People, Trait

if TYPE_CHECKING:
    import pyarrow as pa

    from millstream.sources.pull import Pull
    from millstream.sources.shift4shop.settings import CustomerField, Shift4ShopSettings

CUSTOMER_ID = "shift4shop_customer_id"
"""Identifier kind of a customer's id."""

LISTING = Listing(path="Customers", key="CustomerID")
_FIELDS = {
    "CustomerID": "id",
    "Email": "email",
    "BillingPhoneNumber": "phone",
    "BillingFirstName": "first_name",
    "BillingLastName": "last_name",
    "BillingCompany": "company",
    "BillingAddress1": "street",
    "BillingAddress2": "street2",
    "BillingCity": "city",
    "BillingState": "region",
    "BillingZipCode": "postal_code",
    "BillingCountry": "country",
    "CustomerGroupID": "group_id",
    "Enabled": "enabled",
    "MailList": "mail_list",
    "TotalStoreCredit": "store_credit",
}
"""What is kept of a customer; everything else, the password above all, is left where it is."""

_COLUMNS = (
    Column("id", description="Customer id.", required=True),
    Column("email", description="Address to sign in with."),
    Column("phone", description="Number of the billing address, as typed."),
    Column("first_name"),
    Column("last_name"),
    Column("company", optional=True),
    Column("street", optional=True),
    Column("street2", optional=True),
    Column("city", optional=True),
    Column("region", description="State of the billing address.", optional=True),
    Column("postal_code", optional=True),
    Column("country", description="Country of the billing address, an ISO 3166 code.", optional=True),
    Column("group_id", description="Customer group.", optional=True),
    Column("enabled", "bool", "May sign in.", optional=True),
    Column("mail_list", "bool", "Is on the shop's mailing list.", optional=True),
    Column("store_credit", "double", optional=True),
    Column("updated_at", "timestamp", "Last change, where the API says it.", optional=True),
    Column("deleted", "bool", "Found missing by a sweep.", optional=True),
)


def customer_columns(settings: Shift4ShopSettings) -> tuple[Column, ...]:
    """The columns, with one for each additional field that the settings name."""
    more = (Column(field_column(name), description=f"{name}.", optional=True) for name in settings.customer_fields)
    return (*_COLUMNS, *more)


def field_column(name: CustomerField) -> str:
    """The column of an additional field."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def customer_people(settings: Shift4ShopSettings) -> People:
    """What a customer says about a person."""
    return People(
        identifiers=(
            Identifier(kind="email", column="email"),
            Identifier(kind=CUSTOMER_ID, column="id"),
            *(Identifier(kind=kind, column=field_column(name)) for name, kind in settings.identifiers.items()),
            Identifier(kind="phone", column="phone"),
            Identifier(kind="address", columns=("street", "postal_code")),
        ),
        traits=(
            *ADDRESS_TRAITS,
            *(Trait(name=trait, column=field_column(name)) for name, trait in settings.traits.items()),
        ),
        consents=(
            Consent(
                channel="email",
                column="mail_list",
                statuses={"true": "granted", "false": settings.mail_list_off},
            ),
        ),
        observed_at="updated_at",
        deleted="deleted",
        country="country",
    )


ADDRESS_TRAITS = tuple(
    Trait(name=name, column=name)
    for name in ("first_name", "last_name", "company", "street", "city", "region", "postal_code", "country")
)
"""Traits that customers and orders have alike."""


def read_customers(pull: Pull, settings: Shift4ShopSettings) -> Iterator[Page | pa.Table]:
    """Pages of customers as rows; now and then all of them, and those that are stored and gone."""
    started_whole = "reached" not in pull.state
    if started_whole:
        # A first load that is killed goes on where it was; it is no sweep that begins anew.
        pull.state["swept"] = pull.pulled_at.isoformat()
    sweeps = not pull.is_backfill and (started_whole or _sweep_is_due(pull, settings))
    seen: set[str | None] = set()
    for rows in read_changed(pull, LISTING, settings, everything=sweeps, seen=seen):
        shaped = [shape_customer(row, settings) for row in rows]
        yield [row for row in shaped if in_window(pull, row.get("updated_at"))] if shaped else rows
    if sweeps:
        if settings.start_date is None and settings.sweep_days is not None:
            yield from _deleted(pull, seen)
        pull.state["swept"] = pull.pulled_at.isoformat()


def shape_customer(customer: Mapping[str, Any], settings: Shift4ShopSettings) -> Row:
    """A customer as a row, without what is nobody's business."""
    row: Row = {column: customer[name] for name, column in _FIELDS.items() if name in customer}
    row |= {field_column(name): customer.get(name) or None for name in settings.customer_fields}
    return row | {"updated_at": in_utc(customer.get("LastUpdate"), settings.zone), "deleted": False}


def _sweep_is_due(pull: Pull, settings: Shift4ShopSettings) -> bool:
    if settings.sweep_days is None or pull.stored is None or settings.start_date is not None:
        return False
    swept = pull.state.get("swept")
    return swept is None or datetime.fromisoformat(swept) + timedelta(days=settings.sweep_days) <= pull.pulled_at


def _deleted(pull: Pull, seen: set[str | None]) -> Iterator[pa.Table]:
    """The stored customers that were not seen, marked as deleted.

    Raises:
        IncompleteError: The store seems to have lost all of them.
    """
    import pyarrow as pa

    if pull.stored is None:
        return
    known = pull.stored.rows("customers", columns=("id",), unequal={"deleted": True}).to_pylist()
    gone = [row["id"] for row in known if row["id"] not in seen]
    if gone and not seen and not pull.accept_empty:
        raise IncompleteError(
            f"The shop has no customers any more, and {len(gone)} are stored; they were kept.",
            remedy="if they really were deleted, run `millstream ingest --accept-empty`.",
        )
    for table in pull.stored.rows_of_keys("customers", pa.table({"id": pa.array(gone, pa.string())})):
        marks = pa.array([True] * len(table), pa.bool_())
        yield table.set_column(table.column_names.index("deleted"), "deleted", marks)
