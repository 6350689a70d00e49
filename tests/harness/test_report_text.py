"""The report as text. What the system under test put into its values must stay text."""

from __future__ import annotations

import json
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from checkers.levels import LEVELS
from harness.cli import status_of
from harness.report import write_report
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.report.marked import cell, fenced
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
    for part in (
        "### Tested",
        "### Not tested",
        "## Faults",
        "## Latency",
        "## Repeat it",
        run.results["command"],
    ):
        assert part in text
    assert "## The proof" not in run_markdown(read_folder(valid_run(tmp_path)))


def test_no_value_becomes_markup(tmp_path: Path) -> None:
    text = run_markdown(read_folder(hostile_run(tmp_path)))
    outside = "\n".join(text.split("```")[::2])
    assert "<script" not in outside
    assert "<img" not in outside
    wide = 0
    for line in outside.splitlines():
        bars = line.replace("\\|", "").count("|") if line.startswith("|") else 0
        assert wide in (0, bars) or not bars, line
        wide = bars


class Told(HTMLParser):
    """The headings, table cells and terms of a page, but for the timeline, which is a picture."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found, self._inside, self._section = list[str](), list[str](), ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._section = str(dict(attrs)["id"]) if tag == "section" else self._section
        if tag in ("h2", "th", "td", "dd", "li"):
            self._inside.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h2", "th", "td", "dd", "li"):
            text = " ".join(self._inside.pop().split())
            self.found += [text] if self._section != "timeline" or tag == "h2" else []

    def handle_data(self, data: str) -> None:
        if self._inside:
            self._inside[-1] += data


def test_what_stands_in_a_table_or_list_of_the_page_stands_in_markdown(tmp_path: Path) -> None:
    run_folders.make(tmp_path / "20260101T000000.000-7", "valid", ops=200)
    folder = run_folders.make(tmp_path / "20260102T000000.000-7", ops=600)
    variants = [{"without": "as it is", "runs": 9, "hits": 9, "chance": 1.0, "verdict": ""}, {"without": "kill", "runs": 8, "hits": 0, "chance": 0.0, "verdict": "needed", "uncounted": 1}]  # fmt: skip
    (folder / "attribution.json").write_text(json.dumps({"sentence": "so", "variants": variants}))
    (folder / "nodes" / "n1").mkdir(parents=True)
    (folder / "nodes" / "n1" / "system.log").write_text("started\nfatal: it ends\n")
    told = Told(write_report(folder).read_text()).found
    text = run_markdown(read_folder(folder)).replace("\\", "").replace("“", "").replace("”", "")
    assert {"Compared with the run before", "What the violation needs", "longest silence", "newly broken", "fatal: it ends", "Clocks of the nodes"} <= {*told}  # fmt: skip
    for each in told:
        word = escape(each.removesuffix("not claimed").removesuffix(" The proof"), quote=False)
        assert word in text or word.lstrip("#") in text, each


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
