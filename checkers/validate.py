"""Believe no checker: go over a certificate again, in plain Python that shares nothing with the code that made it.

witness   w1 r1 w2 r2    replayed one by one through a register; never may an operation have returned before an earlier one was called
core      w1 w2 r1       every order is tried; none may explain the operations

A core stands for all that touched its values, so those operations are added before orders are tried: of a register, whoever wrote what the core
saw. What is then impossible is impossible in the whole history too, for what is left out neither gives nor takes a value that the core saw.

Every function returns nothing when the certificate holds, and raises CertificateError with one sentence when it does not.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from checkers.history import History
from checkers.op import MISSING, Op, Type
from checkers.search import INCONSISTENT
from checkers.specs import SPECS, mark
from checkers.verdict import Result, Verdict

CORE_MAX: Final = (
    16  # trying every order of more takes too long; cores of compare-and-set chains may be that long
)

TAKES: Final = {"queue": "dequeue", "stack": "pop", "priority-queue": "poll"}
OTHER: Final = ("a value that is not in the core",)
LOOKS: Final = frozenset(("read", "cas", "get", "dequeue", "pop", "poll", "contains", "fetch-add"))


class CertificateError(ValueError):
    """A certificate that proves nothing: one sentence with the operation at fault."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation: what it saw (MISSING: it does not look), what it leaves (MISSING: it changes nothing), and when."""

    index: int
    key: Any
    ok: bool
    sees: Any
    leaves: Any
    call: int
    end: float


def validate_witness(history: History, witness: Result | Sequence[int]) -> None:
    """Check a witness, of one key or of many key after key.

    Each key in it must be complete, and so must the key that a Result is about; in a merged Result (`parts`) no key may be left out of which
    something was read, or that has a part.
    """
    order = _ops(witness, "witness")
    values: dict[str, Any] = {}
    latest: dict[str, int] = {}
    seen: set[int] = set()
    for index in order:
        step = _step(history, index)
        if step is None:
            raise CertificateError(f"#{index} is in the witness, but it failed or is a read without a result")
        if index in seen:
            raise CertificateError(f"#{index} is in the witness twice")
        seen.add(index)
        key = repr(step.key)
        value = values.get(key)
        if step.sees is not MISSING and not _same(step.sees, value):
            raise CertificateError(
                f"#{index} saw {step.sees!r}, but in the witness's order the register holds {value!r}"
            )
        if step.leaves is not MISSING:
            values[key] = step.leaves
        latest[key] = max(latest.get(key, step.call), step.call)
        if step.end < latest[key]:
            raise CertificateError(
                f"#{index} had returned before an operation that the witness puts first was called"
            )
    for missing in sorted(_must(history, set(latest), witness) - seen):
        raise CertificateError(f"#{missing} is ok, but the witness leaves it out")


def validate_order(
    history: History, model: str, witness: Result | Sequence[int], *, failed_cas: bool = False
) -> None:
    """Check a witness of any built-in model, of one key or of many key after key. What it must hold: as `validate_witness`.

    With `failed_cas` it may hold failed compare-and-sets: each must have met another value than it expected.
    """
    if model not in SPECS:
        raise CertificateError(f"there is no object {model!r} to replay; there are {', '.join(SPECS)}")
    start, step = SPECS[model]
    states: dict[str, Any] = {}
    latest: dict[str, int] = {}
    seen: set[int] = set()
    for index in _ops(witness, "witness"):
        call, end = _call(history, index), history.completion(index)
        failed = end is not None and end.type is Type.FAIL
        saw = failed and failed_cas and call.f == "cas"
        if index in seen or (failed and not saw):
            raise CertificateError(f"#{index} failed, or is in the witness twice")
        seen.add(index)
        ok, key = end is not None and end.type is Type.OK, repr(call.key)
        result = end.value if end is not None and ok else MISSING
        before = states.get(key, start)
        after = step(before, call.f, call.value, result)
        if saw:
            after = before if after is INCONSISTENT else INCONSISTENT
        if after is INCONSISTENT:
            raise CertificateError(
                f"#{index} cannot happen where the witness puts it: the state is {before!r}"
            )
        states[key] = after
        latest[key] = max(latest.get(key, call.time_ns), call.time_ns)
        if end is not None and (ok or saw) and end.time_ns < latest[key]:
            raise CertificateError(
                f"#{index} had returned before an operation that the witness puts first was called"
            )
    for missing in sorted(_must(history, set(latest), witness) - seen):
        raise CertificateError(f"#{missing} is ok, but the witness leaves it out")


