"""Linearizability of any object, key by key, by the search of the Rust core (`core/src/search.rs`).

    check_model(history, "queue")                a built-in object
    check_model(history, MyObject())             one of your own: init(), step(state, call) -> state or INCONSISTENT

An `info` operation may have taken effect at any later time or never; a failed one never did. VALID has a witness. INVALID names the operation
that could not be placed, the states that were possible before it, and a core: given a clock, one that `checkers.shrink` made small and brute
force went over again where it is small enough; without a clock, the whole bad prefix. UNKNOWN says why, and how far it got.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from checkers.explain import pointed
from checkers.history import History
from checkers.jsonl import encode_value
from checkers.op import MISSING
from checkers.shrink import Answer, Clock, Core, Operation, Shrinker, observes_in
from checkers.verdict import Certificate, Result, Verdict, merge

NATIVE: Final = (
    "register",
    "cas-register",
    "multi-register",
    "mutex",
    "counter",
    "grow-set",
    "set",
    "queue",
    "stack",
    "priority-queue",
    "append-list",
    "kv",
)
R1, R2, R3, R4, R5, R6 = (1 << n for n in range(6))
ALL: Final = 63
SHRINK_S: Final = 2.0
STATES_TOLD: Final = 4
POINTED_MAX: Final = 6  # operations of a core whose sentence may be of one stale read
CONFIRMED_MAX: Final = 14  # operations that brute force is asked to go over


class Inconsistent:
    """The type of INCONSISTENT: "the operation could not have happened in this state"."""

    def __repr__(self) -> str:
        return "INCONSISTENT"


INCONSISTENT: Final = Inconsistent()


@dataclass(frozen=True, slots=True)
class Call:
    """An operation as a model sees it. `result` is MISSING if the outcome is unknown: accept what any result would."""

    f: str
    value: Any
    result: Any


class FirstValueError(ValueError):
    """The first value does not fit the object; the sentence says what would."""


class Model(Protocol):
    """A sequential object. States are hashable, and never changed in place.

    It may also have `readonly(call) -> bool`: true only if in every state the call is refused or changes nothing. The search is faster for it.

    Code that runs past the deadline gets an exception (a BaseException) at its next bytecode, and again every 50 ms while it catches that; the
    answer is UNKNOWN and names the model and the call. What does not run bytecode cannot be ended: a call into C that does not come back, such as a
    long `re` match, a `sleep`, or waiting for a lock. Without a deadline nothing is ended. Memory: a state counts as its `__sizeof__`, with tuples
    and frozensets right inside it, and 300 bytes.
    """

    def init(self) -> Hashable:
        """The first state."""

    def step(self, state: Any, call: Call) -> Hashable | Inconsistent:
        """The state after the call, or INCONSISTENT."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a search may use: time and memory for all keys together, configurations for each key, keys at once.

    `threads` None means one per core. The answer does not depend on it: a key for which its share of the memory was too little is
    searched again alone.
    """

    deadline_ms: int | None = 60_000
    memory_mb: float = 2048.0
    states_max: int = 4_000_000_000
    threads: int | None = None


def check_model(
    history: History,
    model: str | Model,
    *,
    initial: Any = MISSING,
    budget: Budget | None = None,
    rules: int = ALL,
    failed_cas: bool = False,
    clock: Clock | None = None,
) -> Result:
    """Judge every key. ValueError if there is no such model, or its first value does not fit.

    `failed_cas` says that a failed compare-and-set of a cas-register found another value, and did not fail for any other reason.
    `clock` tells seconds; with it, cores are made small, for at most SHRINK_S and not beyond the budget's deadline.
    """
    limits = budget if budget is not None else Budget()
    began = clock() if clock is not None else 0.0
    answers = _answers(history, model, initial, limits, rules, failed_cas)
    about: dict[str, Any] = {"model": model} if isinstance(model, str) else {}
    if initial is not MISSING:
        about["initial"] = initial
    bad = [answer for answer in answers if answer["word"] == "invalid"]
    if clock is None or not bad:
        return _merged(history, answers, {}, about)
    deadline_s = clock() + SHRINK_S
    if limits.deadline_ms is not None:
        deadline_s = min(deadline_s, began + limits.deadline_ms / 1000)

    def ask(smaller: History, ms: int) -> Answer | None:
        less = replace(limits, deadline_ms=ms, threads=1)
        (answer,) = _answers(smaller, model, initial, less, rules, failed_cas) or ({"word": "valid"},)
        return answer if answer["word"] == "invalid" else None

    name = model if isinstance(model, str) else None
    observes = observes_in(model, failed_cas) if isinstance(model, str) else _observes_of(model)
    cores = {}
    for answer in bad:
        shrinker = Shrinker(history, name, observes, failed_cas, ask, clock, deadline_s)
        core = shrinker.core(answer)
        confirmed = None
        if not (failed_cas or len(core.ops) > CONFIRMED_MAX):
            confirmed = _confirm(shrinker, core, model, initial)
        cores[answer["key"]] = (core, confirmed)
    return _merged(history, answers, cores, about)


def _observes_of(model: Model) -> Callable[[Operation], bool]:
    """Which operations a user's own model calls read-only."""
    readonly = getattr(model, "readonly", None)

    def observes(operation: Operation) -> bool:
        call = operation.call
        return (
            readonly is not None
            and operation.ok
            and bool(readonly(Call(call.f, call.value, operation.result)))
        )

    return observes


