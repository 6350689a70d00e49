"""Knossos as a second opinion: the same history to Jepsen's own checker, in a Java machine inside this process.

    History ──key by key──► EDN text ──► knossos.competition/analysis ──► EDN text ──► Result
                                         (one machine a process, many histories)

Knossos is not part of this project. `KNOSSOS_CLASSPATH` names its jars and source folders and what they need (docs/knossos.md lists it). It shares no
code with our engines, so where both agree, two independent programs do.

What is sent: the calls that did not fail, in order of time, each under a process of its own, so that operations that touch at one instant are
concurrent, as everywhere here. Values go as the text of their canonical JSON: then two are equal to Clojure exactly if they are to us, and a read
of nil is a read of nil, while Knossos takes a bare nil for "not known".
Reference: Knossos by Kyle Kingsbury; its `competition` runs Lowe's just-in-time linearization (2017) against Wing and Gong's search.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NoReturn

from checkers.formats.edn import parse
from checkers.formats.edn_text import write_value
from checkers.history import History
from checkers.jsonl import decode_value, encode_value
from checkers.linearizable import EngineError
from checkers.op import MISSING, Op, Type
from checkers.search import Budget
from checkers.verdict import Certificate, Result, Verdict, merge

VARIABLE: Final = "KNOSSOS_CLASSPATH"
SETUP: Final = "docs/knossos.md has the list"
NAME: Final = "knossos"
NIL: Final = encode_value(None)
CONFIGS_MAX: Final = 8
FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "register": ("read", "write", "cas"),
    "cas-register": ("read", "write", "cas"),
    "mutex": ("acquire", "release"),
    "multi-register": ("txn",),
}  # per model of ours, which have their counterparts in Knossos
_NAMESPACES: Final = ("knossos.competition", "knossos.model", "clojure.edn")
_JUDGE: Final = """(fn [model history limits]
  (let [found (knossos.competition/analysis (eval (clojure.edn/read-string model))
                                            (clojure.edn/read-string history)
                                            (clojure.edn/read-string limits))]
    (pr-str (assoc (select-keys found [:valid? :cause :op])
                   :configs (vec (take %d (:configs found)))))))"""


class _Strange(ValueError):
    """An operation that the model does not have, or whose value has another shape."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """One operation as Knossos gets it."""

    call: int
    call_ns: int
    end: int | None
    end_ns: int
    text: str  # function and value, in EDN
    observes: bool


def check_knossos(
    history: History, model: str, budget: Budget | None = None, *, initial: Mapping[Any, Any] | None = None
) -> Result:
    """Judge every key. EngineError if the model has no counterpart, or Knossos cannot be loaded.

    `initial` holds the first values of a multi-register. The memory of the budget counts only on the first call: it is the Java machine's.
    """
    if model not in FUNCTIONS:
        raise EngineError(
            f"Knossos is not asked about {model!r}; it judges {', '.join(FUNCTIONS)}; use the engine search, or auto"
        )
    limits = budget if budget is not None else Budget()
    judge = _judge(limits.memory_mb)
    began = time.monotonic()
    parts: dict[str, Result] = {}
    keys = untested = size = 0
    for key, calls in _by_key(history).items():
        keys += 1
        size += len(calls)
        left_ms = None
        if limits.deadline_ms is not None:
            left_ms = limits.deadline_ms - round(1000 * (time.monotonic() - began))
        part = _check_key(judge, history, model, key, calls, left_ms, initial or {})
        if part is None:
            untested += 1
        else:
            parts[str(key) if isinstance(key, int) else repr(key)] = part
    return _merged(parts, {"keys": keys, "keys_untested": untested, "ops": size, "path": NAME})


def leave(status: int) -> NoReturn:
    """End this process with that status, the Java machine with it if one was started.

    A search that ran out of memory leaves threads in the machine that hold an ordinary exit for long; what matters has been written by then.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if "jpype" in sys.modules:
        import jpype

        if jpype.isJVMStarted():
            jpype.JClass("java.lang.Runtime").getRuntime().halt(status)
    sys.exit(status)


