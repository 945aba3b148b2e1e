"""Mixpanel's connector and its stand-in against the vendor's own OpenAPI documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import yaml

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.mixpanel import Mixpanel, MixpanelSettings
from millstream.sources.testing import Pulled
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
UNDECLARED = {"workspace_id": "declared for the Query API; the text on data views names it for exports"}


def _file(name: str) -> Path:
    assert FOLDER is not None
    return FOLDER / "mixpanel" / f"{name}.openapi.yaml"


def _corrected(document: dict[str, Any]) -> None:
    """Where the document contradicts the vendor's texts: distinct ids are whatever an application chose."""
    answer = document["paths"]["/engage"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer["properties"]["results"]["items"]["properties"]["$distinct_id"]["type"] = ["integer", "string"]


@pytest.fixture(scope="module")
def forms() -> list[tuple[str, dict[str, str]]]:
    """Path and form of each request that was posted."""
    return []


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, forms: list[tuple[str, dict[str, str]]]) -> Iterator[list[Exchange]]:
    send = requests.adapters.HTTPAdapter.send

    def noted(self: Any, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        if request.method == "POST" and "/_sandbox/" not in str(request.url):
            found = parse_qs(str(request.body or ""))
            forms.append((str(request.path_url).partition("?")[0], {name: one[0] for name, one in found.items()}))
        return send(self, request, *args, **options)

    with Sandbox(people=1200, limits=False) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests.adapters.HTTPAdapter, "send", noted)
        with exchanges() as seen:
            settings = MixpanelSettings(
                base_url=sandbox.system_url("mixpanel"),
                project_id=2195193,
                username="millstream.sandbox.mp-service-account",
                secret="sandbox-mixpanel",
                requests_per_second=1000,
                days_a_request=10,
                events=("Signed Up", "Order Completed"),
                cohorts=("Plus plan",),
            )
            check_source(Mixpanel(settings), name="mixpanel")
            pulled = Pulled(tmp_path_factory.mktemp("mixpanel"))
            for _ in range(2):
                assert pulled.pull(Mixpanel(settings)).errors == []
            yield seen


def test_exports_are_asked_for_and_answered_as_specified(seen: list[Exchange]) -> None:
    specification = Specification(_file("export"), base_path="/mixpanel/api/2.0")
    exports = [one for one in seen if one.path.startswith("/mixpanel/api/2.0")]
    problems = {problem for one in exports for problem in specification.problems(one, undeclared=UNDECLARED)}
    assert sorted(problems) == []
    assert len(exports) > 4
    for one in exports:
        assert date.fromisoformat(one.query["from_date"]) <= date.fromisoformat(one.query["to_date"])
        assert one.query["time_in_ms"] == "true"
        assert int(one.query.get("limit", 1)) <= 100_000
    assert {one.query.get("event") for one in exports} == {json.dumps(["Signed Up", "Order Completed"])}


def test_queries_are_answered_as_specified(seen: list[Exchange]) -> None:
    specification = Specification(_file("query"), base_path="/mixpanel/api/query", read=_corrected)
    queries = [one for one in seen if one.path.startswith("/mixpanel/api/query")]
    assert sorted({problem for one in queries for problem in specification.problems(one)}) == []
    assert {one.path.rpartition("query/")[2] for one in queries} == {"engage", "cohorts/list"}
    assert all(one.answer is not None for one in queries)


def test_queries_of_profiles_are_asked_for_as_specified(
    seen: list[Exchange], forms: list[tuple[str, dict[str, str]]]
) -> None:
    document = yaml.safe_load(_file("query").read_text())
    content = document["paths"]["/engage"]["post"]["requestBody"]["content"]
    known = content["application/x-www-form-urlencoded"]["schema"]["properties"]
    asked = [form for path, form in forms if path.endswith("/engage")]
    assert seen
    assert {name for form in asked for name in form} <= known.keys()
    assert {"page", "session_id", "where", "filter_by_cohort", "output_properties"} == {
        name for form in asked for name in form
    }
    assert all(form["page"].isdigit() and form["session_id"] for form in asked if "page" in form)
    assert all(json.loads(form["filter_by_cohort"]).keys() == {"id"} for form in asked if "filter_by_cohort" in form)
    assert not [form for path, form in forms if path.endswith("/cohorts/list") and form]
