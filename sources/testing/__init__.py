"""The contract suite: what every source must do, built-in or not.

A plugin's test module says how to make the connector against something that answers like the vendor; the tests come
from here::

    class TestExample(SourceContract):
        @pytest.fixture
        def make(self, sandbox):
            def make(**changes):
                facts = {"base_url": f"{sandbox.url}/example", "token": "sandbox-example", **changes}
                return Example(ExampleSettings(**facts))
            return make

        wrong_credential = {"token": "wrong"}

        @pytest.fixture
        def stand_in(self, sandbox):
            return SandboxStandIn(sandbox.url, "example")

A source without an API, such as files or a database, keeps ``TableSourceContract`` instead.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("millstream.sources.testing.suite", "millstream.sources.testing.tables")

from millstream.sources.testing.stand_in import SandboxStandIn, StandIn  # noqa: E402
from millstream.sources.testing.suite import Pulled, SourceContract  # noqa: E402
from millstream.sources.testing.tables import TableSourceContract, TableStandIn  # noqa: E402

__all__ = ["Pulled", "SandboxStandIn", "SourceContract", "StandIn", "TableSourceContract", "TableStandIn"]