# ---- the machine -----------------------------------------------------------------------------------------------------


@cache
def _judge(memory_mb: float) -> Any:
    """The function `_JUDGE` in the Java machine, which is started if it is not yet. What is raised is not remembered."""
    return _compiled(memory_mb)


def class_path(setting: str | None) -> list[str]:
    """The entries of the variable, `folder/*` as all the jars in the folder. EngineError if one is not there."""
    if not setting:
        raise EngineError(
            f"{VARIABLE} is not set; name the jars and source folders of Knossos in it ({SETUP})"
        )
    entries: list[str] = []
    for entry in filter(None, setting.split(os.pathsep)):
        path = Path(entry)
        found = sorted(path.parent.glob("*.jar")) if path.name == "*" else [path] if path.exists() else []
        if not found:
            raise EngineError(f"{VARIABLE} names {entry}, which is not there; correct it ({SETUP})")
        entries += map(str, found)
    return entries


def _compiled(memory_mb: float) -> Any:
    entries = class_path(os.environ.get(VARIABLE))
    try:
        import jpype
        import jpype.config
    except ImportError:
        raise EngineError(
            "the engine knossos needs jpype1, which is not installed; install quorate[knossos]"
        ) from None
    try:
        if not jpype.isJVMStarted():
            jpype.config.destroy_jvm = False  # a search that was given up must not hold the process
            jpype.startJVM(f"-Xmx{round(memory_mb)}m", "-Xss64m", classpath=entries, convertStrings=False)
            jpype.JClass("java.util.logging.LogManager").getLogManager().reset()
    except (jpype.JVMNotFoundException, OSError) as error:
        raise EngineError(
            f"the engine knossos needs Java, which cannot be started ({error}); install a Java 17 runtime, or set JAVA_HOME"
        ) from None
    try:
        clojure = jpype.JClass("clojure.java.api.Clojure")
    except (TypeError, jpype.JException) as error:
        raise EngineError(
            f"{VARIABLE} lacks Clojure ({error}); add the jars of clojure, spec.alpha and core.specs.alpha ({SETUP})"
        ) from None
    try:
        require = clojure.var("clojure.core", "require")
        for namespace in _NAMESPACES:
            require.invoke(clojure.read(namespace))
        return clojure.var("clojure.core", "eval").invoke(clojure.read(_JUDGE % CONFIGS_MAX))
    except jpype.JException as error:
        raise EngineError(
            f"Knossos cannot be loaded from {VARIABLE} ({_cause(error)}); add what is missing ({SETUP})"
        ) from None


def _cause(error: Any) -> str:
    """The innermost reason of an exception of Java."""
    while (inner := error.getCause()) is not None:
        error = inner
    return str(error.getMessage() or error.getClass().getName())


# ---- a key there and back --------------------------------------------------------------------------------------------


def _by_key(history: History) -> dict[Any, list[int]]:
    """The calls of clients by key, in order. Keys that are equal and of one type are one."""
    calls: dict[str, tuple[Any, list[int]]] = {}
    for op in history:
        if op.type is Type.INVOKE and isinstance(op.process, int):
            calls.setdefault(_text(op.key), (op.key, []))[1].append(op.index)
    return {_hashable(key): found for key, found in calls.values()}


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else key


def _check_key(
    judge: Any,
    history: History,
    model: str,
    key: Any,
    calls: list[int],
    left_ms: int | None,
    initial: Mapping[Any, Any],
) -> Result | None:
    """The Result of one key; None if nothing of it was observed."""
    stats: dict[str, Any] = {"ops": len(calls), "path": NAME}
    try:
        sent = [one for call in calls if (one := _sent(history, model, call)) is not None]
    except _Strange as error:
        return Result("linearizable", Verdict.UNKNOWN, f"key {key!r}: {error}", key=key, stats=stats)
    if not any(one.observes for one in sent):
        return None
    if left_ms is not None and left_ms <= 0:
        reason = f"key {key!r}: no time was left to ask Knossos; give more with --timeout"
        return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats={**stats, "cause": "timeout"})
    limit = "{}" if left_ms is None else f"{{:time-limit {left_ms}}}"
    began = time.perf_counter()
    try:
        answer = str(judge.invoke(_first(history, model, sent, initial), _history(sent), limit))
    except Exception as error:  # whatever Java throws: Knossos gave no answer
        stats["seconds"] = time.perf_counter() - began
        reason = f"key {key!r}: Knossos failed ({str(error)[:200]}); nothing is known"
        return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats={**stats, "cause": "failed"})
    stats["seconds"] = time.perf_counter() - began
    [found] = parse(answer)
    return _answered(history, key, sent, found, stats)


