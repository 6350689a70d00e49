"""Linearizability of every built-in object, key by key: the polynomial case where it applies, else the search.

    register, cas-register          zones (`core/src/zones.rs`)    ─┐ a key for which the case does not apply
    queue, stack, priority-queue    covers (`core/src/special.rs`) ─┼──► search (`core/src/search.rs`), within its budget
    lists, sets, counters, ids      forced orders (`exact.rs`)     ─┤
    every other object              ────────────────────────────────┘

Which way each key went is in its part's `stats["path"]`; the Result's own says `polynomial`, `search` or `both`. Sound because keys are
independent (locality, Herlihy and Wing 1990, theorem 1) and both ways decide the same question.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from checkers.history import History
from checkers.nulls import judged_around
from checkers.op import MISSING
from checkers.register import check_linearizable
from checkers.search import NATIVE, Budget, FirstValueError, check_model
from checkers.shrink import Clock
from checkers.special import SPECIAL, UNSEARCHED, check_special
from checkers.verdict import Certificate, Result, Verdict, merge

POLYNOMIAL: Final = ("register", *SPECIAL)
ZONES: Final = ("register", "cas-register")


class EngineError(ValueError):
    """There is no such engine, or it cannot judge the object; the sentence says which can."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How to judge: `initial` is the object's first value (MISSING: the usual one), `clock` tells seconds, for cores to be made small."""

    budget: Budget | None = None
    initial: Any = MISSING
    clock: Clock | None = None


Engine = Callable[[History, str, Terms], Result]


def check_object(
    history: History,
    model: str,
    engine: str = "auto",
    budget: Budget | None = None,
    *,
    initial: Any = MISSING,
    clock: Clock | None = None,
) -> Result:
    """Judge every key as the built-in object `model`. EngineError."""
    if engine not in ENGINES:
        raise EngineError(f"there is no engine {engine!r}; use one of {', '.join(ENGINES)}")
    if model not in NATIVE and model not in UNSEARCHED:
        known = ", ".join((*NATIVE, *UNSEARCHED))
        raise EngineError(f"{model!r} is no object with a sequential meaning; there are {known}")
    if initial is not MISSING and engine not in ("auto", "search"):
        raise EngineError(
            f"the engine {engine!r} knows no first value but the usual one; use search, or auto"
        )
    terms = Terms(budget, initial, clock)
    try:
        return judged_around(history, model, lambda keys: ENGINES[engine](keys, model, terms))
    except FirstValueError as error:
        raise EngineError(f"the first value {initial!r} does not fit the model {model!r}: {error}") from None


def _auto(history: History, model: str, terms: Terms) -> Result:
    """The polynomial case where there is one, then the search for the keys that it leaves open."""
    if model not in POLYNOMIAL or terms.initial is not MISSING:
        return _search(history, model, terms)
    first = _polynomial(history, model, terms)
    if first.verdict is not Verdict.UNKNOWN or not first.parts or model in UNSEARCHED:
        return first
    return _joined(first, _search(history, model, terms))


def _polynomial(history: History, model: str, terms: Terms) -> Result:
    if model not in POLYNOMIAL:
        raise EngineError(f"no polynomial case for {model!r}; use the engine search, or auto")
    threads = terms.budget.threads if terms.budget is not None else None
    if model == "register":
        return _labelled(check_linearizable(history, threads=threads), "polynomial")
    return _labelled(check_special(history, model, threads=threads), "polynomial")


def _zones(history: History, model: str, terms: Terms) -> Result:
    if model not in ZONES:
        raise EngineError(f"zones are of registers, not of {model!r}; use the engine auto")
    return _polynomial(history, model, terms)


def _search(history: History, model: str, terms: Terms) -> Result:
    if model in UNSEARCHED:
        raise EngineError(f"no search for {model!r}; use the engine polynomial, or auto, and no first value")
    found = check_model(
        history, _searched_as(model), initial=terms.initial, budget=terms.budget, clock=terms.clock
    )
    return _labelled(found, "search")


def _knossos(history: History, model: str, terms: Terms) -> Result:
    from checkers.knossos import check_knossos

    return check_knossos(history, model, terms.budget)


# A new engine is a line here.
ENGINES: Final[Mapping[str, Engine]] = {
    "auto": _auto,
    "zones": _zones,
    "polynomial": _polynomial,
    "search": _search,
    "knossos": _knossos,
}


def _searched_as(model: str) -> str:
    """The search's model: a register may have compare-and-sets."""
    return "cas-register" if model == "register" else model


def _labelled(result: Result, path: str) -> Result:
    """The result, its parts too, with the path that was taken."""
    parts = {name: replace(part, stats={**part.stats, "path": path}) for name, part in result.parts.items()}
    return replace(result, stats={**result.stats, "path": path}, parts=parts)


def _joined(first: Result, searched: Result) -> Result:
    """The polynomial answers, and the search's for the keys that had none. A key of which the search found nothing to test is no part."""
    open_keys = {name for name, part in first.parts.items() if part.verdict is Verdict.UNKNOWN}
    untested = open_keys - searched.parts.keys()
    parts = {
        name: searched.parts[name] if name in open_keys else part
        for name, part in first.parts.items()
        if name not in untested
    }
    if not parts:
        return searched
    verdict = merge(part.verdict for part in parts.values())
    ways = {part.stats["path"] for part in parts.values()}
    stats = {
        **first.stats,
        "keys_bad": sum(part.verdict is Verdict.INVALID for part in parts.values()),
        "keys_unknown": sum(part.verdict is Verdict.UNKNOWN for part in parts.values()),
        "keys_untested": first.stats["keys_untested"] + len(untested),
        "states": searched.stats.get("states", 0),
        "path": "both" if len(ways) > 1 else ways.pop(),
    }
    if verdict is Verdict.VALID:
        ops = array("I")
        for part in parts.values():
            ops.extend(part.certificate.ops if part.certificate is not None else ())
        reason = f"{stats['ops']} operations on {len(parts)} keys: each key's are linearizable"
        witness = Certificate("witness", ops) if ops else None
        return replace(first, verdict=verdict, reason=reason, certificate=witness, stats=stats, parts=parts)
    worst = next(part for part in parts.values() if part.verdict is verdict)
    bad = stats["keys_bad"]
    reason = worst.reason + (f" ({bad} of {stats['keys']} keys are bad)" if bad else "")
    return Result(first.checker, verdict, reason, worst.anomaly, worst.key, worst.certificate, stats, parts)