def validate_sequential(history: History, witness: Result | Sequence[int]) -> None:
    """Check an order of all keys' operations: each process's own is kept, every register replays, no ok operation is left out."""
    values: dict[str, Any] = {}
    latest: dict[int | str, int] = {}
    seen: set[int] = set()
    for index in _ops(witness, "witness"):
        step, process = _step(history, index), history.op(index).process
        if step is None or index in seen:
            raise CertificateError(f"#{index} failed, is a read without a result, or is in the witness twice")
        seen.add(index)
        if index < latest.get(process, index):
            raise CertificateError(f"#{index} stands after an operation that process {process} did later")
        latest[process] = index
        value = values.get(repr(step.key))
        if step.sees is not MISSING and not _same(step.sees, value):
            raise CertificateError(
                f"#{index} saw {step.sees!r}, but where it stands the register holds {value!r}"
            )
        if step.leaves is not MISSING:
            values[repr(step.key)] = step.leaves
    for missing in sorted(_must(history, {repr(op.key) for op in history}, ()) - seen):
        raise CertificateError(f"#{missing} is ok, but the witness leaves it out")


def validate_core(history: History, core: Result | Sequence[int]) -> None:
    """Check that these operations of a register, and all that wrote what they saw, are impossible."""
    order = _ops(core, "core")
    steps = [step for step in (_step(history, index) for index in order) if step is not None]
    if len({repr(history.op(index).key) for index in order}) > 1:
        raise CertificateError("the core has operations of several keys; a core is about one key")
    closed = _with_writers(history, steps) if steps else []
    if len(order) > CORE_MAX or len(closed) > CORE_MAX:
        raise CertificateError(
            f"the core has {max(len(order), len(closed))} operations, with those that wrote what it saw; more than {CORE_MAX} cannot be tried in every order"
        )
    if (found := _explain(closed)) is not None:
        told = " ".join(f"#{index}" for index in found)
        raise CertificateError(f"the core is possible, in this order: {told or 'nothing need have happened'}")


def _with_writers(history: History, steps: list[_Step]) -> list[_Step]:
    """The core, whoever wrote what it saw, whoever wrote what those saw, and so on; but nobody who was called when all that saw it were over."""
    chosen = {step.index: step for step in steps}
    writers = [step for step in _writers(history, steps[0].index) if step.leaves is not MISSING]
    while True:
        until: dict[Any, float] = {}
        for step in chosen.values():
            if step.sees is not MISSING:
                until[mark(step.sees)] = max(step.end, until.get(mark(step.sees), step.end))
        more = [
            step
            for step in writers
            if step.index not in chosen and step.call <= until.get(mark(step.leaves), -math.inf)
        ]
        if not more:
            return list(chosen.values())
        chosen.update((step.index, step) for step in more)


def _writers(history: History, index: int) -> list[_Step]:
    """What the key's writes and compare-and-sets may have done."""
    calls = (at for at in _of_key(history, index) if history.op(at).f in ("write", "cas"))
    return [step for step in (_step(history, at) for at in calls) if step is not None]


