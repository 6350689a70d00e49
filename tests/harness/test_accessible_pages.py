"""Every kind of page, light and dark, looked over by axe-core in a real browser: no fault that it calls serious or critical.

axe-core comes with axe-playwright-python, of the `dev` extra; nothing is loaded from anywhere.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders
from browsers import MARKS, opened

from harness.cli import status_of
from harness.plan_claims import Documented, dump_claims
from harness.report import write_report
from harness.report.shelf import Catalogue, list_html
from tests.small_plans import modes_by_reads, stale

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")  # fmt: skip
pytestmark = MARKS
GRAVE = ("serious", "critical")
MATRIX = modes_by_reads(
    """[environments.partition]
faults = [{ kind = "partition", start_s = 0.5, every_s = 2.0, for_s = 1.0 }]
"""
)


def a_run(folder: Path) -> None:
    claims = [Documented(says="one copy", source="manual", guarantee="linearizable"), Documented(says="quick", source="manual", guarantee="safe", where={"mode": "x"})]  # fmt: skip
    (run_folders.make(folder, ops=300) / "claims.toml").write_text(dump_claims(claims))
    results = json.loads((folder / "results.json").read_text())
    results["core"]["drawing"] += f" {'- ' * 200}"  # wider than the page
    edges = [{"before": before, "after": after, "name": "session order", "because": [3]} for before, after in ((0, 2), (2, 0))]  # fmt: skip
    (folder / "results.json").write_text(json.dumps({**results, "core": {**results["core"], "anomaly": "a-circle", "edges": edges, "dead_ends": ["so", "and so"]}}))  # fmt: skip
    ends = [{"node": node, "pid": 7, "at_s": at_s, "status": 139, "asked": asked, "running": at_s is None} for node, at_s, asked in (("n3", 4.0, ""), ("n4", 18.0, "KILL"), ("n1", None, ""))]  # fmt: skip
    bound = {"offset_ms": 40.0, "within_ms": 1.0}
    clocks = {"n1": {"shared": True, "begin": bound, "end": bound}, "n2": {"shared": False, "begin": bound, "end": None}}  # fmt: skip
    (folder / "environment.json").write_text(json.dumps({"began": 0.0, "ends": ends, "ends_of": ["n1"], "clocks": clocks}))  # fmt: skip
    rows = [{"without": name, "runs": 5, "hits": hits, "chance": 0.004, "verdict": verdict, "others": 1} for name, hits, verdict in (("as it is", 5, ""), ("kill", 0, "needed"), ("loss", 1, "helps"), ("pause", 5, "no matter"))]  # fmt: skip
    (folder / "attribution.json").write_text(json.dumps({"sentence": "so", "world": "hosts", "seed": 7, "cluster": "c", "kind": "netns", "variants": rows}))  # fmt: skip
    beside = {**run_folders.FAULTS[0], "id": 9, "kind": "pause", "start_ns": 12 * 10**9}
    with (folder / "faults.jsonl").open("a") as faults:
        faults.write(json.dumps(beside) + "\n")
    write_report(folder)


def a_killed_run(folder: Path) -> None:
    run_folders.make(folder, ops=50)
    (folder / "results.json").unlink()
    write_report(folder)


def a_review(folder: Path) -> None:
    runs = [str(run_folders.make(folder / name, outcome, ops=50)) for name, outcome in (("a", "invalid"), ("b", "valid"))]  # fmt: skip
    assert status_of(["review", *runs, "--out", str(folder)]) == 0
    (folder / "review.html").rename(folder / "report.html")


def a_check(folder: Path) -> None:
    history = run_folders.make(folder, ops=50) / "history.jsonl"
    assert status_of(["check", str(history), "--report", str(folder / "report.html"), "--explain"]) == 1


def a_shelf(folder: Path) -> None:
    run_folders.make(folder / "runs" / "a" / "20260101T000000.000-7", ops=50)
    looked = Catalogue(folder / "runs").look(0.0, 0.0)._replace(folders=2)
    (folder / "report.html").write_text(list_html(folder / "runs", looked, {"q": "quorum"}))


def a_matrix(folder: Path) -> None:
    """With a cell that broke its claim, one that the system refuses, and promises."""
    folder.mkdir()
    (folder / "plan.toml").write_text(stale("linearizable"))
    (folder / "claims.toml").write_text(dump_claims([Documented(says="one copy", source="manual", guarantee="linearizable")]))  # fmt: skip
    (folder / "matrix.toml").write_text(MATRIX)
    assert status_of(["matrix", str(folder / "matrix.toml"), "--jobs", "1", "--out", str(folder)]) == 1
    (folder / "matrix.html").rename(folder / "report.html")


def a_morning(folder: Path) -> None:
    folder.mkdir()
    (folder / "plan.toml").write_text(stale("linearizable"))
    (folder / "small.toml").write_text('name = "small"\n[[items]]\nname = "wrong"\nplan = "plan.toml"\nruns = 1\n')  # fmt: skip
    assert status_of(["campaign", "run", str(folder / "small.toml"), "--jobs", "1", "--out", str(folder)]) == 1  # fmt: skip
    (folder / "morning.html").rename(folder / "report.html")


PAGES = {
    "run": a_run,
    "killed run": a_killed_run,
    "review": a_review,
    "check": a_check,
    "list of runs": a_shelf,
    "matrix": a_matrix,
    "morning": a_morning,
}


def faults_of(page: Any) -> list[str]:
    """What axe-core finds that is grave: the rule and where it is broken."""
    found = axe.Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:160]}" for each in found if each["impact"] in GRAVE for node in each["nodes"]]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", PAGES)
def test_axe_finds_no_grave_fault(kind: str, scheme: str, browser: Any, tmp_path: Path) -> None:
    PAGES[kind](tmp_path / "page")
    page = opened(browser, tmp_path / "page", color_scheme=scheme)
    for closed in page.locator("details:not([open]) > summary").all():
        if closed.is_visible():
            closed.click()
    if page.locator("#tl-canvas").count():
        page.locator("#tl-canvas").press("Home")
    assert faults_of(page) == []
    assert page.troubles == []
    page.context.close()


def test_axe_would_find_one(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><button></button></main></html>")  # fmt: skip
    page = opened(browser, tmp_path)
    assert [fault.split(":")[0] for fault in faults_of(page)] == ["button-name"]
    page.context.close()