def _answered(
    history: History, key: Any, sent: list[_Sent], found: dict[str, Any], stats: dict[str, Any]
) -> Result:
    """The Result of what Knossos said: `valid?` true, false, or unknown with its cause."""
    if found["valid?"] is True:
        return Result("linearizable", Verdict.VALID, "Knossos found an order that fits", key=key, stats=stats)
    if found["valid?"] is not False:
        stats["cause"] = cause = str(found.get("cause") or "not said")
        advice = {"timeout": "give more with --timeout", "out-of-memory": "give more with --memory"}.get(
            cause
        )
        reason = f"key {key!r}: Knossos gave up, cause: {cause}" + (f"; {advice}" if advice else "")
        return Result("linearizable", Verdict.UNKNOWN, reason, key=key, stats=stats)
    stats["configs"] = configs = [_config(config) for config in found["configs"]]
    states = list(dict.fromkeys(config["state"] for config in configs))
    ends = {one.end: one for one in sent} | {one.call: one for one in sent}
    stopped = ends.get((found.get("op") or {}).get("index"))
    if stopped is None or stopped.end is None:
        return Result(
            "linearizable",
            Verdict.INVALID,
            "Knossos found no order that fits",
            "not-linearizable",
            key,
            stats=stats,
        )
    stats["blocking"] = stopped.call
    prefix = tuple(one.call for one in sent if one.call_ns <= stopped.end_ns)
    call, end = history.op(stopped.call), history.op(stopped.end)
    given = "" if call.value is MISSING else f" {call.value!r}"
    shown = "" if end.value is MISSING or end.value == call.value else f" -> {end.value!r}"
    reason = (
        f"Knossos: no order of the {len(prefix)} operations called until {call.f}{given}{shown} (#{call.index}, process "
        f"{call.process}) returned explains it"
        + (f"; its last orders end in {' or '.join(states)}" if states else "")
    )
    core = Certificate("core", prefix)
    return Result("linearizable", Verdict.INVALID, reason, "not-linearizable", key, core, stats)


def _config(config: dict[str, Any]) -> dict[str, Any]:
    """A final configuration: the model's state, and calls that were open, by index."""
    [(_, fields)] = config["model"].items()
    pending = [op["index"] for op in config.get("pending") or () if op.get("index") is not None]
    return {"state": _shown(fields), "pending": pending}


def _shown(fields: dict[str, Any]) -> str:
    """The state of a model as text: a lone value as such."""
    plain = {
        str(decode_value(name)) if name.startswith(('"', "[", "{")) else name: value
        for name, value in fields.items()
    }
    values = {name: decode_value(value) if isinstance(value, str) else value for name, value in plain.items()}
    return json.dumps(values["value"] if set(values) == {"value"} else values, default=repr)


def _first(history: History, model: str, sent: list[_Sent], initial: Mapping[Any, Any]) -> str:
    """The Clojure form of the model before the first operation."""
    if model == "mutex":
        return "(knossos.model/mutex)"
    if model != "multi-register":
        return f"(knossos.model/cas-register {write_value(NIL)})"
    names = {_text(part[1]): NIL for one in sent for part in history.op(one.call).value}
    names |= {_text(name): _text(value) for name, value in initial.items()}
    pairs = " ".join(f"{write_value(name)} {write_value(value)}" for name, value in names.items())
    return f"(knossos.model/multi-register {{{pairs}}})"


