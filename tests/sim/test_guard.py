"""A simulated run that asks the real world for time, chance or a thread is stopped, and the place is named."""

from __future__ import annotations

import datetime as library
import os
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from random import gauss as drawn
from time import time_ns as clock
from typing import Any

import pytest

from harness.cli import status_of
from harness.plan import dump_plan, load_plan
from harness.simulate import simulate_run
from harness.worlds.sim.guard import WATCHED, LeakError, guarded
from workloads.kvstore_sim import StoreNode

drawing = random.Random(1)
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
    "time.monotonic": lambda: time.monotonic(),
    "time.perf_counter_ns": lambda: time.perf_counter_ns(),
    "random.seed": lambda: random.seed(1),
    "random.Random": lambda: random.Random(),
    "random.SystemRandom.getrandbits": lambda: random.SystemRandom().getrandbits(3),
    "subprocess.Popen.__init__": lambda: subprocess.Popen(["true"]),
    "socket.socket.__init__": lambda: socket.socket(),
    "builtins.id": lambda: id(PLAN),
    "builtins.hash": lambda: hash("a"),
    "datetime.datetime.now": lambda: library.datetime.now(),
    "datetime.datetime.utcnow": lambda: datetime.utcnow(),
    "datetime.date.today": lambda: date.today(),
    "time.process_time": lambda: time.process_time(),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
    "time.gmtime": lambda: time.gmtime(),
    "time.localtime": lambda: time.localtime(None),
    "time.ctime": lambda: time.ctime(),
    "time.asctime": lambda: time.asctime(),
    "time.strftime": lambda: time.strftime("%H"),
    "random.paretovariate": lambda: random.paretovariate(1.0),
    "random.vonmisesvariate": lambda: random.vonmisesvariate(0.0, 1.0),
    "random.Random of None": lambda: random.Random(None),
    "random.Random.seed": lambda: drawing.seed(),
    "time.time_ns under another name": lambda: clock(),
    "random.gauss under another name": lambda: drawn(0, 1),
}


@pytest.mark.parametrize("call", LEAKS)
def test_a_leak_is_named_with_its_place(call: str) -> None:
    with guarded(), pytest.raises(LeakError, match=rf"^test_guard.py, line \d+, calls {call.split()[0]}\(\)"):
        LEAKS[call]()


def test_everything_is_as_before_afterwards() -> None:
    before = [getattr(owner, name) for owner, name, _ in WATCHED]
    with pytest.raises(ZeroDivisionError), guarded():
        raise ZeroDivisionError
    assert [getattr(owner, name) for owner, name, _ in WATCHED] == before
    assert time.time() > 0
    assert clock() > 0
    assert datetime is library.datetime
    assert "id" not in globals()


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


def test_what_secrets_give_is_chance_too() -> None:
    for ask in (secrets.token_hex, lambda: secrets.choice("ab"), lambda: secrets.randbelow(7)):
        with guarded(), pytest.raises(LeakError, match=r"calls random.SystemRandom.\w+\(\)"):
            ask()


def test_what_is_the_same_in_each_process_is_no_leak(tmp_path: Path) -> None:
    class Named:
        def __hash__(self) -> int:
            return hash(("a", 1))

    with guarded():
        assert {Named(): hash(7)}
        assert datetime(2026, 1, 2) == library.datetime(2026, 1, 2)
        assert isinstance(datetime(2026, 1, 2), datetime)
        assert type(datetime.fromisoformat("2026-01-02")).__module__ == "datetime"
        assert issubclass(datetime, date)
        open(__file__).close()


def test_a_stream_that_was_handed_in_is_no_leak() -> None:
    with guarded():
        assert 0 <= random.Random(1).random() < 1
        drawing.seed(7)
        assert time.gmtime(0).tm_year == 1970
        assert time.strftime("%Y", time.gmtime(0)) == "1970"


WORKLOAD = """
import asyncio, dataclasses, random, time
from harness.workload import find_workload

def workload(options):
    register = find_workload("register")(options)

    class Leaking:
        errors = {RuntimeError: None}

        def __init__(self, channel):
            IN_INIT
            self.client = register.client(channel)

        async def invoke(self, op):
            IN_INVOKE
            return await self.client.invoke(op)

        async def close(self):
            await self.client.close()

    return dataclasses.replace(register, client=Leaking)
"""


@pytest.mark.parametrize(
    ("place", "call", "said"),
    [
        ("IN_INIT", "random.random()", "load.py, line 12, calls random.random() in a simulated run"),
        ("IN_INVOKE", "time.time()", "load.py, line 16, calls time.time() in a simulated run"),
        ("IN_INVOKE", "await asyncio.to_thread(print)", "run_in_executor reaches outside the simulator"),
        ("IN_INVOKE", "return None", "the client answered 'write' of process"),
        ("IN_INVOKE", "return op.fail(5)", "with the error 5, which is no text"),
    ],
)
def test_a_client_that_does_what_it_must_not_ends_the_run_and_is_no_crash_of_ours(
    place: str, call: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = WORKLOAD.replace(place, call).replace("IN_INIT", "pass").replace("IN_INVOKE", "pass")
    (tmp_path / "load.py").write_text(source)
    text = dump_plan(PLAN).replace('workload = "register"', 'workload = "load.py:workload"')
    (tmp_path / "plan.toml").write_text(text)
    assert status_of(["run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs")]) == 255
    err = " ".join(capsys.readouterr().err.split())
    assert said in err
    assert "quorate itself failed" not in err


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
