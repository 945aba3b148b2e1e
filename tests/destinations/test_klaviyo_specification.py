"""Klaviyo's connector and its stand-in against the vendor's own OpenAPI documents."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.destinations.klaviyo import Klaviyo, KlaviyoSettings
from millstream.destinations.modes import Operation
from millstream.sandbox import Sandbox
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
KEY = "pk_sandbox_klaviyo"
DOCUMENTS = ("profiles", "lists", "data_privacy")


def _corrected(document: Any) -> None:
    """Where the documents contradict the vendor's own guides."""
    for name, schema in document["components"]["schemas"].items():
        properties = schema.get("properties", {})
        # On the first and on the last page there is nothing before or after.
        for end in ("prev", "next") if name == "CollectionLinks" else ():
            properties[end]["nullable"] = True
        # A sparse fieldset leaves out every attribute that was not asked for.
        if "joined_group_at" in properties.get("attributes", {}).get("required", ()):
            del properties["attributes"]["required"]


def _rows(*emails: str) -> list[DeliveryRow]:
    fields: dict[str, FieldValue] = {"first_name": "Ana", "location.city": "Genoa", "LTV": 1.5}
    fields |= {"Tier": None, "title": None}
    return [DeliveryRow(number=number, match_value=email, fields=fields) for number, email in enumerate(emails)]


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        url = sandbox.system_url("klaviyo")
        klaviyo = Klaviyo(KlaviyoSettings.model_validate({"base_url": f"{url}/api", "access_token": KEY}))
        audience = klaviyo.ensure_audience("VIP")
        people = _rows("ana@box.example", "ben@box.example", "bad@@example")
        klaviyo.upsert(people, match_key="email")
        klaviyo.update(people[:2], match_key="email")
        klaviyo.add_members(audience, people[:2], match_key="email")
        taken = [*people[:2], DeliveryRow(number=9, match_value="cy@box.example", fields={"phone_number": "+1555"})]
        job = klaviyo.submit_job(
            Operation.ADD, taken, match_key="email", audience_id=audience, creates=True, label="specification"
        )
        while not klaviyo.poll_job(job).done:
            time.sleep(0.05)
        klaviyo.job_outcomes(job, Operation.ADD, taken)
        assert list(klaviyo.read_back(audience))
        klaviyo.remove_members(audience, people[:2], match_key="email")
        klaviyo.erase(people[:1], match_key="email")
        yield seen


@pytest.mark.parametrize("document", DOCUMENTS)
def test_requests_and_answers_are_as_the_vendor_specifies(seen: list[Exchange], document: str) -> None:
    assert FOLDER is not None
    specification = Specification(FOLDER / "klaviyo" / f"{document}.json", base_path="/klaviyo", read=_corrected)
    ours = {"lists": "/api/lists", "profiles": "/api/profile", "data_privacy": "/api/data-privacy"}[document]
    asked = [one for one in seen if one.path.startswith(f"/klaviyo{ours}")]
    assert asked
    problems = {problem for one in asked for problem in specification.problems(one)}
    assert sorted(problems) == []
