"""Two runs side by side: what became of each guarantee, and how sure each change of a number is. And a page as PDF."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.intervals import Estimate, change, quantile_of, share_of
from harness.report.comparison import versus_html
from harness.report.folder import read_folder
from harness.report.versus import became, compared, news

sys.path.insert(0, str(Path(__file__).parent))
import run_folders
from browsers import MARKS

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """One whose claim was kept, and one whose claim was broken, under another configuration."""
    good, bad = (
        run_folders.make(tmp_path / "good", "valid", ops=20),
        run_folders.make(tmp_path / "bad", ops=20),
    )
    (bad / "plan.toml").write_text((bad / "plan.toml").read_text().replace("seed = 7", f'seed = 7\nnote = "{EVIL}"'))  # fmt: skip
    return good, bad


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [("valid", "invalid", "newly broken"), ("unknown", "invalid", "newly broken"), ("invalid", "valid", "mended"), ("invalid", "unknown", "changed"), ("invalid", "invalid", "still broken"), ("valid", "valid", "same")],
)  # fmt: skip
def test_what_became_of_a_guarantee(old: str, new: str, what: str) -> None:
    assert became(old, new) == what


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [((48, 80), (56, 70), 0.0524, 0.3339), ((3, 10), (9, 10), 0.1705, 0.8090), ((2, 7), (6, 7), 0.0582, 0.8062)],
)  # fmt: skip
def test_a_change_of_shares_has_the_published_interval(one: tuple[int, int], other: tuple[int, int], low: float, high: float) -> None:  # fmt: skip
    """Newcombe 1998, table II, method 10."""
    found = change(share_of(*one), share_of(*other))
    assert found.value == pytest.approx(other[0] / other[1] - one[0] / one[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_shares_differ_where_their_change_is_surely_not_nothing() -> None:
    sure = [change(share_of(*one), share_of(*other)) for one, other in (((0, 1000), (20, 1000)), ((0, 10), (1, 10)), ((500, 1000), (600, 1000)))]  # fmt: skip
    assert [each.low > 0 or each.high < 0 for each in sure] == [True, False, True]


def test_the_interval_of_a_quantile_comes_from_ranks() -> None:
    """Of 100 numbers the median lies between the 40th and the 61st (Hahn & Meeker, table of order statistics)."""
    assert quantile_of(range(1, 101), 0.5) == Estimate(50, 40, 61)
    assert quantile_of([7.0], 0.99) == Estimate(7.0, 7.0, 7.0)
    low, high = quantile_of(range(1, 101), 0.99)[1:]
    assert (low, high) == (97, 100)


def test_two_runs_side_by_side(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = map(str, runs)
    found = compared(*map(read_folder, runs))
    states = {each["name"]: each["became"] for each in found["guarantees"]}
    assert states["linearizable"] == "newly broken"
    assert status_of(["report", good, bad]) == 1
    assert "| linearizable | valid | invalid | newly broken |" in capsys.readouterr().out
    assert status_of(["report", bad, good, "--json"]) == 0
    back = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["became"] for each in back["guarantees"]}["linearizable"] == "mended"
    same = compared(read_folder(runs[0]), read_folder(runs[0]))
    assert (same["plan_changes"], news(same)) == ([], "No guarantee has another verdict than before.")
    for each in same["numbers"]:
        low, high = each["change_interval"]
        assert (each["change"], each["certain"]) == (0, False)
        assert low <= 0 <= high
    assert {"stale reads", "read p50 ms", "write p99 ms"} <= {each["name"] for each in same["numbers"]}


def test_a_page_of_two_runs(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["report", *map(str, runs), "--format", "html"]) == 1
    page = runs[1] / "comparison.html"
    assert capsys.readouterr().out == f"{page}\n"
    text = page.read_text()
    assert "Newly broken: linearizable" in text
    assert "note: left out became &lt;img src=x" in text
    assert EVIL not in text
    assert text == versus_html(compared(*map(read_folder, runs)))


def test_without_a_browser_a_pdf_is_refused_with_what_to_do(runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    assert status_of(["report", str(runs[1]), "--format", "pdf"]) == 254
    assert "`scripts/system-packages browser` installs one" in " ".join(capsys.readouterr().err.split())
    assert (runs[1] / "report.html").exists()
    broken = programs / "chromium"
    broken.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    broken.chmod(0o755)
    assert status_of(["report", str(runs[1]), "--format", "pdf"]) == 254
    assert "(exit status 3: no display)" in " ".join(capsys.readouterr().err.split())
    assert not (runs[1] / "report.pdf").exists()


class TestOnPaper:
    pytestmark = MARKS

    def test_a_run_and_two_runs_are_printed(self, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
        assert status_of(["report", str(runs[1]), "--format", "pdf"]) == 0
        assert status_of(["report", *map(str, runs), "--format", "pdf", "--json"]) == 1
        first, second = capsys.readouterr().out.splitlines()
        assert json.loads(second) == {"report": str(runs[1] / "comparison.pdf")}
        printed = Path(first).read_bytes()
        assert printed.startswith(b"%PDF-")
        assert b"/Title (quorum-under-faults: invalid)" in printed
        assert (
            2 < printed.count(b"/Type /Page\n") < 20
        )  # pages, and not one long strip or a page for each row