def validate_object_core(history: History, model: str, core: Result | Sequence[int]) -> None:
    """Check that a core of a queue, stack, priority-queue or cas-register is impossible in this history.

    A failed compare-and-set in the core found another value than it expected: maybe one that the core leaves out.
    """
    if model not in TAKES and model != "cas-register":
        raise CertificateError(
            f"cores of {model!r} are not checked here; only {', '.join(TAKES)}, cas-register"
        )
    order = _ops(core, "core")
    if len({repr(_call(history, index).key) for index in order}) != 1:
        raise CertificateError("a core is about one key, and has at least one operation")
    acts = [act for act in map(partial(_act, history), _of_key(history, order[0])) if act is not None]
    closed = _with_values(acts, model, set(order))
    if len(closed) > CORE_MAX:
        raise CertificateError(
            f"the core and its values have {len(closed)} operations; more than {CORE_MAX} cannot be tried"
        )
    if (found := _arranged(closed, model)) is not None:
        told = " ".join(f"#{index}" for index in found)
        raise CertificateError(f"the core is possible, in this order: {told or 'nothing need have happened'}")


@dataclass(frozen=True, slots=True)
class _Act:
    """One operation of any object: `result` is MISSING where it is unknown; a failed compare-and-set is kept."""

    index: int
    f: str
    value: Any
    result: Any
    status: Type
    call: int
    end: float


def _of_key(history: History, index: int) -> list[int]:
    """The calls of clients on the key of this one."""
    keys = array("I")
    keys.frombytes(history.columns.column("key"))
    kinds, mine = history.columns.column("type"), keys[index]
    calls = [at for at, key in enumerate(keys) if key == mine and kinds[at] == Type.INVOKE]
    return [at for at in calls if isinstance(history.op(at).process, int)]


def _act(history: History, index: int) -> _Act | None:
    """None: it cannot matter, for it failed and tells nothing, or is a read of unknown result."""
    call, end = history.op(index), history.completion(index)
    status = end.type if end is not None else Type.INFO
    if (status is Type.FAIL and call.f != "cas") or (status is Type.INFO and call.f == "read"):
        return None
    result = end.value if end is not None and status is Type.OK else MISSING
    stop = end.time_ns if end is not None and status is not Type.INFO else math.inf
    return _Act(index, call.f, call.value, result, status, call.time_ns, stop)


def _with_values(acts: list[_Act], model: str, core: set[int]) -> list[_Act]:
    """The core with all that touched its values: a container's adds and takes; of a register, writers of what is seen."""
    if model in TAKES:
        known = [(act, act.result if act.f == TAKES[model] else act.value) for act in acts]
        values = {repr(value) for act, value in known if act.index in core and value is not None}
        return [act for act, value in known if act.index in core or value is MISSING or repr(value) in values]
    chosen = {act.index: act for act in acts if act.index in core and (act.status is not Type.FAIL)}
    while True:
        seen = {repr(_seen(act)) for act in chosen.values()}
        more = [act for act in acts if act.index not in chosen and repr(_left(act)) in seen]
        more = [act for act in more if act.f != "read" and act.status is not Type.FAIL]
        if not more:
            failed = [act for act in acts if act.index in core and act.status is Type.FAIL]
            return [*chosen.values(), *failed]
        chosen.update((act.index, act) for act in more)


def _seen(act: _Act) -> Any:
    return act.result if act.f == "read" else act.value[0] if act.f == "cas" else MISSING


def _left(act: _Act) -> Any:
    return act.value[1] if act.f == "cas" else act.value


def _arranged(acts: list[_Act], model: str) -> list[int] | None:
    """An order of these that the object could have produced, or None. What is not known to have happened may be left out."""
    start, plain = SPECS[model]
    dead: set[tuple[frozenset[int], str]] = set()

    def step(state: Any, act: _Act) -> Any:
        if act.status is Type.FAIL:
            return OTHER if state == mark(act.value[0]) else state
        return plain(state, act.f, act.value, act.result)

    def arrange(done: frozenset[int], state: Any) -> list[int] | None:
        rest = [act for act in acts if act.index not in done]
        if all(act.status is Type.INFO for act in rest):
            return []
        mark = (done, repr(state))
        first_end = min(act.end for act in rest)
        for act in rest if mark not in dead else ():
            after = step(state, act) if act.call <= first_end else INCONSISTENT
            if after is not INCONSISTENT:
                found = arrange(done | {act.index}, after)
                if found is not None:
                    return [act.index, *found]
        dead.add(mark)
        return None

    return arrange(frozenset(), start)


