"""Ways in which a plan with a script can be simpler. Pure: a plan goes in, candidates come out, the boldest first.

only_core      the operations of the violation's core          narrower       faults on fewer nodes, shorter, smaller
keys_of_core   those of its keys                               calmer         a network without accidents or priorities
until_core     what had begun before the core was over         sooner         nothing happens? then it need not take time
one_update     one operation, and those that look at the end   forgotten      an update that later ones say they had seen
rounded        a draw that is given has fewer digits           fewer nodes, clients: `harness.search.fewer`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from checkers.bespoke.calls import OBSERVERS
from harness.nemesis.grudges import CLIENTS, struck
from harness.plan import Plan
from harness.plan_options import DISTRIBUTION, MEASURED, ORDERED, PLACES, POINT, PRIORITIES, RANGES, without
from harness.plan_script import NS, ScriptOp, Stroke
from harness.plan_tape import calm_but, pins_of

CALM: Final[Mapping[str, Any]] = {
    "latency": "constant",
    "duplicate": 0.0,
    "reorder": 0.0,
    "loss": 0.0,
    "latency_ms": 1.0,
}
GAP_S: Final = 0.02  # what is left of a time in which nothing happens
TAIL_S: Final = 0.1  # from the last that happens to the end
SHORTEST_S: Final = 0.02  # no fault is made shorter
SMALLEST_MS: Final = 1.0  # no shift of a clock is made smaller
DIGITS: Final = (1, 2, 3)  # of a draw
AT_REST: Final = OBSERVERS | {"final-read"}
"""Operations that look at what is there when repairs are done."""
MORE_REST: Final = 10.0
HALVED: Final = ("share", "delay_ms")  # of faults of links and disks


def only_core(plan: Plan, core: Sequence[int]) -> Iterator[Plan]:
    """Only the operations of the core; none if they only look at what others have done."""
    looks = all(plan.script[place].f in AT_REST for place in core)
    if not looks and len(core) < len(plan.script):
        yield replace(plan, script=tuple(plan.script[place] for place in core))


def one_update(plan: Plan, core: Sequence[int]) -> Iterator[Plan]:
    """What only looks at what others have done, after one single operation on its keys; the latest first, for it is what the others were to lead to."""
    looks = [plan.script[place] for place in core]
    if not core or not all(op.f in AT_REST for op in looks):
        return
    keys = [op.key for op in looks]
    others = [op for op in plan.script if op.f not in AT_REST and op.at_s is not None and op.key in keys]
    for op in reversed(others):
        if len(looks) + 1 < len(plan.script):
            yield replace(plan, script=(op, *looks))


def with_more_rest(plan: Plan) -> Plan:
    """Much more time between the heal and what is done after it; the same plan if nothing looks at all replicas at rest."""
    if not any(op.f in AT_REST for op in plan.script):
        return plan
    return replace(plan, script=tuple(replace(op, after_s=op.after_s * MORE_REST) for op in plan.script))


def core_alone(plan: Plan, core: Sequence[int]) -> Iterator[Plan]:
    """Only the operations of the core, and nothing after them."""
    for bare in only_core(plan, core):
        yield next(until_core(bare, range(len(bare.script))), bare)


def keys_of_core(plan: Plan, core: Sequence[int]) -> Iterator[Plan]:
    """Only operations on the core's keys."""
    keys = [plan.script[place].key for place in core]
    kept = tuple(op for op in plan.script if op.key in keys)
    if core and len(kept) < len(plan.script):
        yield replace(plan, script=kept)


def until_core(plan: Plan, core: Sequence[int]) -> Iterator[Plan]:
    """Only what had begun when the last operation of the core was called."""
    times = [plan.script[place].at_s for place in core]
    ends_s = [at_s for at_s in times if at_s is not None]
    if not ends_s or len(ends_s) < len(times):
        return
    end_s = max(ends_s)
    kept = tuple(op for op in plan.script if op.at_s is not None and op.at_s <= end_s)
    strokes = tuple(stroke for stroke in plan.strokes if stroke.start_ns < end_s * NS)
    fewer = len(kept) + len(strokes) < len(plan.script) + len(plan.strokes)
    if fewer or end_s + TAIL_S < plan.time_limit_s:
        yield replace(plan, script=kept, strokes=strokes, time_limit_s=end_s + TAIL_S)


