"""Fixtures: hosts made of namespaces, a world on them. Names are unique to each test worker and process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from harness.provision import down, netns, up
from harness.provision.inventory import Inventory
from harness.provision.local import SYSTEM_PATH


def why_not() -> str | None:
    """The reason why local hosts cannot be made here, None if they can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in netns.TOOLS if shutil.which(tool, path=SYSTEM_PATH) is None]
    return f"needs {', '.join(missing)}: scripts/system-packages hosts" if missing else None


def needs_hosts(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if reason and item.get_closest_marker("hosts"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    needs_hosts(items)


def unique(name: str) -> str:
    """A cluster name that no other worker or run uses."""
    return f"t-{name}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}"


@pytest.fixture(scope="session")
def five() -> Iterator[Inventory]:
    """Five hosts for tests that leave them as they found them; of another kind with QUORATE_KIND (`make kinds`). Of emulated machines three are enough."""
    name, kind = unique("five"), os.environ.get("QUORATE_KIND", "netns")
    try:
        yield up(kind, name, 3 if kind == "qemu" else 5)
    finally:
        down(name)
