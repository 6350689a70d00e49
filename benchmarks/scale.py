"""What `docs/scale.md` reckons with: a run's processor time and record, a task of Ray's, a key judged elsewhere.

    python benchmarks/scale.py [--runs 12]

Processor time, because it does not depend on what else the machine does. Starts a Ray cluster of one core on the loopback.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
from history_load import forget_peak, memory_mb
from table import histories

from checkers import History
from checkers._core import Columns
from harness.campaign.file import load_campaign
from harness.campaign.ledger import Ledger, Record, opened
from harness.campaign.morning import morning
from harness.campaign.night import run_one, todo
from harness.keyed_pool import KeyedColumns, judge_part
from harness.plan import dump_plan, load_plan
from harness.pool import AHEAD, Pool, cores, in_order
from harness.ray_pool import ray_pool

EXAMPLES = Path(__file__).parents[1] / "examples"
PLANS = ("register", "cas", "eventual")
TASKS, RUNS, OPS, KEYS = 2000, 100_000, 200_000, 1000


def spent_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of this process's processor time, and of the clock."""
    begin_s, spent = time.perf_counter(), spent_s()
    work()
    return spent_s() - spent, time.perf_counter() - begin_s


def costs_of_runs(runs: int) -> list[Record]:
    made = list[Record]()
    for name in PLANS:
        plan = load_plan(EXAMPLES / f"{name}.toml")
        texts = [dump_plan(replace(plan, seed=seed)) for seed in range(runs)]
        records = [run_one(0, name, run, text) for run, text in enumerate(texts)]
        ops = statistics.mean(record.ops for record in records)
        cpu_s = statistics.mean(record.cpu_s for record in records)
        size = statistics.mean(len(msgspec.json.encode(record)) for record in records)
        print(f"{name}: {cpu_s:.2f} s of processor a run of {ops:,.0f} operations, {size:,.0f} B a record, plan {len(texts[0]):,} B")  # fmt: skip
        made += records
    print(f"memory of a process that made them: {memory_mb():.0f} MB")
    return made


def costs_of_the_ledger(records: list[Record], folder: Path) -> None:
    """Each in a transaction of its own, as a night writes them."""
    path = folder / "ledger.sqlite"
    with opened(path, make=True) as ledger:
        added = [msgspec.structs.replace(records[n % len(records)], run=n, item="all") for n in range(TASKS)]
        cpu_s, clock_s = timed(lambda: add_all(ledger, added))
    print(f"ledger: {cpu_s / TASKS * 1e6:,.0f} µs of processor a record, {clock_s / TASKS * 1e6:,.0f} µs of the clock, {path.stat().st_size / TASKS:,.0f} B on disk")  # fmt: skip


def add_all(ledger: Ledger, records: list[Record]) -> None:
    for record in records:
        ledger.add(record)


def costs_of_a_night(folder: Path, record: Record) -> None:
    """What is missing is listed before the first run begins; in the morning all is read."""
    (folder / "night.toml").write_text(f'name = "night"\n[[items]]\nname = "all"\nplan = "{EXAMPLES}/register.toml"\nruns = {RUNS}\n')  # fmt: skip
    campaign = load_campaign(folder / "night.toml")
    path = folder / "night.sqlite"
    with opened(path, make=True) as ledger:
        night, before_mb = ledger.begin("now", "1"), memory_mb()
        cpu_s = timed(lambda: list(todo(campaign, ledger, night)))[0]
        print(f"begin of a night: {cpu_s / RUNS * 1e6:,.0f} µs a run that is missing, {(memory_mb() - before_mb) / RUNS * 1e6:,.0f} B of memory")  # fmt: skip
        rows = ((0, "all", run, msgspec.json.encode(msgspec.structs.replace(record, run=run, item="all"))) for run in range(RUNS))  # fmt: skip
        with ledger._connection:
            ledger._connection.executemany("insert into runs values (?, ?, ?, ?)", rows)
        forget_peak()
        before_mb = memory_mb()
        cpu_s = timed(lambda: morning(campaign, ledger, "2027-01-01", missing=0, ways={}))[0]
        print(f"morning: {cpu_s / RUNS * 1e6:,.0f} µs a clean run that is kept, {(memory_mb() - before_mb) / RUNS * 1e6:,.0f} B of memory, {path.stat().st_size / RUNS:,.0f} B on disk")  # fmt: skip


def costs_of_tasks(record: Record) -> None:
    """Tasks that do nothing, with arguments and results of the size of a run's."""
    text = "x" * 1500
    with loopback() as address, ray_pool(address) as pool:
        for name, each in (("Ray", pool), ("processes here", cores(1))):
            list(in_order(echo, ((n, (record, text)) for n in range(8)), each))  # the workers have begun
            cpu_s, clock_s = timed(lambda each=each: list(in_order(echo, ((n, (record, text)) for n in range(TASKS)), each)))  # fmt: skip
            print(f"task of {name}: {cpu_s / TASKS * 1e6:,.0f} µs of the driver's processor, {clock_s / TASKS * 1e6:,.0f} µs of the clock")  # fmt: skip


def echo(record: Record, text: str) -> Record:
    return record


@contextmanager
def loopback() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as logs:
        os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_TMPDIR=logs)
        from ray.cluster_utils import Cluster

        at = {"node_ip_address": "127.0.0.2", "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **at})
        try:
            yield str(cluster.address)
        finally:
            cluster.shutdown()


def costs_of_keys(folder: Path) -> None:
    """Operations on a thousand keys: read, judged here, cut into groups, judged as another process would."""
    path = folder / "history.jsonl"
    with path.open("w") as file:
        file.writelines(histories.our_lines(histories.register(OPS, 20, keys=KEYS)))
    read_s = timed(lambda: Columns.load(str(path)))[0]
    columns = History.load(path).columns
    here_s = timed(lambda: columns.zones(1))[0]
    keyed = KeyedColumns(columns, Pool(4, lambda: cores(1).open()))
    parts = [keyed._part(group) for group in keyed._groups()]
    cut_s = timed(lambda: [keyed._part(group) for group in keyed._groups()])[0]
    there_s = timed(lambda: [judge_part(part, "zones", (1,)) for part in parts])[0]
    size = sum(len(pickle.dumps(part)) for part in parts)
    us = 1e6 / OPS
    print(f"{OPS:,} operations, {KEYS:,} keys, {path.stat().st_size / OPS:.0f} B of text an operation: read {read_s * us:.2f} µs an operation, zones {here_s * us:.2f} µs")  # fmt: skip
    print(f"in {len(parts)} groups ({AHEAD} a worker): cut {cut_s * us:.2f} µs, {size / OPS:.0f} B sent, read and judged there {there_s * us:.2f} µs")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=12)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        records = costs_of_runs(asked.runs)
        costs_of_the_ledger(records, Path(name))
        costs_of_a_night(Path(name), records[0])
        costs_of_tasks(records[0])
        costs_of_keys(Path(name))


if __name__ == "__main__":
    main()