def _confirm(shrinker: Shrinker, core: Core, model: str | Model, initial: Any) -> bool | None:
    """Does brute force refute the core too? None: there was no time to say."""
    from checkers.oracle import impossible

    known = [shrinker.operation(index) for index in core.ops]
    return impossible(model, known, core.until_ns, initial, shrinker.clock, shrinker.clock() + SHRINK_S)


def _answers(
    history: History, model: str | Model, initial: Any, limits: Budget, rules: int, failed_cas: bool
) -> Sequence[Answer]:
    """The core's answers by key."""
    memory = int(limits.memory_mb * 1e6)
    if isinstance(model, str):
        if isinstance(initial, dict) and model == "multi-register":
            initial = [[name, value] for name, value in initial.items()]
        first = None if initial is MISSING else _canonical(initial)
        bounds = (limits.deadline_ms, memory, limits.states_max)
        try:
            return history.columns.search(model, first, *bounds, rules, failed_cas, limits.threads or 0)
        except ValueError as error:
            raise FirstValueError(str(error)) from None
    make = partial(_call, history)
    return history.columns.search_custom(
        model, make, INCONSISTENT, limits.deadline_ms, memory, limits.states_max, rules
    )


def _canonical(value: Any) -> bytes:
    """The text of a value as the columns hold it."""
    probe = History.parse(
        json.dumps({"process": 0, "type": "invoke", "f": "f"})[:-1].encode()
        + b',"value":'
        + encode_value(value).encode()
        + b"}\n"
    )
    return probe.columns.text("value", 0)


def _call(history: History, f: int, value: int | None, result: int | None) -> Call:
    given = MISSING if value is None else history.value(value)
    return Call(history.function(f), given, MISSING if result is None else history.value(result))


def _merged(
    history: History,
    answers: Sequence[Answer],
    cores: Mapping[int, tuple[Core, bool | None]],
    about: Mapping[str, Any],
) -> Result:
    """One Result of the answers by key."""
    parts: dict[str, Result] = {}
    for answer in answers:
        if answer["observations"] or answer["word"] != "valid":
            key = history.key(answer["key"])
            parts[str(key) if isinstance(key, int) else repr(key)] = _part(
                history, key, answer, cores.get(answer["key"]), about
            )
    verdict = merge(part.verdict for part in parts.values())
    bad = [part for part in parts.values() if part.verdict is Verdict.INVALID]
    stats = {
        "keys": len(answers),
        "keys_bad": len(bad),
        "keys_unknown": sum(part.verdict is Verdict.UNKNOWN for part in parts.values()),
        "keys_untested": len(answers) - len(parts),
        "ops": sum(answer["size"] for answer in answers),
        "states": sum(answer["states"] for answer in answers),
        "search_bytes": max((answer["bytes"] for answer in answers), default=0),
    }
    if not parts:
        reason = "no operation returned anything, so nothing was tested; run longer, or look why they fail"
        return Result("linearizable", verdict, reason, stats=stats)
    if verdict is Verdict.VALID:
        ops = array("I")
        for part in parts.values():
            ops.extend(part.certificate.ops if part.certificate is not None else ())
        reason = f"{stats['ops']} operations on {len(parts)} keys: each key's are linearizable"
        return Result(
            "linearizable", verdict, reason, certificate=Certificate("witness", ops), stats=stats, parts=parts
        )
    first = next(part for part in parts.values() if part.verdict is verdict)
    reason = first.reason + (f" ({len(bad)} of {len(answers)} keys are bad)" if bad else "")
    return Result("linearizable", verdict, reason, first.anomaly, first.key, first.certificate, stats, parts)


