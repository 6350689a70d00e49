"""The exit status is the verdict's, whoever reads the output, and nobody sees a trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALL = '{"time":0,"process":0,"type":"invoke","f":"read","value":null}\n'
GOOD = CALL + '{"time":1,"process":0,"type":"ok","f":"read","value":null}\n'
BAD = CALL + '{"time":1,"process":0,"type":"ok","f":"read","value":"…"}\n'
QUORATE = [sys.executable, "-c", "from harness.cli import main; main()", "check"]
CHECKERS = [sys.executable, "-m", "checkers"]


def ended(command: list[str], shell: str, folder: Path, **environment: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of the command with what the shell does to its streams."""
    done = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {shell}', "bash", *command],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, check=False, timeout=600,
    )  # fmt: skip
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return done.returncode, done.stdout.decode("utf-8", "replace"), said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good").write_text(GOOD)
    (tmp_path / "bad").write_text(BAD)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", [QUORATE, [*QUORATE, "--json"], CHECKERS, [*CHECKERS, "--json"]])
@pytest.mark.parametrize("shell", ["| true", "2>&1 | true", ">&-", "2>&-"])
def test_a_reader_who_leaves_changes_no_verdict(command: list[str], shell: str, folder: Path) -> None:
    for name, status in (("good", 0), ("bad", 1)):
        assert ended([*command, name], shell, folder)[0] == status


@pytest.mark.parametrize("command", [QUORATE, [*CHECKERS, "--json"]])
def test_a_full_disk_is_no_verdict(command: list[str], folder: Path) -> None:
    status, _, said = ended([*command, "good"], "> /dev/full", folder)
    assert status == 255
    assert "No space left on device" in said


@pytest.mark.parametrize("command", [QUORATE, CHECKERS])
def test_a_letter_that_the_terminal_lacks_is_written_otherwise(command: list[str], folder: Path) -> None:
    status, shown, _ = ended([*command, "bad"], "", folder, PYTHONIOENCODING="ascii")
    assert status == 1
    assert "\\u2026" in shown


@pytest.mark.parametrize("command", [QUORATE, CHECKERS])
@pytest.mark.parametrize("limit", ["--timeout=inf", "--timeout=1e300", "--memory=inf"])
def test_a_limit_without_end_is_refused(command: list[str], limit: str, folder: Path) -> None:
    status, _, said = ended([*command, limit, "good"], "", folder)
    assert status == 254
    assert "is no limit" in said


def test_a_name_that_is_no_text_is_shown(folder: Path) -> None:
    name = os.fsdecode(b"\xff.jsonl")
    (folder / name).write_text(GOOD)
    for command in (QUORATE, CHECKERS):
        status, shown, _ = ended([*command, "--json", name], "", folder)
        assert status == 0
        assert '"\\udcff.jsonl"' in shown
