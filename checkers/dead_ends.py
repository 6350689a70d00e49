"""Why the search found no order: each way it could get furthest, and why nothing that was open helps there.

    #0 write 1 ─► #4 write 2 ─► state 2        #9 read -> 1 returns now, and is refused here
                                  └─ #6 write 3, still open: leads to 3, where #9 is refused too

After Knossos' final paths and Porcupine's longest prefix; both of the core only, so that a person can go through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import replace

from checkers.history import History
from checkers.op import MISSING, Type
from checkers.times import at as told_at
from checkers.verdict import Result

WAYS_MAX: Final = 4  # deepest orders that are told
OPEN_MAX: Final = 8  # open operations that are told of each
CORE_MAX: Final = 12  # operations of a core that the search goes over again
STATES_MAX: Final = 10_000
REGISTER: Final = ("read", "write", "cas")


def dead_ends(history: History, result: Result) -> list[str]:
    """Sentences for a result of the search that is INVALID; none for any other."""
    parts = result.parts.values() or (result,)
    bad = next((part for part in parts if part.stats.get("stuck")), None)
    if bad is None or bad.certificate is None:
        return []
    blocking = bad.stats.get("core_blocking", bad.stats["blocking"])
    end = history.completion(blocking)
    at = "" if end is None else f" at {told_at(end.time_ns)}"
    told = [
        f"{named(history, blocking)} returned{at} and must have happened by then, but no order has a place for it"
    ]
    ways = bad.stats["stuck"]
    for way in ways[:WAYS_MAX]:
        told.append(_way(history, bad, bad.certificate.ops, way, blocking))
    if len(ways) > WAYS_MAX:
        told.append(f"and {len(ways) - WAYS_MAX} more orders that end in the same way")
    return told


def gone_over(history: History, result: Result) -> Result:
    """A core of a register that the zones found, with what the search says of it alone; any other result as it is."""
    from checkers.search import Budget, check_model

    certificate = result.certificate
    if certificate is None or certificate.kind != "core" or len(certificate.ops) > CORE_MAX:
        return result
    calls = [history.op(index) for index in certificate.ops]
    if result.checker != "linearizable" or any(call.f not in REGISTER for call in calls):
        return result
    ends = [end for index in certificate.ops if (end := history.completion(index)) is not None]
    records = sorted([*calls, *ends], key=lambda record: record.index)
    alone = History.from_ops(replace(record, index=-1) for record in records)
    found = check_model(alone, "cas-register", budget=Budget(None, 64.0, STATES_MAX, 1))
    bad = next((part for part in found.parts.values() if part.stats.get("stuck")), None)
    if bad is None:
        return result
    ways = [{"state": way["state"], "ops": [records[at].index for at in way["ops"]]} for way in bad.stats["stuck"]]  # fmt: skip
    about = {"model": "cas-register", "stuck": ways, "blocking": records[bad.stats["blocking"]].index}
    return Result(result.checker, result.verdict, result.reason, result.anomaly, bad.key, certificate, about)


def named(history: History, index: int) -> str:
    """`#9 read -> 1`: an operation with its argument and what it returned."""
    call, end = history.op(index), history.completion(index)
    given = "" if call.value is MISSING or call.value is None else f" {call.value!r}"
    back = MISSING if end is None or end.type is not Type.OK else end.value
    returned = "" if back is MISSING or back == call.value else f" -> {back!r}"
    return f"#{index} {call.f}{given}{returned}"


def _way(history: History, bad: Result, core: Sequence[int], way: dict[str, Any], blocking: int) -> str:
    """One deepest order: what it holds, where it ends, and what each open operation would do there."""
    order: Sequence[int] = way["ops"]
    path = ", then ".join(named(history, index) for index in order) or "nothing"
    told = f"after {path} the state is {way['state']}"
    end = history.completion(blocking)
    until = end.time_ns if end is not None else 0
    rest = [index for index in core if index not in order and history.op(index).time_ns <= until]
    steps = [_step(history, bad, order, index, blocking) for index in rest[:OPEN_MAX]]
    if len(rest) > OPEN_MAX:
        steps.append(f"{len(rest) - OPEN_MAX} more open operations do not help either")
    return "; ".join([told, *(step for step in steps if step)])


def _step(history: History, bad: Result, order: Sequence[int], index: int, blocking: int) -> str:
    """What comes of placing this operation at the end of the order."""
    from checkers.search import INCONSISTENT
    from checkers.specs import SPECS

    model = bad.stats.get("model")
    if model not in SPECS or "initial" in bad.stats:
        return f"{named(history, index)} does not help"
    state, step = SPECS[model]
    for one in [*order, index]:
        call, end = history.op(one), history.completion(one)
        before, result = state, end.value if end is not None and end.type is Type.OK else MISSING
        state = step(state, call.f, call.value, result)
        if state is INCONSISTENT:
            return f"{named(history, index)} cannot happen there" if one == index else ""
    if index == blocking:
        return f"{named(history, index)} could happen there, but then what is open has no place after it"
    if state == before:
        return f"{named(history, index)} is open and changes nothing there"
    call, end = history.op(blocking), history.completion(blocking)
    refused = step(state, call.f, call.value, end.value if end is not None else MISSING) is INCONSISTENT
    then = (
        f", where {named(history, blocking)} cannot happen either"
        if refused
        else ", and that order fails later"
    )
    return f"{named(history, index)} is open, but leads to {_shown(state)}{then}"


def _shown(state: Any) -> str:
    return repr(
        sorted(state, key=repr)
        if isinstance(state, frozenset)
        else list(state)
        if isinstance(state, tuple)
        else state
    )