def _part(
    history: History,
    key: Any,
    answer: Answer,
    shrunk: tuple[Core, bool | None] | None,
    about: Mapping[str, Any],
) -> Result:
    """The Result of one key."""
    names = ("observations", "states", "returns", "deepest", "blocking")
    stats = {**about, "ops": answer["size"], **{name: answer[name] for name in names}}
    stats["search_bytes"] = answer["bytes"]
    if answer["word"] == "valid":
        del stats["blocking"]
        witness = Certificate("witness", array("I", answer["ops"]))
        reason = "an order that fits was found"
        return Result("linearizable", Verdict.VALID, reason, key=key, certificate=witness, stats=stats)
    stats["prefix_minimal"], stats["prefix_ops"] = answer["minimal"], len(answer["ops"])
    stats["stuck"] = [{"state": state, "ops": order} for state, order in _stuck(history, answer, about)]
    if answer["word"] == "unknown":
        reason = f"key {key!r}: {answer['reason']}"
        if answer["states"]:
            reason += f"; {answer['deepest']} of {answer['returns']} operations that returned were placed, {answer['states']} configurations seen"
        return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats=stats)
    if shrunk is not None:
        core, confirmed = shrunk
        if confirmed is False:
            reason = f"key {key!r}: the search and brute force do not agree on the operations {list(core.ops)}, so one of them is wrong; please report it"
            return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats=stats)
        answer = core.answer
        stats["core_minimal"], stats["core_confirmed"] = core.minimal, confirmed is True
        stats["core_tests"], stats["core_blocking"] = core.tests, answer["blocking"]
        stats["core_until_ns"] = core.until_ns
        stats["stuck"] = [{"state": state, "ops": order} for state, order in _stuck(history, answer, about)]
    certificate = Certificate("core", tuple(answer["ops"]) if shrunk is None else shrunk[0].ops)
    small = shrunk is not None and len(certificate.ops) <= POINTED_MAX
    told = pointed(history, certificate.ops) if small else None
    reason = f"not-linearizable: {told}" if told is not None else _blocked(history, answer, stats["stuck"])
    return Result("linearizable", Verdict.INVALID, reason, "not-linearizable", key, certificate, stats)


def _stuck(history: History, answer: Answer, about: Mapping[str, Any]) -> list[tuple[str, Sequence[int]]]:
    """Where each deepest order ends, and the order. A first value of a register that no operation has is null to the core."""
    stuck: list[tuple[str, Sequence[int]]] = answer["stuck"]
    if "initial" not in about or about["model"] not in ("register", "cas-register"):
        return stuck
    first = encode_value(about["initial"])
    begins = [all(history.op(call).f == "read" for call in order) for _, order in stuck]
    return [(first if begin else state, order) for begin, (state, order) in zip(begins, stuck, strict=True)]


def _blocked(history: History, answer: Answer, stuck: Sequence[Mapping[str, Any]]) -> str:
    """The sentence of what could not be placed."""
    blocking = history.op(answer["blocking"])
    end = history.completion(blocking.index)
    shown = "" if end is None or end.value is MISSING else f" -> {end.value!r}"
    given = "" if blocking.value is MISSING else f" {blocking.value!r}"
    states = list(dict.fromkeys(way["state"] for way in stuck))
    several, count = states[:STATES_TOLD], len(answer["ops"])
    more = f" or {len(states) - STATES_TOLD} others" if len(states) > STATES_TOLD else ""
    return (
        f"no order of the {count} operation{'' if count == 1 else 's'} called until {blocking.f}{given}{shown} (#{blocking.index}, process "
        f"{blocking.process}) returned explains it; the deepest orders without it end in {' or '.join(several)}{more}"
    )
