"""How the tests of a session are shared out, and that what they start hears Ctrl-C.

    the larger half     hosts, hosts, hosts, …  ──► whatever is left      hosts wait as much as they compute: for leases, elections, the end of a plan
    the others          the long ones, then those under a second  ──► hosts, if any are left

So the processors have work while hosts are waited for, and at the end nobody waits for one long test.

Examples that Hypothesis generates have no limit on time: on a busy machine a slow one is no failure, and no mutant is killed by it.
"""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadGroupScheduling

HOSTS = "tests/hosts/"

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """A shell's background jobs ignore SIGINT, those of nohup SIGHUP, and so would all that they start. A handler that does nothing is not passed on."""
    for each in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, lambda number, frame: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


class Shared(LoadGroupScheduling):
    """Groups as `--dist loadgroup` has them; hosts are for two workers of three, or one of two, as long as there is something else for the others."""

    def _assign_work_unit(self, node: Any) -> None:
        workers = list(self.assigned_work)
        prefers_hosts = 2 * workers.index(node) < len(workers)
        for group, tests in self.workqueue.items():
            if next(iter(tests)).startswith(HOSTS) == prefers_hosts:
                self.workqueue.move_to_end(group, last=False)
                break
        super()._assign_work_unit(node)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Shared | None:
    return Shared(config, log) if config.getvalue("dist") == "loadgroup" else None
