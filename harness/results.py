"""What a run came to: from its history and its faults to results.json.

    claims judged ── INVALID? ──► invalid          a proof of guilt stands, whatever else went wrong
          │
          └── any doubt? ───────► unknown          interrupted · not healed · nothing tested · a fault that never bit
          └── otherwise ────────► merge of the claims

A VALID says "these faults were survived", so faults that left no evidence make it UNKNOWN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from checkers import History
from checkers.explain import draw_core
from checkers.jsonl import encode_op
from checkers.levels import Judgement, judge
from checkers.staleness import staleness
from checkers.stats import availability, stats
from checkers.verdict import Result, Verdict, merge
from harness.plan import Plan

SCHEMA: Final = 1


@dataclass(slots=True)
class Happened:
    """What is known of a run besides its history: the faults' records, and what went wrong with the run itself."""

    world: str
    faults: Sequence[Mapping[str, Any]] = ()
    problems: list[str] = field(default_factory=list)
    command: str = ""


def results(plan: Plan, history: History, happened: Happened) -> tuple[dict[str, Any], Verdict]:
    """Judge, and put everything together. The second is the outcome of the run."""
    judgement = judge(history, plan.claims)
    counted = stats(history)
    verdict, reason = outcome(plan, judgement, counted, happened)
    windows = [(int(fault["start_ns"]), int(fault["end_ns"])) for fault in happened.faults if fault["bit"]]
    table = {
        "schema": SCHEMA,
        "name": plan.name,
        "world": happened.world,
        "seed": plan.seed,
        "outcome": verdict.value,
        "reason": reason,
        "claims": {claim: brief(result) for claim, result in judgement.claims.items()},
        "levels": {level: brief(result) for level, result in judgement.results.items()},
        "strongest": judgement.strongest,
        "weakest_refuted": judgement.weakest_refuted,
        "staleness": dict(staleness(history).stats),
        "stats": {name: value for name, value in counted.stats.items() if name != "latency_ms"},
        "latency_ms": counted.stats.get("latency_ms", {}),
        "availability": availability(history, windows),
        "faults": count_faults(happened.faults),
        "core": core_of(history, judgement),
        "problems": list(happened.problems),
        "command": happened.command,
    }
    return table, verdict


def outcome(plan: Plan, judgement: Judgement, counted: Result, happened: Happened) -> tuple[Verdict, str]:
    """The verdict on the run, and why, in one sentence."""
    verdict = merge(result.verdict for result in judgement.claims.values())
    for result in judgement.claims.values():
        if result.verdict is Verdict.INVALID:
            return Verdict.INVALID, result.reason
    doubts = list(happened.problems)
    if counted.verdict is not Verdict.VALID:
        doubts.append(counted.reason)
    doubts += never_bit(plan, happened.faults)
    doubts += [each.reason for each in judgement.claims.values() if each.verdict is Verdict.UNKNOWN]
    if not plan.claims:
        doubts.append("the plan claims nothing")
    if doubts:
        return Verdict.UNKNOWN, "; ".join(dict.fromkeys(doubts))
    return verdict, "; ".join(f"{claim}: {result.reason}" for claim, result in judgement.claims.items())


def never_bit(plan: Plan, faults: Sequence[Mapping[str, Any]]) -> list[str]:
    """The kinds of fault the plan asked for that left no evidence."""
    bit = {fault["kind"] for fault in faults if fault["bit"]}
    begun = {fault["kind"] for fault in faults}
    return [
        f"the {kind} never bit" if kind in begun else f"the {kind} never began"
        for kind in dict.fromkeys(fault.kind for fault in plan.faults)
        if kind not in bit
    ]


def count_faults(faults: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many, how many bit, and of which kinds."""
    kinds: dict[str, dict[str, int]] = {}
    for fault in faults:
        row = kinds.setdefault(fault["kind"], {"count": 0, "bit": 0})
        row["count"] += 1
        row["bit"] += bool(fault["bit"])
    bit = sum(row["bit"] for row in kinds.values())
    return {"count": len(faults), "bit": bit, "kinds": kinds}


def brief(result: Result) -> dict[str, Any]:
    """The Result as plain data, without the parts that are VALID: there is one for each key."""
    table = result.as_json()
    parts: dict[str, Any] = table["parts"]
    table["parts"] = {name: part for name, part in parts.items() if part["verdict"] != Verdict.VALID.value}
    return table


def core_of(history: History, judgement: Judgement) -> dict[str, Any] | None:
    """The proof of the weakest thing that is broken among the claims, or else among all levels."""
    for found in (judgement.claims, judgement.results):
        guilty = [result for result in found.values() if result.verdict is Verdict.INVALID]
        proven = [
            result
            for result in guilty
            if result.certificate is not None and result.certificate.kind == "core"
        ]
        if proven:
            result = min(proven, key=lambda each: len(each.certificate.ops) if each.certificate else 0)
            return _core(history, result)
    return None


def _core(history: History, result: Result) -> dict[str, Any]:
    assert result.certificate is not None
    records = []
    for index in result.certificate.ops:
        for op in (history.op(index), history.completion(index)):
            if op is not None:
                records.append(json.loads(encode_op(op)))
    return {
        "claim": result.checker,
        "size": len(result.certificate.ops),
        "ops": records,
        "drawing": draw_core(history, result),
        "sentence": result.reason,
    }
