"""PBS against what can be computed by hand, and the measurement against histories whose stale reads are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import exp
from pathlib import Path
from runpy import run_path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace as changed

from checkers import History
from checkers.op import MISSING, invoke
from harness.pbs import Delays, Quorums, k_staleness, predict
from harness.plan import PlanError
from harness.simulate import simulate_run
from harness.visibility import Seen, binned, observed

EXACT = Delays(latency="exponential", latency_ms=10.0, latency_ms_min=0.0)


def test_one_replica_is_never_stale_and_meeting_quorums_are_not() -> None:
    for quorums in (Quorums(n=1, r=1, w=1), Quorums(n=3, r=2, w=2), Quorums(n=3, r=1, w=3), Quorums(n=5, r=3, w=3)):  # fmt: skip
        curve = predict(quorums, EXACT, trials=50_000)
        assert curve.stale(0.0) == 0.0
        assert curve.fresh_after_ms(1.0) == 0.0


@pytest.mark.parametrize(("n", "r", "w"), [(3, 1, 1), (3, 1, 2), (3, 2, 1), (5, 2, 2)])
def test_the_curve_is_what_a_plain_simulation_says(n: int, r: int, w: int) -> None:
    """The same draws, gone through one trial after the other as the paper tells it."""
    trials, t_ms = 4000, 6.0
    curve = predict(Quorums(n=n, r=r, w=w), EXACT, seed=5, trials=trials)
    rng = np.random.default_rng(5)
    ws, acks, rs, ss = (rng.exponential(10.0, (trials, n)) for _ in range(4))
    stale = 0
    for trial in range(trials):
        commit = sorted(ws[trial] + acks[trial])[w - 1]
        answers = sorted(range(n), key=lambda j: rs[trial, j] + ss[trial, j])[:r]
        stale += all(commit + t_ms + rs[trial, j] < ws[trial, j] for j in answers)
    assert curve.stale(t_ms) == pytest.approx(stale / trials, abs=1e-12)
    assert stale > 20


def test_a_coordinator_among_few_nodes_is_often_a_replica_itself() -> None:
    far = predict(Quorums(n=3, r=1, w=1), EXACT, trials=100_000)
    near = predict(Quorums(n=3, r=1, w=1, nodes=3), EXACT, trials=100_000)
    # its own replica answers both at once: stale exactly if the write went through another one and has not come yet
    assert near.stale(0.0) == pytest.approx(2 / 3, abs=0.01)
    assert near.stale(0.0) > far.stale(0.0)
    assert near.stale(20.0) == pytest.approx(2 / 3 * exp(-2.0), abs=0.01)


def test_quantiles_invert_the_curve() -> None:
    curve = predict(Quorums(n=3, r=1, w=1), EXACT, trials=100_000)
    for share in (0.9, 0.99, 0.999):
        t_ms = curve.fresh_after_ms(share)
        assert curve.stale(t_ms) <= 1 - share + 1e-9
        assert curve.stale(t_ms * 0.99) > 1 - share
    assert curve.mean_stale(np.array([0.0, 10.0])) == pytest.approx(
        (curve.stale(0.0) + curve.stale(10.0)) / 2
    )


def test_k_staleness_counts_quorums() -> None:
    quorums = Quorums(n=5, r=2, w=2)
    pairs = list(combinations(range(5), 2))
    miss = sum(not set(a) & set(b) for a in pairs for b in pairs) / len(pairs) ** 2
    assert k_staleness(quorums, 1) == pytest.approx(miss)
    assert k_staleness(quorums, 3) == pytest.approx(miss**3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Quorums(n=3, r=4, w=1), "r = 4"),
        (lambda: Quorums(n=0, r=0, w=0), "n from 1 to 100"),
        (lambda: Quorums(n=3, r=1, w=1, nodes=2), "2 nodes cannot hold 3 replicas"),
        (lambda: Delays(latency="gaussian"), "latency is 'gaussian'"),
        (lambda: Delays(latency_ms=-1.0), "from 0 to 60,000 ms"),
    ],
)
def test_what_cannot_be_is_refused(make: Any, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        make()


def history(*calls: tuple[int, str, Any, str, float, float]) -> History:
    """(process, f, value, outcome, call in ms, return in ms)"""
    events = []
    for process, f, value, outcome, start, end in calls:
        call = invoke(process, f, 0, value if f == "write" else MISSING, time_ns=int(start * 1e6))
        done = {"ok": call.ok(value), "info": call.info("why")}[outcome]
        events += [(start, call), (end, changed(done, time_ns=int(end * 1e6)))]
    return History.from_ops(op for _, op in sorted(events, key=lambda event: event[0]))


W1 = (0, "write", 1, "ok", 0.0, 10.0)
W2 = (0, "write", 2, "ok", 20.0, 30.0)


@pytest.mark.parametrize(
    ("calls", "seen"),
    [
        ([W1, W2, (1, "read", 2, "ok", 35.0, 36.0)], [Seen(5.0, False)]),
        ([W1, W2, (1, "read", 1, "ok", 35.0, 36.0)], [Seen(5.0, True)]),
        ([W1, W2, (1, "read", 1, "ok", 25.0, 36.0)], []),  # overlaps the write
        ([W1, (1, "read", 1, "ok", 12.0, 21.0), W2], []),  # the next write began before it ended
        ([W1, (1, "read", None, "ok", 12.0, 13.0), W2], [Seen(2.0, True)]),
        ([(1, "read", None, "ok", 0.0, 1.0)], []),  # nothing was written
        ([W1, (2, "write", 3, "info", 5.0, 15.0), (1, "read", 1, "ok", 16.0, 17.0)], []),  # two at a time
        (
            [W1, (2, "write", 3, "info", 12.0, 15.0), (1, "read", 1, "ok", 16.0, 17.0)],
            [],
        ),  # the last is in doubt
    ],
)
def test_which_reads_count_and_which_are_stale(calls: list[Any], seen: list[Seen]) -> None:
    assert [replace(each, write=-1) for each in observed(history(*calls))] == seen


def test_bins_hold_what_lies_between_their_edges() -> None:
    reads = [Seen(0.5, True), Seen(1.0, True), Seen(1.5, False), Seen(9.0, False)]
    found = binned(reads, [0.0, 1.0, 2.0, 5.0])
    assert [(each.from_ms, each.reads, each.stale) for each in found] == [(0.0, 1, 1), (1.0, 2, 1)]
    assert found[1].share == 0.5
    assert found[1].low < 0.5 < found[1].high


@pytest.mark.slow
def test_the_simulator_under_the_assumptions_of_pbs_does_what_pbs_predicts() -> None:
    """One bin, so that a single exact test decides; `benchmarks/pbs.py` looks at many."""
    bench = run_path(str(Path(__file__).parents[2] / "benchmarks" / "pbs.py"))
    reads = [seen for seed in (1, 2) for seen in observed(simulate_run(bench["plan"](1, 1, seed)).history)]
    early = [seen for seen in reads if seen.t_ms < 40.0]
    curve = predict(Quorums(n=3, r=1, w=1, nodes=bench["NODES"]), bench["DELAYS"], trials=200_000)
    expected = curve.mean_stale(np.array([seen.t_ms for seen in early])) * len(early)
    stale = sum(seen.stale for seen in early)
    assert expected > 40
    assert abs(stale - expected) < 3.3 * (expected * (1 - expected / len(early))) ** 0.5
