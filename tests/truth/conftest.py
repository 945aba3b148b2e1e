"""One run of the truth project, and what should have come of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.truth.audiences import Known
from tests.truth.facts import all_facts
from tests.truth.project import Ran, ran_once
from tests.truth.records import all_records
from tests.truth.traits import all_traits

PREDICTED = ("predicted_value", "next_product")
"""The predictions that audiences ask for."""


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """The project, after one run."""
    with ran_once(tmp_path_factory.mktemp("truth")) as ran:
        yield ran


@pytest.fixture(scope="session")
def known(ran: Ran) -> Known:
    """What should have come of it, from the truth."""
    facts = all_facts(ran)
    records = all_records(ran, facts)
    traits = all_traits(facts, records, ran.described_at)
    return Known(ran, facts, records, traits.join(ran.people[list(PREDICTED)]))
