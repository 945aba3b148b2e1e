"""A budget that processes share: what the vendor counts, whoever holds what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from millstream.state.http import RateLimit
from millstream.state.http.budget import Place, Wait, credential_key
from millstream.state.http.limit_headers import Said
from millstream.state.ledger.budgets import LEASE, SharedBudget
from millstream.state.ledger.shares import LONGEST_PAUSE, Slice, State, cool, fair_shares, taken_from_pool
from millstream.state.ledger.tables import budget_slices, budgets
from tests.state.pacing_world import AT_FIRST, Vendor, World, journal_in_memory

HEADERS = {"remaining": "X-Left", "reset": "X-Reset"}


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    engine = journal_in_memory()
    yield engine
    engine.dispose()


def slices(world: World) -> dict[str, int]:
    """Who holds how many places."""
    with world.engine.connect() as connection:
        return {row.holder: row.places for row in connection.execute(budget_slices.select())}


# Never too much


@st.composite
def callers(draw: st.DrawFn) -> list[dict[str, float]]:
    one = st.fixed_dictionaries(
        {
            "threads": st.integers(1, 3),
            "start": st.floats(0, 6),
            "stop": st.sampled_from([float("inf"), 9.0, 14.0]),
            "killed": st.sampled_from([float("inf"), float("inf"), 5.0, 11.0]),
            "pause": st.sampled_from([0.0, 0.0, 0.1, 3.0]),
        }
    )
    return draw(st.lists(one, min_size=1, max_size=4))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.sampled_from([0.5, 1.0, 4.0]), st.booleans(), callers(), st.integers(0, 10**6))
def test_the_vendor_never_counts_more_than_it_allows(
    allowed: int, seconds: float, slides: bool, processes: list[dict[str, float]], seed: int
) -> None:
    engine = journal_in_memory()
    vendor = Vendor(allowed, seconds, begins=None if slides else (seed % 100) / 100 * seconds)
    world = World(engine, vendor, seed=seed, longest=seconds / 20)
    limit = RateLimit(requests=allowed, seconds=seconds, **HEADERS)
    for process in processes:
        world.caller(limit, **process)  # type: ignore[arg-type]
    world.run(20.0)
    engine.dispose()
    assert vendor.refused == []
    assert vendor.most_in_a_window() <= allowed


@pytest.mark.parametrize(("allowed", "seconds"), [(40, 2.0), (10, 1.0), (190, 10.0), (5, 1.0)])
@pytest.mark.parametrize("processes", [1, 4])
def test_nine_tenths_of_the_rate_are_used(engine: sa.Engine, allowed: int, seconds: float, processes: int) -> None:
    world = World(engine, Vendor(allowed, seconds), longest=0.02)
    limit = RateLimit(requests=allowed, seconds=seconds, **HEADERS)
    for number in range(processes):
        world.caller(limit, threads=3, start=number * 0.3)
    world.run(12 * seconds)
    assert world.vendor.refused == []
    assert world.vendor.share_used() >= 0.9


@pytest.mark.parametrize("allowed", [1, 2, 3])
def test_processes_take_turns_where_there_are_fewer_requests_than_processes(engine: sa.Engine, allowed: int) -> None:
    world = World(engine, Vendor(allowed, 1.0))
    limit = RateLimit(requests=allowed, seconds=1.0)
    held = [world.caller(limit, start=number * 0.1) for number in range(4)]
    world.run(40.0)
    assert world.vendor.refused == []
    assert world.vendor.share_used() >= 0.8
    made = [budget._begun for budget in held]
    assert min(made) >= max(made) * 0.5, made


def test_a_request_costs_no_write(engine: sa.Engine) -> None:
    world = World(engine, Vendor(200, 1.0))
    limit = RateLimit(requests=200, seconds=1.0, **HEADERS)
    for _ in range(2):
        world.caller(limit, threads=4)
    world.run(20.0)
    assert len(world.vendor.accepted) > 3_500
    assert world.visits < 60


# Who holds what


def test_one_alone_has_it_all_and_shares_when_another_comes(engine: sa.Engine) -> None:
    world = World(engine, Vendor(40, 2.0))
    limit = RateLimit(requests=40, seconds=2.0)
    world.caller(limit, threads=3)
    world.run(6.0)
    assert list(slices(world).values()) == [40]
    world.caller(limit, threads=3, start=6.0)
    world.run(12.0)
    assert sorted(slices(world).values()) == [20, 20]


def test_what_is_not_used_goes_to_those_who_need_it(engine: sa.Engine) -> None:
    world = World(engine, Vendor(40, 2.0))
    limit = RateLimit(requests=40, seconds=2.0)
    world.caller(limit, threads=3)
    lazy = world.caller(limit, pause=4.0)
    world.run(30.0)
    assert slices(world)[lazy.holder] <= 6
    assert world.vendor.share_used() >= 0.8


def test_what_one_that_ends_held_is_used_by_the_others(engine: sa.Engine) -> None:
    world = World(engine, Vendor(40, 2.0))
    limit = RateLimit(requests=40, seconds=2.0)
    world.caller(limit, threads=3)
    world.caller(limit, threads=3, stop=10.0)
    world.run(16.0)
    assert list(slices(world).values()) == [40]
    assert world.vendor.share_used() >= 0.9


def test_what_one_that_was_killed_held_comes_back(engine: sa.Engine) -> None:
    world = World(engine, Vendor(40, 2.0))
    limit = RateLimit(requests=40, seconds=2.0)
    world.caller(limit, threads=3, killed=4.0)
    world.run(4.0)
    heir = world.caller(limit, threads=3, start=4.0)
    world.run(4.0 + LEASE + 2 * 2.0 + 1.0)
    assert slices(world) == {heir.holder: 40}
    assert world.vendor.refused == []


def test_who_was_not_heard_of_for_too_long_has_nothing_left(engine: sa.Engine) -> None:
    world = World(engine, Vendor(10, 1.0))
    stalled, heir = (world.budget(RateLimit(requests=10, seconds=1.0)) for _ in range(2))

    def spend(budget: SharedBudget) -> int:
        made = 0
        while isinstance(place := budget.take(), Place):
            budget.answered(place)
            made += 1
        return made

    assert spend(stalled) == 10
    world.now += LEASE + 2.0
    assert spend(heir) == 10
    assert spend(stalled) == 0


def test_a_source_and_a_destination_share_what_the_larger_declares(engine: sa.Engine) -> None:
    world = World(engine, Vendor(180, 10.0))
    world.caller(RateLimit(requests=90, seconds=10.0, **HEADERS), threads=1)
    world.caller(RateLimit(requests=180, seconds=10.0, **HEADERS), threads=4)
    world.run(60.0)
    assert world.vendor.refused == []
    assert world.vendor.share_used() >= 0.85


@pytest.mark.parametrize("vendor", [180, 190, 40_000])
def test_a_vendor_that_allows_more_than_is_declared_holds_nobody_up(engine: sa.Engine, vendor: int) -> None:
    world = World(engine, Vendor(vendor, 10.0))
    world.caller(RateLimit(requests=180, seconds=10.0, **HEADERS), threads=1)
    world.run(40.0)
    assert len(world.vendor.accepted) >= 0.9 * 4 * 180
    assert world.vendor.refused == []


def test_who_holds_little_asks_for_more_where_strangers_leave_little(engine: sa.Engine) -> None:
    world = World(engine, Vendor(190, 10.0))
    world.vendor.strangers = [second + part / 10 for second in range(0, 60) for part in range(10)]
    world.caller(RateLimit(requests=180, seconds=10.0, **HEADERS), threads=1)
    world.run(60.0)
    assert len(world.vendor.accepted) >= 0.6 * 6 * 90
    assert len(world.vendor.refused) <= 3


def test_the_vendors_own_word_on_what_it_allows_counts_for_all(engine: sa.Engine) -> None:
    world = World(engine, Vendor(60, 1.0))
    limit = RateLimit(requests=20, seconds=1.0, allowed="X-Limit", **HEADERS)
    one, other = world.budget(limit), world.budget(limit)
    place = one.take()
    assert isinstance(place, Place)
    assert isinstance(other.take(), Place)
    one.heard(place, Said(allowed=60, remaining=59), throttled=False)
    one.answered(place)
    world.now = 1.0
    assert isinstance(other.take(), Place)
    assert other._allowed == 60


# Strangers, pauses, days


@pytest.mark.parametrize(("processes", "refused"), [(1, 0.02), (2, 0.04)])
def test_strangers_who_spend_from_the_same_budget_are_left_room(
    engine: sa.Engine, processes: int, refused: float
) -> None:
    strangers = [moment / 10 for moment in range(600)]  # ten a second of the twenty
    vendor = Vendor(40, 2.0, strangers=strangers)
    world = World(engine, vendor)
    limit = RateLimit(requests=40, seconds=2.0, **HEADERS)
    for _ in range(processes):
        world.caller(limit)
    world.run(40.0)
    assert len(vendor.refused) <= len(vendor.accepted) * refused
    assert len(vendor.accepted) >= 0.8 * 10 * 40


def test_a_pause_that_one_is_told_stops_all_and_one_tries_first(engine: sa.Engine) -> None:
    world = World(engine, Vendor(100, 1.0))
    limit = RateLimit(requests=100, seconds=1.0)
    one, other, third = (world.budget(limit) for _ in range(3))
    for budget in (one, other, third):
        place = budget.take()
        assert isinstance(place, Place)
        budget.answered(place)
    one.pause(30.0)
    assert one.take() == Wait(pytest.approx(30.0), paused=True)  # type: ignore[arg-type]
    world.now += 0.5
    assert other.take() == Wait(pytest.approx(29.5), paused=True)  # type: ignore[arg-type]
    world.now += 30.0
    assert isinstance(third.take(), Wait) or isinstance(other.take(), Wait)
    tried = [budget for budget in (one, other, third) if budget._is_prober]
    assert len(tried) == 1
    for budget in (one, other, third):
        assert isinstance(budget.take(), Wait), "one request is on its way, and nobody follows"
    (prober,) = tried
    (number,) = prober._unheard
    prober.heard(Place(number), Said(), throttled=False)
    prober.answered(Place(number))
    world.now += 0.6
    assert all(isinstance(budget.take(), Place) for budget in (one, other, third))


def test_a_pause_beyond_reason_is_asked_about_after_a_day(engine: sa.Engine) -> None:
    world = World(engine, Vendor(100, 1.0))
    limit = RateLimit(requests=100, seconds=1.0)
    one = world.budget(limit)
    one.take()
    one.pause(1e12)
    one.release()
    world.now += LONGEST_PAUSE / 2
    other = world.budget(limit)
    other.take()
    answer = other.take()
    assert answer == Wait(pytest.approx(LONGEST_PAUSE / 2, abs=5), paused=True)  # type: ignore[arg-type]
    world.now += LONGEST_PAUSE / 2 + 5
    assert isinstance(world.budget(limit).take(), Place)


@pytest.mark.parametrize("earlier", [60.0, 86_400.0])
def test_a_clock_that_is_set_back_holds_nobody_up(engine: sa.Engine, earlier: float) -> None:
    """What a killed process held, and what cools, are dated ahead then."""
    world = World(engine, Vendor(10, 2.0))
    limit = RateLimit(requests=10, seconds=2.0)
    killed = world.budget(limit)
    assert all(isinstance(killed.take(), Place) for _ in range(10))
    world.clock_set_back = earlier
    other = world.budget(limit)
    assert isinstance(other.take(), Wait)
    world.now += LEASE + 1
    other.take()
    world.now += 2 * 2.0
    assert isinstance(other.take(), Place)


def test_a_pause_outlives_the_process_that_was_told(engine: sa.Engine) -> None:
    world = World(engine, Vendor(100, 1.0))
    limit = RateLimit(requests=100, seconds=1.0)
    one = world.budget(limit)
    one.take()
    one.pause(600.0)
    one.release()
    answer = world.budget(limit).take()
    answer = world.budget(limit).take() if isinstance(answer, Place) else answer
    assert isinstance(answer, Wait)
    assert answer.paused


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 60), st.integers(1, 3), st.integers(1, 3), st.integers(0, 10**6))
def test_a_day_is_used_up_to_its_last_request_and_not_beyond(day: int, processes: int, threads: int, seed: int) -> None:
    engine = journal_in_memory()
    world = World(engine, Vendor(20, 1.0, day=day), seed=seed, longest=0.05)
    limit = RateLimit(requests=20, seconds=1.0, daily_remaining="X-Day", daily_reset="X-Day-Reset", **HEADERS)
    for number in range(processes):
        world.caller(limit, threads=threads, start=1.5 * number)
    world.run(30.0)
    engine.dispose()
    assert len(world.vendor.accepted) == day
    assert len(world.vendor.refused) <= (threads if day < threads else 0), "before the first answer nobody knows"
    assert len(world.ended) == processes * threads
    assert all(error.resets_in == pytest.approx(3600, abs=40) for error in world.ended)


def test_a_declared_day_is_counted_from_run_to_run(engine: sa.Engine) -> None:
    world = World(engine, Vendor(20, 1.0))
    limit = RateLimit(requests=20, seconds=1.0, daily=50)
    world.caller(limit, stop=1.5, headers=False)
    world.run(2.0)
    first = len(world.vendor.accepted)
    assert 20 <= first < 50
    world.caller(limit, start=2.0, headers=False)
    world.run(10.0)
    assert len(world.vendor.accepted) == 50
    assert world.ended[0].resets_in is not None


def test_a_new_day_is_not_taken_for_an_old_count(engine: sa.Engine) -> None:
    """Where the vendor does not say when the day ends, one process sees the new one first."""
    world = World(engine, Vendor(100, 1.0))
    limit = RateLimit(requests=100, seconds=1.0, daily_remaining="X-Day")
    one, other = world.budget(limit), world.budget(limit)

    def hear(budget: SharedBudget, left: int) -> None:
        place = budget.take()
        assert isinstance(place, Place)
        budget.heard(place, Said(daily_remaining=left), throttled=False)
        budget.answered(place)

    hear(one, 40)
    hear(other, 39)
    world.now += 20.0
    hear(one, 5000)
    world.now += 3.0
    assert isinstance(one.take(), Place)
    world.now += 17.0
    assert isinstance(other.take(), Place)
    with engine.connect() as connection:
        left = connection.execute(sa.select(budgets.c.daily_left)).scalar_one()
    assert left == pytest.approx(5000, abs=2)


def test_connections_are_shared(engine: sa.Engine) -> None:
    world = World(engine, Vendor(10_000, 1.0), longest=0.2)
    limit = RateLimit(requests=10_000, seconds=1.0, connections=9)
    held = [world.caller(limit, threads=6, start=number * 0.5) for number in range(3)]
    most = [0]

    def look() -> None:
        most[0] = max(most[0], sum(budget._in_flight for budget in held))
        world.at(world.now + 0.01, look)

    look()
    world.run(10.0)
    assert 7 <= most[0] <= 9
    assert min(budget._begun for budget in held) >= 50


def test_an_adaptive_pace_is_shared(engine: sa.Engine) -> None:
    world = World(engine, Vendor(30, 1.0))
    limit = RateLimit(requests=100, seconds=1.0, adaptive=True)
    for number in range(3):
        world.caller(limit, threads=2, start=number * 0.2, headers=False)
    world.run(120.0)
    late = [moment for moment in world.vendor.accepted if moment > 60]
    refused = [moment for moment in world.vendor.refused if moment > 60]
    assert len(late) >= 0.7 * 30 * 60
    assert len(refused) <= len(late) / 200


# The rules


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 50), max_size=6), st.integers(0, 100))
def test_fair_shares_are_fair(wanted: dict[str, int], total: int) -> None:
    shares = fair_shares(wanted, total)
    assert sum(shares.values()) == min(total, sum(wanted.values()))
    assert all(shares[name] <= wanted[name] for name in wanted)
    short = [shares[name] for name in wanted if shares[name] < wanted[name]]
    assert not short or max(shares.values()) <= min(short) + 1


@given(st.lists(st.floats(0, 100), max_size=40), st.integers(0, 60))
def test_places_that_cool_are_neither_lost_nor_free_too_early(moments: list[float], wanted: int) -> None:
    state = State(allowed=50, seconds=10.0, slices={"me": Slice(places=50 - len(moments))})
    cool(state, moments)
    assert sum(count for _, count in state.cooling) == len(moments)
    free, taken = taken_from_pool(state, wanted)
    assert free + len(taken) == min(wanted, len(moments))
    assert all(late >= early for late, early in zip(sorted(taken), sorted(moments), strict=False))
    assert all(late <= early + 0.2 + 1e-9 for late, early in zip(sorted(taken), sorted(moments), strict=False))


class Shop(BaseModel):
    base_url: str = "https://api.shop.example/v1"
    token: SecretStr = SecretStr("pat-12345")
    lists: str | None = None


def test_a_credential_has_one_name_wherever_it_is_used_and_gives_nothing_away() -> None:
    key = credential_key("shop", Shop())
    assert key == credential_key("shop", Shop(base_url="https://api.shop.example/v2", lists="a"))
    assert key.startswith("shop/")
    assert "12345" not in key
    others = [
        credential_key("shop", Shop(token=SecretStr("pat-54321"))),
        credential_key("shop", Shop(base_url="https://eu.shop.example")),
        credential_key("other", Shop()),
    ]
    assert len({key, *others}) == 4


def test_a_budget_starts_where_the_journal_says(engine: sa.Engine) -> None:
    world = World(engine, Vendor(10, 1.0))
    budget = world.budget(RateLimit(requests=10, seconds=1.0))
    assert isinstance(budget, SharedBudget)
    assert isinstance(budget.take(), Place)
    with engine.connect() as connection:
        (row,) = connection.execute(budget_slices.select())
    assert row.expires == AT_FIRST + LEASE
