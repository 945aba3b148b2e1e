"""Adobe Analytics' connector and its stand-in against the vendor's own Swagger document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from millstream.sandbox import Sandbox
from millstream.sources.adobe_analytics import AdobeAnalytics, AdobeAnalyticsSettings, Report
from millstream.sources.check import check_source
from millstream.sources.testing import Pulled
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
REPORTS = (
    Report(name="traffic", metrics=("visits", "revenue")),
    Report(name="pages", dimensions=("mobiledevicetype", "page"), metrics=("visits",), segments=("s300006681_mobile",)),
    Report(name="unknown", dimensions=("evar99",), metrics=("visits",)),
    Report(name="odd", metrics=("visits", "nonsense")),
)


def _corrected(document: Any) -> None:
    """Where the document contradicts the vendor's own guides."""
    # Types are written in lower case.
    for schema in document["definitions"].values():
        kind = schema.get("properties", {}).get("type", {})
        if "CURRENCY" in kind.get("enum", ()):
            kind["enum"] = [one.lower() for one in kind["enum"]]
    # Metrics come as a list, as dimensions do.
    answer = document["paths"]["/{globalCompanyId}/metrics"]["get"]["responses"]["200"]
    answer["schema"] = {"type": "array", "items": answer["schema"]}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        url = sandbox.system_url("adobe_analytics")
        settings = AdobeAnalyticsSettings(
            base_url=url,
            token_url=f"{url}/ims/token/v3",
            client_id="sandbox-adobe",
            client_secret=SecretStr("p8e-sandbox-adobe"),
            rsid="sandboxshop",
            first_days=2,
            requests_per_minute=60_000,
            reports=REPORTS,
        )
        check_source(AdobeAnalytics(settings), name="adobe_analytics")
        Pulled(tmp_path_factory.mktemp("adobe")).pull(AdobeAnalytics(settings))
        yield seen


def test_requests_and_answers_are_as_the_vendor_specifies(seen: list[Exchange]) -> None:
    assert FOLDER is not None
    file = FOLDER / "adobe-analytics" / "swagger.json"
    specification = Specification(file, base_path="/adobe_analytics/api", read=_corrected)
    # Report suites, discovery and tokens are documented apart from it.
    asked = [one for one in seen if "/api/" in one.path and "/reportsuites/" not in one.path]
    problems = {problem for one in asked for problem in specification.problems(one)}
    assert sorted(problems) == []
    assert {200, 206, 400} <= {one.status for one in asked}
    assert {one.path.rsplit("/", 1)[-1] for one in asked} == {"reports", "dimensions", "metrics", "segments"}
