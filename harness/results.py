"""From a history and its faults to `results.json`: what was claimed, what held, and what may be doubted.

    claims  ─► their checkers┐
    stats   ─► tested at all?├─► merged by rank: INVALID > UNKNOWN > VALID
    faults  ─► did each bite?│
    healed? interrupted?    ─┘

A violation stands whatever else went wrong. VALID needs everything: operations that succeeded, faults that bit, a heal that
was verified, a run that came to its end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from checkers import History
from checkers.dead_ends import dead_ends, gone_over
from checkers.explain import draw_core
from checkers.jsonl import encode_op
from checkers.levels import LEVELS, Judgement, judge
from checkers.models import check
from checkers.op import Type
from checkers.order import told
from checkers.staleness import atomicity, staleness
from checkers.stats import availability, stats
from checkers.verdict import Result, Verdict
from harness.plan import Plan, claim_parts
from harness.plan_claims import Documented, heard, nothing_judged, promising

SCHEMA: Final = 2
VIOLATION, CRASH, INFRASTRUCTURE, UNKNOWN, VACUOUS, OK = (
    "violation",
    "crash",
    "infrastructure",
    "unknown",
    "vacuous",
    "ok",
)
CLASSES: Final = (VIOLATION, CRASH, INFRASTRUCTURE, UNKNOWN, VACUOUS, OK)
"""What a run can come to, the gravest first."""


def results_of(
    plan: Plan,
    history: History,
    faults: Sequence[Mapping[str, Any]],
    doubts: Sequence[str],
    *,
    world: str,
    command: str,
    documented: Sequence[Documented] = (),
) -> tuple[Verdict, dict[str, Any]]:
    """Judge a run. `doubts` are reasons why it cannot be VALID, found while it ran; `documented` is what `claims.toml` promises besides the plan."""
    judged, claims = judge_claims(history, promising(plan, documented).claims)
    numbers = stats(history)
    registers = bool(judged.results)
    windows = [(int(fault["start_ns"]), int(fault["end_ns"])) for fault in faults]
    cuts = [
        (int(fault["start_ns"]), int(fault["end_ns"])) for fault in faults if fault["kind"] == "partition"
    ]
    available = availability(history, windows)
    verdict, reason = outcome(plan, claims, numbers, faults, doubts)
    guilty = worst(claims) or worst(judged.results)
    return verdict, {
        "schema": SCHEMA,
        "name": plan.name,
        "world": world,
        "seed": plan.seed,
        "outcome": verdict.value,
        "class": class_of(verdict, numbers, unbitten(plan, faults)),
        "reason": reason,
        "claims": {name: result.as_json() for name, result in claims.items()},
        "levels": {name: result.as_json() for name, result in judged.results.items()},
        "strongest": judged.strongest,
        "weakest_refuted": judged.weakest_refuted,
        "staleness": dict(staleness(history).stats) if registers else {},
        "atomicity": shifts_of(history) if registers else {},
        "stats": numbers.as_json(),
        "latency_ms": numbers.stats["latency_ms"],
        "availability": {**available, "under_partitions": availability(history, cuts)["under_faults"]},
        "faults": {
            "count": len(faults),
            "bit": sum(bool(fault["bit"]) for fault in faults),
            "kinds": sorted({str(fault["kind"]) for fault in faults}),
            "by_kind": by_kind(faults),
        },
        "not_applied": sorted(plan.sim) if world != "sim" else [],
        "core": core_of(history, guilty) if guilty is not None else None,
        "command": command,
    }


def judge_claims(history: History, names: Sequence[str]) -> tuple[Judgement, dict[str, Result]]:
    """Levels of consistency are judged all together, and only if one is claimed: they are about registers."""
    levels = [name for name in names if name in LEVELS]
    judged = judge(history, levels, clock=time.monotonic) if levels else Judgement({}, {}, [], [])
    return judged, {name: judged.claims.get(name) or judge_claim(history, name) for name in names}


def judge_claim(history: History, name: str) -> Result:
    """One claim by itself. On some operations: the other reads return nothing."""
    guarantee, operations = claim_parts(name)
    part = heard(history, operations) if operations else history
    if operations and (untested := nothing_judged(part, operations)) is not None:
        return untested
    return LEVELS[guarantee](part) if guarantee in LEVELS else check(part, guarantee)


def shifts_of(history: History) -> dict[str, Any]:
    """Delta and Gamma of the run; in `keys_shifted` those of each key that is not linearizable as it is."""
    measured = atomicity(history)
    shifted = {
        name: {"delta_ms": part.stats["delta_ms"], "gamma_ms": part.stats["gamma_ms"]}
        for name, part in measured.parts.items()
        if part.stats["delta_ms"] != 0
    }
    return {**measured.stats, "keys_shifted": shifted}


def outcome(
    plan: Plan,
    claims: Mapping[str, Result],
    numbers: Result,
    faults: Sequence[Mapping[str, Any]],
    doubts: Sequence[str],
) -> tuple[Verdict, str]:
    """The verdict on the whole run, and why, in one sentence."""
    broken = worst(claims)
    if broken is not None:
        return Verdict.INVALID, broken.reason
    why = [*doubts]
    if numbers.verdict is not Verdict.VALID:
        why.append(numbers.reason)
    why += [f"the {kind} never bit" for kind in unbitten(plan, faults)]
    why += [result.reason for result in claims.values() if result.verdict is Verdict.UNKNOWN]
    if not claims:
        why.append("the plan claims nothing")
    if why:
        return Verdict.UNKNOWN, "; ".join(said_once(why))
    return Verdict.VALID, f"every claim held: {', '.join(claims)}"


def said_once(reasons: Sequence[str]) -> list[str]:
    """Reasons without those that another one begins with."""
    return [one for one in dict.fromkeys(reasons) if not any(other != one and other.startswith(one) for other in reasons)]  # fmt: skip


def by_kind(faults: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """How many of each kind there were, and how many of them bit."""
    found: dict[str, dict[str, int]] = {}
    for fault in faults:
        counts = found.setdefault(str(fault["kind"]), {"count": 0, "bit": 0})
        counts["count"] += 1
        counts["bit"] += bool(fault["bit"])
    return found


def unbitten(plan: Plan, faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kinds of fault that the plan asks for and that never bit."""
    bit = {str(fault["kind"]) for fault in faults if fault["bit"]}
    return [kind for kind in plan.fault_kinds if kind not in bit]


