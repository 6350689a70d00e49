"""A compiled copy does what the sources do, to the byte, and is refused once they have changed."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.compiled import FACTS, digest, how, outdated, sources

pytestmark = pytest.mark.xdist_group("compiled")  # the copy is made once
ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, json, sys
from dataclasses import replace
from pathlib import Path
from harness.compiled import how
from harness.plan import load_plan
from harness.simulate import simulate_run

told = {}
for path in sorted(Path(sys.argv[1]).rglob("*.toml")):
    if path.name == "claims.toml" or path.parent.name in ("configurations", "ci", "long"):
        continue
    plan = load_plan(path)
    if plan.system != "kvstore":
        continue
    run = simulate_run(replace(plan, time_limit_s=min(plan.time_limit_s, 8.0)))
    parts = run.lines, run.fault_lines, json.dumps(sorted(run.logs.items())).encode()
    digests = [hashlib.sha256(part).hexdigest() for part in parts]
    told[path.stem] = {"trace": run.results["trace"], "verdict": run.verdict.value, "bytes": len(run.lines), "digests": digests}
import kvstore.node
print(json.dumps({"how": how(), "node": kvstore.node.__file__, "runs": told}))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy that `make compiled` makes."""
    if shutil.which("cc") is None or not Path(sysconfig.get_path("include"), "Python.h").exists():
        pytest.skip("needs a C compiler and Python.h: scripts/system-packages compile")
    folder = tmp_path_factory.mktemp("compiled") / "copy"
    subprocess.run([sys.executable, "scripts/compiled.py", str(folder)], cwd=ROOT, check=True)
    return folder


def told_by(place: Path) -> dict[str, Any]:
    """What the runs of all examples were, with the packages that are in that place."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(ROOT / "examples")], cwd=place, stdout=subprocess.PIPE, check=True,
        env={**os.environ, "PYTHONPATH": str(place)},
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.slow
def test_every_example_leaves_the_same_bytes(copy: Path) -> None:
    plain, compiled = told_by(ROOT), told_by(copy)
    assert plain["how"] == "interpreted"
    assert Path(plain["node"]) == ROOT / "kvstore" / "node.py"
    assert "modules compiled" in compiled["how"]
    assert Path(compiled["node"]).parent == copy / "kvstore"
    assert compiled["node"].endswith(".so")
    assert len(plain["runs"]) >= 30
    assert {run["verdict"] for run in plain["runs"].values()} >= {"valid", "invalid"}
    assert min(run["bytes"] for run in plain["runs"].values()) > 1000
    assert compiled["runs"] == plain["runs"]


@pytest.mark.slow
def test_the_command_of_a_copy_says_so_and_refuses_once_the_sources_are_others(copy: Path) -> None:
    command = [str(copy / "quorate"), "version", "--json"]
    fresh = subprocess.run(command, capture_output=True, text=True)
    assert (fresh.returncode, "modules compiled" in json.loads(fresh.stdout)["modules"]) == (0, True)
    kept = (copy / FACTS).read_text()
    (copy / FACTS).write_text(json.dumps({**json.loads(kept), "digest": "of another day"}))
    late = subprocess.run(command, capture_output=True, text=True)
    (copy / FACTS).write_text(kept)
    assert (late.returncode, json.loads(late.stdout)["status"]) == (255, 255)
    assert "make compiled" in late.stderr


@pytest.mark.slow
def test_workers_of_a_search_make_the_same_runs(copy: Path, tmp_path: Path) -> None:
    """They are processes of their own, which load the script that the copy is started by, and must not start it again."""
    records = []
    for place in (copy, Path(sys.executable).parent):
        out = tmp_path / place.name
        command = [str(place / "quorate"), "explore", "examples/eventual.toml", "--runs", "4", "--jobs", "2", "--out", str(out)]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        lines = (out / "explored.jsonl").read_text().splitlines()
        records.append([(each["number"], each["digest"]) for each in map(json.loads, lines)])
    assert len(records[0]) == 4
    assert records[0] == records[1]


@pytest.mark.slow
def test_hosts_get_the_sources_for_the_library_of_what_is_compiled_is_not_among_them(copy: Path) -> None:
    program = "import sys; from kvstore.bundle import build_bundle; sys.stdout.buffer.write(build_bundle())"
    made = subprocess.run([sys.executable, "-c", program], cwd=copy, env={**os.environ, "PYTHONPATH": str(copy)}, check=True, capture_output=True)  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        names = archive.getnames()
    assert "kvstore/node.py" in names
    assert any(name.startswith("msgspec/_core.") and name.endswith(".so") for name in names)
    assert [name for name in names if name.startswith("kvstore/") and name.endswith(".so")] == []


def made(tmp_path: Path, extension: str) -> tuple[Path, Path]:
    """(sources, copy) of a package of one module, without a compiler."""
    here, there = tmp_path / "here", tmp_path / "there"
    for root in (here, there):
        (root / "package" / "inner").mkdir(parents=True)
        (root / "package" / "inner" / "module.py").write_text("ONE = 1\n")
    (there / "package" / "inner" / f"module{extension}").touch()
    facts = {
        "modules": ["package.inner.module"], "packages": ["package"], "sources": str(here),
        "digest": digest(here, ["package"]), "marker": "package/inner/module",
    }  # fmt: skip
    (there / FACTS).write_text(json.dumps(facts))
    return here, there


def test_a_copy_is_outdated_by_any_change_of_its_sources_and_good_again_without_it(tmp_path: Path) -> None:
    here, there = made(tmp_path, ".abi3.so")
    module = here / "package" / "inner" / "module.py"
    assert outdated(there) == ""
    module.write_text("ONE = 2\n")
    assert f"{there} was compiled from other sources" in outdated(there)
    module.write_text("ONE = 1\n")
    assert outdated(there) == ""
    (here / "package" / "new.py").touch()
    assert outdated(there) != ""
    (here / "package" / "new.py").unlink()
    assert outdated(there) == ""
    module.rename(module.with_name("other.py"))
    assert outdated(there) != "", "the same bytes under another name are another module"


@pytest.mark.parametrize("name", ["page.html.j2", "inner/_core.abi3.so"])
def test_a_template_or_a_core_that_is_another_makes_it_outdated_and_what_python_caches_does_not(
    tmp_path: Path, name: str
) -> None:
    here, there = made(tmp_path, ".abi3.so")
    (here / "package" / "__pycache__").mkdir()
    (here / "package" / "__pycache__" / "module.pyc").touch()
    assert outdated(there) == ""
    (here / "package" / name).touch()
    assert outdated(there) != ""


def test_a_copy_whose_sources_are_gone_goes_on(tmp_path: Path) -> None:
    here, there = made(tmp_path, ".abi3.so")
    here.rename(tmp_path / "elsewhere")
    assert outdated(there) == ""


def test_what_runs_is_told(tmp_path: Path) -> None:
    here, there = made(tmp_path, ".abi3.so")
    assert how(there).startswith("1 modules compiled")
    assert (how(here), outdated(here)) == ("interpreted", "")
    assert (sources(there), sources(here)) == (here, here)


def test_a_copy_that_another_python_made_runs_its_sources_and_says_so(tmp_path: Path) -> None:
    _, there = made(tmp_path, ".cpython-27-x86_64-linux-gnu.so")
    assert how(there) == "interpreted"
