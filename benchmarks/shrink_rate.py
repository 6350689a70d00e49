"""How small findings become, how fast, and in how many runs: three examples that break their claim, and the seeded bugs of the store.

python benchmarks/shrink_rate.py                               the three examples
python benchmarks/shrink_rate.py --bugs                        those, and every plan of examples/bugs
python benchmarks/shrink_rate.py hint.unsynced eventual        these
python benchmarks/shrink_rate.py --bugs --kept shrunk.jsonl    what is in the file is not made again

A finding is the first run of `seeds` that breaks the plan's claim and does not without the bug, or the one that the tests know of. Time is the processor's: what else the machine does is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from harness.plan import Plan, dump_plan, load_plan
from harness.search.finding import Target, scripted, targets
from harness.search.shrink import NotShownError, Size, shrink
from harness.simulate import simulate_run
from tests.sim.test_bug_plans import KNOWN

EXAMPLES = Path(__file__).parents[1] / "examples"
THREE = ("eventual", "quorum", "monotonic_skewed")
RUNS_MAX = 200  # until the first that breaks the claim
AIM = {"nodes": 3, "clients": 3, "ops": 6, "faults": 2}


def main() -> None:
    """Print a line for each as it is made, and a table at the end."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("names", nargs="*", help="of plans in examples/ or examples/bugs/")
    asked.add_argument("--bugs", action="store_true", help="all of examples/bugs as well")
    asked.add_argument("--each", type=float, default=60.0, help="seconds of processor for each")
    asked.add_argument("--kept", type=Path, help="a file of what was made, to go on from")
    given = asked.parse_args()
    bugs = sorted(path.stem for path in (EXAMPLES / "bugs").glob("*.toml")) if given.bugs else []
    kept = given.kept.read_text().splitlines() if given.kept and given.kept.exists() else []
    rows: dict[str, Any] = {row["name"]: row for row in map(json.loads, kept)}
    names = given.names or [*THREE, *bugs]
    for name in names:
        if name not in rows:
            rows[name] = made(name, given.each)
            print(json.dumps(rows[name]), flush=True)
            if given.kept:
                with given.kept.open("a") as file:
                    file.write(json.dumps(rows[name]) + "\n")
    print("\n".join(table([rows[name] for name in names])))


def made(name: str, limit_s: float) -> dict[str, Any]:
    """Find one and shrink it."""
    plan, target = first_found(name)
    begin_s = time.process_time()
    steps: list[tuple[float, Size]] = []
    try:
        found = shrink(
            plan, target, out_of_time=lambda: time.process_time() - begin_s > limit_s,
            progress=lambda size, runs: steps.append((time.process_time() - begin_s, size)),
        )  # fmt: skip
    except NotShownError:
        whole = as_row(Size.of(scripted(plan, simulate_run(plan))))
        return {
            "name": name, "anomaly": target.anomaly, "claim": target.claim, "before": whole, **whole, "runs": 0, "small_s": None,
            "seconds": round(time.process_time() - begin_s, 1), "done": False, "sound": True, "plan": dump_plan(plan),
        }  # fmt: skip
    size, end_s = Size.of(found.plan), time.process_time() - begin_s
    reached = [at_s for at_s, step in steps if small(as_row(step))]
    return {
        "name": name, "anomaly": target.anomaly, "claim": target.claim, "before": as_row(found.before), **as_row(size),
        "runs": found.runs, "small_s": round(reached[0], 1) if reached and small(as_row(size)) else None,
        "seconds": round(end_s, 1), "done": found.done, "sound": target not in targets(simulate_run(sound(found.plan))),
        "plan": dump_plan(found.plan),
    }  # fmt: skip


def first_found(name: str) -> tuple[Plan, Target]:
    """The plan with a seed that breaks its claim, and not without the bug."""
    paths = (EXAMPLES / f"{name}.toml", EXAMPLES / "bugs" / f"{name}.toml")
    path = next(path for path in paths if path.exists())
    plan = load_plan(path)
    for number in (KNOWN.get((name, "seeds"), 0), *range(RUNS_MAX)):
        tried = replace(plan, seed=plan.seed + number)
        broken = targets(simulate_run(tried))
        if broken and (sound(tried) == tried or not targets(simulate_run(sound(tried)))):
            return tried, broken[0]
    raise SystemExit(f"{name}: {RUNS_MAX} runs broke no claim")


def sound(plan: Plan) -> Plan:
    """The plan without the bug."""
    bugs = [bug for bug in plan.system_options.get("bugs", ()) if bug != plan.name]
    return (
        replace(plan, system_options={**plan.system_options, "bugs": bugs})
        if "bugs" in plan.system_options
        else plan
    )


def as_row(size: Size) -> dict[str, int]:
    """Its four numbers."""
    return {"nodes": size.nodes, "clients": size.clients, "ops": size.ops, "faults": size.faults}


def small(row: dict[str, Any]) -> bool:
    """Whether it is as small as it should be."""
    return all(row[what] <= most for what, most in AIM.items())


def table(rows: list[dict[str, Any]]) -> list[str]:
    """In Markdown, with the median and the share within the target below."""
    lines = [
        "| finding | anomaly | nodes | clients | operations | faults | runs | small after | ended after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        small_s = "–" if row["small_s"] is None else f"{row['small_s']} s"
        ended = f"{row['seconds']} s" + ("" if row["done"] else ", time was over")
        sizes = " | ".join(f"{row['before'][what]:,} → {row[what]}" for what in AIM)
        lines.append(
            f"| {row['name']} | {row['anomaly']} | {sizes} | {row['runs']:,} | {small_s} | {ended} |"
        )
    middles = " | ".join(f"{median(row[what] for row in rows):g}" for what in AIM)
    lines.append(
        f"| **median** | | {middles} | {median(row['runs'] for row in rows):,.0f} | | {median(row['seconds'] for row in rows):.1f} s |"
    )
    within = " | ".join(
        f"{sum(row[what] <= most for row in rows)} of {len(rows)}" for what, most in AIM.items()
    )
    count = sum(map(small, rows))
    return [*lines, f"| **≤ 3, 3, 6, 2** | | {within} | | {count} of {len(rows)} | |"]


if __name__ == "__main__":
    main()
