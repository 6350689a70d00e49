"""After a night: its new findings made small, several beside each other, each for as long as the campaign's file says (`shrink`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from harness.campaign.findings import Finding
from harness.campaign.smaller import make_smaller
from harness.cli.console import say, waiting
from harness.pool import in_order
from harness.runs import write_text


def smallest_of(found: Finding, folder: Path) -> Path:
    """Where the smallest plan of a finding is, if it was made; its story is beside it."""
    return folder / "findings" / f"{found.id}-smallest.toml"


def make_small(
    plans: Sequence[tuple[Finding, str]], folder: Path, limit_s: float, jobs: int, over: Callable[[], bool], *, quiet: bool
) -> None:  # fmt: skip
    """Those that are not small yet; none is waited for when the night's time is over. Ctrl-C leaves the rest as it is."""
    wanted = [(found, plan) for found, plan in plans if not smallest_of(found, folder).exists()]
    if not wanted:
        return
    tasks = (
        (found, (Path(plan).read_text(encoding="utf-8"), found.claim, found.anomaly, found.pattern, limit_s))
        for found, plan in wanted
    )
    with waiting(f"new findings made small: {len(wanted)}, {limit_s:g} s each at most", quiet=quiet) as tick:
        try:
            with closing(in_order(make_smaller, tasks, min(jobs, len(wanted)))) as made:
                for count, (found, smaller) in enumerate(made, 1):
                    tick(count / len(wanted), f"{count} of {len(wanted)}")
                    if smaller is not None:
                        write_text(smallest_of(found, folder).with_suffix(".md"), smaller.story)
                        write_text(smallest_of(found, folder), smaller.plan)
                    if over():
                        return
        except KeyboardInterrupt:
            say("stopped; findings that are not small yet stay as they are")
