"""The failure detector against its definition, and the traps that its head names."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.detector import HEALTH_MAX, WINDOW, Detector, Intervals, phi_of

BEAT_MS = 500.0


def beating(detector: Detector, beats: int, *, start_ms: float = 0.0, jitter: float = 0.0) -> float:
    """A peer that acknowledges every heartbeat; the time of the last."""
    rng = random.Random(7)
    now = start_ms
    for _ in range(beats):
        now += BEAT_MS * (1 + jitter * (rng.random() - 0.5))
        detector.tick(now)
        detector.heard("b", now)
    return now


def silence_until_suspected(detector: Detector, last_ms: float) -> float:
    now = last_ms
    while detector.alive("b", now):
        now += 10.0
        if now - last_ms > 1e6:
            raise AssertionError("never suspected")
    return now - last_ms


@given(st.floats(0, 1e4), st.floats(1, 1e4), st.floats(1, 1e3))
def test_phi_is_the_tail_of_a_normal_distribution(silence: float, mean: float, deviation: float) -> None:
    tail = NormalDist(-mean, deviation).cdf(-silence)  # P(interval > silence), by symmetry
    if tail < 1e-12:
        return
    y = (silence - mean) / deviation
    expected = 0.0 if y < -8 else -math.log10(tail)
    assert phi_of(silence, mean, deviation) == pytest.approx(expected, abs=1e-3)


def test_phi_never_leaves_its_range() -> None:
    rising = [phi_of(silence, 500.0, 1.0) for silence in (0, 1, 499, 500, 501, 505, 530, 539, 600, 1e5, 1e12)]
    assert rising == sorted(rising)
    assert rising[0] == 0.0
    assert all(math.isfinite(phi) for phi in rising)


@given(st.lists(st.floats(0.001, 1e7), min_size=1, max_size=50))
def test_the_deviation_is_exact(intervals: list[float]) -> None:
    kept = Intervals(BEAT_MS, 0.0)
    for each in intervals:
        kept.add(each)
    everything = [0.75 * BEAT_MS, 1.25 * BEAT_MS, *(round(each * 1000) / 1000 for each in intervals)]
    assert kept.deviation_ms == pytest.approx(pstdev(everything), rel=1e-6, abs=1e-3)


def test_the_window_forgets() -> None:
    kept = Intervals(1e6, 0.0)
    for _ in range(WINDOW):
        kept.add(3.0)
    assert (kept.mean_ms, kept.deviation_ms) == (3.0, 0.0)


def test_a_dead_peer_is_suspected_after_about_two_seconds() -> None:
    detector = Detector(BEAT_MS)
    last = beating(detector, 50, jitter=0.2)
    assert detector.alive("b", last + 1400)
    assert 1800 <= silence_until_suspected(detector, last) <= 2300


def test_a_peer_that_was_never_heard_is_suspected_too() -> None:
    detector = Detector(BEAT_MS)
    detector.watch("b", 0.0)
    assert 1500 <= silence_until_suspected(detector, 0.0) <= 3000


def test_the_end_of_a_long_silence_is_not_a_typical_interval() -> None:
    detector = Detector(BEAT_MS)
    last = beating(detector, 20)
    before = silence_until_suspected(detector, last)
    detector.heard("b", last + 60_000)
    assert detector.alive("b", last + 60_000)
    assert silence_until_suspected(detector, last + 60_000) == pytest.approx(before, abs=20)


def test_our_own_stall_convicts_nobody_and_makes_us_slower() -> None:
    detector = Detector(BEAT_MS)
    last = beating(detector, 20)
    before = silence_until_suspected(detector, last)
    woke = last + 30_000
    assert not detector.alive("b", woke)  # what a naive node would conclude
    assert detector.tick(woke) is True
    assert detector.health == 1
    assert detector.alive("b", woke)
    detector.heard("b", woke + 100)
    assert silence_until_suspected(detector, woke + 100) > before + 500


def test_the_health_recovers_with_heartbeats_in_time() -> None:
    detector = Detector(BEAT_MS)
    now = beating(detector, 3)
    for _ in range(20):
        now += 10_000
        detector.tick(now)
    assert detector.health == HEALTH_MAX
    beating(detector, 40, start_ms=now)
    assert detector.health == 0


def test_a_stranger_is_nobody() -> None:
    detector = Detector(BEAT_MS)
    assert detector.phi("nobody", 1e9) == 0.0
    detector.watch("b", 0.0)
    detector.forget("b")
    assert detector.alive("b", 1e9)
