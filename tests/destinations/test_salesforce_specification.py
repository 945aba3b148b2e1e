"""The destination Salesforce beside the vendor's own collection of requests, as far as that has what it asks."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from millstream.sandbox import Sandbox
from tests.destinations.salesforce_org import connect, row
from tests.sources.specification import Exchange, exchanges, needs_specifications
from tests.sources.test_salesforce_specification import published

pytestmark = needs_specifications


@pytest.fixture(scope="module")
def asked() -> Iterator[list[Exchange]]:
    """What is asked for a person who comes, is read back and goes, below the organization's address."""
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        salesforce = connect(sandbox)
        campaign = salesforce.ensure_audience("Published")
        rows = [row(1, "published-1", LastName="Li")]
        salesforce.upsert(rows, match_key="external_id")
        salesforce.add_members(campaign, rows, match_key="external_id")
        assert list(salesforce.read_back(campaign)) == ["published-1"]
        salesforce.remove_members(campaign, rows, match_key="external_id")
        root = urlsplit(f"{sandbox.url}/salesforce").path
        for exchange in seen:
            exchange.path = exchange.path.removeprefix(root)
        yield seen


def test_what_is_read_is_asked_as_published(asked: list[Exchange]) -> None:
    known, met = published(), set[str]()
    for exchange in asked:
        if exchange.method != "get":
            continue
        found = next((one for one in known if one.is_asked_by("GET", exchange.path)), None)
        assert found is not None, exchange.path
        assert exchange.query.keys() <= found.params.keys()
        assert exchange.status == 200
        met.add(found.name)
    assert met == {"rest_query", "rest_sobject_describe"}
