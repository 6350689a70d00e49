"""A finding counts only if its own file shows it again: what is asked of every run that breaks a claim in a test, and of every finding that a command keeps.

a run ──► written as the search keeps it, plan.toml ──► read ──► played: the same bytes, the same trace, the same claims in the same way
what `explore`, `campaign`, `matrix` kept ──► read ──► played: the claim and the anomaly that they say
what `shrink` made ──► plan.toml, and the pytest file beside it ──► both show what was made small
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from harness.plan import Plan, dump_plan
from harness.runs import write_text
from harness.search.finding import Target, targets
from harness.search.replay import recorded, replayed
from harness.search.shrink import Shrunk
from harness.search.story import test_file
from harness.simulate import SimRun


def again(plan: Plan, run: SimRun, folder: Path) -> list[Target]:
    """The claims that a run of the plan broke, and that it breaks when it is played from its own file. None would be no finding."""
    broken = targets(run)
    assert broken, f"{plan.name}, seed {plan.seed}: no claim is broken"
    path = folder / f"{plan.name}-{plan.seed}.toml"
    write_text(path, dump_plan(plan))
    trace = replayed(replace(recorded(path), history=run.lines, trace=run.results["trace"]))
    assert targets(trace.run) == broken
    return broken


def shown_by(path: Path) -> list[Target]:
    """What is broken when the plan of a finding, or the folder of a run, is played from there."""
    return targets(replayed(recorded(path)).run)


def small_again(found: Shrunk, target: Target, folder: Path) -> None:
    """Both files of a shrunk finding show it. Raises AssertionError."""
    assert target in again(found.plan, found.run, folder)
    keeps(found.plan, target, folder)()


def keeps(plan: Plan, target: Target, folder: Path) -> Callable[[], None]:
    """The test in the pytest file that keeps a finding: it fails when the plan does not show it."""
    path = folder / "test_finding.py"
    write_text(path, test_file(plan, target))
    (test,) = (each for name, each in runpy.run_path(str(path)).items() if name.startswith("test_"))
    assert callable(test)
    return test