def _ops(certificate: Result | Sequence[int], kind: str) -> Sequence[int]:
    if not isinstance(certificate, Result):
        return certificate
    if certificate.certificate is None or certificate.certificate.kind != kind:
        raise CertificateError(f"the result of '{certificate.checker}' carries no {kind}")
    return certificate.certificate.ops


def _step(history: History, index: int) -> _Step | None:
    """The call at `index`; None if it cannot matter: it failed, or is a read of unknown result."""
    call, end = _call(history, index), history.completion(index)
    ok = end is not None and end.type is Type.OK
    if (end is not None and end.type is Type.FAIL) or (call.f == "read" and not ok):
        return None
    stop = end.time_ns if end is not None and ok else math.inf
    if call.f == "read" and end is not None:
        return _Step(index, call.key, ok, end.value, MISSING, call.time_ns, stop)
    if call.f == "write":
        return _Step(index, call.key, ok, MISSING, call.value, call.time_ns, stop)
    if call.f == "cas":
        return _Step(index, call.key, ok, call.value[0], call.value[1], call.time_ns, stop)
    raise CertificateError(f"#{index} is {call.f!r}, which a register does not have")


def _call(history: History, index: int) -> Op:
    if not 0 <= index < len(history):
        raise CertificateError(f"the history has {len(history)} records, there is no #{index}")
    call = history.op(index)
    if call.type is not Type.INVOKE or not isinstance(call.process, int):
        raise CertificateError(f"#{index} is no call of a client; certificates name calls")
    return call


def _must(history: History, keys: set[str], witness: Result | Sequence[int]) -> set[int]:
    """The ok operations that a witness has to contain: all of its keys, of the Result's and of each key that a merged one should have."""
    wanted: dict[str, set[int]] = {}
    parts = witness.parts.values() if isinstance(witness, Result) else ()
    read = keys | {repr(part.key) for part in parts if part.verdict is Verdict.VALID}
    if isinstance(witness, Result) and not parts:
        read.add(repr(witness.key))
    for op in history:
        if op.type is not Type.INVOKE or not isinstance(op.process, int):
            continue
        end = history.completion(op.index)
        if end is None or end.type is not Type.OK:
            continue
        wanted.setdefault(repr(op.key), set()).add(op.index)
        if parts and op.f in LOOKS:
            read.add(repr(op.key))
    return {index for key, indices in wanted.items() if key in read for index in indices}


def _explain(steps: list[_Step]) -> list[int] | None:
    """An order of these that a register could have produced, or None. What is not ok may be left out."""
    dead: set[tuple[frozenset[int], Any]] = set()

    def explain(done: frozenset[int], value: Any) -> list[int] | None:
        rest = [step for step in steps if step.index not in done]
        if not any(step.ok for step in rest):
            return []
        first_end = min(step.end for step in rest)
        for step in rest if (done, mark(value)) not in dead else ():
            if step.call > first_end or (step.sees is not MISSING and not _same(step.sees, value)):
                continue
            found = explain(done | {step.index}, value if step.leaves is MISSING else step.leaves)
            if found is not None:
                return [step.index, *found]
        dead.add((done, mark(value)))
        return None

    return explain(frozenset(), None)


def _same(a: Any, b: Any) -> bool:
    """Equal and of one type, all the way down: 0, 0.0, -0.0 and False are four values."""
    return bool(mark(a) == mark(b))
