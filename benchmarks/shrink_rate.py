"""How small findings become, how fast, and in how many runs: the three examples that break their claim.

python benchmarks/shrink_rate.py
"""

from __future__ import annotations

import time
from pathlib import Path

from harness.plan import load_plan
from harness.search.finding import targets
from harness.search.shrink import Size, shrink
from harness.simulate import simulate_run

EXAMPLES = Path(__file__).parents[1] / "examples"
LIMIT_S = 60.0  # of each


def main() -> None:
    """Print a line for each."""
    for name in ("eventual", "quorum", "monotonic_skewed"):
        plan = load_plan(EXAMPLES / f"{name}.toml")
        target = targets(simulate_run(plan))[0]
        begin, cpu = time.monotonic(), time.process_time()
        last: list[float] = [begin]
        found = shrink(
            plan, target, out_of_time=lambda begin=begin: time.monotonic() - begin > LIMIT_S,
            progress=lambda size, runs, last=last: last.append(time.monotonic()),
        )  # fmt: skip
        print(f"{name}: {target}: {found.before} -> {Size.of(found.plan)}")
        print(
            f"  {found.runs:,} runs, {time.process_time() - cpu:.1f} s of processor; "
            f"smallest after {last[-1] - begin:.1f} s; {'nothing more can be left out' if found.done else 'time was over'}"
        )


if __name__ == "__main__":
    main()
