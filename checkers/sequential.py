"""Sequential consistency (SC) of registers, all keys together: one order of all operations that keeps each process's own; no real time.

    process 0:  write x 1    read y -> null        no order: each write would have to come after the other's read
    process 1:  write y 1    read x -> null

Not local, so keys may not be judged alone, and NP-complete even if values are unique. First causal convergence, which SC implies and which is
quick to refute; then a search (`core/src/sequential.rs`) with a budget: enough for small histories, UNKNOWN above. A failed operation is left out,
an `info` one may be. References: Lamport, How to make a multiprocessor computer …, 1979; Gibbons & Korach, Testing shared memories, 1997.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any, Final

from checkers.causal import check_convergence
from checkers.forced import circle
from checkers.history import History
from checkers.jsonl import encode_value
from checkers.linearizable import EngineError
from checkers.search import Budget
from checkers.shrink import Clock
from checkers.verdict import Certificate, Result, Verdict

STATES_MAX: Final = 100_000
WORK_MAX: Final = 1_000_000  # a configuration is as large as there are processes, so those times these


def usual(history: History) -> Budget:
    """The budget if none is given: well under a second. No deadline, so the same history gets the same answer on every machine."""
    processes = max(1, history.columns.sizes()[0])
    return Budget(deadline_ms=None, memory_mb=256.0, states_max=min(STATES_MAX, WORK_MAX // processes))


def check_sequential(
    history: History, engine: str = "auto", budget: Budget | None = None, *, clock: Clock | None = None
) -> Result:
    """VALID has a witness over all keys; INVALID a circle of causal convergence, or a small core without an order. EngineError.

    `engine` auto or search; search leaves the circle out, so that the search alone decides. `clock` tells seconds: the search then gets what
    the look for a circle has left of the deadline.
    """
    if engine not in ("auto", "search"):
        raise EngineError(f"no engine {engine!r} for sequential consistency; use auto or search")
    limits = budget if budget is not None else usual(history)
    begin_s = clock() if clock is not None else 0.0
    if engine == "auto":
        weaker = check_convergence(history)
        if weaker.verdict is Verdict.INVALID:
            reason = f"{weaker.reason}; so it is not even causally convergent"
            return replace(
                weaker, checker="sequential", reason=reason, stats={**weaker.stats, "path": "polynomial"}
            )
    deadline_ms = limits.deadline_ms
    if clock is not None and deadline_ms is not None:
        deadline_ms = max(0, deadline_ms - round((clock() - begin_s) * 1000))
    return _result(
        history, history.columns.sequential(deadline_ms, int(limits.memory_mb * 1e6), limits.states_max)
    )


def implied_sequential(history: History, atomic: Result) -> Result | None:
    """VALID, without a search, if the history is linearizable: points in time make one order of the orders of all keys. Else None.

    None as well if an operation is none of a register's; if a compare-and-set failed, which says more than the witness has; and where a
    process begins an operation at the very instant at which its last one ended, if just that decides.
    """
    witness = atomic.certificate
    if atomic.verdict is not Verdict.VALID or witness is None:
        return None
    packed = history.columns.interleaved(array("I", witness.ops).tobytes())
    if packed is None:
        return None
    order = array("I")
    order.frombytes(packed)
    reason = (
        f"{len(order)} operations have one order that respects real time, and so keeps each process's own"
    )
    stats = {"ops": len(order), "path": "linearizable"}
    return Result("sequential", Verdict.VALID, reason, certificate=Certificate("witness", order), stats=stats)


def _result(history: History, said: dict[str, Any]) -> Result:
    names = ("observations", "sessions", "states")
    stats = {"ops": said["size"], **{name: said[name] for name in names}, "path": "search"}
    if said["word"] == "valid" and not said["observations"]:
        reason = "no read succeeded, so nothing was tested; run longer, or look why the reads fail"
        return Result("sequential", Verdict.UNKNOWN, reason, stats=stats)
    if said["word"] == "valid":
        reason = f"{said['size']} operations of {said['sessions']} processes have one order that keeps each process's own"
        witness = Certificate("witness", array("I", said["ops"]))
        return Result("sequential", Verdict.VALID, reason, certificate=witness, stats=stats)
    if said["word"] == "unknown":
        reason = said["reason"]
        if said["states"]:
            reason += (
                f"; {said['deepest']} operations were placed where {said['must']} have to be, {said['states']} configurations seen; "
                "check a shorter run, or raise the budget"
            )
        return Result("sequential", Verdict.UNKNOWN, reason, stats=stats)
    core = tuple(said["ops"])
    keys = {encode_value(key): key for key in (history.op(call).key for call in core)}
    reason = (
        f"not-sequential: no order of {len(core)} operations on {len(keys)} keys keeps each process's own order and explains what was read: "
        + ", ".join(f"#{call}" for call in core[:12])
        + (", …" if len(core) > 12 else "")
    )
    key = next(iter(keys.values())) if len(keys) == 1 else None
    certificate = Certificate("core", core, circle(history, core))
    return Result("sequential", Verdict.INVALID, reason, "not-sequential", key, certificate, stats)
