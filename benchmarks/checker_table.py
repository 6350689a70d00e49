"""The table of numbers that the checkers have to reach: from the columns of a history in memory to the verdict with its certificate.

    python benchmarks/checker_table.py                       everything; about half an hour with Porcupine, 5 minutes without
    python benchmarks/checker_table.py --only register --limit 10 --no-porcupine

Each row is measured in a process of its own: of some runs the least processor time, of all threads, which is what a target is held against, because
others may use the machine too; the least time on the clock, less than that where keys run beside each other; and the peak of the process with the
history in it. Where there is a Go toolchain, Porcupine is built from its published module and judges the same histories in the
same run, within `--limit` seconds and `--memory` GiB. Exit status 1 if a target is missed or a verdict is wrong.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from history_load import forget_peak, memory_mb
from special_rate import generated
from table import histories, porcupine
from weaker_rate import lines

from checkers import MISSING, Budget, History, Verdict, check
from checkers.formats import load
from checkers.levels import LEVELS
from checkers.search import INCONSISTENT, Call, check_model
from checkers.special import check_special

MILLION = 1_000_000


@dataclass(frozen=True)
class Work:
    """One row. `make` names how the history comes to be; `judge` who judges it; `peer`: can Porcupine do it?"""

    name: str
    limit_s: float
    make: str
    options: dict[str, Any] = field(default_factory=dict)
    judge: str = "register"
    expected: str = "valid"
    limit_mb: float | None = None
    peer: bool = False
    runs: int = 3


def works(etcd: str | None) -> Iterator[Work]:
    if etcd is not None:
        yield Work("all etcd logs", 0.03, "etcd", {"folder": etcd}, "etcd", "as expected", peer=True)
    for ops, clients, limit_s in ((1000, 15, 0.001), (10_000, 10, 0.003)):
        for stale in (False, True):
            name = f"register, {ops // 1000} k, c={clients}, {'one stale read' if stale else 'valid'}"
            options = {"ops": ops, "clients": clients, "stale": stale}
            word = "invalid" if stale else "valid"
            yield Work(name, limit_s, "register", options, expected=word, peer=True, runs=20)
    for clients in (5, 20, 100):
        options = {"ops": MILLION, "clients": clients}
        yield Work(f"register, 1 M, c={clients}", 0.3, "register", options, limit_mb=300, peer=True)
    for clients in (5, 100):
        options = {"ops": MILLION, "clients": clients, "keys": 1000}
        yield Work(f"kv, 1 M on 1,000 keys, c={clients}", 0.3, "register", options, peer=True)
    options = {"ops": 100_000, "clients": 5, "cas": 0.1}
    yield Work("cas-register, 100 k, c=5, 10 % cas", 0.3, "register", options, "cas-register", peer=True)
    options = {"ops": 100_000, "clients": 10, "info": 0.005, "values": 5}
    yield Work("register, 100 k, c=10, values 1..5, info", 1.0, "register", options, peer=True)
    yield Work("causal convergence, 1 M, 20 sessions", 2.0, "sessions", {}, "causal-convergence")
    yield Work("session guarantees, 1 M, 20 sessions", 1.0, "sessions", {}, "session-guarantees")
    for model in ("fifo-queue", "stack", "priority-queue", "linearizable-counter", "append-list"):
        yield Work(f"{model}, 1 M", 1.0, "object", {"model": model, "ops": MILLION}, model)
    for k, limit_s in ((20, 0.001), (1000, 0.01)):
        for name, word, _ in histories.shapes(k):
            options = {"shape": name, "k": k}
            yield Work(f"{name}, k={k}", limit_s, "shape", options, expected=word, peer=k == 20, runs=20)
    options = {"ops": 100_000, "clients": 5, "values": 5}
    yield Work("Python register, 100 k, c=5", 1.0, "register", options, "python")


class PythonRegister:
    def init(self) -> Any:
        return None

    def step(self, state: Any, call: Call) -> Any:
        if call.f == "write":
            return call.value
        return state if call.result is MISSING or call.result == state else INCONSISTENT


def make(work: Work, folder: Path) -> None:
    """Write the history, for us and, if it can judge it, for Porcupine."""
    ours, theirs = folder / "ours.jsonl", folder / "theirs.txt"
    if work.make == "register":
        histories.save(histories.register(**work.options), ours, theirs)
    elif work.make == "shape":
        found = histories.shapes(work.options["k"])
        histories.save(next(rows for name, _, rows in found if name == work.options["shape"]), ours, theirs)
    elif work.make == "sessions":
        with ours.open("wb") as file:
            file.writelines(lines(MILLION))
    elif work.make == "object":
        save_object(work.options["model"], work.options["ops"], ours)
    else:
        for path in sorted(Path(work.options["folder"]).glob("*.log")):
            save_etcd(load(path), folder / f"{path.stem}.txt")


def save_object(model: str, ops: int, path: Path) -> None:
    names = {"fifo-queue": "queue", "linearizable-counter": "counter"}
    with path.open("wb") as file:
        if model in ("linearizable-counter", "append-list"):
            file.writelines(histories.grown(model, ops))
        else:
            file.writelines(generated(names.get(model, model), ops))


def save_etcd(history: History, path: Path) -> None:
    """A log as Porcupine's lines; a read that returned nothing is left out."""
    rows = []
    for op in history:
        end = history.completion(op.index)
        if op.type.word != "invoke":
            continue
        status = "info" if end is None else end.type.word
        if (op.f == "read" and status != "ok") or (op.f == "write" and status == "fail"):
            continue
        old, new = op.value if op.f == "cas" else (None, op.value)
        out = end.value if op.f == "read" and end is not None else old
        last = history_end if end is None else end.time_ns
        rows.append(histories.Row(0, 0, op.f, new if op.f != "read" else None, out, status, op.time_ns, last))
    histories.save_plain(rows, path)


