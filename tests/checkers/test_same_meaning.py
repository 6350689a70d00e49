"""A history told in another way has the same verdict: other names, other clocks, another format, and beside it what changes nothing."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers import MISSING, History, Op, Type, Verdict, check
from checkers.formats import dump, load
from checkers.jsonl import encode_op, encode_value
from checkers.models import MODELS
from tests.checkers.random_calls import ACTS, random_history

SEEDS = range(6)
READS = ("read", "dequeue", "pop", "poll", "contains", "final-read", "drain", "generate")
OPAQUE = (
    "register", "cas-register", "sequential", "set", "set-full", "set-full-linearizable", "queue", "total-queue",
    "total-queue-at-least-once", "fifo-queue", "stack", "append-list", "grow-set", "unique-ids",
)  # fmt: skip
Ops = list[Op]
Change = Callable[[Ops, random.Random], Ops]


def other_processes(ops: Ops, rng: random.Random) -> Ops:
    clients = sorted({op.process for op in ops if isinstance(op.process, int)})
    names: dict[Any, int] = dict(zip(clients, rng.sample(range(-50, 10_000), len(clients)), strict=True))
    return [replace(op, process=names.get(op.process, op.process)) for op in ops]


def another_clock(ops: Ops, rng: random.Random) -> Ops:
    scale, shift = rng.randint(2, 1000), rng.randint(0, 10**9)
    return [replace(op, time_ns=op.time_ns * scale + shift) for op in ops]


def equal_times_in_another_order(ops: Ops, rng: random.Random) -> Ops:
    """Of one instant the records of one process stay in their order."""
    instants: dict[int, dict[Any, Ops]] = defaultdict(lambda: defaultdict(list))
    for op in ops:
        instants[op.time_ns][op.process].append(op)
    found: Ops = []
    for queues in instants.values():
        left = [process for process, queue in queues.items() for _ in queue]
        rng.shuffle(left)
        found += [queues[process].pop(0) for process in left]
    return found


def beside_faults(ops: Ops, rng: random.Random) -> Ops:
    found: Ops = []
    for op in ops:
        found += (
            [Op(-1, op.time_ns, "nemesis", Type.INFO, "kill", None, "n1"), op] if rng.random() < 0.3 else [op]
        )
    return found


def doubt_not_recorded(ops: Ops, _: random.Random) -> Ops:
    return [op for op in ops if op.type is not Type.INFO or op.process == "nemesis"]


def beside_a_read_that_failed(ops: Ops, rng: random.Random) -> Ops:
    reads = [op for op in ops if op.type is Type.INVOKE and op.f in READS]
    if not reads:
        return ops
    read, at = rng.choice(reads), rng.randrange(len(ops))
    call = replace(read, process=77_777, time_ns=ops[at].time_ns)
    return [*ops[:at], call, replace(call, type=Type.FAIL, value=MISSING, error="refused"), *ops[at:]]


def other_values(ops: Ops, _: random.Random) -> Ops:
    """Text for every value; of lists for each element."""

    def other(value: Any) -> Any:
        return value if value is MISSING or value is None else f"v{encode_value(value)}"

    def all_of(op: Op) -> Any:
        many = op.f in ("drain", "final-read") or (op.f == "read" and isinstance(op.value, list))
        return (
            [*map(other, op.value)]
            if (many or op.f == "cas") and isinstance(op.value, list)
            else other(op.value)
        )

    return [op if op.process == "nemesis" else replace(op, value=all_of(op)) for op in ops]


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (
        other_processes, another_clock, equal_times_in_another_order, beside_faults, doubt_not_recorded, beside_a_read_that_failed, other_values,
    )
}  # fmt: skip


def recorded(ops: Ops) -> History:
    return History.from_ops(replace(op, index=-1) for op in ops)


@pytest.mark.parametrize("name", ACTS)
def test_told_in_another_way(name: str) -> None:
    model = name.split()[0]
    for seed in SEEDS:
        rng, ops = random.Random(seed), list(random_history(name, seed))
        verdict = check(recorded(ops), model).verdict
        for what, change in CHANGES.items():
            if what != "other_values" or model in OPAQUE:
                result = check(recorded(change(ops, rng)), model)
                assert result.verdict is verdict, (seed, what, result.reason)


def written(ops: Ops, folder: Path) -> dict[str, Path]:
    """The history in every form there is."""
    lines = b"".join(map(encode_op, ops))
    maps = [json.loads(line) for line in lines.splitlines()]
    bare = [{name: value for name, value in each.items() if name not in ("time", "index")} for each in maps]
    texts = {
        "crlf": lines.replace(b"\n", b"\r\n"),
        "marked": b"\xef\xbb\xbf" + lines,
        "packed": gzip.compress(lines),
        "untimed": b"".join(json.dumps(each).encode() + b"\n" for each in bare),
        "spaced": b"".join(json.dumps(dict(reversed(each.items())), separators=(" , ", " : ")).encode() + b"\n" for each in maps),
        "json": json.dumps([{"key": None, **each} for each in maps], indent=1).encode(),
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_bytes(text)
    dump(recorded(ops), folder / "edn", "edn")
    return {name: folder / name for name in (*texts, "edn")}


@pytest.mark.parametrize("name", ACTS)
def test_written_in_another_form(name: str, tmp_path: Path) -> None:
    model = name.split()[0]
    for seed in SEEDS:
        ops = [
            replace(op, index=n, time_ns=1000 * op.time_ns + n)
            for n, op in enumerate(random_history(name, seed))
        ]
        verdict = check(recorded(ops), model).verdict
        for form, path in written(ops, tmp_path).items():
            result = check(load(path), model)
            assert result.verdict is verdict, (seed, form, result.reason)


@pytest.mark.parametrize("name", [name for name in ACTS if MODELS[name.split()[0]].is_object and name not in ("sequential", "revisions", "fetch-and-add")])  # fmt: skip
def test_the_search_says_what_the_quick_way_says(name: str) -> None:
    for seed in range(30):
        history = random_history(name, seed)
        quick, searched = check(history, name).verdict, check(history, name, engine="search").verdict
        beside = (
            quick is Verdict.INVALID and searched is Verdict.UNKNOWN
        )  # proved by some values, beside what is no value of the object
        assert searched is quick or beside, seed