def class_of(verdict: Verdict, numbers: Result, unbitten_kinds: Sequence[str]) -> str:
    """What the outcome means for whoever runs many: violation, vacuous (nothing was tested, or a fault never bit), unknown, ok.

    A run that did not come to an end has no results; whoever runs it calls that infrastructure, or crash.
    """
    if verdict is not Verdict.UNKNOWN:
        return VIOLATION if verdict is Verdict.INVALID else OK
    return VACUOUS if unbitten_kinds or numbers.verdict is not Verdict.VALID else UNKNOWN


def worst(results: Mapping[str, Result]) -> Result | None:
    """The violation of the weakest guarantee: it is the gravest. One that needs no circle to tell it comes first."""
    bad = [result for result in results.values() if result.verdict is Verdict.INVALID]
    plain = [result for result in bad if result.certificate is None or not result.certificate.edges]
    return (plain or bad)[-1] if bad else None


def core_of(history: History, result: Result) -> dict[str, Any] | None:
    """The core as data: the records of its operations, a drawing, the sentence that proves it, its circle, and where every order ends."""
    if result.certificate is None or result.certificate.kind != "core":
        return None
    records = []
    for index in result.certificate.ops:
        records.append(json.loads(encode_op(history.op(index))))
        end = history.completion(index)
        if end is not None and end.type is not Type.INVOKE:
            records.append(json.loads(encode_op(end)))
    records.sort(key=lambda record: int(record["index"]))
    return {
        "ops": records,
        "drawing": draw_core(history, result),
        "sentence": result.reason,
        "anomaly": result.anomaly,
        "checker": result.checker,
        "edges": [{**edge.as_json(), "told": told(history, edge)} for edge in result.certificate.edges],
        "dead_ends": dead_ends(history, gone_over(history, result)),
    }
