"""What a timeline shows, wherever it comes from: a run with its faults, or somebody's history alone.

    run folder ─► bars, proof, faults; a lane for each client that runs at a time            ┐
    history    ─► bars, proof;         a process begins in the lane of one that was retired  ┴─► Scene ─► timeline, still

A client whose operation is in doubt goes on as another process. In a run of ours the lane of a process is known: its number modulo the number of
clients. In a history of others a process whose last operation is in doubt leaves its lane to the next that begins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final

from checkers.history import History
from checkers.staleness import stale_reads
from harness.report.folder import Bar, RunFiles, pair
from harness.report.logs import Line, kept, lines_of
from harness.report.placement import for_timeline
from harness.report.survival import LOST

NAMED_MAX: Final = 2  # processes in the name of a lane


@dataclass(frozen=True, slots=True)
class Scene:
    """`bars` by time of call; `lane` of each process, a place in `lanes`, which are names; `logs` of the nodes, all of them or those that matter; `lost` writes; `placed` tells who held keys (`harness.report.placement`)."""

    bars: Sequence[Bar]
    core: Sequence[Bar]
    stale: Collection[int]
    faults: Sequence[Mapping[str, Any]]
    end_ns: int
    lanes: Sequence[str]
    lane: Mapping[int | str, int]
    logs: Sequence[Line] = ()
    logs_total: int = 0
    lost: Collection[int] = ()
    placed: Callable[[Sequence[str], int], Mapping[str, Any] | None] = lambda keys, unit_ns: None


def scene_of_run(run: RunFiles) -> Scene:
    """A run of ours."""
    processes = {bar.process for bar in (*run.bars, *run.core_bars)}
    lane = {process: int(process) % run.concurrency for process in processes}
    names = [f"client {number} → {run.node_of(number)}" for number in range(max(lane.values(), default=-1) + 1)]  # fmt: skip
    logs = lines_of(run.folder, run.environment.get("began"))
    moments = [time for fault in run.faults for time in (fault.get("start_ns"), fault.get("end_ns")) if time is not None]  # fmt: skip
    moments += [time for bar in run.core_bars for time in (bar.start_ns, last_ns(bar))]
    return Scene(run.bars, run.core_bars, run.stale, run.faults, run.end_ns, names, lane, kept(logs, moments), len(logs), run.survival.of(LOST) if run.survival else (), partial(for_timeline, run))  # fmt: skip


def scene_of_history(history: History, core: Collection[int], *, registers: bool) -> Scene:
    """A history of anybody's; `core` by the numbers of the operations. Stale reads are marked if it is of registers."""
    bars = pair(history, lambda process: "")
    names, lane = packed(bars)
    end_ns = max((last_ns(bar) for bar in bars), default=0)
    stale = frozenset(stale_reads(history)) if registers else frozenset[int]()
    return Scene(bars, [bar for bar in bars if bar.index in core], stale, (), end_ns, names, lane)


def last_ns(bar: Bar) -> int:
    """The last that is known of an operation."""
    return max(bar.end_ns or 0, bar.given_up_ns or 0, bar.start_ns)


def packed(bars: Sequence[Bar]) -> tuple[list[str], dict[int | str, int]]:
    """Names of lanes, and the lane of each process: the first whose process was retired before it began, or a new one."""
    last = {bar.process: bar for bar in bars}  # the last call of each
    retiring = list[
        tuple[int, int]
    ]()  # heap: when the process of a lane is last heard of, in doubt; the lane
    free = list[int]()  # heap of lanes
    members, lane = list[list[int | str]](), dict[int | str, int]()
    for bar in bars:
        if bar.process in lane:
            continue
        while retiring and retiring[0][0] <= bar.start_ns:
            heappush(free, heappop(retiring)[1])
        place = heappop(free) if free else len(members)
        if place == len(members):
            members.append([])
        end = last[bar.process]
        if end.outcome == "info":
            heappush(retiring, (last_ns(end), place))
        members[place].append(bar.process)
        lane[bar.process] = place
    return [name_of(each) for each in members], lane


def name_of(processes: Sequence[int | str]) -> str:
    """`process 3`, `process 3, 13 …`."""
    return f"process {', '.join(map(str, processes[:NAMED_MAX]))}{' …' if len(processes) > NAMED_MAX else ''}"
