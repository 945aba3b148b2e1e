"""What happens to those who left, and to fields that did not change."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from millstream.destinations.sync import Sync
from tests.destinations.bench import PEOPLE, MakeBench


def test_only_fields_that_changed_are_sent_again(a_bench: MakeBench) -> None:
    with a_bench(fields={"NAME": "name", "CITY": "profile_id"}) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        bench.memory.sent.clear()
        bench.want({PEOPLE[0]: "Anna"})
        bench.run()
        assert bench.memory.sent == [(PEOPLE[0], {"NAME": "Anna"})]


def test_a_value_that_is_gone_is_cleared_where_the_mapping_says_so(a_bench: MakeBench) -> None:
    for null, cleared in (("clear", {"NAME": None}), ("ignore", {})):
        with a_bench(fields={"NAME": {"column": "name", "null": null}}) as bench:
            bench.want({PEOPLE[0]: "Ann"})
            bench.run()
            bench.memory.sent.clear()
            bench.want({PEOPLE[0]: ""})
            bench.run()
            assert bench.memory.sent == [(PEOPLE[0], cleared)]


def test_leavers_fields_are_cleared_and_they_leave_the_audience(a_bench: MakeBench) -> None:
    with a_bench(on_leave="clear_fields") as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.run()
        bench.want({PEOPLE[1]: "Bob"})
        assert bench.run().accepted == 1
        assert bench.memory.members == {PEOPLE[1]}
        assert bench.memory.people[PEOPLE[0]] == {"NAME": None}
        assert bench.run().planned.operations == 0


def test_clearing_the_fields_of_someone_who_is_gone_counts_as_done(a_bench: MakeBench) -> None:
    with a_bench(on_leave="clear_fields", into=None) as bench:
        bench.want({PEOPLE[0]: "Ann"})
        bench.run()
        del bench.memory.people[PEOPLE[0]]
        bench.want({})
        assert bench.run().accepted == 1
        assert bench.run().planned.operations == 0


def test_leavers_are_archived(a_bench: MakeBench) -> None:
    with a_bench(on_leave="archive", into=None) as bench:
        bench.want({PEOPLE[0]: "Ann", PEOPLE[1]: "Bob"})
        bench.run()
        bench.want({PEOPLE[1]: "Bob"})
        bench.run()
        assert bench.memory.archived == {PEOPLE[0]}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"mode": "upsert", "on_leave": "archive"}, "leaves alone who left"),
        ({"mode": "mirror", "into": None}, "needs 'into'"),
        ({"mode": "mirror", "into": None, "on_leave": "clear_fields"}, "needs fields to clear"),
    ],
)
def test_what_does_not_go_together_is_refused(facts: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Sync.model_validate({"destination": "memory", "table": "crm.wanted", "consent": "not_needed", **facts})
