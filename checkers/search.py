"""Linearizability of any object, key by key, by the search of the Rust core (`core/src/search.rs`).

    check_model(history, "queue")                a built-in object
    check_model(history, MyObject())             one of your own: init(), step(state, call) -> state or INCONSISTENT

An `info` operation may have taken effect at any later time or never; a failed one never did. VALID has a witness. INVALID names the operation
that could not be placed, the states that were possible before it, and the shortest bad prefix. UNKNOWN says why, and how far it got.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from checkers.history import History
from checkers.jsonl import encode_value
from checkers.op import MISSING
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
) -> Result:
    """Judge every key. ValueError if there is no such model, or its first value does not fit.

    `failed_cas` says that a failed compare-and-set of a cas-register found another value, and did not fail for any other reason.
    """
    limits = budget if budget is not None else Budget()
    memory = int(limits.memory_mb * 1e6)
    if isinstance(model, str):
        if isinstance(initial, dict):
            initial = [[name, value] for name, value in initial.items()]
        first = None if initial is MISSING else _canonical(initial)
        answers = history.columns.search(
            model,
            first,
            limits.deadline_ms,
            memory,
            limits.states_max,
            rules,
            failed_cas,
            limits.threads or 0,
        )
    else:
        make = partial(_call, history)
        answers = history.columns.search_custom(
            model, make, INCONSISTENT, limits.deadline_ms, memory, limits.states_max, rules
        )
    return _merged(history, answers)


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


def _merged(history: History, answers: Sequence[dict[str, Any]]) -> Result:
    """One Result of the answers by key."""
    parts: dict[str, Result] = {}
    for answer in answers:
        if answer["observations"] or answer["word"] != "valid":
            key = history.key(answer["key"])
            parts[str(key) if isinstance(key, int) else repr(key)] = _part(history, key, answer)
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


def _part(history: History, key: Any, answer: dict[str, Any]) -> Result:
    """The Result of one key."""
    names = ("observations", "states", "returns", "deepest", "blocking")
    stats = {"ops": answer["size"], **{name: answer[name] for name in names}}
    stats["search_bytes"] = answer["bytes"]
    stats["prefix_minimal"] = answer["minimal"]
    stats["stuck"] = [{"state": state, "ops": order} for state, order in answer["stuck"]]
    if answer["word"] == "valid":
        del stats["stuck"], stats["blocking"], stats["prefix_minimal"]
        witness = Certificate("witness", array("I", answer["ops"]))
        return Result(
            "linearizable",
            Verdict.VALID,
            "an order that fits was found",
            key=key,
            certificate=witness,
            stats=stats,
        )
    if answer["word"] == "unknown":
        reason = f"key {key!r}: {answer['reason']}"
        if answer["states"]:
            reason += f"; {answer['deepest']} of {answer['returns']} operations that returned were placed, {answer['states']} configurations seen"
        return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats=stats)
    blocking = history.op(answer["blocking"])
    end = history.completion(blocking.index)
    shown = "" if end is None or end.value is MISSING else f" -> {end.value!r}"
    given = "" if blocking.value is MISSING else f" {blocking.value!r}"
    states = list(dict.fromkeys(state for state, _ in answer["stuck"]))
    reason = (
        f"no order of the {len(answer['ops'])} operations called until {blocking.f}{given}{shown} (#{blocking.index}, process "
        f"{blocking.process}) returned explains it; the deepest orders without it end in {' or '.join(states)}"
    )
    core = Certificate("core", tuple(answer["ops"]))
    return Result("linearizable", Verdict.INVALID, reason, "not-linearizable", key, core, stats)