def calmer(plan: Plan) -> Iterator[Plan]:
    """All accidents of the network at once, else one of them, set to nothing. Before that: no priorities, or one change of them less."""
    if plan.sim.get("schedule") == PRIORITIES:
        yield replace(plan, sim=without(plan.sim, ("schedule", *ORDERED)))
        changes_s = plan.sim.get("changes_s", ())
        for place in range(len(changes_s)):
            kept = [*changes_s[:place], *changes_s[place + 1 :]]
            yield replace(plan, sim={**plan.sim, "changes_s": kept})
    for gone in (PLACES, (MEASURED,)):  # all nodes at one site; delays that nobody measured
        if any(name in plan.sim for name in gone):
            yield replace(plan, sim=without(plan.sim, gone))
    calm = without(CALM, DISTRIBUTION) if MEASURED in plan.sim else CALM
    left = {name: value for name, value in calm.items() if plan.sim.get(name) != value}
    for names in ([*left], *([name] for name in left)):
        if names:
            yield replace(plan, sim={**plan.sim, **{name: left[name] for name in names}})


def narrower(plan: Plan) -> Iterator[Plan]:
    """Each fault on fewer nodes or links, then shorter, then smaller."""
    for place, stroke in enumerate(plan.strokes):
        for smaller in (*_on_less(stroke), *_shorter(stroke), *_milder(stroke)):
            yield replace(plan, strokes=(*plan.strokes[:place], smaller, *plan.strokes[place + 1 :]))


def _on_less(stroke: Stroke) -> Iterator[Stroke]:
    grudge: Mapping[str, Sequence[str]] = stroke.detail.get("grudge", {})
    for dst, sources in grudge.items():
        fewer = {name: list(other) for name, other in grudge.items() if name != dst}
        if fewer:
            yield replace(stroke, nodes=tuple(struck(fewer)), detail={**stroke.detail, "grudge": fewer})
        for src in sources if len(sources) > 1 else ():
            less = {**grudge, dst: [name for name in sources if name != src]}
            hit = tuple(struck(less)) if dst == CLIENTS else stroke.nodes
            yield replace(stroke, nodes=hit, detail={**stroke.detail, "grudge": less})
    offsets: Mapping[str, float] = stroke.detail.get("offsets_ms", {})
    for node in stroke.nodes if len(stroke.nodes) > 1 and not grudge else ():
        detail = dict(stroke.detail)
        if offsets:
            detail["offsets_ms"] = {name: ms for name, ms in offsets.items() if name != node}
        yield replace(stroke, nodes=tuple(name for name in stroke.nodes if name != node), detail=detail)


