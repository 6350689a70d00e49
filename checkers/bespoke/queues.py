"""queue and total-queue: what goes in comes out, once.

    enqueue v      dequeue -> v (null: the queue was empty)      drain -> [v …] until the queue was empty

    queue         at every instant, no more v's had come out (returned) than could have gone in (called)
    total-queue   lost = acknowledged - dequeued, unexpected = never enqueued, duplicated = dequeued more often than enqueued,
                  recovered = dequeued though the enqueue was not acknowledged; all as multisets

From: Jepsen, `checker/queue` and `checker/total-queue` (jepsen/src/jepsen/checker.clj); the names in `stats` are its own. Mended: a failed enqueue
puts nothing in. total-queue: duplicates fail (total-queue-at-least-once lets them pass, as Jepsen does); an element counts as lost only if a drain
or an empty dequeue came after it, for otherwise it may still be inside; what came out before an enqueue was called is not its element, though it is
equal; a dequeue of unknown outcome may hold one missing element, a drain of unknown outcome any number, so what they can explain is UNKNOWN and
not lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, Final

from checkers.bespoke.calls import Call, Unfit, argument, items, named, order, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.op import MISSING
from checkers.verdict import Result

FUNCTIONS: Final = ("enqueue", "dequeue", "drain")


def check_queue(history: History) -> Result:
    """Everything that came out had been put in, and not more often."""
    return judged("queue", history, FUNCTIONS, _judge_queue)


def check_total_queue(history: History) -> Result:
    """Everything that was put in came out exactly once."""
    return judged("total-queue", history, FUNCTIONS, lambda calls: _judge_total(calls, once=True))


def check_total_queue_at_least_once(history: History) -> Result:
    """Everything that was put in came out; repeats are counted only."""
    name = "total-queue-at-least-once"
    return judged(name, history, FUNCTIONS, lambda calls: _judge_total(calls, once=False))


def _added(calls: Sequence[Call]) -> Origins:
    """The enqueues by value. Raises Unfit for null: as an answer it says that the queue was empty."""
    adds = named(calls, "enqueue")
    if null := next((add for add in adds if add.value is None and add.possible), None):
        raise Unfit(
            f"enqueue #{null.index} has null, which as an answer is an empty queue; record another value"
        )
    return Origins.of(adds)


def _removed(calls: Sequence[Call]) -> list[tuple[Hashable, Call]]:
    """What surely came out, and by which call."""
    found: list[tuple[Hashable, Call]] = []
    for call in calls:
        if call.f == "enqueue" or not call.ok:
            continue
        if call.f == "dequeue":
            if call.result is MISSING:
                raise Unfit(
                    f"dequeue #{call.index} is ok without a value; record what came out, null if nothing"
                )
            if call.result is not None:
                found.append((token(call.result), call))
        else:
            found += [(token(item), call) for item in items(call)]
    return sorted(found, key=lambda pair: pair[1].ret)


def _judge_queue(calls: list[Call]) -> Outcome:
    added, removed = _added(calls), _removed(calls)
    findings = _impossible(added, removed)
    count = Counter(value for value, _ in removed)
    stats = {
        "attempt-count": sum(map(len, added.calls.values())),
        "dequeued-count": len(removed),
        "final-queue": _left(added, count),
    }
    untested = None if removed else "nothing came out of the queue, so nothing was tested"
    return Outcome(f"{len(removed)} elements came out, all had been put in", findings, untested, stats)


def _left(added: Origins, removed: Counter[Hashable]) -> list[Any]:
    """Acknowledged elements that did not come out, with repeats."""
    left = Counter({value: sum(add.ok for add in adds) for value, adds in added.calls.items()}) - removed
    return [plain(value) for value in order(left) for _ in range(left[value])]


def _impossible(added: Origins, removed: Sequence[tuple[Hashable, Call]]) -> list[Finding]:
    """Removals, in order of return, of what had not been put in often enough by then (Hall's condition on nested sets)."""
    findings, takers = [], dict[Hashable, list[Call]]()
    for value, taker in removed:
        wrong = added.wrong(value, taker)
        if wrong is not None:
            findings.append(wrong)
            continue
        so_far = takers.setdefault(value, [])
        so_far.append(taker)
        sources = [add for add in added.possible(value) if add.call <= taker.ret]
        if len(so_far) > len(sources):
            sentence = (
                f"{shown(plain(value))} came out {len(so_far)} times by the return of {taker.f} #{taker.index}, "
                f"and had been put in {len(sources)} times at most"
            )
            findings.append(Finding("duplicated", sentence, [*sources, *so_far]))
    return findings


def _judge_total(calls: list[Call], *, once: bool) -> Outcome:
    added, removed = _added(calls), _removed(calls)
    out = Counter(value for value, _ in removed)
    attempts = Counter({value: len(added.possible(value)) for value in added.calls})
    acked = Counter({value: sum(add.ok for add in adds) for value, adds in added.calls.items()})
    unexpected = Counter({value: count for value, count in out.items() if not attempts[value]})
    duplicated = out - attempts - unexpected
    bad = _impossible(added, removed)
    findings = [found for found in bad if found.anomaly != "duplicated"]
    missing = _missing(calls, added, removed)
    crashed = [call for call in calls if call.f != "enqueue" and not call.ok and call.possible]
    unbounded = any(call.f == "drain" for call in crashed)
    if not unbounded and len(missing) > len(crashed):
        findings.insert(0, _lost(missing, crashed, added, removed))
    if once:
        findings += [found for found in bad if found.anomaly == "duplicated"]
    left = _untaken([add for adds in added.calls.values() for add in adds if add.ok], removed)
    untested = _untested(missing, crashed, removed, left)
    recovered = (out & attempts) - acked
    stats: dict[str, Any] = {
        "attempt-count": sum(map(len, added.calls.values())),
        "acknowledged-count": acked.total(),
        "ok-count": (out & attempts).total(),
    }
    for name, bag in (
        ("lost", acked - out),
        ("unexpected", unexpected),
        ("duplicated", duplicated),
        ("recovered", recovered),
    ):
        stats[f"{name}-count"] = bag.total()
        stats[name] = [[plain(value), bag[value]] for value in order(bag)]
    return Outcome(f"all {acked.total()} acknowledged elements came out", findings, untested, stats)


def _untaken(adds: Sequence[Call], removed: Sequence[tuple[Hashable, Call]]) -> list[Call]:
    """As few of these as nothing that came out can have been: what came out before an enqueue was called is not its element.

    Of one value the enqueue that was called last has the fewest takers, and those are takers of all the others too.
    """
    takers: dict[Hashable, list[float]] = {}
    for value, taker in removed:
        takers.setdefault(value, []).append(taker.ret)  # ascending, as `removed` is
    found = []
    for add in sorted(adds, key=lambda add: -add.call):
        rets = takers.get(argument(add), [])
        if rets and rets[-1] >= add.call:
            rets.pop()
        else:
            found.append(add)
    return sorted(found, key=lambda add: add.call)


def _missing(
    calls: Sequence[Call], added: Origins, removed: Sequence[tuple[Hashable, Call]]
) -> list[tuple[Call, Call]]:
    """Acknowledged enqueues that nothing returned, each with a later call that saw the queue empty."""
    emptied = [
        call
        for call in calls
        if call.ok and (call.f == "drain" or (call.f == "dequeue" and call.result is None))
    ]
    last = max(emptied, key=lambda call: call.call, default=None)
    if last is None:
        return []
    adds = [add for value in order(added.calls) for add in added.calls[value] if add.before(last)]
    return [(add, last) for add in _untaken(adds, removed)]


def _lost(
    missing: Sequence[tuple[Call, Call]],
    crashed: Sequence[Call],
    added: Origins,
    removed: Sequence[tuple[Hashable, Call]],
) -> Finding:
    """More is missing than calls of unknown outcome can hold. What the drain itself returned needs all that was put in and came out of that value."""
    shown_ones = missing[: len(crashed) + 1]
    drained = {value for value, taker in removed if taker is missing[0][1]}
    twins = drained.intersection(argument(add) for add, _ in shown_ones)
    others = [call for value in twins for call in added.possible(value)]
    others += [taker for value, taker in removed if value in twins]
    add, last = missing[0]
    held = f", and calls of unknown outcome can hold {len(crashed)} of them" if crashed else ""
    sentence = (
        f"enqueue {shown(add.value)} #{add.index} was acknowledged and never came out, though {last.f} #{last.index} found "
        f"the queue empty later: {len(missing)} missing{held}"
    )
    return Finding("lost", sentence, [*(one for one, _ in shown_ones), *others, *crashed, last])


def _untested(
    missing: Sequence[tuple[Call, Call]],
    crashed: Sequence[Call],
    removed: Sequence[tuple[Hashable, Call]],
    left: Sequence[Call],
) -> str | None:
    if missing:
        return (
            f"{len(missing)} elements are missing, and {len(crashed)} calls of unknown outcome may hold them"
        )
    if left:
        return f"{len(left)} acknowledged elements did not come out, but nothing found the queue empty after them; drain it"
    return None if removed else "nothing came out of the queue, so nothing was tested"
