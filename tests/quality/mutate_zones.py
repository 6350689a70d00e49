"""Are the tests of the zone checker strict? Each comparison in it is turned, one at a time; the tests must notice every time.

    python tests/quality/mutate_zones.py                 all, some minutes
    python tests/quality/mutate_zones.py --only zones.rs:330

Works in a temporary copy. `<` and `<=`, `>` and `>=`, `==` and `!=` are exchanged. There are no exceptions: a comparison that may be turned without
harm is written in another way. Exit status 1 if a mutant survives, or does not compile, or if there is none.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = ("zones.rs", "zones/cores.rs", "regular.rs", "register.rs")
COMPARISON = re.compile(r" (<=|>=|<|>|==|!=) ")
TURNED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
TESTS = (
    "test_cores.py",
    "test_traps.py",
    "test_corpus.py",
    "test_validate.py",
    "test_fuzz_zones.py",
    "test_fuzz_special.py",
    "test_fuzz_shifts.py",
    "test_safe_ties.py",
    "test_laws.py",
)


def mutants(name: str, text: str) -> Iterator[tuple[str, str, str, str]]:
    """(place, source line, operator, mutated text) for each comparison outside comments and tests."""
    lines = text.split("#[cfg(test)]")[0].splitlines()
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        for found in COMPARISON.finditer(code):
            turned = code[: found.start(1)] + TURNED[found[1]] + code[found.end(1) :]
            mutated = [*lines[: number - 1], turned, *lines[number:]]
            yield f"{name}:{number}:{found.start(1)}", line.strip(), found[1], "\n".join(mutated) + "\n"


def build(copy: Path) -> bool:
    """Build the copy's core. False if it does not compile."""
    core = copy / "checkers" / "core"
    command = ["cargo", "build", "--quiet", "--offline", "--features", "pyo3/extension-module"]
    if subprocess.run(command, cwd=core, stderr=subprocess.DEVNULL, check=False).returncode:
        return False
    shutil.copy(core / "target" / "debug" / "lib_core.so", copy / "checkers" / "_core.abi3.so")
    return True


def notices(copy: Path) -> bool:
    """Do the tests fail, or not end?"""
    tests = [f"tests/checkers/{name}" for name in TESTS]
    options = ["-q", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    command = [sys.executable, "-m", "pytest", *options, *tests]
    env = os.environ | {"PYTHONPATH": str(copy), "QUORATE_FUZZ": "2000", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="the beginning of a mutant's place, such as zones.rs:330")
    only = parser.parse_args().only
    killed, survived = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(
            ROOT / "checkers", copy / "checkers", ignore=shutil.ignore_patterns("target", "__pycache__")
        )
        for part in ("checkers", "histories"):
            shutil.copytree(ROOT / "tests" / part, copy / "tests" / part)
        shutil.copy(ROOT / "pyproject.toml", copy)
        if not build(copy) or notices(copy):
            print("the unchanged checker does not pass its tests; mend that first")
            return 1
        for name in FILES:
            source = copy / "checkers" / "core" / "src" / name
            text = source.read_text()
            for place, line, operator, mutated in mutants(name, text):
                if not place.startswith(only):
                    continue
                source.write_text(mutated)
                if not build(copy):
                    survived += 1
                    print(f"{place} DOES NOT COMPILE, {operator} turned: {line}", flush=True)
                elif notices(copy):
                    killed += 1
                else:
                    survived += 1
                    print(f"{place} SURVIVED, {operator} turned: {line}", flush=True)
            source.write_text(text)
    print(f"{killed} killed, {survived} survived")
    return 1 if survived or not killed else 0


if __name__ == "__main__":
    sys.exit(main())