def _shorter(stroke: Stroke) -> Iterator[Stroke]:
    length = stroke.end_ns - stroke.start_ns
    if length > SHORTEST_S * NS:
        half = max(length // 2, round(SHORTEST_S * NS))
        yield replace(stroke, end_ns=stroke.start_ns + half)
        yield replace(stroke, start_ns=stroke.end_ns - half)


def _milder(stroke: Stroke) -> Iterator[Stroke]:
    offsets: Mapping[str, float] = stroke.detail.get("offsets_ms", {})
    if offsets and max(map(abs, offsets.values())) > SMALLEST_MS:
        halved = {node: round(ms / 2, 1) for node, ms in offsets.items()}
        yield replace(stroke, detail={**stroke.detail, "offsets_ms": halved})
    if POINT in stroke.detail:  # at its time, whatever nodes do
        yield replace(stroke, detail={key: value for key, value in stroke.detail.items() if key != POINT})
    for key in HALVED:
        if stroke.detail.get(key, 0.0) >= 2 * RANGES[key][0]:
            yield replace(stroke, detail={**stroke.detail, key: stroke.detail[key] / 2})


def sooner(plan: Plan) -> Iterator[Plan]:
    """Times in which nothing begins or ends are made short: all of them at once, else one; and so is the end.

    What looks at all replicas at rest keeps its time after the heal: a claim on what is there when repairs are done is not broken by looking before.
    """
    moments = sorted({0.0, *_moments(plan)})
    gaps = [(early, late) for early, late in pairwise(moments) if late - early > 2 * GAP_S]
    for chosen in (gaps, *([gap] for gap in reversed(gaps))):
        if chosen:
            yield _closed(plan, chosen)
    early = tuple(op if op.f in AT_REST else replace(op, after_s=0.0) for op in plan.script)
    if early != plan.script:
        yield replace(plan, script=early)
    end_s = moments[-1] + TAIL_S
    if end_s < plan.time_limit_s - GAP_S:
        yield replace(plan, time_limit_s=round(end_s, 3))


def forgotten(plan: Plan) -> Iterator[Plan]:
    """One update less, which later ones that say what they had seen have not seen either."""
    for gone in plan.script:
        name = gone.value.get("tag", gone.value.get("value")) if isinstance(gone.value, Mapping) else None
        others = tuple(
            _not_having_seen(op, name) if op.key == gone.key else op for op in plan.script if op is not gone
        )
        if name is not None and any(other not in plan.script for other in others):
            yield replace(plan, script=others)


def _not_having_seen(op: ScriptOp, name: Any) -> ScriptOp:
    if not isinstance(op.value, Mapping) or name not in op.value.get("seen", ()):
        return op
    return replace(op, value={**op.value, "seen": [each for each in op.value["seen"] if each != name]})


def rounded(plan: Plan) -> Iterator[Plan]:
    """Of the draws that are given, one with fewer digits."""
    pins = pins_of(plan.tape)
    for place, (name, at, draw) in enumerate(pins):
        for digits in DIGITS:
            short = round(draw, digits)
            if short < 1 and len(repr(short)) < len(repr(draw)):
                yield replace(plan, tape=calm_but([*pins[:place], (name, at, short), *pins[place + 1 :]]))


def settled(plan: Plan, settle_s: float) -> Plan:
    """The plan with so much time after each start and end of a fault before the next thing happens: real hosts need it to cut a link.

    The order stays, and what is close to each other and not behind a fault stays close. Partitions last until the script is over: on hosts a
    link that is mended delivers what it held back (TCP sends it again), in the simulator it is lost.
    """
    edges = {edge / NS for stroke in plan.strokes for edge in (stroke.start_ns, stroke.end_ns)}
    moved, shift_s = dict[float, float](), 0.0
    for early, late in pairwise(sorted({0.0, *edges, *_moments(plan)})):
        moved[early] = early + shift_s
        if early in edges:
            shift_s += max(0.0, settle_s - (late - early))
        moved[late] = late + shift_s
    script = tuple(op if op.at_s is None else replace(op, at_s=moved[op.at_s]) for op in plan.script)
    last_s = max((op.at_s for op in script if op.at_s is not None), default=0.0) + settle_s
    strokes = []
    for stroke in plan.strokes:
        start_s, end_s = moved[stroke.start_ns / NS], moved[stroke.end_ns / NS]
        end_s = max(end_s, last_s) if stroke.kind == "partition" else end_s
        strokes.append(replace(stroke, start_ns=round(start_s * NS), end_ns=round(end_s * NS)))
    limit_s = max([plan.time_limit_s + shift_s, *(stroke.end_ns / NS + settle_s for stroke in strokes)])
    return replace(plan, script=script, strokes=tuple(strokes), time_limit_s=limit_s)


def _moments(plan: Plan) -> Iterator[float]:
    """When something begins or ends."""
    for op in plan.script:
        if op.at_s is not None:
            yield op.at_s
    for stroke in plan.strokes:
        yield from (stroke.start_ns / NS, stroke.end_ns / NS)


def _closed(plan: Plan, gaps: Sequence[tuple[float, float]]) -> Plan:
    """The plan with nothing but GAP_S left of each gap."""

    def moved(at_s: float) -> float:
        return round(at_s - sum(late - early - GAP_S for early, late in gaps if late <= at_s), 9)

    def earlier(op: ScriptOp) -> ScriptOp:
        return op if op.at_s is None else replace(op, at_s=moved(op.at_s))

    strokes = tuple(
        replace(
            stroke,
            start_ns=round(moved(stroke.start_ns / NS) * NS),
            end_ns=round(moved(stroke.end_ns / NS) * NS),
        )
        for stroke in plan.strokes
    )
    return replace(
        plan, script=tuple(map(earlier, plan.script)), strokes=strokes, time_limit_s=moved(plan.time_limit_s)
    )
