"""How the store is put on hosts: what all nodes of a run have to agree on."""

from __future__ import annotations

import importlib.util
import sys
import threading
import tomllib
from collections.abc import Iterator
from types import ModuleType

import pytest

NODES = [f"n{number}" for number in range(1, 17)]


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def fresh() -> ModuleType:
    """The module as a new process has it."""
    found = importlib.util.find_spec("workloads.kvstore_hosts")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_nodes_that_are_prepared_at_once_get_one_password(impatient: None) -> None:
    """A function that is cached may be called by two threads at once, and give each something else: in four of ten runs here."""
    for _ in range(10):
        hosts, barrier, given = fresh(), threading.Barrier(len(NODES)), set[str]()

        def prepare(node: str, hosts: ModuleType, barrier: threading.Barrier, given: set[str]) -> None:
            barrier.wait()
            text = hosts.node_toml(node, dict.fromkeys(NODES, "192.0.2.1"), {}, NODES)
            given.add(tomllib.loads(text)["password"])

        threads = [threading.Thread(target=prepare, args=(node, hosts, barrier, given)) for node in NODES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(given) == 1
