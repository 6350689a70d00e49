"""or-set: add wins over a concurrent remove.

    add v      remove v      read, final-read -> [v, …]       with tags: add {"value": v, "tag": t}, remove {"value": v, "seen": [t, …]}

    lost         not in a final-read, though an acknowledged add was called after every remove of it had returned; with tags: though an
                 acknowledged add's tag was seen by no remove
    resurrected  with tags: in a final-read, though acknowledged removes had seen the tag of every add
    diverged     two final-reads differ in an element, and no update of it that may have come between them explains it (`agreement`)
    unexpected, aborted-read, future-read     see `origins`

A remove of unknown outcome never returns, so it rules the first rule out for its element. What neither rule demands is free, but the same for all replicas. A final-read is
made after the heal, when the replicas had time to agree.

From: Shapiro, Preguiça, Baquero, Zawirski, A comprehensive study of CRDTs (2011), 3.3.5; Bieniusa et al., An optimized conflict-free replicated set
(2012). Jepsen has no such checker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

from checkers.bespoke.agreement import AGREE, Step, agreement, between, step_by, worse
from checkers.bespoke.calls import Call, Unfit, argument, items, named, order, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.verdict import Result


def check_or_set(history: History) -> Result:
    """Elements that must, and that must not be in the final reads."""
    return judged("or-set", history, ("add", "remove", "read", "final-read"), _judge)


def _element(call: Call) -> Hashable:
    tagged = isinstance(call.value, dict) and "value" in call.value
    return token(call.value["value"]) if tagged else argument(call)


def _tag(add: Call) -> Hashable | None:
    return token(add.value["tag"]) if isinstance(add.value, dict) and "tag" in add.value else None


def _seen(remove: Call) -> frozenset[Hashable] | None:
    if not isinstance(remove.value, dict) or "seen" not in remove.value:
        return None
    if not isinstance(remove.value["seen"], list):
        raise Unfit(f"remove #{remove.index} has a `seen` that is no list of tags")
    return frozenset(map(token, remove.value["seen"]))


def _judge(calls: list[Call]) -> Outcome:
    origins, removes = Origins(), dict[Hashable, list[Call]]()
    for call in named(calls, "add"):
        origins.calls.setdefault(_element(call), []).append(call)
    for call in named(calls, "remove"):
        if call.possible:
            removes.setdefault(_element(call), []).append(call)
    reads = [read for read in named(calls, "read", "final-read") if read.ok]
    finals = named(reads, "final-read")
    findings: list[Finding] = []
    for read in finals:
        shows = set(map(token, items(read)))
        for value in order(origins.calls):
            found = _fate(value, origins.possible(value), removes.get(value, []), read, value in shows)
            if found is not None:
                findings.append(found)
    for read in reads:
        for value, count in Counter(map(token, items(read))).items():
            if (wrong := origins.wrong(value, read)) is not None:
                findings.append(wrong)
            if count > 1:
                sentence = f"{read.f} #{read.index} returned {shown(plain(value))} {count} times"
                findings.append(Finding("duplicate-element", sentence, [read]))
    unsure: str | None = None
    if not findings:
        step = partial(_step, origins, removes)
        findings, unsure = agreement(finals, step, partial(_updates, origins, removes))
    by_name = Counter(found.anomaly for found in findings)
    stats: dict[str, Any] = {"element-count": len(origins.calls), "final-read-count": len(finals)}
    stats |= {f"{name}-count": by_name[name] for name in ("lost", "resurrected", "unexpected")}
    untested = unsure if finals else "there is no final-read, so what must be in the set was not tested"
    idle = None
    if not any(read.result for read in reads):
        untested = untested or too_late(named(calls, "add"), finals)
    if not any(map(origins.acked, origins.calls)) and not any(read.result for read in reads):
        idle = "no add was acknowledged and no element was seen, so nothing was tested"
    return Outcome(f"{len(finals)} final reads show what they must", findings, untested, stats, idle)


def _differing(first: Call, second: Call) -> list[Hashable]:
    return order(set(map(token, items(first))) ^ set(map(token, items(second))))


def _step(origins: Origins, removes: Mapping[Hashable, Sequence[Call]], first: Call, second: Call) -> Step:
    """Which updates make the differences between two final reads? An element comes by an add and goes by a remove."""
    found, shows = AGREE, set(map(token, items(second)))
    for value in _differing(first, second):
        updates = origins.possible(value) if value in shows else removes.get(value, ())
        found = worse(found, step_by([each for each in updates if between(each, first, second)]))
    return found


def _updates(
    origins: Origins, removes: Mapping[Hashable, Sequence[Call]], first: Call, second: Call
) -> list[Call]:
    """Of the first element that no update explains, all there are; they are what its fate rests on."""
    for value in _differing(first, second):
        updates = [*origins.possible(value), *removes.get(value, ())]
        if not any(between(each, *pair) for each in updates for pair in ((first, second), (second, first))):
            return updates
    values = _differing(first, second)
    return [update for value in values for update in (*origins.possible(value), *removes.get(value, ()))]


def _fate(
    value: Hashable, adds: Sequence[Call], removes: Sequence[Call], read: Call, there: bool
) -> Finding | None:
    """Must the element be there, or must it not? What is wrong, if either."""
    removes = [remove for remove in removes if remove.call <= read.ret]
    seen = [_seen(remove) for remove in removes]
    tagged = all(_tag(add) is not None for add in adds) and None not in seen
    covered: set[Hashable] = set().union(*(one for one in seen if one is not None))
    surely = [tags for remove, tags in zip(removes, seen, strict=True) if remove.before(read)]
    gone: set[Hashable] = set().union(*(one for one in surely if one is not None))
    told = shown(plain(value))
    if not there:
        for add in adds:
            free = tagged and _tag(add) not in covered
            if add.before(read) and (free or all(remove.before(add) for remove in removes)):
                sentence = f"add {told} #{add.index} was acknowledged and no remove can have seen it, but final-read #{read.index} lacks it"
                return Finding("lost", sentence, [*removes, add, read])
        return None
    live = [add for add in adds if add.call <= read.ret]
    if live and all(_tag(add) in gone for add in live):
        sentence = (
            f"every add of {told} was seen by an acknowledged remove, but final-read #{read.index} shows it"
        )
        return Finding("resurrected", sentence, [*live, *(one for one in removes if one.ok), read])
    return None
