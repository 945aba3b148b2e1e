"""Marketo's connector and its stand-in against the vendor's own Swagger documents."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from millstream.destinations.modes import Operation
from millstream.sandbox import Sandbox
from tests.destinations.marketo_world import connect, row
from tests.sources.specification import FOLDER, Exchange, Specification, exchanges, needs_specifications

pytestmark = needs_specifications
UNDECLARED = {"_method": "the text on addresses that are too long names it"}


def _corrected(document: dict[str, Any]) -> None:
    """Where the document contradicts the vendor's text and examples."""
    for schema in document["definitions"].values():
        # Answers in the text have neither errors nor warnings where there are none, and many no message.
        schema["required"] = [name for name in schema.get("required", ()) if name not in ("errors", "warnings")]
    # The answer to a submission tells the id alone.
    document["definitions"]["ImportLeadResponse"]["required"] = ["batchId", "status"]
    for name in ("failures", "warnings"):
        # A file, which the document describes as an object of the server's.
        file = document["paths"][f"/bulk/v1/leads/batch/{{batchId}}/{name}.json"]["get"]
        file["responses"]["200"].pop("schema", None)


def _as_a_form(document: dict[str, Any]) -> None:
    """Sign-in takes a form, too, which keeps the secret out of addresses: public connectors send it so."""
    for parameter in document["paths"]["/identity/oauth/token"]["post"]["parameters"]:
        parameter["in"] = "formData"


@pytest.fixture(scope="module")
def seen() -> Iterator[list[Exchange]]:
    with Sandbox(people=60, limits=False) as sandbox, exchanges() as seen:
        sandbox.systems["marketo"].imports.seconds = 0.0  # type: ignore[attr-defined]
        marketo = connect(sandbox)
        marketo.probe()
        marketo.create_field("loyaltyTier", "text")
        into = marketo.ensure_audience("Specified")
        some = [row("bad@@example", 1), row("ana@box.example", 2, loyaltyTier="gold", leadScore=3.0)]
        marketo.upsert(some, match_key="email")
        marketo.update(some, match_key="email")
        marketo.add_members(into, [*some, row("ben@box.example", external_id="77")], match_key="email")
        assert list(marketo.read_members(into))
        everybody = [row(f"{'long' * 20}{number}@box.example", number) for number in range(120)]
        marketo.remove_members(into, [*everybody, row("ana@box.example")], match_key="email")
        job = marketo.submit_job(
            Operation.ADD, some, match_key="email", audience_id=into, creates=True, label="specified"
        )
        marketo.poll_job(job)
        marketo.job_outcomes(job, Operation.ADD, some)
        marketo.erase(some, match_key="email")
        yield seen


def test_requests_and_answers_are_as_the_vendor_specifies(seen: list[Exchange]) -> None:
    assert FOLDER is not None
    leads = Specification(FOLDER / "marketo" / "swagger-mapi.marketo-apis.json", base_path="/marketo", read=_corrected)
    # Of the asset API there is no document here.
    asked = [one for one in seen if re.match(r"/marketo/(rest|bulk)/v1/", one.path)]
    problems = {problem for one in asked for problem in leads.problems(one, undeclared=UNDECLARED)}
    assert sorted(problems) == []
    assert len({(one.method, re.sub(r"\d+", "", one.path)) for one in asked}) >= 10


def test_signing_in_is_as_the_vendor_specifies(seen: list[Exchange]) -> None:
    assert FOLDER is not None
    identity = Specification(
        FOLDER / "marketo" / "swagger-identity.marketo-apis.json", base_path="/marketo", read=_as_a_form
    )
    asked = [one for one in seen if one.path.endswith("/oauth/token")]
    assert asked
    assert sorted({problem for one in asked for problem in identity.problems(one)}) == []
