"""The contract suite: what every destination must do, built-in or not.

A plugin's test module says how to make the connector against something that answers like the vendor, and what is odd
about the vendor; the tests come from here::

    class TestExample(DestinationContract):
        bad_match_value = "not-an-address"

        @pytest.fixture
        def destination(self, sandbox):
            return Example(ExampleSettings(base_url=f"{sandbox.url}/example", token="sandbox-example"))

        @pytest.fixture
        def impostor(self, sandbox):
            return Example(ExampleSettings(base_url=f"{sandbox.url}/example", token="wrong"))

        @pytest.fixture
        def stand_in(self, sandbox):
            return SandboxStandIn(sandbox.url, "example", standings=..., fields=...)
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    *(
        f"millstream.destinations.testing.{module}"
        for module in ("fields", "forecasts", "jobs", "leaving", "replacement", "suite")
    )
)

from millstream.destinations.testing.ground import deliver  # noqa: E402
from millstream.destinations.testing.stand_in import PeopleStandIn, SandboxStandIn, StandIn  # noqa: E402
from millstream.destinations.testing.suite import DestinationContract  # noqa: E402

__all__ = ["DestinationContract", "PeopleStandIn", "SandboxStandIn", "StandIn", "deliver"]
