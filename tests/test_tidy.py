"""The style guide as a test: who may import whom, what pure files may not call, how long things may get, what is dead.

Each rule is a function over source text, so that each rule has a test of its own that feeds it a culprit.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("checkers", "kvstore", "harness", "workloads")
MAY_IMPORT = {
    "checkers": {"checkers"},
    "kvstore": {"kvstore"},
    "harness": {"harness", "checkers"},
    "workloads": {"workloads", "harness", "checkers", "kvstore"},
}

# The edge: the only files that may touch sockets, files, clocks and randomness. Everything else is passed what it needs.
EDGE = (
    "checkers/__main__.py",
    "checkers/formats/files.py",
    "checkers/history.py",
    "checkers/knossos.py",
    "checkers/models.py",
    "checkers/register.py",
    "kvstore/__main__.py",
    "kvstore/bundle.py",
    "kvstore/client.py",
    "kvstore/client_pool.py",
    "kvstore/cluster_cli.py",
    "kvstore/cluster_client.py",
    "kvstore/cluster_talk.py",
    "kvstore/sync_client.py",
    "kvstore/engine.py",
    "kvstore/engine_errors.py",
    "kvstore/engine_snapshot.py",
    "kvstore/server",
    "kvstore/client_port.py",
    "kvstore/http_port.py",
    "kvstore/group_commit.py",
    "kvstore/peer_port.py",
    "harness/campaign/collected.py",
    "harness/campaign/judged.py",
    "harness/campaign/night.py",
    "harness/campaign/smaller.py",
    "harness/cli/",
    "harness/control",
    "harness/demo",
    "harness/doctor",
    "harness/hosted.py",
    "harness/interpreter.py",
    "harness/scheduling.py",
    "harness/paper.py",
    "harness/plan",
    "harness/pool.py",
    "harness/provision/",
    "harness/ray_pool.py",
    "harness/recorder.py",
    "harness/report/",
    "harness/results.py",
    "harness/runner.py",
    "harness/runs.py",
    "harness/search/explore.py",
    "harness/worlds/hosts/",
    "harness/worlds/rings.py",
    "harness/worlds/serving.py",
    "harness/worlds/sim/",
    "harness/nemesis/client.py",
    "harness/nemesis/members.py",
    "harness/nemesis/rhythm.py",
    "harness/nemesis/restoring.py",
    "workloads/kvstore_hosts.py",
    "workloads/register.py",
)
BANNED_MODULES = {
    "asyncio": "yield what you wait for, or take the loop's time as an argument",
    "datetime": "take the time as an argument",
    "os": "take what you need as an argument",
    "secrets": "take a random.Random as an argument",
    "socket": "return a Send effect",
    "subprocess": "belongs in an edge file",
    "tempfile": "belongs in an edge file",
    "threading": "the deciding part has one thread",
    "time": "take the clock's reading as an argument",
    "uuid": "take an id or a random.Random as an argument",
}
BANNED_CALLS = {
    "print": "return the text",
    "open": "take the text or bytes as an argument",
    "input": "take the text as an argument",
    "eval": "parse it",
    "exec": "import it",
}
LINES_MAX, TEST_LINES_MAX, FUNCTION_LINES_MAX = 400, 500, 70


def tracked(*suffixes: str) -> list[Path]:
    """Files under version control, or about to be, with these suffixes."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    paths = (ROOT / line for line in listing.stdout.splitlines())
    return sorted(path for path in paths if path.suffix in suffixes and path.exists())


def python_files() -> list[Path]:
    """Python files of the packages."""
    return [path for path in tracked(".py", ".pyi") if path.relative_to(ROOT).parts[0] in PACKAGES]


def name_of(path: Path) -> str:
    """Path from the top, with slashes."""
    return path.relative_to(ROOT).as_posix()


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every absolute import as (line, dotted module)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def wrong_directions(package: str, source: str) -> list[str]:
    """Imports of one of our packages that this package must not know."""
    allowed = MAY_IMPORT[package]
    tree = ast.parse(source)
    tops = ((line, module.split(".")[0]) for line, module in imports(tree))
    return [
        f"line {line}: {package} must not import {top}"
        for line, top in tops
        if top in PACKAGES and top not in allowed
    ]


