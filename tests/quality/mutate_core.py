"""Are the tests of the Rust core strict? Each comparison, minimum and clause in it is turned, one at a time; the tests must notice every time.

    python tests/quality/mutate_core.py                      all, some minutes
    python tests/quality/mutate_core.py --only special/      the files whose name begins so

Works in a temporary copy. `mutants/` (a Rust program) puts all mutants into one build, so that each costs a run and no compilation: building the core for
every one, as cargo-mutants does, would take a day. First the fuzz in Rust looks at each mutant, then the tests in Python at those that it let live.
`equivalent.txt` has those that no test can notice, each with the reason. Exit status 1 if any other survives, or if there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from equivalents import equivalents

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CORE = ROOT / "checkers" / "core"
FILES = (
    "special",
    "exact",
    "search",
    "regular.rs",
    "register.rs",
    "zones",
    "gamma.rs",
    "models",
    "judge.rs",
    "sessions.rs",
    "causal",
    "guarantees",
    "digraph.rs",
)
TESTS = (  # the quick ones first: the first that fails is enough
    "test_unchanged.py",
    "test_traps.py",
    "test_exact_traps.py",
    "test_cores.py",
    "test_safe_ties.py",
    "test_session_traps.py",
    "test_fuzz_shifts.py",
    "test_shrink.py",
    "test_validate.py",
    "test_sequential.py",
    "test_fuzz_exact.py",
    "test_fuzz_special.py",
    "test_fuzz_sessions.py",
    "test_fuzz_zones.py",
    "test_corpus.py",
    "test_linearizable.py",
    "test_threads.py",
    "test_laws.py",
    "test_fuzz_search.py",
    "test_search.py",
)
NOT_NEEDED = (
    "not three_operations and not many_operations"  # slow, and the fuzz in Rust has such histories as well
)
MEMORY_BYTES = 4 << 30
NOBODY = 10**9  # a number that no mutant has: what lives must live with it too


@dataclass(frozen=True, slots=True)
class Mutant:
    """One turned place. `name` does not change when lines move: file, source line, what is turned, which one of the line."""

    number: int
    place: str
    name: str


def rewrite(tool: Path, source: Path, only: str) -> list[Mutant]:
    """Put the mutants into the copy's files."""
    found: list[Mutant] = []
    for path in sorted(source.rglob("*.rs")):
        name = path.relative_to(source).as_posix()
        part = name.split("/")[0].removesuffix(".rs")
        if part not in {file.removesuffix(".rs") for file in FILES} or not name.startswith(only):
            continue
        lines = path.read_text().splitlines()
        command = [str(tool), str(len(found)), str(path)]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seen: dict[str, int] = {}
        for row in listed.splitlines():
            number, line, column, what = row.split("\t")
            key = f"{name}: {lines[int(line) - 1].strip()} | {what}"
            seen[key] = seen.get(key, 0) + 1
            count = f" #{seen[key]}" if seen[key] > 1 else ""
            found.append(Mutant(int(number), f"{name}:{line}:{column}", key + count))
    return found


