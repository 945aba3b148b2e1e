"""Events in sequence: the one pass over the events finds a chain exactly where trying all of them finds one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from millstream.state.audiences import Audience
from tests.state.audience_world import AS_OF, AudienceWorld, Did, ago

if TYPE_CHECKING:
    from tests.state.conftest import Customers

SPANS = {f"{hours}h": timedelta(hours=hours) for hours in range(1, 9)}
Event = tuple[str, int, str]


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    return AudienceWorld(customers.connection)


@pytest.fixture(scope="module")
def shared_world(new_customers: Callable[[], Customers]) -> Iterator[AudienceWorld]:
    customers = new_customers()
    yield AudienceWorld(customers.connection)
    customers.connection.close()


def did(*events: tuple[str, float], **more: Any) -> list[Did]:
    """Events by name and hours before the run."""
    return [Did(name, ago(hours=hours), **more) for name, hours in events]


def follows(world: AudienceWorld, steps: list[dict[str, object]], **more: object) -> set[str]:
    return world.who({"sequence": steps, **more})


CART, PAID, SENT = {"event": "Cart"}, {"event": "Paid"}, {"event": "Sent"}


def test_the_order_counts(world: AudienceWorld) -> None:
    world.person("after", *did(("Cart", 2), ("Paid", 1)))
    world.person("before", *did(("Paid", 2), ("Cart", 1)))
    world.person("at once", *did(("Cart", 1), ("Paid", 1)))
    world.person("between", *did(("Cart", 3), ("Sent", 2), ("Paid", 1)))
    world.person("nothing")
    assert follows(world, [CART, PAID]) == {"after", "between"}
    assert follows(world, [CART, PAID], did=False) == {"before", "at once", "nothing"}
    assert follows(world, [CART, SENT, PAID]) == {"between"}
    assert follows(world, [CART, CART]) == set()


def test_what_comes_after_the_run_is_not_known(world: AudienceWorld) -> None:
    world.person("ana", *did(("Cart", 1), ("Paid", -1)))
    assert follows(world, [CART, PAID]) == set()


def test_a_later_beginning_may_give_the_chain(world: AudienceWorld) -> None:
    world.person("ana", *did(("Cart", 50), ("Cart", 3), ("Paid", 2)))
    world.person("bo", *did(("Cart", 50), ("Paid", 2)))
    assert follows(world, [CART, {**PAID, "within": "1h"}]) == {"ana"}
    assert follows(world, [CART, PAID], in_total="1h") == {"ana"}
    assert follows(world, [CART, PAID], in_total="48h") == {"ana", "bo"}


def test_the_latest_middle_step_need_not_be_the_one_that_fits(world: AudienceWorld) -> None:
    # The second Sent is within 2h of Paid, the first is within 2h of Cart; no chain has both.
    world.person("ana", *did(("Cart", 10), ("Sent", 9), ("Sent", 4), ("Paid", 3)))
    assert follows(world, [CART, {**SENT, "within": "2h"}, {**PAID, "within": "2h"}]) == set()
    assert follows(world, [CART, {**SENT, "within": "2h"}, {**PAID, "within": "6h"}]) == {"ana"}


def test_a_span_is_kept_to_the_microsecond(world: AudienceWorld) -> None:
    tick = timedelta(microseconds=1)
    world.person("just", Did("Cart", ago(hours=5)), Did("Paid", ago(hours=4)))
    world.person("too late", Did("Cart", ago(hours=5)), Did("Paid", ago(hours=4) + tick))
    world.person("a tick", Did("Cart", ago(hours=5)), Did("Paid", ago(hours=5) + tick))
    assert follows(world, [CART, {**PAID, "within": "1h"}]) == {"just", "a tick"}
    assert follows(world, [CART, PAID], in_total="1h") == {"just", "a tick"}


def test_the_whole_may_be_bounded_in_time(world: AudienceWorld) -> None:
    world.person("old", *did(("Cart", 50), ("Paid", 49)))
    world.person("new", *did(("Cart", 3), ("Paid", 2)))
    world.person("both", *did(("Cart", 49), ("Paid", 2)))
    assert follows(world, [CART, PAID], within="24h") == {"new"}
    assert follows(world, [CART, PAID], within="24h", did=False) == {"old", "both"}
    assert follows(world, [CART, PAID], before="24h") == {"old"}
    assert follows(world, [CART, PAID], after="2026-05-31") == {"new"}
    assert follows(world, [CART, PAID], before="2026-05-31") == {"old"}


def test_a_last_step_that_did_not_come_counts_once_its_time_is_over(world: AudienceWorld) -> None:
    world.person("left", *did(("Cart", 5)))
    world.person("paid", *did(("Cart", 5), ("Paid", 4)))
    world.person("paid late", *did(("Cart", 5), ("Paid", 1)))
    world.person("still may", *did(("Cart", 1)))
    world.person("left and came again", *did(("Cart", 9), ("Cart", 5), ("Paid", 4)))
    world.person("at once", *did(("Cart", 5), ("Paid", 5)))
    without = {**PAID, "did": False}
    left = {"left", "paid late", "left and came again", "at once"}
    assert follows(world, [CART, {**without, "within": "2h"}]) == left
    assert follows(world, [CART, without]) == {"left", "still may", "at once"}


def test_a_last_step_that_did_not_come_is_looked_for_beyond_the_time_of_the_others(world: AudienceWorld) -> None:
    world.person("ana", *did(("Cart", 5), ("Paid", 3.5)))
    assert follows(world, [CART, {**PAID, "did": False, "within": "2h"}], before="4h") == set()
    assert follows(world, [CART, {**PAID, "did": False, "within": "1h"}], before="4h") == {"ana"}


def test_steps_ask_for_properties_channels_campaigns_and_one_of_several_events(world: AudienceWorld) -> None:
    world.person("ana", Did("Cart", ago(hours=3), properties={"size": 1}), Did("Paid", ago(hours=2), channel="web"))
    world.person("bo", Did("Cart", ago(hours=3), properties={"size": 2}), Did("Ordered", ago(hours=2), campaign="x"))
    assert follows(world, [{**CART, "where": {"size": [1, 3]}}, PAID]) == {"ana"}
    assert follows(world, [CART, {"event": ["Paid", "Ordered"]}]) == {"ana", "bo"}
    assert follows(world, [CART, {**PAID, "channel": "app"}]) == set()
    assert follows(world, [CART, {"event": "Ordered", "campaign": "x"}]) == {"bo"}


@pytest.mark.parametrize(
    ("sequence", "message"),
    [
        ([CART], "at least 2 items"),
        ([{**CART, "within": "1h"}, PAID], "the first step has no `within`"),
        ([{**CART, "did": False}, PAID], "only the last step"),
        ([CART, {**PAID, "count": {"at_least": 1}}], "Extra inputs"),
    ],
)
def test_a_sequence_that_is_none_is_refused(sequence: list[object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Audience.model_validate({"rule": {"sequence": sequence}})


events = st.lists(
    st.tuples(st.sampled_from("AAABBC"), st.integers(-1, 9), st.sampled_from(["red", "blue"])), max_size=9
)
spans = st.none() | st.sampled_from(list(SPANS))


def said(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


steps = st.builds(
    said,
    event=st.sampled_from(["A", "B", "C", ["A", "C"]]),
    within=spans,
    where=st.none() | st.just({"colour": "red"}),
)


def assembled(parts: list[dict[str, object]], undone: bool) -> list[dict[str, object]]:
    first, *others = parts
    first.pop("within", None)
    if undone:
        others[-1]["did"] = False
    return [first, *others]


sequences = st.builds(
    said,
    sequence=st.builds(assembled, st.lists(steps, min_size=2, max_size=4), st.sampled_from([False, False, True])),
    did=st.none() | st.booleans(),
    within=spans,
    before=st.none() | st.sampled_from(["1h", "3h", AS_OF - timedelta(hours=2)]),
    in_total=spans,
)


def fits(event: Event, step: dict[str, Any]) -> bool:
    name, _, colour = event
    return name in step["event"] and (not step.get("where") or colour == "red")


def moment(event: Event) -> datetime:
    return AS_OF - timedelta(hours=event[1])


def bounded(event: Event, rule: dict[str, Any]) -> bool:
    if "within" in rule and not moment(event) > AS_OF - SPANS[rule["within"]]:
        return False
    before = rule.get("before")
    if isinstance(before, datetime):
        return moment(event) < before
    return before is None or moment(event) <= AS_OF - SPANS[before]


def is_chain(chain: tuple[Event, ...], rule: dict[str, Any], known: list[Event]) -> bool:
    wanted = list(rule["sequence"])
    undone = None if wanted[-1].get("did", True) else wanted.pop()
    if not all(bounded(event, rule) and fits(event, step) for event, step in zip(chain, wanted, strict=True)):
        return False
    for (one, other), step in zip(pairwise(chain), wanted[1:], strict=True):
        later = moment(other) - moment(one)
        if later <= timedelta() or ("within" in step and later > SPANS[step["within"]]):
            return False
    if "in_total" in rule and moment(chain[-1]) - moment(chain[0]) > SPANS[rule["in_total"]]:
        return False
    return undone is None or did_not_come(chain[-1], undone, known)


def did_not_come(last: Event, step: dict[str, Any], known: list[Event]) -> bool:
    end = moment(last) + SPANS[step["within"]] if "within" in step else AS_OF
    return end <= AS_OF and not any(fits(event, step) and moment(last) < moment(event) <= end for event in known)


def holds(rule: dict[str, Any], happened: list[Event]) -> bool:
    """The plain reading: try every combination of events."""
    known = [event for event in happened if moment(event) <= AS_OF]
    length = sum(step.get("did", True) for step in rule["sequence"])
    return any(is_chain(chain, rule, known) for chain in product(known, repeat=length)) == rule.get("did", True)


@settings(max_examples=25, deadline=None)
@given(people=st.lists(events, min_size=1, max_size=5), tried=st.lists(sequences, min_size=1, max_size=6))
def test_one_pass_finds_what_trying_all_chains_finds(
    shared_world: AudienceWorld, people: list[list[Event]], tried: list[dict[str, Any]]
) -> None:
    shared_world.forget()
    for number, happened in enumerate(people):
        told = [Did(event[0], moment(event), properties={"colour": event[2]}) for event in happened]
        shared_world.person(str(number), *told)
    found = shared_world.members({f"a{number}": rule for number, rule in enumerate(tried)})
    for number, rule in enumerate(tried):
        expected = {str(person) for person, happened in enumerate(people) if holds(rule, happened)}
        assert found[f"a{number}"] == expected, rule
