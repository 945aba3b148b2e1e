"""Braze's connector and its stand-in against the community's OpenAPI document of the API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from millstream.destinations.braze import Braze, BrazeSettings
from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.sandbox import Sandbox
from millstream.sandbox.braze.workspace import Braze as Workspace
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
GROUP = "6a1c3f52-0f0e-4a55-9a3b-1f1f6f0a0001"
UNDECLARED = {
    f"{name}[]": "the vendor's examples of several people in one request" for name in ("external_id", "email", "phone")
}


def connect(sandbox: Sandbox, **settings: Any) -> Braze:
    given = {"base_url": sandbox.system_url("braze"), "api_key": "sandbox-braze", "alias_label": "crm", **settings}
    return Braze(BrazeSettings.model_validate(given))


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        workspace = sandbox.systems["braze"]
        assert isinstance(workspace, Workspace)
        workspace.queue.seconds = 0.0
        fields: dict[str, FieldValue] = {"first_name": "Ana", "email": "spec@box.example", "ltv": 1.5, "city": None}
        person = [DeliveryRow(number=1, match_value="spec", fields=fields)]
        for kind in ("flag", "list"):
            braze = connect(sandbox, audience_kind=kind)
            audience = braze.ensure_audience("Specified")
            for match_key in ("external_id", "user_alias"):
                braze.upsert_into(audience, person, match_key=match_key)
                braze.update(person, match_key=match_key)
                braze.remove_members(audience, person, match_key=match_key)
        groups = connect(sandbox, audience_kind="subscription_group")
        groups.upsert_into(groups.ensure_audience(GROUP), person, match_key="external_id")
        for match_key in ("external_id", "user_alias"):
            groups.erase(person, match_key=match_key)
        yield seen


def test_requests_and_answers_are_as_specified(seen: list[Exchange]) -> None:
    assert FOLDER is not None
    specification = Specification(FOLDER / "braze" / "braze-community-spec.json", base_path="/braze")
    asked = [one for one in seen if one.path.startswith("/braze")]
    problems = {problem for one in asked for problem in specification.problems(one, undeclared=UNDECLARED)}
    assert sorted(problems) == []
    assert len({one.path for one in asked}) >= 6
