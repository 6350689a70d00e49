"""SIGINT, SIGTERM or SIGHUP while a command works: a sentence, an honest exit status, no trace, and files that are whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import load_plan
from tests.polling import poll
from tests.sim.from_file import shown_by

ROOT = Path(__file__).parent.parent.parent
QUORATE = str(Path(sys.executable).parent / "quorate")
PATIENCE_S = 900.0
SIGNALS = pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)  # fmt: skip
PLAN = """name = "stale"
workload = "register"
claims = ["linearizable"]
time_limit_s = 1
[system]
name = "kvstore"
mode = "eventual"
n = 3
r = 1
w = 1
[[faults]]
kind = "partition"
start_s = 0.2
every_s = 1
for_s = 0.5
"""


def begun(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command in a group of its own, as a terminal has it."""
    return subprocess.Popen(
        [QUORATE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def ended(command: subprocess.Popen[str], status: int) -> tuple[str, str]:
    told, errors = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, "Traceback" in errors) == (status, False), errors
    return told, errors


@pytest.mark.slow
@SIGNALS
def test_explore_goes_on_afterwards(
    sent: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, out = tmp_path / "plan.toml", tmp_path / "out"
    plan.write_text(PLAN)
    arguments = ("explore", plan, "--jobs", "1", "--out", out, "--json", "--runs")
    command = begun(*arguments, "100000")
    poll(lambda: any((out / "findings").glob("*")), wait_s=PATIENCE_S)
    os.killpg(command.pid, sent)
    told, errors = ended(command, 1)  # a claim was broken: that stands
    assert "stopped; the same command goes on after run" in errors
    answer = json.loads(told)
    records = [json.loads(line) for line in (out / "explored.jsonl").read_text().splitlines()]
    assert answer["runs"] == len(records) == sum(answer["outcomes"].values())
    broken = [record["number"] for record in records if record["broken"]]
    assert {f"{number}.toml" for number in broken} == {path.name for path in (out / "findings").iterdir()}
    assert all(load_plan(path) for path in (out / "findings").iterdir())
    (out / "findings" / f"{broken[0]}.toml").unlink()  # as if it had come between the record and its plan
    status_of([*map(str, arguments), str(len(records))])
    assert json.loads(capsys.readouterr().out)["runs"] == len(records)
    finding = out / "findings" / f"{broken[0]}.toml"
    assert load_plan(finding).name == f"stale-{broken[0]}"
    assert [f"{target.claim}: {target.anomaly}" for target in shown_by(finding)] == records[broken[0]][
        "broken"
    ]


@pytest.mark.slow
def test_explore_that_made_no_run_is_unknown(tmp_path: Path) -> None:
    """The plan is a pipe: once it is open at both ends the command is reading, and it reads until we close it."""
    os.mkfifo(tmp_path / "plan.toml")
    command = begun("explore", tmp_path / "plan.toml", "--out", tmp_path / "out", "--json")
    with (tmp_path / "plan.toml").open("w") as pipe:
        os.killpg(command.pid, signal.SIGTERM)
        assert command.stderr is not None
        assert next(line for line in iter(command.stderr.readline, "") if "stopping" in line)
        pipe.write(PLAN)
    told, _ = ended(command, 2)
    assert json.loads(told)["runs"] == 0
    assert json.loads((tmp_path / "out" / "exploration.json").read_text())["strategy"] == "seeds"


@pytest.mark.slow
def test_shrink_keeps_the_smallest_so_far(tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    command = begun("shrink", tmp_path / "plan.toml", "--budget", "10h", "--out", tmp_path / "small")
    assert command.stderr is not None
    assert next(line for line in iter(command.stderr.readline, "") if line.startswith("shrinking"))
    os.killpg(command.pid, signal.SIGTERM)
    told, _ = ended(command, 1)
    assert load_plan(tmp_path / "small" / "plan.toml").script
    story = (tmp_path / "small" / "story.md").read_text()
    assert [target.claim for target in shown_by(tmp_path / "small" / "plan.toml")] == ["linearizable"]
    assert "linearizable" in story
    assert " ".join(story.split()) in " ".join(told.split())


@pytest.mark.slow
@SIGNALS
def test_check_says_what_stopped_it(sent: signal.Signals, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.jsonl")
    command = begun("check", tmp_path / "history.jsonl", "--json")
    with (tmp_path / "history.jsonl").open("w"):
        os.killpg(command.pid, sent)
        told, errors = ended(command, 255)
    by = "Ctrl-C" if sent is signal.SIGINT else sent.name
    assert json.loads(told) == {"error": errors.splitlines()[-1].removeprefix("error: "), "status": 255}
    assert f"stopped by {by}" in told


@pytest.mark.slow
@SIGNALS
def test_serve_ends(sent: signal.Signals, tmp_path: Path) -> None:
    command = begun("serve", tmp_path, "--port", "0")
    assert command.stdout is not None
    assert command.stdout.readline().startswith("http://127.0.0.1:")
    os.killpg(command.pid, sent)
    ended(command, 0)
