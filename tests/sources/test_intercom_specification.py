"""Intercom's connector and its stand-in against the vendor's own OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.intercom import Intercom, IntercomSettings
from millstream.sources.testing import Pulled
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
UNDECLARED = {
    "include_merge_history": "declared in 2.16",
    "per_page": "the text of GET /events names it; it is declared for no list by cursor",
    "before": "part of the address of the next page of events",
}


def _newest() -> Path:
    assert FOLDER is not None
    files = {tuple(map(int, re.findall(r"\d+", file.stem))): file for file in (FOLDER / "intercom").glob("*.yaml")}
    return files[max(files)]


def _corrected(document: dict[str, Any]) -> None:
    """Where the document contradicts itself: by its own examples, or by its text."""
    schemas = document["components"]["schemas"]
    answers = document["paths"]["/events"]["get"]["responses"]
    # It describes the summary of events, where the list is asked for.
    answers["200"]["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/data_event_list"}
    # The text of POST /events tells of links and amounts among the metadata, which are objects.
    schemas["data_event"]["properties"]["metadata"].pop("additionalProperties")
    # A contact needs an address or an external id, not both.
    schemas["contact"]["properties"]["email"]["nullable"] = True
    schemas["data_event"]["properties"]["user_id"]["nullable"] = True
    schemas["data_event"]["properties"]["email"]["nullable"] = True


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        version = ".".join(re.findall(r"\d+", _newest().stem))
        settings = IntercomSettings(
            base_url=sandbox.system_url("intercom"),
            access_token="sandbox-intercom",
            requests_per_minute=60_000,
            version=version,
        )
        check_source(Intercom(settings), name="intercom")
        pulled = Pulled(tmp_path_factory.mktemp("intercom"))
        for _ in range(2):
            assert pulled.pull(Intercom(settings)).errors == []
        yield seen


def test_requests_and_answers_are_as_the_vendor_specifies(seen: list[Exchange]) -> None:
    specification = Specification(_newest(), base_path="/intercom", read=_corrected)
    asked = [one for one in seen if one.path.startswith("/intercom") and not one.path.endswith("/deleted")]
    problems = {problem for one in asked for problem in specification.problems(one, undeclared=UNDECLARED)}
    assert sorted(problems) == []
    assert len({re.sub(r"\d+", "", one.path) for one in asked}) >= 7
