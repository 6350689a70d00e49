"""What README, docs and examples show is run: a page that has gone stale fails here."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from harness.search.finding import broken_in
from tests.sim.from_file import shown_by

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
EXPECTED = {
    "register": 0, "siblings": 0, "crdt-set": 0, "crdt-counter": 0, "session": 0, "cas": 0, "counter": 0, "bad_network": 0, "pressure": 0, "regions": 0,
    "eventual": 1, "monotonic_skewed": 1, "quorum": 1, "sloppy": 1, "power_cut": 1, "lying_disk": 1,
}  # fmt: skip  # exit status in the simulator
NOT_RUN_HERE = re.compile(
    r"make |quorate hosts|--world hosts|quorate node|quorate cluster status|redis-cli|quorate demo|^vagrant |^docker-compose |^\. |sudo |^scripts/"
    r"|pip install|export KNOSSOS|--engine knossos|QUORATE_KNOSSOS"
    r"|^ray |--ray "  # tests/sim/test_ray_pool.py
)
SEED = {"quorum": "2"}  # the violation takes luck, as its head says

pytestmark = pytest.mark.slow


def commands(page: Path) -> list[str]:
    """The commands of a page's console blocks, without their comments."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL)
    lines = (line for block in blocks for line in block.splitlines() if line.startswith("$ "))
    return [line[2:].split("  #")[0].strip() for line in lines]


def quorate(arguments: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command line as it was installed beside this Python."""
    command = [str(Path(sys.executable).parent / "quorate"), *arguments]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"}
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a reader might stand: the examples are there, and a history to judge. Of the smoke campaign each item runs once; `make test` makes all its runs."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "campaigns").mkdir()
    short = re.sub(
        r"^runs = \d+$", "runs = 1", (ROOT / "campaigns/smoke.toml").read_text(), flags=re.MULTILINE
    )
    (folder / "campaigns" / "smoke.toml").write_text(short)
    done = quorate(["run", "examples/register.toml", "--time-limit", "6", "--out", "runs"], folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "history.jsonl").symlink_to(folder / "runs/register/latest/history.jsonl")
    return folder


def runnable(page: Path) -> list[str]:
    """The commands of a page that can be run here."""
    return [command for command in commands(page) if not NOT_RUN_HERE.search(command)]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_commands_of_the_pages(page: Path, place: Path) -> None:
    """In their order: a later one may use what an earlier one made."""
    for command in runnable(page):
        name, *arguments = shlex.split(command)
        assert name == "quorate", f"{page.name} shows {command!r}; run it here, or say above why not"
        done = quorate(arguments, place)
        assert done.returncode in (0, 1), f"{command}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, command


@pytest.mark.parametrize(
    ("page", "least", "says"),
    [
        ("python.md", 6, "13.0 ms before the read began"),
        ("search.md", 1, "'state': 'running'"),
        ("simulate-your-own.md", 2, "['valid', 'valid', 'valid']"),
    ],
)
def test_python_of_the_page_runs(page: str, least: int, says: str, tmp_path: Path) -> None:
    """All blocks as one program: a later one may use what an earlier one made."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert len(blocks) >= least
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


def test_the_pages_show_commands() -> None:
    assert sum(len(commands(page)) for page in PAGES) >= 10


def test_every_plan_has_an_expectation() -> None:
    assert sorted(EXPECTED) == sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_plans_end_as_they_say(name: str, tmp_path: Path) -> None:
    seed = ["--seed", SEED[name]] if name in SEED else []
    plan = str(ROOT / "examples" / f"{name}.toml")
    done = quorate(["run", plan, "--out", str(tmp_path), *seed], tmp_path)
    assert done.returncode == EXPECTED[name], done.stdout + done.stderr
    if EXPECTED[name]:
        (folder,) = tmp_path.glob("*/latest")
        claims = json.loads((folder / "results.json").read_text())
        assert shown_by(folder) == broken_in(claims) != []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_programs_run(path: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "read #4 of key 'x' by process 1 returned 1 although write 2" in done.stdout


def test_readme_shows_the_demo_as_it_is(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "quorate"), "demo", "--out", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "COLUMNS": "100"}
    )
    assert done.returncode == 0, done.stderr
    shown = "\n".join(line.rstrip() for line in done.stdout.rstrip().splitlines())
    (block,) = re.findall(r"```text\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block == shown
