"""After a model in Python was judged under a deadline, the process is as before: functions may be traced, and nothing arrives late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JUDGE_AND_TRACE = """
import sys, time
from checkers.search import Budget, check_model
from tests.checkers.test_fuzz_search import Mirror, recorded
from tests.checkers.test_search import read, write

class Endless(Mirror):
    def step(self, state, call):
        while True:
            pass

class Stubborn(Mirror):
    def step(self, state, call):
        while time.monotonic() < BEGUN + 0.3:
            try:
                while time.monotonic() < BEGUN + 0.3:
                    pass
            except BaseException:
                pass
        return super().step(state, call)

BEGUN = time.monotonic()
model, deadline_ms = {model}("register"), {deadline_ms}
history = recorded([[write(1, 0, 1), read(1, 2, 3)]])
print(check_model(history, model, budget=Budget(deadline_ms=deadline_ms)).verdict.value)

def called():
    return "traced"

seen = []
sys.settrace(lambda frame, event, arg: seen.append(frame.f_code.co_name))
said = called()
sys.settrace(None)
print(said, "called" in seen)
"""


@pytest.mark.parametrize(
    ("model", "deadline_ms", "verdict"),
    [
        ("Mirror", 60_000, "valid"),
        ("Mirror", None, "valid"),
        ("Endless", 200, "unknown"),
        ("Stubborn", 100, "unknown"),
    ],
)
def test_functions_can_be_traced_after_a_model_was_judged(
    model: str, deadline_ms: int | None, verdict: str
) -> None:
    """CPython 3.11 never begins a traced function once an exception for a thread was announced and taken back: a debugger would hang."""
    script = JUDGE_AND_TRACE.replace("{model}", model).replace("{deadline_ms}", str(deadline_ms))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert (done.stdout.split(), done.stderr) == ([verdict, "traced", "True"], "")
