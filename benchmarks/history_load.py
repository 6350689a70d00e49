"""How fast a history of a million operations is read, and what the way from file to verdict takes.

    python benchmarks/history_load.py                 a million operations, one key, 20 clients
    python benchmarks/history_load.py --ops 100000

Prints seconds and the memory in use afterwards; exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from heapq import heapreplace
from pathlib import Path

from checkers import History, Verdict
from checkers.register import check_linearizable

LOAD_S, LOAD_MB, VERDICT_S = 2.5, 400.0, 3.0


def write_history(path: Path, ops: int, clients: int = 20, seed: int = 1) -> None:
    """A linearizable history: each operation takes effect at a random instant of its interval; one write in 200 times out."""
    rng = random.Random(seed)
    free = [(rng.randrange(1000), client) for client in range(clients)]
    free.sort()
    events: list[tuple[int, int, str]] = []
    effects: list[tuple[int, int, int, bool, bool, int]] = []
    process = clients
    for n in range(ops):
        call, client = free[0]
        end = call + 200_000 + int(rng.expovariate(1 / 800_000))
        write = rng.random() < 0.5
        lost = write and rng.random() < 0.005
        effects.append((rng.randint(call, end), n, client, write, lost, call))
        events.append((end, n, ""))
        if lost:
            client, process = process, process + 1
        heapreplace(free, (end + rng.randint(1, 50_000), client))
    value: int | None = None
    seen: list[int | None] = [None] * ops
    for _, n, _, write, _, _ in sorted(effects):
        if write:
            value = n
        seen[n] = value
    lines: list[tuple[int, int, str]] = []
    for (_, n, client, write, lost, call), (end, _, _) in zip(effects, events, strict=True):
        head = f'"process":{client},"type":'
        tail = f',"f":"{"write" if write else "read"}","key":0'
        shown = "null" if seen[n] is None else str(seen[n])
        lines.append((call, 0, head + '"invoke"' + tail + (f',"value":{n}' if write else "") + "}\n"))
        kind = '"info"' if lost else '"ok"'
        lines.append((end, 1, head + kind + tail + f',"value":{n if write else shown}' + "}\n"))
    lines.sort(key=lambda line: line[:2])
    with path.open("w") as file:
        file.writelines(f'{{"index":{at},"time":{when},{rest}' for at, (when, _, rest) in enumerate(lines))


def memory_mb() -> float:
    """The resident memory of this process at its highest, since the last `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def generated(folder: str, ops: int) -> Path:
    """The file, written by another process so that its memory is not ours."""
    import multiprocessing

    path = Path(folder) / "history.jsonl"
    writer = multiprocessing.get_context("spawn").Process(target=write_history, args=(path, ops))
    writer.start()
    writer.join()
    return path


def report(name: str, number: float, target: float, unit: str) -> bool:
    print(f"{name:32} {number:9.3f} {unit:3} target {target:g} {'ok' if number <= target else 'MISSED'}")
    return number <= target


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ops", type=int, default=1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = generated(folder, parser.parse_args().ops)
        forget_peak()
        begin = time.perf_counter()
        history = History.load(path)
        loaded = time.perf_counter()
        peak = memory_mb()
        result = check_linearizable(history)
        judged = time.perf_counter()
    print(f"{len(history)} records, {result.verdict.value}")
    good = [
        result.verdict is Verdict.VALID,
        report("load", loaded - begin, LOAD_S, "s"),
        report("peak memory of the process", peak, LOAD_MB, "MB"),
        report("file to verdict", judged - begin, VERDICT_S, "s"),
    ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
