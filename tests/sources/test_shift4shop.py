"""Shift4Shop: odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import pyarrow.parquet as pq
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import ingest
from millstream.sources.shift4shop import Shift4Shop, Shift4ShopSettings, lists
from millstream.sources.testing import Pulled
from millstream.state.errors import AuthenticationError, IncompleteError, MalformedAnswerError, PermissionDeniedError
from tests.sources.loading import QUICK, pull_of, read

ROOT = "https://api.shop.test/v1"
ORDERS, CUSTOMERS, STATUSES = (f"{ROOT}/{name}" for name in ("Orders", "Customers", "OrderStatus"))
NONE_FOUND = [{"Key": "Error", "Value": "No records found", "Status": "404", "Message": "No records found"}]


def shop(base_url: str = ROOT, **settings: Any) -> Shift4Shop:
    facts = {
        "secure_url": "https://acme.3dcartstores.com",
        "private_key": SecretStr("a-key"),
        "token": SecretStr("a-token"),
        "requests_per_second": 1000,
        **settings,
    }
    return Shift4Shop(Shift4ShopSettings(base_url=base_url, **facts))


def an_order(number: int, **more: Any) -> dict[str, Any]:
    return {
        "InvoiceNumberPrefix": "AB-",
        "InvoiceNumber": number,
        "OrderID": number,
        "CustomerID": 77,
        "OrderDate": "2026-02-01T08:30:00",
        "LastUpdate": "2026-02-02T09:00:00",
        "OrderStatusID": 4,
        "BillingEmail": "ana@web.example",
        "BillingPhoneNumber": "5550100",
        "BillingFirstName": "Ana",
        "BillingLastName": "Li",
        "BillingAddress": "1 Main Street",
        "BillingZipCode": "02110",
        "OrderAmount": 59.9,
        "SalesTax": 4.0,
        "SalesTax2": 0.9,
        "OrderItemList": [{"CatalogID": 12, "ItemID": "SKU-1", "ItemQuantity": 1, "ItemUnitPrice": 55.0}],
        "TransactionList": [],
        "ShipmentList": [{"ShipmentID": 0, "ShipmentTrackingCode": ""}],
    } | more


def a_customer(number: int, **more: Any) -> dict[str, Any]:
    facts = {"CustomerID": number, "Email": f"c{number}@web.example", "BillingPhoneNumber": "", "MailList": True}
    return {**facts, "BillingFirstName": "Ana", "BillingLastName": "Li", **more}


class Vendor:
    """A list that answers as the vendor, with offsets counted from ``base``."""

    def __init__(self, mock: responses.RequestsMock, url: str, rows: list[Any], *, base: int = 0) -> None:
        self.rows, self.base = rows, base
        self.asked: list[dict[str, str]] = []
        self.counts: Any = None
        mock.add_callback(responses.GET, url, self.answer, content_type="application/json")

    def answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        query = {name: values[-1] for name, values in parse_qs(urlsplit(request.url).query).items()}
        self.asked.append(query)
        rows = [row for row in self.rows if self.matches(row, query)]
        if "countonly" in query:
            return 200, {}, _json([{"TotalCount": len(rows) if self.counts is None else self.counts}])
        start = max(int(query.get("offset", self.base)) - self.base, 0)
        some = rows[start : start + int(query["limit"])]
        return (200, {}, _json(some)) if some else (404, {}, _json(NONE_FOUND))

    @staticmethod
    def matches(row: dict[str, Any], query: dict[str, str]) -> bool:
        changed = row.get("LastUpdate", "2026-02-02")
        day = date.fromisoformat(changed[:10]) if changed else date.min

        def limit(name: str, otherwise: date) -> date:
            return datetime.strptime(query[name], "%m/%d/%Y").date() if name in query else otherwise

        # A day means its first second here: what changed later on the last day is not found.
        return limit("lastupdatestart", date.min) <= day < limit("lastupdateend", date.max)


def _json(body: Any) -> str:
    import orjson

    return orjson.dumps(body).decode()


@pytest.fixture
def mock() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(STATUSES, json=[{"OrderStatusID": 4, "StatusText": "Shipped"}])
        yield mock


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=300, limits=False) as sandbox:
        yield sandbox


class TestPages:
    @pytest.mark.parametrize("base", [0, 1])
    @pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 35])
    def test_every_row_comes_wherever_the_vendor_begins_to_count(self, mock: Any, base: int, rows: int) -> None:
        Vendor(mock, CUSTOMERS, [a_customer(number) for number in range(1, rows + 1)], base=base)
        found = read(pull_of(shop(page_size=10), "customers"))
        assert {row["id"] for row in found} == set(range(1, rows + 1))

    def test_a_count_in_another_shape_is_done_without(self, mock: Any) -> None:
        vendor = Vendor(mock, CUSTOMERS, [a_customer(number) for number in range(1, 26)])
        vendor.counts = "many"
        found = read(pull_of(shop(page_size=10, start_date="2026-01-20"), "customers"))
        assert {row["id"] for row in found} == set(range(1, 26))

    def test_a_list_that_shrinks_while_it_is_read_is_read_again(self, mock: Any) -> None:
        vendor = Vendor(mock, ORDERS, [an_order(number) for number in range(1, 31)])
        pull = pull_of(shop(page_size=10), "orders")
        assert pull.stream.read
        pages = iter(pull.stream.read(pull))
        seen = [row["order_id"] for row in next(pages)]
        del vendor.rows[0]  # so the next page begins one row too late
        seen += [row["order_id"] for rows in pages for row in rows]
        assert set(seen) == set(range(1, 31))

    def test_rows_that_are_counted_and_never_come_stop_the_stream(self, mock: Any) -> None:
        vendor = Vendor(mock, ORDERS, [an_order(1)])
        vendor.counts = 2
        pull = pull_of(shop(), "orders")
        with pytest.raises(IncompleteError, match="counts 2 rows at Orders and gives 1"):
            read(pull)
        assert "reached" not in pull.state

    def test_rows_without_a_last_change_are_found_by_reading_everything(self, mock: Any) -> None:
        Vendor(mock, ORDERS, [an_order(1), an_order(2, LastUpdate=None)])
        assert {row["order_id"] for row in read(pull_of(shop(), "orders"))} == {1, 2}

    def test_something_else_than_a_list_is_malformed(self, mock: Any) -> None:
        mock.get(ORDERS, json={"orders": []})
        with pytest.raises(MalformedAnswerError, match="without a list of objects"):
            read(pull_of(shop(), "orders"))


class TestChanges:
    def test_a_large_first_load_is_cut_into_days_and_misses_none(
        self, mock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lists, "ROWS_A_STRETCH", 10)
        rows = [
            an_order(number, LastUpdate=f"2026-0{number % 9 + 1}-1{number % 7}T23:30:00") for number in range(1, 101)
        ]
        vendor = Vendor(mock, ORDERS, rows)
        pull = pull_of(shop(), "orders")
        found = read(pull)
        assert {row["order_id"] for row in found} == set(range(1, 101))
        assert pull.expected == 100
        assert len([query for query in vendor.asked if "lastupdateend" in query]) > 5

    def test_the_next_pull_asks_from_the_day_before_the_last_change_in_the_stores_time(self, mock: Any) -> None:
        vendor = Vendor(mock, ORDERS, [an_order(1, LastUpdate="2026-02-02T00:30:00")])
        state: dict[str, Any] = {}
        read(pull_of(shop(), "orders", state=state))
        assert state["reached"] == "2026-02-02T05:30:00+00:00"
        vendor.asked.clear()
        read(pull_of(shop(), "orders", state=state))
        assert {query["lastupdatestart"] for query in vendor.asked} == {"02/01/2026"}

    def test_a_backfill_gives_its_window_alone(self, mock: Any) -> None:
        changes = ["2026-02-01T18:59:59", "2026-02-01T19:00:00", "2026-02-02T18:59:59", "2026-02-02T19:00:00"]
        Vendor(mock, ORDERS, [an_order(number, LastUpdate=at) for number, at in enumerate(changes)])
        since = datetime(2026, 2, 2, tzinfo=UTC)
        found = read(pull_of(shop(), "orders", since=since, until=since + timedelta(days=1)))
        assert [row["order_id"] for row in found] == [1]

    def test_times_are_the_stores_clock(self, mock: Any) -> None:
        Vendor(
            mock,
            ORDERS,
            [
                an_order(1, OrderDate="2026-07-01T12:00:00"),
                an_order(2, OrderDate="2026-11-01T01:30:00"),  # which this clock shows twice
            ],
        )
        summer, twice = read(pull_of(shop(time_zone="America/Chicago"), "orders"))
        assert summer["ordered_at"] == datetime(2026, 7, 1, 17, tzinfo=UTC)
        assert twice["ordered_at"] == datetime(2026, 11, 1, 6, 30, tzinfo=UTC)

    def test_a_time_zone_that_is_none_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="no time zone"):
            shop(time_zone="Eastern")


class TestOrders:
    def one(self, mock: Any, settings: dict[str, Any] | None = None, **order: Any) -> dict[str, Any]:
        Vendor(mock, ORDERS, [an_order(1, **order)])
        (row,) = read(pull_of(shop(**(settings or {})), "orders"))
        return row

    def test_an_order_says_what_was_bought_and_for_how_much(self, mock: Any) -> None:
        row = self.one(mock, {"currency": "USD"})
        assert (row["invoice"], row["status"], row["total"], row["tax"]) == ("AB-1", "Shipped", 59.9, 4.9)
        assert row["products"] == [{"product_id": 12, "sku": "SKU-1", "quantity": 1, "price": 55.0}]
        assert (row["placed"], row["currency"], row["cancelled_at"], row["refunded_at"]) == (True, "USD", None, None)

    def test_a_guest_has_no_customer_id(self, mock: Any) -> None:
        assert self.one(mock, CustomerID=0)["customer_id"] is None

    def test_an_order_that_was_only_begun_is_not_placed(self, mock: Any) -> None:
        assert self.one(mock, OrderStatusID=7)["placed"] is False

    def test_a_cancelled_order_says_when_it_last_changed(self, mock: Any) -> None:
        row = self.one(mock, OrderStatusID=5)
        assert (row["placed"], row["cancelled_at"]) == (True, datetime(2026, 2, 2, 14, tzinfo=UTC))

    def test_refunds_add_up(self, mock: Any) -> None:
        transactions = [
            {"TransactionType": "Sale", "TransactionAmount": 59.9, "TransactionDateTime": "2026-02-01T08:31:00"},
            {"TransactionType": "Refund", "TransactionAmount": -20.0, "TransactionDateTime": "2026-02-03T08:00:00"},
            {"TransactionType": "CREDIT", "TransactionAmount": 5.0, "TransactionDateTime": "2026-02-04T08:00:00"},
        ]
        row = self.one(mock, TransactionList=transactions)
        assert (row["refunded"], row["refunded_at"]) == (25.0, "2026-02-04T13:00:00+00:00")


class TestCustomers:
    def test_the_mailing_list_is_the_consent(self) -> None:
        (stream,) = (one for one in shop(mail_list_off="unknown").streams() if one.name == "customers")
        assert stream.people
        assert stream.people.consents[0].statuses == {"true": "granted", "false": "unknown"}

    def test_additional_fields_name_people_by_setting(self, mock: Any) -> None:
        Vendor(mock, CUSTOMERS, [a_customer(1, AdditionalField1="C-1", AdditionalField2="secret")])
        source = shop(identifiers={"AdditionalField1": "user_id"})
        (row,) = read(pull_of(source, "customers"))
        assert row["additional_field1"] == "C-1"
        assert "secret" not in str(row)

    def test_a_first_load_that_was_ended_is_no_sweep_that_begins_anew(
        self, mock: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lists, "ROWS_A_STRETCH", 10)
        days = [date(2026, 1, 1) + timedelta(days=number) for number in range(40)]
        rows = [a_customer(number, LastUpdate=f"{day}T12:00:00") for number, day in enumerate(days, start=1)]
        vendor = Vendor(mock, CUSTOMERS, rows)
        state: dict[str, Any] = {}
        pull = pull_of(shop(), "customers", state=state)
        assert pull.stream.read
        for _ in pull.stream.read(pull):
            if state.get("reached", "") > "2026-01-05":
                break
        vendor.asked.clear()
        rest = read(pull_of(shop(), "customers", state=state))
        assert 0 < len({row["id"] for row in rest}) < 40
        assert "01/01/1997" not in {query.get("lastupdatestart") for query in vendor.asked}

    def test_customers_whose_last_change_is_not_told_still_have_a_place(self, mock: Any) -> None:
        Vendor(mock, CUSTOMERS, [a_customer(1)])
        pull = pull_of(shop(), "customers")
        read(pull)
        assert pull.state["reached"] == pull.pulled_at.isoformat()


SECRETS = {
    "CardType": "hidden-type",
    "CardNumber": "hidden-4111111111111111",
    "CardName": "hidden-name",
    "CardExpirationMonth": "hidden-month",
    "CardExpirationYear": "hidden-year",
    "CardIssueNumber": "hidden-issue",
    "CardStartMonth": "hidden-start",
    "CardStartYear": "hidden-start",
    "CardAddress": "hidden-address",
    "CardVerification": "hidden-verification",
    "PaymentTokenID": "hidden-payment-token",
    "CustomerComments": "hidden-comment",
    "InternalComments": "hidden-comment",
    "ExternalComments": "hidden-comment",
    "QuestionList": [{"QuestionAnswer": "hidden-answer"}],
    "Password": "hidden-password",
    "CardFieldOfTomorrow": "hidden-field",
}
HIDDEN_TRANSACTION = {
    "TransactionType": "Sale",
    "TransactionCVV2": "hidden-cvv",
    "TransactionAVS": "hidden-avs",
    "TransactionApproval": "hidden-approval",
    "TransactionReference": "hidden-reference",
    "TransactionID": "hidden-transaction",
    "TransactionResponseText": "hidden-text",
}


class TestSecrets:
    def test_cards_and_passwords_reach_neither_dlts_files_nor_the_store(
        self, mock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shipment = {"ShipmentID": 1, "ShipmentInternalComment": "hidden-comment", "ShipmentEmail": "hidden-friend"}
        hidden = SECRETS | {"TransactionList": [HIDDEN_TRANSACTION], "ShipmentList": [shipment]}
        Vendor(mock, ORDERS, [an_order(1, **hidden)])
        Vendor(mock, CUSTOMERS, [a_customer(1, **SECRETS)])
        monkeypatch.setenv("LOAD__DELETE_COMPLETED_JOBS", "false")
        pulled = Pulled(tmp_path)
        report = pulled.pull(shop(streams=("customers", "orders")))
        assert [str(error) for error in report.errors] == []
        assert report.rows == 2
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        tables = [str(pq.read_table(path).to_pylist()) for path in files if path.suffix == ".parquet"]
        assert "ana@web.example" in str(tables)
        assert "hidden" not in str(tables)
        assert [path.name for path in files if b"hidden" in path.read_bytes()] == []
        with duckdb.connect(str(tmp_path / "store.duckdb")) as store:
            for (name,) in store.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall():
                assert "hidden" not in str(store.execute(f"SELECT * FROM {name}").fetchall())

    def test_the_three_headers_go_along(self, mock: Any) -> None:
        Vendor(mock, ORDERS, [])
        read(pull_of(shop(), "orders"))
        headers = mock.calls[0].request.headers
        assert headers["SecureURL"] == "https://acme.3dcartstores.com"
        assert (headers["PrivateKey"], headers["Token"]) == ("a-key", "a-token")


class TestErrors:
    def test_the_vendors_words_stand_in_a_list(self, mock: Any) -> None:
        mock.get(ORDERS, status=401, json=[{"Key": "Error", "Status": "401", "Message": "Bad combination"}])
        with pytest.raises(AuthenticationError, match=r"Bad combination.*secure_url"):
            read(pull_of(shop(), "orders"))

    def test_a_forbidden_list_names_what_to_do(self, mock: Any) -> None:
        mock.get(ORDERS, status=403, json=NONE_FOUND)
        with pytest.raises(PermissionDeniedError, match="developer portal"):
            read(pull_of(shop(), "orders"))

    def test_a_wrong_base_url_is_not_taken_for_an_empty_shop(self, mock: Any) -> None:
        mock.get(f"{ROOT}/x/OrderStatus", status=404, body="<html>", content_type="text/html")
        (result,) = check_source(shop(f"{ROOT}/x"), name="shop")
        assert not result.ok
        assert "base_url" in str(result.remedy)


class TestSandbox:
    def source(self, sandbox: Sandbox, **settings: Any) -> Shift4Shop:
        facts = {
            "secure_url": "https://sandbox.3dcartstores.com",
            "private_key": SecretStr("sandbox-shift4shop-key"),
            "token": SecretStr("sandbox-shift4shop-token"),
        }
        return shop(f"{sandbox.system_url('shift4shop')}/3dCartWebAPI/v1", **{**facts, **settings})

    def test_a_first_load_that_is_killed_goes_on_where_it_was_stored(
        self, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lists, "ROWS_A_STRETCH", 100)
        whole, broken = Pulled(tmp_path / "whole"), Pulled(tmp_path / "broken")
        source = self.source(sandbox, streams=("orders",))
        whole.pull(source)

        class Killed(BaseException):
            pass

        def kill(_: str, rows: int) -> None:
            if rows >= 180:
                raise Killed

        pull = SourcePull(self.source(sandbox, streams=("orders",)), retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, broken.store, name="shift4shop", pipelines=tmp_path / "broken" / "dlt")
        kept = len(broken.rows(source, "orders"))
        assert kept >= 60
        report = broken.pull(self.source(sandbox, streams=("orders",)))
        assert [str(error) for error in report.errors] == []
        assert report.rows <= len(whole.rows(source, "orders")) - kept + 25
        assert broken.everything(source) == whole.everything(source)

    def test_what_changed_arrives_and_little_else_is_read(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        first = pulled.pull(self.source(sandbox))
        requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.1, "seed": 3})
        second = pulled.pull(self.source(sandbox))
        assert second.rows < first.rows / 2
        anew = Pulled(tmp_path / "anew")
        anew.pull(self.source(sandbox))
        assert self._orders(pulled) == self._orders(anew)

    def test_a_sweep_notices_deleted_customers(self, mock: Any, tmp_path: Path) -> None:
        vendor = Vendor(mock, CUSTOMERS, [a_customer(number) for number in (1, 2, 3)])
        pulled = Pulled(tmp_path)
        source = shop(streams=("customers",))
        pulled.pull(source)
        del vendor.rows[1]
        now = datetime.now(UTC)
        early = pulled.pull(shop(streams=("customers",)), pulled_at=now + timedelta(days=1))
        assert early.ok
        assert len(self._deleted(pulled)) == 0
        pulled.pull(shop(streams=("customers",)), pulled_at=now + timedelta(days=8))
        assert self._deleted(pulled) == ["2"]
        vendor.rows.clear()
        report = pulled.pull(shop(streams=("customers",)), pulled_at=now + timedelta(days=16))
        assert "no customers any more" in str(report.errors[0])
        assert self._deleted(pulled) == ["2"]

    def _orders(self, pulled: Pulled) -> list[tuple[Any, ...]]:
        with pulled.store.open() as connection:
            query = (
                "SELECT order_id, status_id, updated_at, total, products FROM raw_shift4shop.orders ORDER BY order_id"
            )
            return connection.execute(query).fetchall()

    def _deleted(self, pulled: Pulled) -> list[str]:
        with pulled.store.open() as connection:
            rows = connection.execute("SELECT id FROM raw_shift4shop.customers WHERE deleted").fetchall()
        return [key for (key,) in rows]