history_end = histories.NEVER


def judge(work: Work, history: History) -> Verdict:
    if work.judge == "python":
        return check_model(history, PythonRegister()).verdict
    if work.judge == "cas-register":  # a failed one saw another value
        found = check_special(history, "cas-register", failed_cas=True)
        if found.verdict is Verdict.UNKNOWN:
            found = check_model(history, "cas-register", failed_cas=True)
        return found.verdict
    if work.judge in LEVELS:
        return LEVELS[work.judge](history).verdict
    return check(history, work.judge, budget=Budget(deadline_ms=60_000)).verdict


def measure(work: Work, folder: Path) -> tuple[float, float, float, str]:
    """Least seconds on the clock, least of the processor, peak MB, and the verdict."""
    if work.make == "etcd":
        return measure_etcd(Path(work.options["folder"]))
    history = History.load(folder / "ours.jsonl")
    forget_peak()
    clock, processor = [], []
    while len(clock) < work.runs and sum(clock) < 20:
        begin, used = time.perf_counter(), time.process_time()
        verdict = judge(work, history)
        clock.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    return min(clock), min(processor), memory_mb(), verdict.value


def measure_etcd(folder: Path) -> tuple[float, float, float, str]:
    """All logs together; those that returned nothing are UNKNOWN, which is no answer to compare."""
    rows = (line.split(",") for line in (folder / "expected.csv").read_text().split()[1:])
    logs = [(load(folder / name), expected) for name, expected in rows]
    clock, processor, wrong = [], [], 0
    for _ in range(5):
        begin, used = time.perf_counter(), time.process_time()
        found = [check(history, "cas-register").verdict.value for history, _ in logs]
        clock.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
        pairs = zip(found, logs, strict=True)
        wrong = sum(word not in (expected, "unknown") for word, (_, expected) in pairs)
    return min(clock), min(processor), memory_mb(), "as expected" if not wrong else f"{wrong} wrong"


def row(work: Work, program: Path | None, limit_s: float, memory_gib: float) -> bool:
    """Measure one row and print it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            pool.submit(make, work, folder).result()
            seconds, used, megabytes, word = pool.submit(measure, work, folder).result()
        theirs = ""
        if work.peer and program is not None:
            theirs = porcupine.run(program, sorted(folder.glob("*.txt")), limit_s, memory_gib).text
    good = used <= work.limit_s and word == work.expected and megabytes <= (work.limit_mb or megabytes)
    memory = f"{megabytes:5.0f} MB" + (f" ({work.limit_mb:g})" if work.limit_mb else "")
    print(
        f"{work.name:42} {1000 * used:9.2f} ms ({1000 * work.limit_s:g})  clock {1000 * seconds:9.2f} ms  {memory:15} {word:11} "
        f"{'ok    ' if good else 'MISSED'}  {theirs}",
        flush=True,
    )
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="rows whose name this regular expression finds")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each of Porcupine's checks")
    parser.add_argument("--memory", type=float, default=6.0, help="GiB for Porcupine")
    parser.add_argument("--no-porcupine", action="store_true")
    parser.add_argument(
        "--etcd", default="../shared/data/etcd-logs", help="the folder of Porcupine's etcd logs"
    )
    chosen = parser.parse_args(arguments)
    etcd = chosen.etcd if (Path(chosen.etcd) / "expected.csv").is_file() else None
    if etcd is None:
        print(f"no etcd logs: {chosen.etcd} has no expected.csv; name their folder with --etcd")
    with tempfile.TemporaryDirectory() as folder:
        program, text = (None, "without Porcupine") if chosen.no_porcupine else porcupine.built(Path(folder))
        print(f"work, processor time (target), clock, peak memory (target), verdict; beside it {text}")
        chosen_works = [work for work in works(etcd) if re.search(chosen.only, work.name)]
        good = [row(work, program, chosen.limit, chosen.memory) for work in chosen_works]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
