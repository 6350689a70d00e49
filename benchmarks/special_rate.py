"""How long the special cases take for a million operations on one object, from the columns to the verdict with its witness.

python benchmarks/special_rate.py [--ops 1000000]

Prints the best of three runs of each; exit status 1 if a target is missed or a verdict is wrong.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import time
from collections.abc import Iterator

from history_load import report

from checkers import History, Verdict
from checkers.special import SPECIAL, check_special

TARGET_S = 1.0
ADD_TAKE = {"queue": ("enqueue", "dequeue"), "stack": ("push", "pop"), "priority-queue": ("insert", "poll")}


PER_KEY = 100  # operations on one list or set, which are read whole


def forced(model: str, ops: int, clients: int = 10, seed: int = 1) -> Iterator[bytes]:
    """The same for objects whose results force an order. Lists and sets are many, the others one."""
    rng = random.Random(seed)
    state: list[int] = []
    count, value, records = 0, "null", []
    whole = model in ("append-list", "grow-set")
    for at in range(ops):
        if whole and at % PER_KEY == 0:
            state = []
        middle, half, key = at * 1000, rng.randint(1, clients * 500), at // PER_KEY if whole else 0
        writes = rng.random() < 0.5
        if model == "set":
            f, element = ("add", "contains", "remove", "contains")[at % 4], at - at % 4
            there = "true" if at % 4 == 1 else "false"
            given, shown = f"{element}", f"[{element},{there}]" if f == "contains" else f"{element}"
        elif whole and writes:
            f, given, shown = ("append" if model == "append-list" else "add"), f"{at}", f"{at}"
            state.append(at)
        elif whole:
            f, given, shown = "read", "", f"[{','.join(map(str, state))}]"
        elif model == "revisions" and writes:
            count, value = count + 1, f"{at}"
            f, given, shown = "write", value, f"{count}"
        elif model == "revisions":
            f, given, shown = "read", "", f"[{count},{value}]"
        else:
            f = ("add" if model == "counter" else "fetch-add") if writes else "read"
            given, shown = ("1", "1" if model == "counter" else f"{count}") if writes else ("", f"{count}")
            count += writes
        records.append((middle - half, 0, at, f, "invoke", given, key))
        records.append((middle + half, 1, at, f, "ok", shown, key))
    records.sort()
    return (
        f'{{"time":{when + 10**7},"process":{process},"type":"{kind}","f":"{f}","key":{key}{shown and f",{chr(34)}value{chr(34)}:{shown}"}}}\n'.encode()
        for when, _, process, f, kind, shown, key in records
    )


def generated(model: str, ops: int, clients: int = 10, seed: int = 1) -> Iterator[bytes]:
    """Valid by construction: each operation takes effect in the middle of its interval."""
    if model != "cas-register" and model not in ADD_TAKE:
        return forced(model, ops, clients, seed)
    rng = random.Random(seed)
    held: list[int] = []
    head, value, records = 0, None, []
    for at in range(ops):
        middle, half = at * 1000, rng.randint(1, clients * 500)
        if model == "cas-register":
            roll, fails = rng.random(), rng.random() < 0.3
            f = "read" if roll < 0.5 else "cas" if roll < 0.8 else "write"
            given = (
                f"[{ops + at if fails else 'null' if value is None else value},{at}]"
                if f == "cas"
                else f"{at}"
            )
            shown = ("null" if value is None else f"{value}") if f == "read" else given
            kind = "fail" if f == "cas" and fails else "ok"
            value = value if f == "read" or kind == "fail" else at
            given = "" if f == "read" else given
        else:
            add, take = ADD_TAKE[model]
            f, kind = (add if rng.random() < 0.5 else take), "ok"
            number = rng.getrandbits(20) * ops + at
            given, shown = (f"{number}", f"{number}") if f == add else ("", "null")
            if f == add and model == "priority-queue":
                heapq.heappush(held, -number)
            elif f == add:
                held.append(number)
            elif len(held) > head:
                if model == "queue":
                    shown, head = f"{held[head]}", head + 1
                else:
                    shown = f"{held.pop() if model == 'stack' else -heapq.heappop(held)}"
        records.append((middle - half, 0, at, f, "invoke", given))
        records.append((middle + half, 1, at, f, kind, shown))
    records.sort()
    return (
        f'{{"time":{when + 10**7},"process":{process},"type":"{kind}","f":"{f}","key":0{shown and f",{chr(34)}value{chr(34)}:{shown}"}}}\n'.encode()
        for when, _, process, f, kind, shown in records
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=1_000_000)
    ops = parser.parse_args().ops
    good = []
    for model in SPECIAL:
        history = History.stream(generated(model, ops))
        took = []
        for _ in range(3):
            begin = time.perf_counter()
            result = check_special(history, model, failed_cas=model == "cas-register")
            took.append(time.perf_counter() - begin)
        good.append(report(f"{model}, {ops} operations, best of three", min(took), TARGET_S, "s"))
        good.append(result.verdict is Verdict.VALID)
        print(f"    {result.verdict.value}: {result.reason}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
