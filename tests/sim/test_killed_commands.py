"""A command that is killed with SIGKILL at any moment leaves nothing half written under its name; the same command makes the whole of it.

Campaigns are in `test_campaign.py`. `QUORATE_KILLS=20` kills each command so often.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import small_plans

from checkers.jsonl import encode_op
from checkers.op import Op, Type
from harness.search.finding import Target
from tests.killing import killed
from tests.sim.from_file import shown_by

KILLS: Final = int(os.environ.get("QUORATE_KILLS", "2"))
QUORATE: Final = str(Path(sys.executable).parent / "quorate")
MATRIX: Final = (
    'name = "m"\nplan = "plan.toml"\nseeds = 2\n[axes]\n"system.r" = [1, 2]\n[environments.calm]\n'
)
COMMANDS: Final = {
    "run": ["run", "plan.toml", "--out", "out"],
    "check": ["check", "history.jsonl", "--report", "out/page.html", "--explain"],
    "explore": ["explore", "plan.toml", "--runs", "6", "--out", "out", "--jobs", "2"],
    "matrix": ["matrix", "matrix.toml", "--out", "out", "--jobs", "2"],
    "attribute": ["attribute", "run", "--seeds", "5", "--jobs", "2"],
    "shrink": ["shrink", "plan.toml", "--budget", "2s", "--out", "out"],
}
MEASURED: Final = (
    "seconds",
    "cpu_s",
    "past_s",
    "runs_now",
    "folder",
    "runs",
)  # not the same twice; `runs` of a shrink
WHOLE: Final[dict[str, Callable[[str], Any]]] = {".json": json.loads, ".toml": tomllib.loads}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment(name: str, tmp_path: Path) -> None:
    rng, first = random.Random(name), prepared(tmp_path / "whole")
    made = first / "run" if name == "attribute" else None
    if made is not None:
        subprocess.run([QUORATE, "run", "plan.toml", "--out", "made"], cwd=first, capture_output=True, check=False)  # fmt: skip
        shutil.copytree((first / "made" / "base" / "latest").resolve(), made)
    begun = time.monotonic()
    status, answer = ended(name, first)
    took_s, killed = time.monotonic() - begun, 0
    assert status in (0, 1), answer
    for number in range(KILLS):
        folder = prepared(tmp_path / str(number), made)
        killed += kill(name, folder, rng.uniform(0.1, 0.7 * took_s))
        left = sorted(path.name for path in folder.rglob("*") if path.is_file() and not is_whole(path))
        assert left == []
        assert ended(name, folder) == (status, answer)
    print(f"{name}: killed {killed} of {KILLS} times within {took_s:.1f} s")


def prepared(folder: Path, made: Path | None = None) -> Path:
    """A folder with what the commands read, a run that was made among it."""
    (folder / "out").mkdir(parents=True)
    (folder / "plan.toml").write_text(small_plans.stale("linearizable"))
    (folder / "matrix.toml").write_text(MATRIX)
    calls = (Op(-1, -1, 0, kind, "write", key, number) for number in range(20_000) for key in [number % 7] for kind in (Type.INVOKE, Type.OK))  # fmt: skip
    reads = (Op(-1, -1, 1, kind, "read", 3, 3) for kind in (Type.INVOKE, Type.OK))
    (folder / "history.jsonl").write_bytes(b"".join(map(encode_op, [*calls, *reads])))
    if made is not None:
        shutil.copytree(made, folder / "run", ignore=shutil.ignore_patterns("attribution.json"))
    return folder


def kill(name: str, folder: Path, later_s: float) -> bool:
    """Start it and kill all of it so much later; False if it had ended."""
    process = subprocess.Popen([QUORATE, *COMMANDS[name]], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
    return killed(process, later_s)


def is_whole(path: Path) -> bool:
    """Can it be read to its end? Hidden files are nobody's yet."""
    if path.name.startswith("."):
        return True
    text = path.read_text()
    try:
        WHOLE.get(path.suffix, str)(text)
    except ValueError:
        return False
    return path.suffix != ".html" or text.rstrip().endswith("</html>")


def ended(name: str, folder: Path) -> tuple[int, Any]:
    """The exit status, and what is printed but for what is measured; of a shrink the size, which has no number in its sentence."""
    done = subprocess.run([QUORATE, *COMMANDS[name], "--json"], cwd=folder, capture_output=True, check=False, timeout=1800)  # fmt: skip
    assert b"quorate itself" not in done.stderr, done.stderr
    said = {key: value for key, value in json.loads(done.stdout).items() if key not in MEASURED}
    if name == "shrink":
        said = {key: said[key] for key in ("claim", "anomaly")}
        assert Target(**said) in shown_by(folder / "out" / "plan.toml")
    if name == "run":
        said = {"outcome": said["outcome"], "trace": said["trace"]}
    return done.returncode, said
