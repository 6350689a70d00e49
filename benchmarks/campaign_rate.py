"""What does a campaign cost beside its runs, how long do 10,000 results take to look at, and how much do two workers help?

    python benchmarks/campaign_rate.py [--runs 100] [--only cost|look|workers|pytest]

Cost: the same runs in the same pool of one process, by hand and as a night with its ledger; seconds of processor, of parent and child, because those do
not depend on what else the machine does. Half of the runs break their claim, so the shapes of cores are paid for too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from history_load import report

from harness.campaign.chosen import Choice, chosen, line_of
from harness.campaign.file import Campaign, load_campaign
from harness.campaign.findings import findings
from harness.campaign.ledger import Ledger, Record, opened
from harness.campaign.morning import changed_between
from harness.campaign.night import go, run_one, todo
from harness.plan import dump_plan, parse_plan
from harness.pool import in_order
from harness.simulate import simulate_run

EXAMPLES = Path(__file__).parents[1] / "examples"
FILE = f"""
name = "rate"
[[items]]
name = "register"
plan = "{EXAMPLES}/register.toml"
runs = RUNS
[[items]]
name = "eventual"
plan = "{EXAMPLES}/eventual.toml"
runs = RUNS
"""
RESULTS = 10_000


def by_hand(text: str) -> str:
    return str(simulate_run(parse_plan(text, "by hand")).results["class"])


def written(folder: Path, runs: int) -> Campaign:
    path = folder / "rate.toml"
    path.write_text(FILE.replace("RUNS", str(runs // 2)))
    return load_campaign(path)


def spent_s() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor and of the clock."""
    begin_s, spent = time.perf_counter(), spent_s()
    work()
    return spent_s() - spent, time.perf_counter() - begin_s


def night(campaign: Campaign, path: Path, jobs: int) -> None:
    with opened(path, make=True) as ledger:
        assert go(campaign, ledger, ledger.begin("now", "1"), jobs, lambda: False, lambda record: None) == 0


def cost(folder: Path, runs: int) -> bool:
    campaign = written(folder, runs)
    with opened(folder / "none.sqlite", make=True) as ledger:
        texts = [dump_plan(plan) for _, _, plan in todo(campaign, ledger, ledger.begin("now", "1"))]
    hand, campaigned = 0.0, 0.0
    for turn in range(2):  # by turns, so that neither has the better half of the hour
        hand += timed(lambda: list(in_order(by_hand, ((None, (text,)) for text in texts), 1)))[0]
        path = folder / f"cost{turn}.sqlite"
        campaigned += timed(lambda path=path: night(campaign, path, 1))[0]
    print(f"{2 * runs} runs: {hand:.1f} s of processor by hand, {campaigned:.1f} s as nights")
    return report("what the campaign adds", 100 * (campaigned / hand - 1), 5, "%")


def look(folder: Path) -> bool:
    """Ten nights of 1,000 runs, copies of a violation and of a clean run."""
    campaign = written(folder, 2)
    made = [run_one(0, item.name, 0, dump_plan(item.plan)) for item in campaign.items]
    path = folder / "look.sqlite"
    with opened(path, make=True) as ledger:
        connection = ledger._connection
        with connection:
            connection.executemany(
                "insert into nights values (?, 'then', 'later', '1')", [(n,) for n in range(10)]
            )
            connection.executemany("insert into runs values (?, ?, ?, ?)", [(each.night, each.item, each.run, msgspec.json.encode(each)) for each in copies(made)])  # fmt: skip

    def looked() -> None:
        with opened(path) as ledger:
            listed(ledger)

    took_s = min(timed(looked)[1] for _ in range(3))
    return report(f"{RESULTS:,} results listed, filtered, diffed", took_s, 1, "s")


def copies(made: list[Record]) -> list[Record]:
    """Nine clean runs to a violation."""
    clean, broken = made
    return [msgspec.structs.replace(broken if run % 10 == 0 else clean, night=night, run=run, item="all") for night in range(10) for run in range(RESULTS // 10)]  # fmt: skip


def listed(ledger: Ledger) -> None:
    records = list(ledger.records())
    assert len("\n".join(map(line_of, records)).splitlines()) == RESULTS
    assert len(list(chosen(records, Choice(outcome="violation", night=3)))) == RESULTS // 100
    assert changed_between(findings(records, (), "2026-01-01"), 3, 4)["still there"]


def workers(folder: Path, runs: int) -> bool:
    campaign = written(folder, runs)
    one, two = (min(timed(lambda name=name, jobs=jobs: night(campaign, folder / f"{name}{jobs}.sqlite", jobs))[1] for name in "ab") for jobs in (1, 2))  # fmt: skip
    print(f"{runs} runs: {one:.1f} s with one worker, {two:.1f} s with two; load {os.getloadavg()[0]:.1f}")
    return report("one worker over two, at least 1.7", 1.7 / (one / two), 1, "x")


def pytested(folder: Path, runs: int) -> bool:
    written(folder, runs)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "rate.toml", "-n"]
    one, two = (timed(lambda n=n: subprocess.run([*command, n], cwd=folder, stdout=subprocess.DEVNULL))[1] for n in ("1", "2"))  # fmt: skip
    print(
        f"{runs} runs in pytest: {one:.1f} s with -n 1, {two:.1f} s with -n 2; load {os.getloadavg()[0]:.1f}"
    )
    return report("pytest -n 1 over -n 2, at least 1.7", 1.7 / (one / two), 1, "x")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--only", choices=("cost", "look", "workers", "pytest"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {
            "look": lambda: look(folder),
            "cost": lambda: cost(folder, asked.runs),
            "workers": lambda: workers(folder, asked.runs),
            "pytest": lambda: pytested(folder, asked.runs),
        }
        good = [part() for part_name, part in parts.items() if asked.only in (None, part_name)]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
