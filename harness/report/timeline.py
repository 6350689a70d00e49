"""The data of the page's timeline: every operation as columns of small numbers, for `timeline.js` to draw.

    bars, by time of call          start   120  +350  +18 …     microseconds since the one before
    ────────────────────►          took    810   2100 …         until the answer, or until the client gave up
    chosen if too many             process, f, key, value …     numbers, or places in a table of texts
                                   density  how many ended how, in each of 240 slices of the whole run

A run of 300,000 operations is embedded whole, at some 30 bytes an operation. Of a longer one the page keeps the proof, of
each slice of time the slowest and the first that was stale, lost or not ok, and others by even steps, and says so; `density` always counts all of them.
Times are rounded down to microseconds, calls and answers alike: what came first is never drawn after. A history of less than 10 ms keeps nanoseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from checkers.op import MISSING
from harness.report.folder import Bar, shortened
from harness.report.scene import Scene

SCHEMA: Final = 1
OPS_MAX: Final = 300_000
FINE_NS: Final = 10_000_000  # shorter histories are told in nanoseconds
LOST_KEPT: Final = 2_000  # lost writes that are never left out
SLICES: Final = 240
OUTCOMES: Final = ("ok", "fail", "info")


def timeline(scene: Scene, *, ops_max: int = OPS_MAX) -> dict[str, Any]:
    """What `timeline.js` reads (docs/results.md has the meaning of each name)."""
    core, unit_ns = [bar.index for bar in scene.core], 1000 if scene.end_ns >= FINE_NS else 1
    lost = sorted(scene.lost)
    shown = chosen(scene.bars, {*core, *lost[:LOST_KEPT]}, frozenset(scene.stale).union(lost), ops_max)
    kept, ops = {bar.index for bar in shown}, columns(shown, unit_ns)
    return {
        "schema": SCHEMA,
        "unit_ns": unit_ns,
        "end": scene.end_ns // unit_ns + 1,
        "total": len(scene.bars),
        "lanes": list(scene.lanes),
        "ops": {"lane": [scene.lane[bar.process] for bar in shown], **ops},
        "core": [index for index in core if index in kept],
        "stale": sorted(kept.intersection(scene.stale)),
        "lost": sorted(kept.intersection(lost)),
        "ring": scene.placed(ops["keys"], unit_ns),
        "density": density(scene.bars, scene.end_ns),
        "logs": [[line.at_ns // unit_ns, line.node, line.text] for line in scene.logs],
        "logs_total": scene.logs_total,
        "faults": [fault_band(fault, scene.end_ns, unit_ns) for fault in scene.faults],
    }


def chosen(bars: Sequence[Bar], core: Collection[int], marked: Collection[int], most: int) -> Sequence[Bar]:
    """All of them, or of too many: about `most`, the core and the extremes of each slice of time among them, in order. Stale reads and lost writes are `marked`."""
    if len(bars) <= most:
        return bars
    places = {place for place, bar in enumerate(bars) if bar.index in core}
    places.update(range(0, len(bars), -(-2 * len(bars) // most)))
    width = max(1, -(-8 * len(bars) // most))  # four for each slice, at most half of all that is kept
    for first in range(0, len(bars), width):
        part = range(first, min(first + width, len(bars)))
        places.add(max(part, key=lambda place: took_ns(bars[place])))
        for outcome in ("fail", "info"):
            places.update([place for place in part if bars[place].outcome == outcome][:1])
        places.update([place for place in part if bars[place].index in marked][:1])
    return [bars[place] for place in sorted(places)]


def took_ns(bar: Bar) -> int:
    """From the call to what is known of its end."""
    end_ns = bar.end_ns if bar.end_ns is not None else bar.given_up_ns
    return 0 if end_ns is None else end_ns - bar.start_ns


def columns(bars: Sequence[Bar], unit_ns: int) -> dict[str, Any]:
    """The operations, one list for each thing that is known of them; texts that come again are numbers of tables."""
    functions, keys, errors = dict[str, int](), dict[str, int](), dict[str, int]()
    starts = [bar.start_ns // unit_ns for bar in bars]
    ends = [bar.end_ns if bar.end_ns is not None else bar.given_up_ns for bar in bars]
    return {
        "index": steps([bar.index for bar in bars]),
        "start": steps(starts),
        "took": [-1 if end is None else end // unit_ns - start for start, end in zip(starts, ends, strict=True)],
        "process": [bar.process for bar in bars],
        "outcome": "".join(bar.outcome[0] for bar in bars),
        "f": [functions.setdefault(shortened(bar.f), len(functions)) for bar in bars],
        "key": [-1 if bar.key is None else keys.setdefault(shortened(bar.key), len(keys)) for bar in bars],
        "value": [plain(bar.value) for bar in bars],
        "error": [[place, errors.setdefault(bar.error, len(errors))] for place, bar in enumerate(bars) if bar.error],
        "functions": list(functions),
        "keys": list(keys),
        "errors": list(errors),
    }  # fmt: skip


def steps(numbers: Sequence[int]) -> list[int]:
    """Each number less the one before it: small where they grow slowly."""
    return [number - before for number, before in zip(numbers, [0, *numbers], strict=False)]


def plain(value: Any) -> int | str | None:
    """A number stays one; None is "nothing there", and everything else is text."""
    if value is None or (type(value) is int and abs(value) < 2**53):
        return value
    return "?" if value is MISSING else shortened(value)


def density(bars: Sequence[Bar], end_ns: int) -> list[list[int]]:
    """For each outcome, how many calls fell into each slice of the run."""
    counts = {outcome: [0] * SLICES for outcome in OUTCOMES}
    for bar in bars:
        counts[bar.outcome][min(bar.start_ns * SLICES // max(end_ns, 1), SLICES - 1)] += 1
    return list(counts.values())


def fault_band(fault: Mapping[str, Any], end_ns: int, unit_ns: int) -> dict[str, Any]:
    """A fault from its start to its end, or to the end of the run."""
    start_ns, end = int(fault.get("start_ns") or 0), fault.get("end_ns")
    return {
        "kind": str(fault["kind"]),
        "nodes": ", ".join(map(str, fault.get("nodes") or [])) or "the network",
        "start": start_ns // unit_ns,
        "end": (end_ns if end is None else int(end)) // unit_ns,
        "bit": bool(fault.get("bit")),
    }
