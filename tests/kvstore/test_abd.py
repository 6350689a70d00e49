"""Register mode under loss, doubling, reordering, crashes and lying clocks: linearizable, per the checkers' judge."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.config import bucket
from kvstore.errors import definite
from kvstore.events import Failure
from tests.kvstore.cluster import Cluster

Write = tuple[float, float, int]


def history(seed: int, bugs: list[str], ops: int = 40) -> tuple[list[Write], list[Write]]:
    """Writes and reads as (begin, end, value); an unknown end is infinite, a sure failure is left out."""
    rng = random.Random(seed)
    made = Cluster("abcde", bucket("default", "register"), seed=seed, bugs=bugs)
    made.network.double = 0.1
    made.network.loss, made.network.delay_ms = (0.25, 250.0) if seed % 2 else (0.05, 60.0)
    for name in "abcde":
        made.machines[name].offset_ms = rng.choice([-3_000.0, 0.0, 3_000.0])
    made.run(for_ms=100.0)
    begun: list[tuple[float, tuple[str, int], int]] = []
    ends: dict[tuple[str, int], float] = {}

    def wait(for_ms: float) -> None:
        end_ms = made.now_ms + for_ms
        while made.now_ms < end_ms:
            made.run(for_ms=1.0)
            made.now_ms += 1.0
            for _, handle, _ in begun:
                if handle in made.replies:
                    ends.setdefault(handle, made.now_ms)

    for value in range(1, ops + 1):
        name = rng.choice("abcde")
        if made.machines[name].node is None:
            made.boot(name)
        elif rng.random() < 0.05:
            made.crash(name)
            continue
        if rng.random() < 0.5:
            begun.append((made.now_ms, made.send(name, "SET", "x", value), value))
        else:
            begun.append((made.now_ms, made.send(name, "GET", "x"), 0))
        wait(rng.uniform(1.0, 60.0))
    wait(2_000.0)
    assert made.logs == []
    writes, reads = [(-1.0, -0.5, 0)], []
    for begin, handle, value in begun:
        answer = made.replies.get(handle)
        if value:
            if isinstance(answer, Failure) and definite(answer.code):
                continue
            end = ends[handle] if handle in ends and not isinstance(answer, Failure) else float("inf")
            writes.append((begin, end, value))
        elif handle in ends and not isinstance(answer, Failure):
            assert answer is None or isinstance(answer, bytes)
            reads.append((begin, ends[handle], int(answer or 0)))
    return writes, reads


def linearizable(writes: list[Write], reads: list[Write]) -> bool:
    """Gibbons and Korach: with unique values, contract each value to its zone and look for two that conflict."""
    begins: dict[int, float] = {}
    ends: dict[int, float] = {}
    for begin, end, value in writes + reads:
        begins[value] = max(begins.get(value, begin), begin)
        ends[value] = min(ends.get(value, end), end)
    written = {value: begin for begin, _, value in writes}
    if any(value not in written or end < written[value] for _, end, value in reads):
        return False
    zones = [(ends[value], begins[value]) for value in written]  # forward where end < begin
    forward = sorted(zone for zone in zones if zone[0] < zone[1])
    backward = [(begin, end) for end, begin in zones if end >= begin]
    if any(a[1] > b[0] for a, b in pairwise(forward)):
        return False
    return not any(f[0] < b[0] and b[1] < f[1] for f in forward for b in backward)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_register_is_linearizable(seed: int) -> None:
    assert linearizable(*history(seed, []))


@pytest.mark.parametrize(
    "bug", ["register.read_no_writeback", "register.one_phase_write", "register.optimistic_retag"]
)
def test_the_same_search_convicts_the_seeded_bugs(bug: str) -> None:
    assert any(not linearizable(*history(seed, [bug])) for seed in range(200))