def _history(sent: list[_Sent]) -> str:
    """The operations as a vector of maps, in order of time, at one instant calls first."""
    events: list[tuple[int, bool, int, str]] = []
    for one in sent:
        head = f"{{:process {one.call} {one.text}"
        events.append((one.call_ns, False, one.call, f"{head} :type :invoke :index {one.call}}}"))
        if one.end is not None:
            events.append((one.end_ns, True, one.end, f"{head} :type :ok :index {one.end}}}"))
    return f"[{' '.join(event[-1] for event in sorted(events))}]"


def _sent(history: History, model: str, index: int) -> _Sent | None:
    """The call in Knossos' terms; None if it says nothing: it failed, or is a read that never answered."""
    call, end = history.op(index), history.completion(index)
    if call.f not in FUNCTIONS[model]:
        raise _Strange(f"operation #{index} is {call.f}, which a {model} does not have")
    if end is not None and end.type is Type.FAIL:
        return None
    done = end if end is not None and end.type is Type.OK else None
    if call.f == "read" and done is None:
        return None
    if call.f in ("acquire", "release"):
        text, observes = "nil", True
    elif call.f == "txn":
        parts = list(_micro(call if done is None or done.value is MISSING else done, done is not None))
        text = f"[{' '.join(part for part, _ in parts)}]"
        observes = any(reads for _, reads in parts)
    else:
        text, observes = _value(call, done), call.f != "write"
    shown = f":f :{call.f} :value {text}"
    if done is None:
        return _Sent(index, call.time_ns, None, 0, shown, False)
    return _Sent(index, call.time_ns, done.index, done.time_ns, shown, observes)


def _value(call: Op, done: Op | None) -> str:
    """The value of a register's operation."""
    value = done.value if call.f == "read" and done is not None else call.value
    if value is MISSING:
        raise _Strange(f"operation #{call.index}, a {call.f}, has no value; record it")
    if call.f != "cas":
        return write_value(_text(value))
    if not isinstance(value, list) or len(value) != 2:
        raise _Strange(f"operation #{call.index} has no [old, new]; record both")
    return f"[{write_value(_text(value[0]))} {write_value(_text(value[1]))}]"


def _micro(op: Op, returned: bool) -> Iterator[tuple[str, bool]]:
    """The parts of a transaction, and whether each read something. Of one that never returned the reads are not known."""
    if not isinstance(op.value, list):
        raise _Strange(f"operation #{op.index} is no list of reads and writes")
    for part in op.value:
        match part:
            case ["read" | "r", name, value]:
                yield (
                    f"[:read {write_value(_text(name))} {write_value(_text(value)) if returned else 'nil'}]",
                    returned,
                )
            case ["write" | "w", name, value]:
                yield f"[:write {write_value(_text(name))} {write_value(_text(value))}]", False
            case _:
                raise _Strange(f"operation #{op.index} has {part!r}, which is no read or write of a key")


def _text(value: Any) -> str:
    """The value as canonical text: equal exactly for values that are equal and of one type."""
    return json.dumps(json.loads(encode_value(value)), sort_keys=True)


def _merged(parts: dict[str, Result], counts: dict[str, Any]) -> Result:
    """One Result of the keys."""
    verdict = merge(part.verdict for part in parts.values())
    bad = sum(part.verdict is Verdict.INVALID for part in parts.values())
    stats = {
        **counts,
        "keys_bad": bad,
        "keys_unknown": sum(part.verdict is Verdict.UNKNOWN for part in parts.values()),
        "seconds": sum(part.stats.get("seconds", 0.0) for part in parts.values()),
    }
    if not parts:
        reason = "no operation returned anything, so nothing was tested; run longer, or look why they fail"
        return Result("linearizable", verdict, reason, stats=stats)
    if verdict is Verdict.VALID:
        reason = f"{stats['ops']} operations on {len(parts)} keys: Knossos says each key's are linearizable"
        return Result("linearizable", verdict, reason, stats=stats, parts=parts)
    worst = next(part for part in parts.values() if part.verdict is verdict)
    reason = worst.reason + (f" ({bad} of {stats['keys']} keys are bad)" if bad else "")
    return Result("linearizable", verdict, reason, worst.anomaly, worst.key, worst.certificate, stats, parts)
