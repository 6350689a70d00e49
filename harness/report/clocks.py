"""How far each node's wall clock was off, and when: the shifts of the fault `clock`, as they were measured.

    n3  ____|‾‾‾‾ +294 ms ‾‾‾‾|______________________     0 before, between and after: every shift ends with a measurement too
    n5  ____                   ______|
            |____ -234 ms ____|

    simulator   exact: a clock is off by what a fault says, and by nothing else
    hosts       measured when a shift begins and when it ends, to a few milliseconds, against the host's own clock (harness/worlds/hosts/clock.py)

How far the hosts' own clocks are apart is measured when a run begins and when it is over, each against this machine's, with a bound (harness/worlds/hosts/endings.py):

    n1      |---o---|                 at least the gap between what is surely known of two of them,
    n2                  |--o--|       at most from the lowest that one may be to the highest that another may be
                     └─┘ at least
            └─────────────────┘ at most

A clock may also *drift* to its offset, or *jump* there and back (`harness.nemesis.moving`): drawn as it was moved, and told with what was measured on the way.
A shift that begins while the process is gone holds for the process that starts later; what was asked for is told, and that it was not measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.plan_options import DRIFT, STROBE

NOTICED_MS: Final = 25.0  # what a shift may be off (harness/nemesis/faults.py)
JUMPS_MAX: Final = 200  # drawn of one shift; of more every so many


@dataclass(frozen=True, slots=True)
class Shift:
    """One node's clock, off from `start_ns` on; `measured_ms`, the furthest, and `after_ms` are None where no process was there to be measured.

    It drifts for `drift_ns`, or jumps every `strobe_ns`, if these are not 0.
    """

    node: str
    start_ns: int
    end_ns: int
    asked_ms: float
    measured_ms: float | None
    after_ms: float | None
    drift_ns: int = 0
    strobe_ns: int = 0

    @property
    def offset_ms(self) -> float:
        """How far it goes, as it is known best."""
        if self.drift_ns:
            return self.asked_ms * min(1.0, (self.end_ns - self.start_ns) / self.drift_ns)
        return self.asked_ms if self.measured_ms is None or self.strobe_ns else self.measured_ms

    @property
    def motion(self) -> str:
        """How it moves; nothing if it stays where it was put."""
        if self.drift_ns:
            return f"drifts for {self.drift_ns / 1e9:g} s"
        return f"jumps every {self.strobe_ns / 1e6:g} ms" if self.strobe_ns else ""

    def corners(self, until_ns: int) -> Iterator[tuple[float, float]]:
        """Of a line, in seconds and milliseconds, from its beginning to its end, or until another takes its place."""
        end, offset = min(self.end_ns, until_ns), self.offset_ms
        yield self.start_ns / 1e9, 0.0
        if self.drift_ns:
            yield min(self.start_ns + self.drift_ns, end) / 1e9, offset
        elif self.strobe_ns:
            each = max(self.strobe_ns, (end - self.start_ns) // JUMPS_MAX)
            for jump, at in enumerate(range(self.start_ns, end, each)):
                yield from ((at / 1e9, offset * (jump % 2)), (at / 1e9, offset * (1 - jump % 2)))
        else:
            yield self.start_ns / 1e9, offset
        if not self.strobe_ns:
            yield end / 1e9, offset
        yield end / 1e9, self.after_ms or 0.0


def shifts_of(faults: Sequence[Mapping[str, Any]], end_ns: int) -> list[Shift]:
    """Every shift of every node, by time."""
    found = [shift for fault in faults if fault.get("kind") == "clock" for shift in of_fault(fault, end_ns)]
    return sorted(found, key=lambda shift: (shift.start_ns, shift.node))


def of_fault(fault: Mapping[str, Any], end_ns: int) -> Iterator[Shift]:
    """The nodes of one fault."""
    evidence = fault.get("evidence") or {}
    start, end = int(fault.get("start_ns") or 0), fault.get("end_ns")
    for node, asked in (fault.get("offsets_ms") or {}).items():
        seen = evidence.get(node) or {}
        looks = [float(ms) for _, ms in seen.get("seen") or ()]
        measured = max(looks, key=abs) if looks else seen.get("measured_ms")
        drift, strobe = round(float(fault.get(DRIFT) or 0) * 1e9), round(float(fault.get(STROBE) or 0) * 1e6)
        yield Shift(str(node), start, end_ns if end is None else int(end), float(asked), measured, seen.get("measured_after_ms"), drift, strobe)  # fmt: skip


def line(shifts: Sequence[Shift], node: str, end_ns: int) -> tuple[list[float], list[float]]:
    """A node's offset over the whole run: seconds, and milliseconds. A later shift takes the place of one that goes on."""
    mine = [shift for shift in shifts if shift.node == node]
    corners = [(0.0, 0.0)]
    for place, shift in enumerate(mine):
        corners += shift.corners(mine[place + 1].start_ns if place + 1 < len(mine) else end_ns)
    corners.append((end_ns / 1e9, corners[-1][1]))
    return [at for at, _ in corners], [offset for _, offset in corners]