def limits() -> None:
    """A mutant may eat memory. A shell's background jobs ignore Ctrl-C, which some tests send."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def run(command: list[str], mutant: int, timeout: float, place: Path = ROOT, **more: str) -> bool:
    """Does the command succeed in time? `place`: where it runs; Python imports what is there before anything else."""
    env = os.environ | {"RUST_BACKTRACE": "0", "QUORATE_MUTANT": str(mutant), **more}
    try:
        done = subprocess.run(
            command, env=env, cwd=place, capture_output=True, timeout=timeout, check=False, preexec_fn=limits
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def build_tests(core: Path, target: Path) -> Path:
    """The copy's test program."""
    command = [
        "cargo",
        "test",
        "--no-run",
        "--no-default-features",
        "--lib",
        "--message-format=json-render-diagnostics",
    ]
    env = os.environ | {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": "-Awarnings"}
    done = subprocess.run(command, cwd=core, env=env, stdout=subprocess.PIPE, text=True, check=True)
    programs = [json.loads(line).get("executable") for line in done.stdout.splitlines()]
    return Path(next(program for program in programs if program))


def build_module(copy: Path, target: Path) -> None:
    """The copy's Python module."""
    command = ["cargo", "build", "--quiet", "--release", "--features", "pyo3/extension-module"]
    env = os.environ | {"CARGO_TARGET_DIR": str(target), "RUSTFLAGS": "-Awarnings"}
    subprocess.run(command, cwd=copy / "checkers" / "core", env=env, check=True)
    shutil.copy(target / "release" / "lib_core.so", copy / "checkers" / "_core.abi3.so")


def copied(copy: Path) -> Path:
    """A copy of what the tests need; returns its crate."""
    ignore = shutil.ignore_patterns("target", "__pycache__", "*.so")
    shutil.copytree(ROOT / "checkers", copy / "checkers", ignore=ignore)
    for part in ("checkers", "histories"):
        shutil.copytree(ROOT / "tests" / part, copy / "tests" / part, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", copy)
    core = copy / "checkers" / "core"
    shutil.copy(HERE / "mutants" / "mutant.rs", core / "src")
    binding = core / "src" / "lib.rs"
    binding.write_text(binding.read_text().replace("mod models;", "mod models;\nmod mutant;", 1))
    return core


def python_tests(copy: Path) -> list[str]:
    """The command that runs the tests in Python on the copy."""
    tests = [str(copy / "tests" / "checkers" / name) for name in TESTS]
    options = [
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
        "--rootdir",
        str(copy),
        "-k",
        NOT_NEEDED,
    ]
    return [sys.executable, "-m", "pytest", *options, *tests]


def judge(
    mutants: list[Mutant], command: list[str], seconds: float, what: str, place: Path = ROOT, **more: str
) -> list[Mutant]:
    """Those that the command does not notice."""
    begun, survivors = time.monotonic(), []
    for done, mutant in enumerate(mutants, 1):
        if run(command, mutant.number, seconds, place, **more):
            survivors.append(mutant)
            print(f"  {what} lets live {mutant.place}  {mutant.name}", flush=True)
        if done % 100 == 0:
            print(f"  {done} of {len(mutants)}, {time.monotonic() - begun:.0f} s", flush=True)
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="the beginning of a file's name, such as special/")
    parser.add_argument("--fuzz", default="30000", help="histories that each mutant must pass")
    parser.add_argument(
        "--rust-only", action="store_true", help="do not show survivors to the tests in Python"
    )
    parser.add_argument(
        "--left",
        type=Path,
        help="what an earlier run printed: look only at what its last judge let live, in Python",
    )
    chosen = parser.parse_args()
    target = CORE / "target" / "mutants"
    subprocess.run(["cargo", "build", "--quiet"], cwd=HERE / "mutants", check=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        core = copied(copy)
        mutants = rewrite(HERE / "mutants" / "target" / "debug" / "mutants", core / "src", chosen.only)
        program = [str(build_tests(core, target)), "fuzz"]
        known = equivalents()
        left = [mutant for mutant in mutants if mutant.name not in known]
        print(f"{len(mutants)} mutants, {len(left)} to be noticed", flush=True)
        if chosen.left is not None:
            told = [
                line.split("  ", 2)[2]
                for line in chosen.left.read_text().splitlines()
                if f"the fuzz of {chosen.fuzz} lets live" in line
            ]
            left = [mutant for mutant in left if mutant.name in told]
            print(f"{len(left)} of them were left", flush=True)
        for command, size in (
            ()
            if chosen.left is not None
            else (([*program, "--skip", "small"], "6000"), (program, chosen.fuzz))
        ):
            begun = time.monotonic()
            if not run(command, NOBODY, 600, QUORATE_FUZZ=size):
                print("the unchanged core does not pass its tests; mend that first")
                return 1
            seconds = 5 + 5 * (time.monotonic() - begun)
            left = judge(left, command, seconds, f"the fuzz of {size}", QUORATE_FUZZ=size)
        if left and not chosen.rust_only:
            build_module(copy, target)
            more = {"PYTHONPATH": str(copy), "QUORATE_FUZZ": "5000", "PYTHONDONTWRITEBYTECODE": "1"}
            if not run(python_tests(copy), NOBODY, 600, copy, **more):
                print("the unchanged core does not pass the tests in Python; mend that first")
                return 1
            left = judge(left, python_tests(copy), 90, "everything", copy, **more)
    names = {mutant.name for mutant in mutants}
    gone = [name for name in known if not name.startswith("checkers/") and name not in names]
    count = len(mutants) - len(left) - sum(mutant.name in known for mutant in mutants)
    print(f"{len(mutants)} mutants: {count} killed, {len(left)} survived, the rest are equivalent")
    for name in gone if not chosen.only else []:
        print(f"equivalent.txt names what is not there: {name}")
    return 1 if left or not mutants or (gone and not chosen.only) else 0


if __name__ == "__main__":
    sys.exit(main())
