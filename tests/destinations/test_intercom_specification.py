"""Intercom's connector and its stand-in against the vendor's own OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millstream.destinations.contract import DeliveryRow, FieldValue
from millstream.destinations.intercom import Intercom, IntercomSettings
from millstream.sandbox import Sandbox
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications


def _newest() -> Path:
    assert FOLDER is not None
    files = {tuple(map(int, re.findall(r"\d+", file.stem))): file for file in (FOLDER / "intercom").glob("*.yaml")}
    return files[max(files)]


def _corrected(document: dict[str, Any]) -> None:
    """Where the document contradicts itself: by its own examples, or by its text."""
    schemas = document["components"]["schemas"]
    # A contact needs an address or an external id, not both.
    schemas["contact"]["properties"]["email"]["nullable"] = True
    # An attribute may be made with this type.
    schemas["data_attribute"]["properties"]["data_type"]["enum"].append("datetime")


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        settings = {
            "base_url": sandbox.system_url("intercom"),
            "access_token": "sandbox-intercom",
            "version": ".".join(re.findall(r"\d+", _newest().stem)),
            "bring_back_archived": True,
        }
        intercom = Intercom(IntercomSettings.model_validate(settings))
        intercom.probe()
        intercom.create_field("since", "timestamp")
        tag = intercom.ensure_audience("Specified")
        fields: dict[str, FieldValue] = {"name": "Ana", "plan": "plus", "since": "2026-11-01 10:00:00+00"}
        for match_key, value in (("external_id", "S-1"), ("email", "spec@box.example")):
            rows = [DeliveryRow(number=1, match_value=value, fields=fields)]
            [outcome] = intercom.upsert(rows, match_key=match_key)
            known = [DeliveryRow(number=1, match_value=value, fields={"name": None}, external_id=outcome.external_id)]
            intercom.update(known, match_key=match_key)
            intercom.add_members(tag, known, match_key=match_key)
            list(intercom.read_back(tag))
            intercom.remove_members(tag, known, match_key=match_key)
            intercom.archive(known, match_key=match_key)
            intercom.upsert(known, match_key=match_key)
            intercom.erase(known, match_key=match_key)
        yield seen


def test_requests_and_answers_are_as_specified(seen: list[Exchange]) -> None:
    specification = Specification(_newest(), base_path="/intercom", read=_corrected)
    asked = [one for one in seen if one.path.startswith("/intercom")]
    problems = {problem for one in asked for problem in specification.problems(one)}
    assert sorted(problems) == []
    assert len({(one.method, one.path.count("/"), one.path.split("/")[-1]) for one in asked}) >= 10
