"""Ctrl-C, SIGTERM or a closed terminal while a matrix is read, or before its first run is over: status 2, a whole folder, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.cli.console import stoppable
from tests.polling import poll
from tests.sim.test_matrix import MATRIX, files

PATIENCE_S = 600.0
SIGNALS = pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda sent: sent.name)  # fmt: skip


def begun(matrix: Path, out: Path) -> subprocess.Popen[str]:
    """The command in a group of its own, as a terminal has it."""
    quorate = str(Path(sys.executable).parent / "quorate")
    return subprocess.Popen(
        [quorate, "matrix", str(matrix), "--jobs", "2", "--out", str(out), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip


def ended(command: subprocess.Popen[str], out: Path) -> int:
    """How many runs it had made when it was stopped."""
    told, errors = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, "Traceback" in errors) == (2, False), errors
    assert "stopped; the same command goes on after run" in errors
    answer = json.loads(told)
    made = (out / "runs.jsonl").read_bytes().count(b"\n") if (out / "runs.jsonl").exists() else 0
    assert (answer["runs"], answer["runs"] + answer["missing"], len(answer["cells"])) == (made, 12, 8)
    assert json.loads((out / "cells.json").read_text()) == answer["cells"]
    assert "<h1>" in (out / "matrix.html").read_text()
    return made


@pytest.mark.slow
@SIGNALS
def test_while_the_file_is_read(
    sent: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is a pipe: once it is open at both ends the command is reading, and it reads until we close it."""
    path, out = files(tmp_path), tmp_path / "out"
    path.unlink()
    os.mkfifo(path)
    command = begun(path, out)
    with path.open("w") as pipe:
        os.killpg(command.pid, sent)
        assert command.stderr is not None
        said = iter(command.stderr.readline, "")
        assert next(line for line in said if "stopping" in line) == "stopping: what is under way comes to its end first\n"  # fmt: skip
        pipe.write(MATRIX)
    assert ended(command, out) == 0
    path.unlink()
    files(tmp_path)
    assert status_of(["matrix", str(path), "--out", str(out), "--jobs", "2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["missing"] == 0


@pytest.mark.slow
@SIGNALS
def test_while_the_processes_are_being_made(sent: signal.Signals, tmp_path: Path) -> None:
    """They load their modules when the signal comes to the whole group, and say nothing of it."""
    path, out = files(tmp_path), tmp_path / "out"
    command = begun(path, out)
    poll((out / "runs.jsonl").exists, wait_s=PATIENCE_S)
    os.killpg(command.pid, sent)
    assert ended(command, out) < 12


def test_patience_is_kept_where_it_is_asked_for() -> None:
    before = signal.getsignal(signal.SIGTERM)
    reached = []
    with stoppable(patient=True) as stopping:
        signal.raise_signal(signal.SIGTERM)
        reached.append("noted")
        with pytest.raises(KeyboardInterrupt), stopping.at_once():
            reached.append("never")
        signal.raise_signal(signal.SIGINT)  # the second is only answered
        reached.append("still here")
    assert reached == ["noted", "still here"]
    with pytest.raises(KeyboardInterrupt), stoppable(patient=True) as stopping, stopping.at_once():
        signal.raise_signal(signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
