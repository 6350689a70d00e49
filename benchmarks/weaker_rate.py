"""How long the weaker models take for a million operations by 20 sessions on 1000 keys: from the columns to the verdict.

python benchmarks/weaker_rate.py [--ops 1000000]

Sessions read replicas that apply all writes in one order, each with a lag of its own that only shrinks. Prints the best of three runs of each
checker; exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator

from history_load import memory_mb, report

from checkers import History, Verdict
from checkers.levels import LEVELS
from checkers.staleness import atomicity

TARGETS_S = {"causal": 2.0, "causal-convergence": 2.0, "session-guarantees": 1.0, "pram": 1.0}
SESSIONS, KEYS = 20, 1000


def lines(ops: int, seed: int = 1) -> Iterator[bytes]:
    """A causally convergent history: a session sees a growing prefix of all writes, and always its own."""
    rng = random.Random(seed)
    log: list[list[tuple[int, int]]] = [[] for _ in range(KEYS)]
    seen = [0] * SESSIONS
    for n in range(ops):
        session, key = rng.randrange(SESSIONS), rng.randrange(KEYS)
        head, at = f'{{"process":{session},"type":', f',"f":"%s","key":{key},"value":%s,"time":%d}}\n'
        if rng.random() < 0.5:
            log[key].append((n, n))
            seen[session], f, value = n, "write", str(n)
        else:
            seen[session] = max(seen[session], n - rng.randrange(3000))
            visible = (value for when, value in reversed(log[key]) if when <= seen[session])
            f, value = "read", str(next(visible, "null"))
        yield (head + '"invoke"' + at % (f, value if f == "write" else "null", 2 * n)).encode()
        yield (head + '"ok"' + at % (f, value, 2 * n + 1)).encode()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=1_000_000)
    history = History.stream(lines(parser.parse_args().ops))
    good = []
    for name, check in {**LEVELS, "atomicity": atomicity}.items():
        if name in ("linearizable", "integrity"):
            continue
        took = []
        for _ in range(3):
            begin = time.perf_counter()
            result = check(history)
            took.append(time.perf_counter() - begin)
        good.append(report(f"{name} ({result.verdict.value})", min(took), TARGETS_S.get(name, 3.0), "s"))
        good.append(name in ("regular", "safe") or result.verdict is Verdict.VALID)
    report("peak memory of the process", memory_mb(), 1000.0, "MB")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
