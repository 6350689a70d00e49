"""How soon after a write do reads see it? Measured in a run, beside the prediction of PBS where it has one.

    w acknowledged ──── t ────► read called: fresh or stale?        (harness/visibility.py says which reads count)

    reads by t, 40 or more in each part ─► share that is stale, with its 95 % interval   ┐ table
    N, R, W, delays of the simulator ─► PBS ─► the share predicted at these t            ┘ and plot

In each part a write counts once, by its first read there: reads of one write hit or miss together. Reads are left out if a fault that bit lay between
the call of the write and that of the read, since PBS knows no faults. Its t begins at the coordinator, ours at the client, which is further away
by the way of the acknowledgement and of the next call; that time is added.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from checkers.bespoke.calls import Call
from checkers.op import Type
from harness.intervals import wilson
from harness.pbs import Delays, Quorums, Visibility, predict
from harness.report.folder import Bar, RunFiles
from harness.visibility import Seen, observed_in

EDGES_MS: Final = (1, 2, 5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10_000)
READS_LEAST: Final = 40  # in each part
TRIALS: Final = 200_000
TYPES: Final = {"ok": Type.OK, "fail": Type.FAIL, "info": Type.INFO}


@dataclass(frozen=True, slots=True)
class Part:
    """Reads that began from `from_ms` to `to_ms` after the acknowledgement, one for each write; the share `predicted`, if it is."""

    from_ms: float
    middle_ms: float
    to_ms: float
    reads: int
    stale: int
    low: float
    high: float
    predicted: float | None

    @property
    def share(self) -> float:
        """Stale reads, of all."""
        return self.stale / self.reads


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a run shows. `client_ms` is the time that client and coordinator are apart, both ways."""

    parts: Sequence[Part]
    reads: int
    left_out: int
    curve: Visibility | None
    client_ms: float

    @property
    def outside(self) -> int:
        """Parts whose interval does not hold the prediction."""
        return sum(part.predicted is not None and not part.low <= part.predicted <= part.high for part in self.parts)  # fmt: skip

    @property
    def flat(self) -> bool:
        """Nothing to draw: no read was stale, and hardly one is predicted to be."""
        return not any(part.stale for part in self.parts) and (self.curve is None or self.curve.stale(0.0) < 0.0005)  # fmt: skip


def freshness(run: RunFiles) -> Freshness | None:
    """Of a run of registers with enough reads that count; None of others."""
    if not run.results.get("staleness"):
        return None
    every = observed_in(map(call_of, run.bars))
    calm = [seen for seen in every if not disturbed(seen, run)]
    if len(calm) < READS_LEAST:
        return None
    curve, client_ms = prediction(run), 2 * float(network(run).get("client_latency_ms") or 0.0)
    parts = [part_of(chunk, curve, client_ms) for chunk in chunks(sorted(calm, key=lambda seen: seen.t_ms))]
    return Freshness(parts, len(calm), len(every) - len(calm), curve, client_ms)


def call_of(bar: Bar) -> Call:
    """A bar as the checkers know it."""
    end = float("inf") if bar.outcome != "ok" or bar.end_ns is None else bar.end_ns
    return Call(bar.index, int(bar.process), bar.f, bar.key, bar.value, TYPES[bar.outcome], bar.value, bar.start_ns, end)  # fmt: skip


def disturbed(seen: Seen, run: RunFiles) -> bool:
    """Whether a fault that bit lay between the call of the write and that of the read."""
    write = run.by_index[seen.write]
    read_ns = int(write.end_ns or write.start_ns) + seen.t_ms * 1e6
    return any(
        fault.get("bit") and int(fault.get("start_ns") or 0) <= read_ns and write.start_ns <= ends_ns(fault)
        for fault in run.faults
    )


def ends_ns(fault: Mapping[str, Any]) -> float:
    """When a fault ended, if it did."""
    return float("inf") if fault.get("end_ns") is None else float(fault["end_ns"])


def chunks(ordered: Sequence[Seen]) -> Iterator[Sequence[Seen]]:
    """Parts between the edges, joined until each has reads enough."""
    places = [bisect_left(ordered, edge, key=lambda seen: seen.t_ms) for edge in EDGES_MS]
    begin = 0
    for place in places:
        if place - begin >= READS_LEAST <= len(ordered) - place:
            yield ordered[begin:place]
            begin = place
    yield ordered[begin:]


def part_of(ordered: Sequence[Seen], curve: Visibility | None, client_ms: float) -> Part:
    """The numbers of one part."""
    firsts = list({seen.write: seen for seen in reversed(ordered)}.values())
    stale, times = sum(seen.stale for seen in firsts), np.array([seen.t_ms for seen in firsts])
    return Part(
        ordered[0].t_ms, float(np.median(times)), ordered[-1].t_ms, len(firsts), stale, *wilson(stale, len(firsts)),
        None if curve is None else curve.mean_stale(times + client_ms),
    )  # fmt: skip


def network(run: RunFiles) -> Mapping[str, Any]:
    """The network of the simulator; nothing in other worlds, whose delays nobody knows."""
    found = run.environment.get("network") if run.results.get("world") == "sim" else None
    return found if isinstance(found, Mapping) else {}


def system(run: RunFiles) -> Mapping[str, Any]:
    """The configuration of the system, defaults filled in."""
    found = run.environment.get("system")
    return found if isinstance(found, Mapping) else {}


def prediction(run: RunFiles) -> Visibility | None:
    """PBS for the quorums and delays of this run, where both are known."""
    told, net = system(run), network(run)
    if not net or net.get("sites") or not all(isinstance(told.get(letter), int) for letter in "nrw"):
        return None
    low, high = told.get("simulated_commit_ms") or (0.0, 0.0)
    delays = Delays(latency=str(net["latency"]), latency_ms=float(net["latency_ms"]), latency_ms_min=float(net["latency_ms_min"]), measured_ms=tuple(net.get("measured_ms") or ()), commit_ms=(float(low), float(high)))  # fmt: skip
    nodes = int(run.plan.get("nodes", told["n"]))
    return predict(Quorums(n=told["n"], r=told["r"], w=told["w"], nodes=max(nodes, told["n"])), delays, trials=TRIALS)  # fmt: skip


def differences(run: RunFiles) -> Iterator[str]:
    """What this run has and PBS has not, each with what it does to reads."""
    told, net = system(run), network(run)
    if told.get("read_repair") not in (None, "none"):
        yield f"read repair ({told['read_repair']}) makes reads fresher"
    if told.get("sloppy"):
        yield "a sloppy quorum takes acknowledgements from nodes that a read may not ask, and makes reads staler"
    if float(net.get("reorder", 1.0)) < 1:
        yield "messages on a link mostly keep their order, where PBS draws each delay by itself: a read rarely overtakes a write"
    if any(fault.get("bit") for fault in run.faults):
        yield "what a fault leaves behind, such as a node that missed writes, lasts longer than the fault"
    if float(net.get("loss", 0.0)) > 0:
        yield "lost messages make reads staler"


def told_of_prediction(run: RunFiles, found: Freshness) -> str:
    """What the prediction knows and what this run has besides; why there is none."""
    if found.curve is None and network(run).get("sites"):
        return "There is no prediction: the nodes are at different sites, and PBS knows one distribution of delays for all of them."
    if found.curve is None:
        return "There is no prediction: the delays between the nodes, or N, R and W, are not known."
    known = "The prediction (PBS) knows N, R, W and the delays between nodes, and nothing else."
    besides = "; ".join(differences(run))
    return f"{known} This run differs from it: {besides}." if besides else known
