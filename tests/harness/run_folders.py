"""Makes run folders by script, so that the report can be tested without a run: an invalid one with a new-old inversion,
a valid one, and one whose strings try to break out of the page."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from checkers.jsonl import encode_op
from checkers.op import Op, Type

MS = 1_000_000
SENTENCE = "operation 4 read 3 = 17 after operation 2 had already returned 18, which replaced it; no order allows both"

PLAN = """name = "quorum-under-faults"
workload = "register"
concurrency = 10
nodes = 5
seed = 7
claims = ["linearizable"]

[system]
name = "kvstore"
mode = "quorum"
n = 3
r = 2
w = 2
"""


def call(index: int, at_ms: float, process: int, f: str, key: Any, *value: Any) -> Op:
    """A call."""
    return Op(index, int(at_ms * MS), process, Type.INVOKE, f, key, *value)


def core_ops(key: Any = 3) -> list[Op]:
    """A write that timed out, seen by one read and not by the next: five clients, the classic new-old inversion."""
    return [
        call(0, 10, 0, "write", key, 17),
        Op(1, 14 * MS, 0, Type.OK, "write", key, 17),
        call(2, 15, 1, "write", key, 18),
        call(3, 18, 2, "read", key),
        Op(4, 21 * MS, 2, Type.OK, "read", key, 18),
        call(5, 23, 3, "read", key),
        Op(6, 26 * MS, 3, Type.OK, "read", key, 17),
        Op(7, 1015 * MS, 1, Type.INFO, "write", key, 18, "timed out after 1000 ms"),
    ]


def filler(count: int, first: int, rng: random.Random) -> list[Op]:
    """Ordinary traffic of clients 10 to 19, slower while the partition lasts; a client waits for its answer."""
    longest_ms = 9 * 28_000 / count
    ops: list[Op] = []
    for number in range(count):
        at = 1100 + number * (28_000 / count)
        slow = 8 if 10_000 < at < 15_000 else 1
        f = rng.choice(["read", "write"])
        value = [number + 100] if f == "write" else []
        start = call(first + 2 * number, at, 10 + number % 10, f, number % 5, *value)
        took = int(min(rng.lognormvariate(1.0, 0.5) * slow, longest_ms) * MS)
        end = start.ok(number + 100)
        if slow > 1 and rng.random() < 0.2:
            end = start.fail("not enough replicas answered")
        ops += [
            start,
            Op(
                start.index + 1,
                start.time_ns + took,
                start.process,
                end.type,
                f,
                start.key,
                end.value,
                end.error,
            ),
        ]
    return ops


FAULTS: list[dict[str, Any]] = [
    {
        "id": 1,
        "kind": "partition",
        "shape": "halves",
        "nodes": ["n1", "n2"],
        "start_ns": 10_000 * MS,
        "end_ns": 15_000 * MS,
        "bit": True,
        "healed": True,
        "evidence": {"dropped": {"n1->n3": 412, "n3->n1": 388}},
        "note": "",
    },
    {
        "id": 2,
        "kind": "kill",
        "targets": "one",
        "nodes": ["n4"],
        "start_ns": 18_000 * MS,
        "end_ns": 20_000 * MS,
        "bit": True,
        "healed": True,
        "evidence": {"pid_before": 4711, "state": "gone", "pid_after": 4802},
        "note": "",
    },
    {
        "id": 3,
        "kind": "partition",
        "shape": "isolate",
        "nodes": ["n5"],
        "start_ns": 24_000 * MS,
        "end_ns": 26_000 * MS,
        "bit": False,
        "healed": True,
        "evidence": {"dropped": {}},
        "note": "no packet was dropped",
    },
]


def result(verdict: str, reason: str, **more: Any) -> dict[str, Any]:
    """A Result as JSON."""
    return {
        "checker": "register",
        "verdict": verdict,
        "reason": reason,
        "anomaly": None,
        "key": None,
        "certificate": None,
        "stats": {},
        "parts": {},
        **more,
    }


def results(
    outcome: str = "invalid", *, core: list[Op] | None = None, sentence: str = SENTENCE
) -> dict[str, Any]:
    """`results.json` of a run with this outcome."""
    levels = {
        "linearizable": result(
            outcome, sentence if outcome == "invalid" else "a witness order of every operation was found"
        ),
        "regular": result("valid", "every read returned the last acknowledged write or a concurrent one"),
        "integrity": result("valid", "every value read had been written"),
    }
    return {
        "schema": 2, "name": "quorum-under-faults", "world": "sim", "seed": 7, "outcome": outcome,
        "reason": {"invalid": sentence, "valid": "every claim held", "unknown": "the partition never bit"}[outcome],
        "claims": {"linearizable": levels["linearizable"]}, "levels": levels,
        "strongest": ["regular"] if outcome == "invalid" else ["linearizable"], "weakest_refuted": ["linearizable"] if outcome == "invalid" else [],
        "staleness": {"reads": 301, "stale_reads": 4, "stale_fraction": 4 / 301, "worst_staleness_ms": 42.5, "worst_staleness_versions": 2},
        "stats": {"by_f": {"read": {"ok": 301, "fail": 9, "info": 0}, "write": {"ok": 288, "fail": 11, "info": 1}}},
        "latency_ms": {"read": {"p50": 2.7, "p95": 12.0, "p99": 31.0, "max": 57.0}, "write": {"p50": 2.8, "p95": 12.5, "p99": 33.0, "max": 61.0}},
        "availability": {"overall": 0.967, "under_faults": 0.83}, "faults": {"count": 3, "bit": 2, "kinds": ["partition", "kill"]},
        "core": {"ops": [json.loads(encode_op(op)) for op in core or core_ops()], "drawing": "A: |--w 17--|\nB:        |--r 18--|", "sentence": sentence, "checker": "linearizable", "edges": [], "dead_ends": []} if outcome == "invalid" else None,
        "command": "quorate run examples/quorum.toml --world sim --seed 7",
    }  # fmt: skip


def make(
    folder: Path,
    outcome: str = "invalid",
    *,
    ops: int = 600,
    core: list[Op] | None = None,
    sentence: str = SENTENCE,
) -> Path:
    """Write the whole folder and return it."""
    folder.mkdir(parents=True)
    first = core or core_ops()
    history = sorted([*first, *filler(ops, 8, random.Random(7))], key=lambda op: op.time_ns)
    (folder / "history.jsonl").write_bytes(
        b"".join(encode_op(replace(op, index=index)) for index, op in enumerate(history))
    )
    (folder / "results.json").write_text(json.dumps(results(outcome, core=core, sentence=sentence)))
    (folder / "faults.jsonl").write_text("".join(json.dumps(fault) + "\n" for fault in FAULTS))
    (folder / "environment.json").write_text(
        json.dumps({"python": "3.11.7", "quorate": "0.1.0", "kernel": "Linux"})
    )
    (folder / "plan.toml").write_text(PLAN)
    return folder
