from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kvstore.hlc import HybridClock, from_ms, to_ms
from tests.kvstore.cluster import Cluster

WALLS = st.lists(st.floats(0, 1e6), min_size=1, max_size=50)


@given(WALLS)
def test_now_always_grows_whatever_the_wall_clock_does(walls: list[float]) -> None:
    clock = HybridClock(0, 10_000)
    times = [clock.now(wall) for wall in walls]
    assert all(a < b for a, b in pairwise(times))
    assert all(time >= from_ms(wall) for time, wall in zip(times, walls, strict=True))


@given(WALLS, st.integers(0, 1 << 60))
def test_now_beats_what_it_must_follow(walls: list[float], after: int) -> None:
    clock = HybridClock(0, 10_000)
    assert clock.now(walls[0], after) > after


def test_the_counter_carries_into_the_milliseconds() -> None:
    clock = HybridClock(from_ms(7) | 0xFFFF, 10_000)
    assert to_ms(clock.now(1.0)) == 8


def test_a_far_time_is_not_credible() -> None:
    clock = HybridClock(0, 10_000)
    assert clock.credible(from_ms(11_000), 1_000.0)
    assert not clock.credible(from_ms(11_001), 1_000.0)


@given(WALLS, st.integers(0, 49))
def test_the_next_life_starts_behind_nothing(walls: list[float], crash: int) -> None:
    clock, issued = HybridClock(0, 10_000), [0]
    for wall in walls[: crash + 1]:
        time = clock.now(wall)
        wanted = clock.wanted(wall, clock.lease)
        if wanted is not None:
            clock.lease = wanted  # durable at once
        assert clock.covered(time)
        issued.append(time)
    assert HybridClock(clock.lease, 10_000).now(0.0) > max(issued)


def test_quick_restarts_do_not_run_away() -> None:
    lease = 0
    for wall in range(0, 1000, 10):  # a hundred lives in one second
        clock = HybridClock(lease, 10_000)
        lease = clock.wanted(float(wall), lease) or lease
        clock.now(float(wall))
    assert to_ms(lease) < 110_000


def test_a_restart_bumps_the_incarnation() -> None:
    made = Cluster("a", seed=1)
    made.idle(100.0)
    made.crash("a")
    made.boot("a")
    made.idle(100.0)
    assert made.node("a").incarnation == 2
