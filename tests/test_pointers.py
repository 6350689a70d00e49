"""What the pages say is shown by a test: that test is there. A page that points at nothing fails here.

`tests/kvstore/test_x.py`, `test_x.py`              a file of tests
`tests/kvstore/test_x.py::test_y`                   a test in it
`…::test_y`                                         a test in the file named last, under the same heading
`test_y`, `…_ends_so`                               some test of that name, or whose name ends so
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FILES = {path.name: path for path in (ROOT / "tests").rglob("test_*.py")}
POINTER = re.compile(
    r"`(?:(?P<file>[\w./]*test_\w+\.py)(?:::(?P<inside>test_\w+))?|…::(?P<same>test_\w+)|(?P<name>test_\w+)|…(?P<end>_\w+))`"
)


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of its tests."""
    tree = ast.parse(path.read_text())
    found = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(name for name in found if name.startswith("test_"))


def dangling(text: str) -> Iterator[str]:
    """The pointers of a page that point at nothing."""
    everything = frozenset[str]().union(*map(names_in, FILES.values()))
    for section in re.split(r"(?m)^#+ ", text):
        last: Path | None = None
        for found in POINTER.finditer(section):
            file, inside, same, name, end = found.group("file", "inside", "same", "name", "end")
            if file:
                last = ROOT / file if "/" in file else FILES.get(file)
                if last is None or not last.is_file():
                    yield found.group()
                    last = None
                    continue
            if inside or same:
                there = last is not None and (inside or same) in names_in(last)
            elif end:
                there = any(each.endswith(end) for each in everything)
            else:
                there = not name or name in everything
            if not there:
                yield found.group()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_that_a_page_points_at_is_there(page: Path) -> None:
    assert list(dangling(page.read_text())) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`tests/test_pointers.py::test_a_pointer_to_nothing_is_found`", 0),
        ("`test_pointers.py` and `…::test_a_pointer_to_nothing_is_found`", 0),
        ("`…_to_nothing_is_found`, `test_a_pointer_to_nothing_is_found`", 0),
        ("`tests/test_pointers.py::test_nowhere`", 1),
        ("`tests/test_nowhere.py`, `test_nowhere.py`, `test_nowhere`, `…_nowhere_at_all`", 4),
        ("`tests/test_pointers.py`\n## Another\n`…::test_a_pointer_to_nothing_is_found`", 1),
        ("`tests/test_tidy.py`, `…::test_a_pointer_to_nothing_is_found`", 1),
    ],
)
def test_a_pointer_to_nothing_is_found(text: str, found: int) -> None:
    assert len(list(dangling(text))) == found


def test_each_mode_of_the_store_points_at_a_test_of_its_promise() -> None:
    """And each at one that shows how a weaker mode, or the mode without its rule, breaks it."""
    page = (ROOT / "docs" / "store.md").read_text()
    _, _, table = page.partition("| mode | its promise is kept | without it |")
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \|(.*)$", table.partition("\n\n")[0]))
    promised = re.findall(r"(?m)^\| `(\w+)` \|", page.partition("\n\n## ")[0].partition(table)[0])
    assert set(promised) == set(rows)
    for mode, row in rows.items():
        kept, without = row.split("|")[:2]
        assert POINTER.search(kept), mode
        assert POINTER.search(without), mode
