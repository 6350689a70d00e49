"""Are the tests of the checkers in Python strict? Each comparison, minimum and clause is turned, one at a time; the tests must notice every time.

    python tests/quality/mutate_python.py                        all, half an hour
    python tests/quality/mutate_python.py --only checkers/bespoke/bank.py

A mutant is a changed syntax tree that a child of this process imports in place of the module: nothing is written, and what all children need is
imported once. `equivalent.txt` has those that no test can notice, each with the reason. Exit status 1 if any other survives, or if there is none.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from equivalents import equivalents

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
HERE_TESTS: Final = "tests/checkers/"
UNCHANGED: Final = HERE_TESTS + "test_unchanged.py"
ROWS: Final = {  # of `test_unchanged.py`, those that a bespoke checker has a part in; all for what is not named
    "bank": "bank", "convergence": "convergence", "counter": "counter", "crdt_counter": "g-counter or pn-counter",
    "fencing": "mutex-fencing", "log": "append-log", "long_fork": "long-fork", "lww": "lww", "or_set": "or-set",
    "queues": "queue", "set_full": "set-full", "sets": "set", "siblings": "mv-register", "unique_ids": "unique-ids",
}  # fmt: skip
TESTS: Final = {  # file, or folder: what else must notice
    "checkers/bespoke": "bespoke", "checkers/causal.py": "test_session_traps.py", "checkers/dead_ends.py": "test_explained.py test_shrink.py test_search.py",
    "checkers/explain.py": "test_search_borders.py test_explained.py test_corpus.py test_search.py", "checkers/integrity.py": "test_traps.py", "checkers/judged.py": "test_borders_of_the_command.py test_command.py",
    "checkers/keys.py": "test_borders_of_the_command.py test_linearizable.py test_command.py ../harness/test_check.py", "checkers/levels.py": "test_laws.py test_session_traps.py",
    "checkers/linearizable.py": "test_dispatch.py test_linearizable.py", "checkers/models.py": "test_dispatch.py test_linearizable.py test_command.py",
    "checkers/notation.py": "test_notation.py test_corpus.py", "checkers/order.py": "test_dispatch.py test_session_traps.py", "checkers/register.py": "test_traps.py test_laws.py",
    "checkers/online.py": "test_online.py", "checkers/regular.py": "test_traps.py test_safe_ties.py", "checkers/search.py": "test_search_borders.py test_dispatch.py test_search.py test_linearizable.py",
    "checkers/sequential.py": "test_sequential.py", "checkers/sessions.py": "test_session_traps.py", "checkers/shrink.py": "test_shrink_rules.py test_shrink.py",
    "checkers/special.py": "test_search_borders.py test_exact_traps.py test_linearizable.py", "checkers/staleness.py": "test_fuzz_shifts.py test_laws.py test_traps.py",
    "checkers/stats.py": "test_laws.py", "checkers/validate.py": "test_validate.py test_validate_borders.py test_sequential.py",
    "checkers/verdict.py": "test_laws.py test_linearizable.py", "checkers/jsonl.py": "test_jsonl.py", "checkers/formats": "formats/test_records.py formats/test_edn.py formats/test_fast_edn.py formats/test_streaming.py formats/test_docs.py",
}  # fmt: skip
TURNED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
NAMES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
SETS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Sub: ast.Add, ast.Add: ast.Sub,
}  # fmt: skip
SECONDS: Final = 300


def turned(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may come in place of one node, and what that is called. The node is not changed."""
    if isinstance(node, ast.Compare):
        for at, op in enumerate(node.ops):
            other = copy.copy(node)
            other.ops = [*node.ops[:at], TURNED[type(op)](), *node.ops[at + 1 :]]
            yield f"{type(op).__name__} to {TURNED[type(op)].__name__}", other
    elif isinstance(node, ast.BoolOp):
        for at in range(len(node.values)):
            other = copy.copy(node)
            other.values = [*node.values[:at], *node.values[at + 1 :]]
            rest = other if len(other.values) > 1 else other.values[0]
            yield f"clause {at + 1} of {type(node.op).__name__} dropped", rest
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", node.operand
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NAMES:
        other = copy.copy(node)
        other.func = ast.copy_location(ast.Name(NAMES[node.func.id], ast.Load()), node.func)
        yield f"{node.func.id} to {NAMES[node.func.id]}", other
    elif isinstance(node, ast.BinOp) and type(node.op) in SETS:
        other = copy.copy(node)
        other.op = SETS[type(node.op)]()
        yield f"{type(node.op).__name__} to {type(other.op).__name__}", other
    elif isinstance(node, ast.comprehension) and node.ifs:
        other = copy.copy(node)
        other.ifs = []
        yield "if of a comprehension dropped", other


