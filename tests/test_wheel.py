"""The wheel that a user installs works away from the checkout; the sdist carries the Rust sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("cargo")]


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel and one sdist."""
    out = tmp_path_factory.mktemp("dist")
    run(
        sys.executable,
        "-m",
        "maturin",
        "build",
        "--quiet",
        "--release",
        "--sdist",
        "--out",
        str(out),
        cwd=ROOT,
    )
    return out


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own (its dependencies are those of this environment)."""
    target = tmp_path_factory.mktemp("installed")
    (wheel,) = built.glob("*.whl")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(target),
        str(wheel),
        cwd=target,
    )
    return target


def test_wheel_holds_packages_and_types_and_no_rust(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for package in ("kvstore", "harness", "checkers", "workloads"):
        assert f"{package}/py.typed" in names
    assert any(name.startswith("checkers/_core") for name in names)
    assert "harness/report/timeline.js" in names
    assert [name for name in names if name.endswith((".rs", ".pyc"))] == []
    assert "abi3" in wheel.name


def test_sdist_holds_the_rust_sources(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert any(name.endswith("checkers/core/src/lib.rs") for name in names)


def test_installed_command_checks_a_history(installed: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.jsonl"
    records = [
        {"index": 0, "time": 0, "process": 0, "type": "invoke", "f": "write", "key": "x", "value": 1},
        {"index": 1, "time": 1, "process": 0, "type": "ok", "f": "write", "key": "x", "value": 1},
        {"index": 2, "time": 2, "process": 1, "type": "invoke", "f": "read", "key": "x"},
        {"index": 3, "time": 3, "process": 1, "type": "ok", "f": "read", "key": "x", "value": None},
    ]
    history.write_text("".join(json.dumps(record) + "\n" for record in records))
    code = (
        "import sys, checkers, harness.cli\n"
        "print(checkers.__file__, file=sys.stderr)\n"
        f"sys.argv = ['quorate', 'check', {str(history)!r}, '--model', 'register', '--json']\n"
        "harness.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )
    assert str(installed) in done.stderr
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["verdict"], answer["anomaly"]) == (1, "invalid", "lost-write")


def test_installed_command_has_its_workloads_and_systems(installed: Path, tmp_path: Path) -> None:
    code = (
        "from harness.system import find_system; from harness.workload import find_workload\n"
        "print(find_system('kvstore').__module__, find_workload('register').__module__)"
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(installed)).split() == [
        "workloads.kvstore_system",
        "workloads.register",
    ]
