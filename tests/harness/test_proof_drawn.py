"""The proof shows why its operations cannot all be: two zones, or a circle, and where every order ends."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from checkers.history import History
from checkers.notation import parse_drawing
from harness.cli import status_of
from harness.report import write_report
from harness.report.circle import NODES_MAX, Node, circle, ring
from harness.report.drawing import rows_of
from harness.report.folder import Bar, pair
from harness.report.proof import why
from harness.report.words import finding
from harness.results import core_of, judge_claims, worst

STALE = "A: |--w 1--|                  |--r 1--|\nB:             |--w 2--|\nC:                                         |--r 2--|\n"
CAUSAL = "A: |--w x 1--|  |--w x 2--|  |--w y 3--|\nB:                                         |--r y 3--|  |--r x 1--|\n"


def proof(rows: str, claim: str) -> tuple[dict[str, Any], History]:
    """What the page gets of a drawn history that breaks the claim, by the way that a run takes."""
    history = parse_drawing(rows)
    guilty = worst(judge_claims(history, [claim])[1])
    assert guilty is not None
    core = core_of(history, guilty)
    assert core is not None
    bars = [bar for bar in pair(history, str) if any(op["index"] == bar.index for op in core["ops"])]
    return why(bars, core, ident="core", alternative="a proof"), history


def test_two_zones_are_drawn_and_told(tmp_path: Path) -> None:
    page = write_report(run_folders.make(tmp_path / "run")).read_text()
    assert (
        "it surely holds 17 from 14.0 ms, when #0 returned, to 23.0 ms, when #5 was called; "
        "and it holds 18 at some instant between 18.0 ms, when #3 was called, and 21.0 ms, when #3 returned."
    ) in page
    assert 'aria-label="surely 17, 14.0 ms to 23.0 ms"' in page
    assert 'class="zone backward"' in page
    assert page.count('class="clash"') == 1


def test_every_order_ends_at_one_operation() -> None:
    """Its numbers are those of the history, in which another key comes first."""
    parts, history = proof("D: |--w y 9--|\n" + STALE, "linearizable")
    reads = [op for op in history if op.f == "read"]
    assert reads[0].index > 4
    assert parts["dead"].startswith(f"#{reads[0].index} read -> 1 returned at 38.000 ms and must have happened by then")  # fmt: skip
    assert any("write 2 the state is 2" in end for end in parts["ends"])


@pytest.mark.parametrize(("claim", "zones"), [("linearizable", True), ("regular", True), ("sequential", False)])  # fmt: skip
def test_zones_are_of_claims_that_know_real_time(claim: str, zones: bool) -> None:
    rows = STALE if zones else CAUSAL
    parts, _ = proof(rows, claim)
    assert bool(parts["zones"]) is zones
    assert bool(parts["circle"]) is not zones
    assert bool(parts["dead"]) is (claim == "linearizable")


def test_two_paths_are_closed_to_a_circle() -> None:
    parts, _ = proof(CAUSAL, "causal")
    assert parts["circle"].count('class="arrow known"') == 5
    assert parts["circle"].count('class="arrow drawn"') == 1
    assert parts["circle"].count(">session order<") == 3
    assert parts["circle"].count(">reads-from<") == 2
    assert parts["steps"][-1].endswith("returned what #2 write x = 2 had replaced, so it must come before it; that closes the circle.")  # fmt: skip


def test_a_core_of_the_search_is_a_circle_where_one_is_forced() -> None:
    """Causally all is well: neither client saw the other's write. One order would have each read before the other's write."""
    parts, _ = proof("A: |--w x 1--|  |--r y nil--|\nB:   |--w y 2--|  |--r x nil--|\n", "sequential")
    assert parts["circle"].count('class="arrow known"') == 4
    assert parts["circle"].count('class="arrow drawn"') == 0
    assert parts["circle"].count(">read before replaced<") == 2
    assert [step.split(", so it came before")[0] for step in parts["steps"] if "so it came" in step] == [
        "Read 'y' the initial value (#4) saw the value before any write",
        "Read 'x' the initial value (#5) saw the value before any write",
    ]


def test_a_circle_is_told_in_one_short_sentence_at_the_top() -> None:
    history = parse_drawing(CAUSAL)
    claims = judge_claims(history, ["causal"])[1]
    core, verdicts = core_of(history, claims["causal"]), {name: result.as_json() for name, result in claims.items()}  # fmt: skip
    told = finding({"system": {"name": "kvstore"}}, {"outcome": "invalid", "claims": verdicts, "core": core})
    assert told == "kvstore broke its claim to be causal: write-co-read: by what was read, operations would have to come before themselves, as 5 operations prove."  # fmt: skip


def test_the_value_before_any_write_closes_a_circle() -> None:
    parts, _ = proof("A: |--w x 1--|  |--w y 2--|\nB:                          |--r y 2--|  |--r x nil--|\n", "causal")  # fmt: skip
    assert ">initial value<" in parts["circle"]
    assert ">before every write<" in parts["circle"]


def test_strangers_keys_stay_text_in_a_circle() -> None:
    bars: dict[Node, Bar] = {at: Bar(at, at, "", "write", "<script>", "<b>", "ok", at, at + 1) for at in (1, 2)}  # fmt: skip
    edges = [{"before": 1, "after": 2, "name": "<i>", "because": []}, {"before": 2, "after": 1, "name": "x", "because": [1]}]  # fmt: skip
    drawn = circle(edges, bars, "c")
    assert "<script>" not in drawn
    assert "<i>" not in drawn
    assert ">x, as #1 write &lt;script&gt; = &lt;b&gt; shows<" in drawn


@pytest.mark.parametrize("count", range(1, NODES_MAX + 1))
def test_boxes_of_a_circle_do_not_lie_on_each_other(count: int) -> None:
    places = list(ring(count))
    assert len(set(places)) == count


def test_words_in_a_lane_do_not_run_into_each_other() -> None:
    bars = [Bar(at, 1, "n1", "write", 3, at, "ok", at * 10, at * 10 + 1) for at in range(5)]
    bars.append(Bar(9, 1, "n1", "read", 3, 4, "ok", 10_000, 10_001))
    rows = list(rows_of(bars, 0, 780 / 10_001))
    assert [name for name, _ in rows] == ["client 1 → n1", "", "", "", ""]
    for _, spans in rows:
        ordered = sorted(span.reach for span in spans)
        assert all(before[1] < after[0] for before, after in pairwise(ordered))


def test_the_page_of_a_history_draws_its_proof_too(tmp_path: Path) -> None:
    history, page = tmp_path / "h.jsonl", tmp_path / "page.html"
    parse_drawing(CAUSAL).dump(history)
    assert status_of(["check", str(history), "--model", "sequential", "--report", str(page)]) == 1
    assert "round in a circle" in page.read_text()
    parse_drawing(STALE).dump(history)
    assert status_of(["check", str(history), "--report", str(page)]) == 1
    assert "One copy holds one value at a time." in page.read_text()