class Replace(ast.NodeTransformer):
    """Put one node in place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        """The tree with the new node."""
        return self.new if node is self.old else self.generic_visit(node)


def quiet(tree: ast.Module) -> set[int]:
    """Nodes in which nothing is decided: annotations, decorators, and what is formatted for a person."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            parts = [node.returns, *node.decorator_list, *(arg.annotation for arg in given)]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.JoinedStr):
            parts = [node]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            parts = (
                [node.value] if any(isinstance(t, ast.Name) and t.id.isupper() for t in node.targets) else []
            )
        for part in parts:
            found.update(id(inner) for inner in ast.walk(part)) if part is not None else None
    return found


@dataclass(frozen=True, slots=True)
class Mutant:
    """The `way`-th change of the `node`-th node of a file. `name` does not change when lines move."""

    file: str
    line: int
    name: str
    node: int
    way: int

    def tree(self) -> ast.Module:
        """The file's syntax tree with the change."""
        tree = ast.parse((ROOT / self.file).read_text())
        old = next(islice(ast.walk(tree), self.node, None))
        new = next(islice(turned(old), self.way, None))[1]
        Replace(old, new).visit(tree)
        return ast.fix_missing_locations(tree)


def mutants(file: str) -> list[Mutant]:
    """All of one file."""
    text = (ROOT / file).read_text()
    tree, lines = ast.parse(text), text.splitlines()
    skipped, seen, found = quiet(tree), dict[str, int](), list[Mutant]()
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in skipped:
            continue
        for way, (what, _) in enumerate(turned(node)):
            line = getattr(node.target if isinstance(node, ast.comprehension) else node, "lineno", 1)
            key = f"{file}: {lines[line - 1].strip()} | {what}"
            seen[key] = seen.get(key, 0) + 1
            name = key + (f" #{seen[key]}" if seen[key] > 1 else "")
            found.append(Mutant(file, line, name, number, way))
    return found


class Swapped(SourceFileLoader, importlib.abc.MetaPathFinder):
    """Imports one module from a syntax tree, and all others as ever."""

    def __init__(self, mutant: Mutant) -> None:
        module = mutant.file.removesuffix(".py").replace("/", ".")
        super().__init__(module, str(ROOT / mutant.file))
        self.changed = mutant.tree()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec, if it is the one."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> types.CodeType:
        """The tree, compiled."""
        return compile(self.changed, self.path, "exec")


def tests_of(file: str) -> list[tuple[str, ...]]:
    """The arguments of the runs of pytest that must notice, the quickest first."""
    others = next(tests for part, tests in TESTS.items() if file.startswith(part)).split()
    rows = ROWS.get(Path(file).stem, "") if file.startswith("checkers/bespoke") else ""
    unchanged = (UNCHANGED, "-k", f"unseen and ({rows})" if rows else "unseen")
    own = tuple(HERE_TESTS + other for other in others)
    return [unchanged, own] if rows else [own, unchanged]


def child(mutant: Mutant | None, tests: Sequence[str]) -> int:
    """In a process of its own: run the tests, with the mutant in place."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    if mutant is not None:
        sys.meta_path.insert(0, Swapped(mutant))
    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0"]
    return int(pytest.main([*options, *tests]))


def survives(mutant: Mutant) -> bool:
    """Does nothing notice?"""
    return all(passes(mutant, tests) for tests in tests_of(mutant.file))


def passes(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Do the tests pass, and end?"""
    pid = os.fork()
    if pid == 0:
        signal.alarm(SECONDS)
        try:
            os._exit(child(mutant, tests))
        finally:
            os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if (
        status == -signal.SIGALRM and mutant is not None
    ):  # counts as noticed; on a busy machine it may only be slow
        print(f"  line {mutant.line} did not end in {SECONDS} s  {mutant.name}", flush=True)
    return status == 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="the beginning of a file's path")
    only = parser.parse_args().only
    for name in ("hypothesis", "networkx"):
        importlib.import_module(name)  # once, for all children
    os.chdir(ROOT)
    os.environ["QUORATE_FUZZ"] = "2000"
    files = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "checkers").rglob("*.py"))
    files = [file for file in files if file.startswith(only) and any(map(file.startswith, TESTS))]
    known, killed, left = equivalents(), 0, 0
    for tests in sorted({tests for file in files for tests in tests_of(file)}):
        if not passes(None, tests):
            print(f"the unchanged checkers do not pass {tests}; mend that first")
            return 1
    names = set[str]()
    for file in files:
        begun = killed, left
        for mutant in mutants(file):
            names.add(mutant.name)
            if mutant.name in known:
                continue
            if survives(mutant):
                left += 1
                print(f"  line {mutant.line} SURVIVED  {mutant.name}", flush=True)
            else:
                killed += 1
        print(f"{file}: {killed - begun[0]} killed, {left - begun[1]} survived", flush=True)
    print(f"{killed} killed, {left} survived, {len(names & known.keys())} are equivalent")
    gone = [name for name in known if name.split(": ")[0] in files and name not in names]
    for name in gone:
        print(f"equivalent.txt names what is not there: {name}")
    return 1 if left or gone or not killed else 0


if __name__ == "__main__":
    sys.exit(main())
