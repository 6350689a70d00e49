"""What libraries say of a file that cannot be read does not reach anybody: the sentence is ours, and has the place."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import run_folders

from harness.campaign.file import load_campaign
from harness.campaign.ledger import opened, unusable
from harness.cli.advise import cells_of
from harness.cli.serve import serve_runs
from harness.matrix.grid import load_matrix
from harness.plan import PlanError, load_plan
from harness.plan_claims import beside
from harness.plan_text import NotText, decoded
from harness.plan_toml import read_toml
from harness.report.folder import read_folder
from harness.search.replay import recorded

THEIRS = re.compile(
    r"codec|0x[0-9a-f]|\[?Errno|byte \d|char \d|Expecting|Extra data|malformed|database|set_int_max|recursion|bind\(\)|missing \d"
)


def refusal(act: Callable[[], object]) -> str:
    """The sentence, in which nothing is a library's."""
    with pytest.raises(PlanError) as caught:
        act()
    said = str(caught.value)
    assert THEIRS.search(said) is None, said
    return said


def there_is(path: Path) -> None:
    with opened(path):
        pass


READERS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "plan": ("p.toml", load_plan, "a plan"),
    "campaign": ("c.toml", load_campaign, "a campaign"),
    "matrix": ("m.toml", load_matrix, "a matrix"),
    "claims": ("claims.toml", lambda path: beside(path.parent / "plan.toml"), "claims"),
    "cells": ("cells.json", lambda path: cells_of(path.parent), "cells of a matrix"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_is_no_text(kind: str, tmp_path: Path) -> None:
    name, read, what = READERS[kind]
    path = tmp_path / name
    for content, why in (
        (b'name = "a"\n# \xe9\n', "line 2 is not text in UTF-8; save it as UTF-8, or give another file"),
        ('name = "a"\n'.encode("utf-16"), "it is text in UTF-16; save it as UTF-8"),
        (b"\x7fELF\0\xff", "it is no text at all; give another file"),
    ):
        path.write_bytes(content)
        assert refusal(lambda: read(path)) == f"{path}: cannot be read as {what}: {why}"


@pytest.mark.parametrize("kind", ["plan", "campaign", "matrix"])
def test_a_directory_where_a_file_is_meant(kind: str, tmp_path: Path) -> None:
    _, read, what = READERS[kind]
    assert refusal(lambda: read(tmp_path)) == f"{tmp_path}: cannot be read as {what}: it is a directory; give the file in it"  # fmt: skip


def test_the_mark_of_an_editor_is_no_part_of_the_text() -> None:
    assert decoded(b"\xef\xbb\xbfname") == "name"
    with pytest.raises(NotText, match="line 3 "):
        decoded(b"\n\n\xff")


@pytest.mark.parametrize(
    ("text", "why"),
    [("a = " + "9" * 5000, "a number has thousands of digits"), ("a = " + "[" * 5000, "brackets are nested too deep")],
)  # fmt: skip
def test_toml_beyond_what_python_reads(text: str, why: str) -> None:
    assert refusal(lambda: read_toml(text, "p.toml")) == f"p.toml: this is not TOML that can be read: {why}"


SPOILT = {
    "results.json": [
        (b'{"schema": 2,\n "x": }', "cannot be read as JSON: it is not JSON from line 2, column 7 on"),
        (b"[" * 100_000, "cannot be read as JSON: a value in it is nested too deep or too long to be read"),
        (b'{"\xff"}', "cannot be read as JSON: line 1 is not text in UTF-8"),
    ],
    "faults.jsonl": [
        (b"\n\xff\n", "cannot be read as faults: line 2 is not text in UTF-8"),
        (b"{\n{}\n", "line 1 is not JSON; the rest of the folder"),
    ],
    "plan.toml": [(b"\xff", "cannot be read as a plan: line 1 is not text in UTF-8")],
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_file_of_a_run(name: str, tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    for content, why in SPOILT[name]:
        (folder / name).write_bytes(content)
        said = refusal(lambda: read_folder(folder))
        assert str(folder / name) in said
        assert why in said


def test_what_is_no_whole_run_cannot_be_repeated(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    for content, why in (
        (b"{", "it is not JSON from line 1, column 2 on"),
        (b"\xff", "line 1 is not text in UTF-8"),
    ):
        (folder / "environment.json").write_bytes(content)
        assert f"is not a whole run: environment.json: {why}" in refusal(lambda: recorded(folder))
    (folder / "environment.json").unlink()
    assert "is not a whole run: environment.json: no such file or directory" in refusal(
        lambda: recorded(folder)
    )


def test_a_ledger_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "campaign.sqlite"
    path.mkdir()
    assert "cannot be opened for writing by this user, or is a directory" in refusal(lambda: there_is(path))
    path.rmdir()
    path.write_bytes(b"no ledger " * 1000)
    assert "is no ledger of a campaign, or a damaged one" in refusal(lambda: there_is(path))
    path.unlink()
    with opened(path, make=True):
        pass
    other = sqlite3.connect(path)
    other.execute("begin exclusive")
    other.execute("pragma user_version = 0")
    hurried = sqlite3.connect(path, timeout=0)  # without the five seconds of patience that `opened` has
    with pytest.raises(sqlite3.DatabaseError) as caught:
        hurried.execute("pragma user_version").fetchone()
    said = unusable(caught.value)
    assert "another program writes to it just now" in said
    assert THEIRS.search(said) is None, said
    hurried.close()
    other.close()


@pytest.mark.parametrize("port", [70_000, -1])
def test_a_port_there_is_not(port: int, tmp_path: Path) -> None:
    assert "ports are numbers from 0 to 65535" in refusal(lambda: serve_runs(tmp_path, "127.0.0.1", port))
