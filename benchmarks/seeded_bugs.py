"""How long each search strategy takes until each seeded bug of the store is convicted by the checker that is meant to.

python benchmarks/seeded_bugs.py [BUG …] [--strategies seeds,swarm] [--repeats 30] [--each 60] [--runs 200] [--budget 600] [--jobs 2] [--out FILE] [--page FILE]

Each bug of `kvstore.bugs` has a plan in examples/bugs, whose one claim is the intended checker; a run counts only if the same run without the bug is
clean. All bugs are tried once under all strategies, then all from other seeds, … Every sweep is a line of `--out`, and the same command goes on where it was
stopped: what is there is not made again, but for sweeps that ended without finding within lower limits than now. `--each` bounds a sweep in seconds
of processor time, `--budget` the whole in seconds. `--repeats 0 --page docs/seeded-bugs.md` makes the page of what is there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from seeded_bugs_page import Page, write_page

from harness.plan import Plan, load_plan
from harness.plan_toml import nearest
from harness.search.detection import Name, Sweep, cell, first_seed, sweeps
from harness.search.steering import NAMES
from harness.search.sweep_file import Kept, Limits, as_line, read_sweeps
from kvstore.bugs import TABLE

ROOT = Path(__file__).parents[1]
PLANS = ROOT / "examples" / "bugs"
PARTS = ("kvstore", "workloads", "checkers", "harness/worlds", "harness/nemesis", "examples/bugs")
KEPT = Path(__file__).with_suffix(".jsonl")
TARGET = Limits(runs=200, cpu_s=300.0)


def plans_of(bugs: list[str]) -> list[Plan]:
    """The plans of these bugs, of all if there are none; each has the name of its bug."""
    return [load_plan(path) for path in sorted(PLANS.glob("*.toml")) if not bugs or path.stem in bugs]


def without_bug(plan: Plan) -> Plan:
    """The same plan, and the store does it right."""
    bugs = [bug for bug in plan.system_options["bugs"] if bug != plan.name]
    return replace(plan, system_options={**plan.system_options, "bugs": bugs})


def version() -> str:
    """The last commit that changed what a run is made of; with a plus if more is changed since."""

    def git(*words: str) -> str:
        asked = ["git", *words, "--", *PARTS]
        return subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    return git("log", "-1", "--format=%h") + ("+" if git("status", "--porcelain") else "")


def kept_in(path: Path) -> dict[Name, Kept]:
    """The sweeps of a file that may not be there yet. What was cut off at its end is cut away, so that the next line begins a line."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        path.write_text("".join(whole), encoding="utf-8")
    return read_sweeps(whole)


def within(budget_s: float, found: Generator[tuple[Name, Sweep], None, None]) -> Iterator[tuple[Name, Sweep]]:
    """As many as come in time, or before Ctrl-C."""
    begin_s = time.monotonic()
    with closing(found):
        try:
            for name, made in found:
                print(
                    f"  {' '.join(map(str, name))}: {cell([made])}, {made.cpu_s:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
                yield name, made
                if time.monotonic() - begin_s > budget_s:
                    print(f"the budget of {budget_s:g} s is used up", file=sys.stderr)
                    return
        except KeyboardInterrupt:
            print("stopped; what was begun is not kept", file=sys.stderr)


def missing(kept: Mapping[Name, Kept], limits: Limits) -> Callable[[Name], bool]:
    """Whether a sweep has yet to be made: it was not, or ended without finding within lower limits."""
    return lambda name: name not in kept or not kept[name].settles(limits)


def choices() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("bugs", nargs="*")
    parser.add_argument("--strategies", default=",".join(NAMES))
    parser.add_argument("--runs", type=int, default=TARGET.runs)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--each", type=float, default=60.0)
    parser.add_argument("--budget", type=float, default=600.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=KEPT)
    parser.add_argument("--page", type=Path)
    chosen = parser.parse_args()
    chosen.strategies = chosen.strategies.split(",")
    planned = [path.stem for path in PLANS.glob("*.toml")]
    for what, names, known in (
        ("bug with a plan", chosen.bugs, planned),
        ("strategy", chosen.strategies, NAMES),
    ):
        for name in set(names) - set(known):
            parser.error(f"there is no {what} {name!r}{nearest(name, known)}")
    return chosen


def main() -> int:
    chosen = choices()
    plans, strategies = plans_of(chosen.bugs), chosen.strategies
    limits, code, kept = Limits(chosen.runs, chosen.each), version(), kept_in(chosen.out)
    seeds = {plan.name: partial(first_seed, plan) for plan in plans}
    made = sweeps(
        [(plan, without_bug(plan)) for plan in plans], strategies, repeats=chosen.repeats,
        runs=chosen.runs, cpu_s_max=chosen.each, jobs=chosen.jobs, wanted=missing(kept, limits),
    )  # fmt: skip
    with chosen.out.open("a", encoding="utf-8") as file:
        for name, each in within(chosen.budget, made):
            kept[name] = Kept(name, seeds[name[0]](name[2]), limits, code, each)
            file.write(as_line(kept[name]))
            file.flush()
    bugs = {plan.name: plan.claims[0] for plan in plans}
    shown = {name: each for name, each in kept.items() if name[0] in bugs and name[1] in strategies}
    if not shown:
        print("no sweep yet", file=sys.stderr)
        return 1
    page = Page(
        bugs,
        strategies,
        shown,
        TARGET,
        {bug: TABLE[bug].found_by for bug in TABLE if bug not in {plan.name for plan in plans_of([])}},
    )
    print(page.text("seeded-bugs.svg"))
    if chosen.page is not None:
        write_page(page, chosen.page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
