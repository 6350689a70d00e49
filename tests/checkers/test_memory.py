"""The memory budget is one of the process: a search takes at most a fifth more than it was given."""

import subprocess
import sys
from pathlib import Path

import pytest

BUDGET_MB, ALLOWED = 20.0, 1.2
STORM = """
import sys
from checkers import Budget, History
from checkers.search import check_model
from checkers.sequential import check_sequential
from checkers.specs import SPECS

model, count = sys.argv[1], int(sys.argv[2])
f, value = {
    "register": ("write", lambda n: n % 7), "sequential": ("write", lambda n: n % 3), "queue": ("enqueue", lambda n: n),
    "set": ("add", lambda n: n), "counter": ("add", lambda n: 1 << n % 40), "python": ("enqueue", lambda n: n),
}[model]
ask, answer = {
    "queue": ("dequeue", "-1"), "python": ("dequeue", "-1"), "set": ("contains", "[-1, true]"), "sequential": ("read", "0")
}.get(model, ("read", "-1"))


class Queue:
    def init(self):
        return SPECS["queue"][0]

    def step(self, state, call):
        return SPECS["queue"][1](state, call.f, call.value, call.result)


def record(process, f, kind, value, time):
    return f'{{"process":{process},"f":"{f}","key":0,"type":"{kind}","value":{value},"time":{time}}}\\n'


asked = -1 if model == "set" else "null"
if model == "sequential":
    each = [(s, 10 * (20 * s + n), n % 3) for s in range(8) for n in range(20)]
    each += [(9, 10 * (200 + n), "read") for n in range(190)]
    lines = []
    for n, (s, time, v) in enumerate(each):
        g, v = (ask, n % 2) if v == "read" else (f, v)
        lines += [record(s, g, "invoke", v if g == f else "null", time), record(s, g, "ok", v, time + 1)]
else:
    calls = [record(n, f, "invoke", value(n), 0) for n in range(count)] + [record(n, f, "ok", value(n), 1) for n in range(count)]
    lines = [*calls, record(count, ask, "invoke", asked, 2), record(count, ask, "ok", answer, 3)]
history = History.parse("".join(lines).encode())


def megabytes(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024 / 1e6


open("/proc/self/clear_refs", "w").write("5")
before = megabytes("VmRSS")
budget = Budget(memory_mb=float(sys.argv[3]), deadline_ms=None, threads=1)
if model == "sequential":
    result = check_sequential(history, "search", budget)
else:
    result = check_model(history, Queue() if model == "python" else model, rules=0, budget=budget)
assert "memory" in result.reason, result.reason
print(megabytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to reset the peak memory")
@pytest.mark.parametrize(
    ("model", "count"),
    [
        ("register", 60),
        ("register", 110),
        ("register", 150),
        ("queue", 60),
        ("set", 60),
        ("counter", 60),
        ("python", 60),
        ("sequential", 0),
    ],
)
def test_a_search_keeps_its_memory(model, count):
    command = [sys.executable, "-c", STORM, model, str(count), str(BUDGET_MB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grew = float(done.stdout)
    assert BUDGET_MB / 4 < grew <= BUDGET_MB * ALLOWED, f"{grew} MB"