def in_words(shifts: Sequence[Shift], nodes: Sequence[str], world: str) -> str:
    """Which clocks were off, by how much, and how well that is known."""
    known = "In the simulator this is exact." if world == "sim" else "Each was measured on its node when the shift began and when it ended, to a few milliseconds."  # fmt: skip
    if not shifts:
        return "No clock was shifted: in the simulator all clocks agreed exactly." if world == "sim" else "No clock was shifted."  # fmt: skip
    off = sorted({shift.node for shift in shifts})
    apart = max(spread_ms(shifts, nodes, shift.start_ns) for shift in shifts)
    never = [node for node in nodes if node not in off]
    rest = f" Never shifted: {', '.join(never)}." if never else ""
    return f"The clocks of {', '.join(off)} were off at times; two clocks were up to {apart:,.1f} ms apart. {known}{rest}"


def spread_ms(shifts: Sequence[Shift], nodes: Sequence[str], at_ns: int) -> float:
    """How far the two clocks that differ most are apart."""
    now = dict.fromkeys(nodes, 0.0)
    now |= {shift.node: shift.offset_ms for shift in shifts if shift.start_ns <= at_ns < shift.end_ns}
    return max(now.values()) - min(now.values())


Own = Mapping[str, Mapping[str, Any]]
"""`clocks` of environment.json: for each node whether it has this machine's clock (`shared`), and its offset and bound at `begin` and `end`."""


def apart(own: Own, world: str) -> str:
    """How far the hosts' own clocks are apart, and how well that is known; nothing of the simulator, whose clocks have no difference of their own."""
    if world == "sim":
        return ""
    if not own:
        return "How far the hosts' own clocks are apart was not measured."
    if all(clock["shared"] for clock in own.values()):
        return "All hosts have this machine's kernel, and so its clock: of their own they are not apart."
    spans = {when: span for when in ("begin", "end") if (span := span_ms(own, when)) is not None}
    names = {"begin": "when the run began", "end": "when it was over"}
    told = [f"{_apart(low, high)} {names[when]}" for when, (low, high) in spans.items()]
    most = max((clock[when]["within_ms"] for clock in own.values() for when in spans if not clock["shared"] and clock[when]), default=0.0)  # fmt: skip
    off = any(low > NOTICED_MS for low, _ in spans.values())
    seen = " What a store orders by clocks it ordered by these, as if a fault of the clocks had gone on throughout." if off else ""  # fmt: skip
    return f"The hosts' own clocks were {' and '.join(told)}; each was measured against this machine's to within {most:,.1f} ms or less.{seen}"


def _apart(low: float, high: float) -> str:
    return f"at most {high:,.1f} ms apart" if low == 0 else f"{low:,.1f} to {high:,.1f} ms apart"


def span_ms(own: Own, when: str) -> tuple[float, float] | None:
    """The least and the most that the two clocks that differ most are apart; None where too few were measured then."""
    seen = [(0.0, 0.0) if clock["shared"] else (clock[when]["offset_ms"], clock[when]["within_ms"]) for clock in own.values() if clock["shared"] or clock.get(when)]  # fmt: skip
    if len(seen) < 2:
        return None
    low = max(offset - within for offset, within in seen) - min(offset + within for offset, within in seen)
    high = max(offset + within for offset, within in seen) - min(offset - within for offset, within in seen)
    return max(0.0, low), high


def own_rows(own: Own) -> Iterator[tuple[str, ...]]:
    """Of each host: its clock against this machine's at both ends of the run, and what it gained. Nothing where all share one."""
    if all(clock["shared"] for clock in own.values()):
        return
    for node, clock in sorted(own.items()):
        if clock["shared"]:
            yield node, "this machine's", "this machine's", "–"
            continue
        begin, end = clock["begin"], clock.get("end")
        gained = f"{end['offset_ms'] - begin['offset_ms']:+,.1f} ± {end['within_ms'] + begin['within_ms']:,.1f} ms" if end else "–"  # fmt: skip
        yield node, _bounded(begin), _bounded(end), gained


def _bounded(seen: Mapping[str, float] | None) -> str:
    return f"{seen['offset_ms']:+,.1f} ± {seen['within_ms']:,.1f} ms" if seen else "no answer"
