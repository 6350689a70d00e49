"""The report as text. What the system under test put into its values must stay text."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from checkers.levels import LEVELS
from harness.cli import status_of
from harness.report.folder import read_folder
from harness.report.markdown import cell, fenced, run_markdown
from harness.report.words import PROMISES

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

EVIL = "</script><img src=x onerror=alert(1)><!-- | [a](b) `c` \"'&"


def invalid_run(folder: Path) -> Path:
    return run_folders.make(folder / "bad", ops=20)


def valid_run(folder: Path) -> Path:
    return run_folders.make(folder / "good", "valid", ops=20)


def hostile_run(folder: Path) -> Path:
    core = run_folders.core_ops(EVIL)
    return run_folders.make(folder / "evil", core=core, sentence=EVIL, ops=20)


def test_every_level_has_its_promise_in_words() -> None:
    assert LEVELS.keys() <= PROMISES.keys()


def test_markdown_says_what_the_page_says(tmp_path: Path) -> None:
    run = read_folder(invalid_run(tmp_path))
    text = run_markdown(run)
    assert text.startswith(
        "# INVALID: kvstore in mode quorum (N=3 R=2 W=2) broke its claim to be linearizable: "
    )
    assert f"## The proof: {len(run.core_bars)} operations that cannot all be true" in text
    for part in ("## Tested", "## Not tested", "## Faults", "## Numbers", "## Again", run.results["command"]):
        assert part in text
    assert "## The proof" not in run_markdown(read_folder(valid_run(tmp_path)))


def test_no_value_becomes_markup(tmp_path: Path) -> None:
    text = run_markdown(read_folder(hostile_run(tmp_path)))
    outside = "\n".join(text.split("```")[::2])
    assert "<script" not in outside
    assert "<img" not in outside
    for line in outside.splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 4, 6, 7, 8, 9)


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a|b", r"a\|b"), ("<b>", "&lt;b&gt;"), ("[x](y)", r"\[x\](y)"), ("a\n b", "a b"), ("`x`", r"\`x\`"), ("a\\|b", r"a\\\|b")],
)  # fmt: skip
def test_a_cell_is_one_line_of_text(given: str, shown: str) -> None:
    assert cell(given) == shown


def test_a_fence_is_longer_than_any_in_it() -> None:
    assert fenced("x") == ["```text", "x", "```", ""]
    assert fenced("````\nx")[0] == "`````text"


def test_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(invalid_run(tmp_path))
    assert status_of(["report", folder, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"] == "invalid"
    assert status_of(["report", folder, "--format", "md"]) == 0
    assert capsys.readouterr().out.startswith("# INVALID")
    assert status_of(["report", folder, "--format", "doc"]) == 254
    assert "there is no form 'doc'; use one of html, md, json, pdf" in " ".join(
        capsys.readouterr().err.split()
    )
