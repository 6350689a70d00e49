"""A simulated run that asks the real world for time, chance or a thread is stopped, and the place is named."""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.plan import load_plan
from harness.simulate import simulate_run
from harness.worlds.sim.guard import WATCHED, LeakError, guarded
from workloads.kvstore_sim import StoreNode

PLAN = replace(
    load_plan(Path(__file__).parents[2] / "examples" / "register.toml"), time_limit_s=1.0, faults=()
)
LEAKS: dict[str, Callable[[], Any]] = {
    "time.time": lambda: time.time(),
    "time.time_ns": lambda: time.time_ns(),
    "time.sleep": lambda: time.sleep(0),
    "random.random": lambda: random.random(),
    "random.choice": lambda: random.choice([1, 2]),
    "os.urandom": lambda: os.urandom(4),
    "uuid.uuid4": lambda: uuid.uuid4(),
    "threading.Thread.start": lambda: threading.Thread(target=print).start(),
}


@pytest.mark.parametrize("call", LEAKS)
def test_a_leak_is_named_with_its_place(call: str) -> None:
    with guarded(), pytest.raises(LeakError, match=rf"^test_guard.py, line \d+, calls {call}\(\)"):
        LEAKS[call]()


def test_everything_is_as_before_afterwards() -> None:
    before = [getattr(owner, name) for owner, name, _ in WATCHED]
    with pytest.raises(ZeroDivisionError), guarded():
        raise ZeroDivisionError
    assert [getattr(owner, name) for owner, name, _ in WATCHED] == before
    assert time.time() > 0


def test_other_threads_are_left_alone() -> None:
    asked, found = threading.Event(), []

    def other() -> None:
        asked.wait()
        found.append(time.time())

    thread = threading.Thread(target=other)
    thread.start()
    with guarded():
        asked.set()
        thread.join()
    assert found


def test_a_stream_that_was_handed_in_is_no_leak() -> None:
    with guarded():
        assert 0 <= random.Random(1).random() < 1


@pytest.mark.parametrize("call", ["time.time", "random.random", "uuid.uuid4"])
def test_a_node_that_leaks_ends_the_run(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = StoreNode.on_request

    def leaking(self: StoreNode, conn: int, request: int, command: Sequence[bytes]) -> None:
        LEAKS[call]()
        honest(self, conn, request, command)

    simulate_run(PLAN)  # the honest node does not
    monkeypatch.setattr(StoreNode, "on_request", leaking)
    with pytest.raises(LeakError, match=call):
        simulate_run(PLAN)