def banned(source: str) -> list[str]:
    """What a pure file must not use, with what to do instead."""
    tree = ast.parse(source)
    found = []
    for line, module in imports(tree):
        top = module.split(".")[0]
        if top in BANNED_MODULES:
            found.append(f"line {line}: import {top}: {BANNED_MODULES[top]}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
            found.append(f"line {node.lineno}: {node.func.id}(): {BANNED_CALLS[node.func.id]}")
        match node:
            case ast.Attribute(value=ast.Name(id="random"), attr=name) if name != "Random":
                found.append(f"line {node.lineno}: random.{name}(): take a random.Random as an argument")
    return found


def without_main_block(source: str) -> str:
    """The source less its `if __name__ == "__main__"` block, where a module may show itself."""
    return source.split('\nif __name__ == "__main__":')[0]


def long_functions(source: str) -> list[str]:
    """Functions longer than the limit."""
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    sizes = ((node, (node.end_lineno or node.lineno) - node.lineno + 1) for node in functions)
    return [
        f"line {node.lineno}: {node.name} has {size} lines"
        for node, size in sizes
        if size > FUNCTION_LINES_MAX
    ]


# ---- the rules hold --------------------------------------------------------------------------------------------------


def test_imports_go_one_way() -> None:
    wrong = {
        name_of(path): wrong_directions(path.relative_to(ROOT).parts[0], path.read_text())
        for path in python_files()
    }
    assert {name: found for name, found in wrong.items() if found} == {}


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest cannot collect the second."""
    names = Counter(
        path.name
        for path in tracked(".py")
        if name_of(path).startswith("tests/") and path.name.startswith("test_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_pure_files_do_no_io() -> None:
    pure = [path for path in python_files() if not name_of(path).startswith(EDGE)]
    assert len(pure) > 20
    found = {name_of(path): banned(without_main_block(path.read_text())) for path in pure}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_every_edge_file_exists() -> None:
    names = [name_of(path) for path in python_files()]
    assert [edge for edge in EDGE if not any(name.startswith(edge) for name in names)] == []


def test_files_fit() -> None:
    limits = {
        path: TEST_LINES_MAX if name_of(path).startswith("tests/") else LINES_MAX
        for path in tracked(".py", ".rs")
    }
    sizes = {name_of(path): len(path.read_text().split("#[cfg(test)]")[0].splitlines()) for path in limits}
    assert {name: size for name, size in sizes.items() if size > limits[ROOT / name]} == {}


def test_functions_fit_a_screen() -> None:
    found = {name_of(path): long_functions(path.read_text()) for path in tracked(".py")}
    assert {name: functions for name, functions in found.items() if functions} == {}


def test_every_file_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in python_files()
        if path.suffix == ".py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_no_file_is_dead() -> None:
    """Each module is imported somewhere, is started with `python -m`, or is named by pyproject.toml."""
    everything = tracked(".py")
    named: set[str] = set()
    for path in everything:
        tree = ast.parse(path.read_text())
        own = path.relative_to(ROOT).with_suffix("").parts[:-1]
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = ".".join(own[: len(own) - node.level + 1]) if node.level else ""
                module = ".".join(part for part in (base, node.module) if part)
                named.add(module)
                named.update(f"{module}.{alias.name}" for alias in node.names)
    pyproject = (ROOT / "pyproject.toml").read_text()
    dead = []
    for path in python_files():
        if path.stem in ("__init__", "__main__") or path.suffix == ".pyi":
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if (
            module not in named
            and f'"{module}' not in pyproject
            and f'"{module}"' not in "".join(p.read_text() for p in python_files())
        ):
            dead.append(module)
    assert dead == []


@pytest.mark.parametrize("word", ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"])
def test_nothing_is_left_for_later(word: str) -> None:
    left = [
        name_of(path)
        for path in tracked(".py", ".rs", ".md", ".toml")
        if re.search(rf"\b{word}\b", path.read_text())
    ]
    assert left == []


def test_no_path_of_a_machine() -> None:
    pattern = re.compile(r"/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/\w")
    paths = tracked(".py", ".rs", ".md", ".toml", ".sh", ".html", ".j2")
    assert [name_of(path) for path in paths if pattern.search(path.read_text())] == []


# ---- the rules can fail ----------------------------------------------------------------------------------------------


def test_a_wrong_direction_is_seen() -> None:
    assert wrong_directions("kvstore", "from checkers.op import Op\n") == [
        "line 1: kvstore must not import checkers"
    ]
    assert wrong_directions("harness", "import kvstore.node\n") == ["line 1: harness must not import kvstore"]
    assert wrong_directions("workloads", "import kvstore, harness, checkers\n") == []


def test_a_banned_call_is_seen() -> None:
    assert banned("import time\n") == ["line 1: import time: take the clock's reading as an argument"]
    assert banned("x = open('f')\n") == ["line 1: open(): take the text or bytes as an argument"]
    assert banned("import random\nrandom.choice([1])\n") == [
        "line 2: random.choice(): take a random.Random as an argument"
    ]
    assert banned("import random\nr = random.Random(7)\n") == []


def test_a_long_function_is_seen() -> None:
    source = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
    assert long_functions(source) == ["line 1: f has 71 lines"]
    assert long_functions("def f():\n" + "    x = 1\n" * (FUNCTION_LINES_MAX - 1)) == []
