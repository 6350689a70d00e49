"""Are the tests of the zone checker strict? Each comparison in it is turned, one at a time; the tests must notice every time.

    python tests/quality/mutate_zones.py                 all, some minutes
    python tests/quality/mutate_zones.py --only zones.rs:330

Works in a temporary copy. `<` and `<=`, `>` and `>=`, `==` and `!=` are exchanged. Mutants that change nothing are listed in EQUIVALENT, each with
the reason. Exit status 1 if a mutant survives.
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
FILES = ("zones.rs", "zones/cores.rs", "regular.rs")
COMPARISON = re.compile(r" (<=|>=|<|>|==|!=) ")
TURNED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
TESTS = ("test_traps.py", "test_corpus.py", "test_validate.py", "test_laws.py", "test_fuzz_zones.py")

# Source line, stripped, and the operator in it -> why turning it changes no answer.
EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "if first == NONE || op.ret < self.op(first).ret {",
        "<",
    ): "of reads that return at one instant any may be the first",
    ("if early.ret < zone.f {", "<"): "f stays the same, only another operation that attains it is named",
    ("if late.call > zone.s {", ">"): "s stays the same, only another operation that attains it is named",
    (
        "if key.ops[latest[n] as usize].call < key.ops[latest[n - 1] as usize].call {",
        "<",
    ): "of two equally late writes either will do",
}


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
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
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
    survivors, killed, equivalent = [], 0, 0
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
                if (line, operator) in EQUIVALENT:
                    equivalent += 1
                    continue
                source.write_text(mutated)
                if not build(copy):
                    print(f"{place} does not compile: {line}", flush=True)
                elif notices(copy):
                    killed += 1
                else:
                    survivors.append(place)
                    print(f"{place} SURVIVED, {operator} turned: {line}", flush=True)
            source.write_text(text)
    print(f"{killed} killed, {equivalent} equivalent, {len(survivors)} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
