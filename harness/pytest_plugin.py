"""Consistency tests in pytest: campaigns are collected, and a test of one's own is ten lines.

    pytest campaigns/ -n 4 --junitxml=report.xml       each run of each item of a campaign file is a test

    from harness.pytest_plugin import consistency_test

    @consistency_test("examples/register.toml", runs=5, set={"rate": 200})
    def test_reads_are_fresh(run):                     # one test per seed; it fails if a claim is broken, whatever the body says
        assert run.results["staleness"]["stale_reads"] == 0

    def test_on_hosts(cluster):                        # local hosts of this pytest process, or of this worker of pytest-xdist, and of no other
        cluster.run("examples/register.toml", {"time_limit_s": 10})

A file is a campaign if it is TOML and has [[items]]. A violation that the file accepts is an expected failure; a run that proves nothing
(unknown, vacuous) is skipped with its reason. A failure shows the drawn core, the sentence that proves it, and the command that repeats it.
With pytest-xdist each worker has its own simulator and its own hosts; nothing is shared. Items of a campaign are marked `sim` or `hosts`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # other people's test sessions load this file, too: what is heavy waits until it is used
    from harness.campaign.judged import Cluster
    from harness.plan import Plan


def consistency_test(
    plan: str | Path | Plan,
    *,
    runs: int = 1,
    set: Mapping[str, Any] | None = None,  # noqa: A002
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run the plan in the simulator, once a seed, and give the test its `run` (a SimRun). A path is taken from where pytest was started.

    The test fails if a claim is broken, and after that if its own assertions do. `set` holds changes, as `--set` takes them.
    """
    from harness.campaign import collected

    return collected.consistent(plan, runs, set or {})


def pytest_configure(config: pytest.Config) -> None:
    """The worlds that items of campaigns are marked with."""
    config.addinivalue_line("markers", "sim: an item of a campaign that runs in the simulator")
    config.addinivalue_line("markers", "hosts: needs hosts, local ones mostly, and so root")


def pytest_unconfigure() -> None:
    """Hosts that tests had made are taken down."""
    if hosted := sys.modules.get("harness.hosted"):
        hosted.take_down()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Local hosts of this pytest process: `cluster.run(plan)`, `cluster.inventory(count)`. The test is skipped if this user cannot make any."""
    from harness.campaign import judged

    return judged.cluster()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A TOML file with [[items]] is a campaign."""
    if file_path.suffix != ".toml":
        return None
    try:
        text = file_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if "[[items]]" not in text:
        return None
    from harness.campaign.collected import CampaignFile

    return CampaignFile.from_parent(parent, path=file_path)
