"""The data of the timeline: every operation is in it, or the ones that matter; and what came first is never drawn after."""

from __future__ import annotations

import itertools
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

import harness.report
from checkers.notation import parse_drawing
from checkers.op import MISSING
from checkers.staleness import stale_reads, staleness
from harness.cli import status_of
from harness.report import still, write_report
from harness.report.folder import VALUE_CHARACTERS_MAX, Bar, pair, read_folder, shortened
from harness.report.scene import last_ns, packed, scene_of_history, scene_of_run
from harness.report.timeline import chosen, columns, density, fault_band, plain, timeline, took_ns

EVIL = "</script><img src=x onerror=alert(1)>\n\u202eevil"


def bar(index: int, start_ns: int, end_ns: int | None, outcome: str = "ok", **more: Any) -> Bar:
    return Bar(index, 0, "n1", "read", 1, 7, outcome, start_ns, end_ns, **more)


def running(numbers: list[int]) -> list[int]:
    return list(itertools.accumulate(numbers))


def test_columns_give_the_operations_back(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run", ops=200))
    data = json.loads(json.dumps(timeline(scene_of_run(run))))
    ops = data["ops"]
    assert running(ops["index"]) == [each.index for each in run.bars]
    assert running(ops["start"]) == [each.start_ns // 1000 for each in run.bars]
    assert ops["process"] == [each.process for each in run.bars]
    assert ops["outcome"] == "".join(each.outcome[0] for each in run.bars)
    assert [ops["functions"][f] for f in ops["f"]] == [each.f for each in run.bars]
    assert [ops["keys"][key] for key in ops["key"]] == [str(each.key) for each in run.bars]
    assert {running(ops["index"])[at]: ops["errors"][error] for at, error in ops["error"]} == {each.index: each.error for each in run.bars if each.error}  # fmt: skip
    assert data["total"] == len(run.bars) == 204
    assert sum(map(sum, data["density"])) == 204
    assert data["core"] == [0, 2, 3, 5]
    assert data["lanes"][:2] == ["client 0 → n1", "client 1 → n2"]


@pytest.mark.parametrize(
    ("end_ns", "given_up_ns", "took"), [(2_500, None, 2), (None, 9_999, 9), (None, None, -1)]
)
def test_an_operation_lasts_until_its_answer_or_until_its_client_gave_up(end_ns: int | None, given_up_ns: int | None, took: int) -> None:  # fmt: skip
    made = columns([bar(0, 500, end_ns, "ok" if end_ns else "info", given_up_ns=given_up_ns)], 1000)
    assert made["took"] == [took]


def test_the_time_at_which_a_client_gave_up_is_kept() -> None:
    bars = pair(run_folders.core_ops(), str)
    assert [each.given_up_ns for each in bars if each.outcome == "info"] == [1_015 * run_folders.MS]
    assert [each.given_up_ns for each in bars if each.outcome != "info"] == [None] * 3


def test_rounding_keeps_the_order_of_ends_and_starts() -> None:
    rng = random.Random(5)
    times = sorted(rng.sample(range(40_000), 400))
    bars = [bar(at, start, end) for at, (start, end) in enumerate(zip(times[::2], times[1::2], strict=True))]
    made = columns(bars, 1000)
    starts = running(made["start"])
    for before, after in itertools.pairwise(range(len(bars))):
        assert starts[before] + made["took"][before] <= starts[after]


def test_values_stay_numbers_or_become_short_text() -> None:
    assert [plain(value) for value in (7, None, MISSING, True, [1, 2], 2**60)] == [7, None, "?", "True", "[1, 2]", str(2**60)]  # fmt: skip
    long = "x" * 1_000_000
    assert plain(long) == f"{'x' * VALUE_CHARACTERS_MAX}… (1,000,000 characters)"
    assert len(Bar(0, 0, "n1", "write", long, long, "ok", 0, 1).words) < 400


def test_of_too_many_the_extremes_are_kept() -> None:
    rng = random.Random(9)
    bars = [bar(2 * at, 1000 * at, 1000 * at + rng.randrange(100, 900)) for at in range(20_000)]
    bars[7_777] = bar(2 * 7_777, 7_777_000, 9_000_000)
    bars[8_001] = bar(2 * 8_001, 8_001_000, 8_001_500, "fail")
    bars[9_003] = bar(2 * 9_003, 9_003_000, None, "info")
    core, stale = {2 * 4_001, 2 * 4_003}, {2 * 15_001}
    kept = chosen(bars, core, stale, 1_000)
    assert len(kept) <= 1_000 + len(core)
    assert len(kept) > 500
    indices = [each.index for each in kept]
    assert indices == sorted(set(indices))
    assert {*core, *stale, 2 * 7_777, 2 * 8_001, 2 * 9_003} <= set(indices)
    assert took_ns(max(kept, key=took_ns)) == took_ns(bars[7_777])
    assert chosen(bars, core, stale, 20_000) is bars


def test_a_shortened_timeline_says_so_and_counts_all(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run", ops=2_000))
    data = timeline(scene_of_run(run), ops_max=300)
    assert data["total"] == 2_004
    assert len(data["ops"]["index"]) <= 304
    assert sum(map(sum, data["density"])) == 2_004
    assert data["core"] == [0, 2, 3, 5]
    assert set(data["core"]) <= set(running(data["ops"]["index"]))


def test_density_counts_by_outcome_and_slice() -> None:
    ok, fail, info = density([bar(0, 0, 5), bar(1, 50, None, "info"), bar(2, 100, 100, "fail")], 100)
    assert (ok[0], info[120], fail[239]) == (1, 1, 1)
    assert sum(ok) + sum(fail) + sum(info) == 3


def test_a_fault_without_an_end_lasts_until_the_end_of_the_run() -> None:
    band = fault_band({"kind": "kill", "start_ns": 5_000_000, "bit": True}, 90_000_000, 1000)
    assert band == {"kind": "kill", "nodes": "the network", "start": 5_000, "end": 90_000, "bit": True}


def test_stale_reads_are_named_as_many_as_are_counted() -> None:
    history = parse_drawing(
        "A: |--w 1--| |--w 2--|\n"
        "B:                      |--r 1--| |--r 2--|\n"
    )  # fmt: skip
    [stale] = stale_reads(history)
    assert history.op(stale).f == "read"
    answer = history.completion(stale)
    assert answer is not None
    assert answer.value == 1
    assert staleness(history).stats["stale_reads"] == 1


def test_the_still_picture_shows_the_proof_and_its_neighbours(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run", ops=3_000))
    shown = still.around(run.bars, run.core_bars)
    assert len(shown) <= still.BARS_MAX
    assert {each.index for each in run.core_bars} <= {each.index for each in shown}
    picture = still.still(scene_of_run(run), shown, {0, 2, 3, 5})
    assert picture.count(" proven") == 4
    assert "#3 read 3 → 18" in picture
    rows = still.still_rows(shown, {0, 2, 3, 5})
    assert [row["ended"] for row in rows if row["proof"]].count("unknown") == 1


def test_without_a_proof_it_is_the_beginning(tmp_path: Path) -> None:
    run = read_folder(run_folders.make(tmp_path / "run", "valid", ops=3_000))
    assert still.around(run.bars, run.core_bars) == run.bars[: still.BARS_MAX]
    assert still.still(scene_of_run(run), [], set()) == ""


def test_the_neighbours_are_of_the_same_key_where_there_are_too_many() -> None:
    core = [bar(0, 0, 1_000), bar(1, 9_000, 10_000)]
    others = [Bar(2 + at, at % 50, "n1", "read", at % 3, 7, "ok", 20 * at, 20 * at + 9) for at in range(480)]
    shown = still.around([core[0], *others, core[1]], core)
    assert {each.key for each in shown} == {1}
    assert len(shown) == still.BARS_MAX
    assert {0, 1} <= {each.index for each in shown}


def test_strange_keys_and_values_stay_text(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", core=run_folders.core_ops(key=EVIL), ops=10)
    html = write_report(folder).read_text()
    assert "<img" not in html
    [data] = re.findall(r'id="timeline-data">(.*?)</script>', html, re.DOTALL)
    assert EVIL in json.loads(data)["ops"]["keys"]
    assert shortened(EVIL) == EVIL


@pytest.mark.parametrize("history", ["", "only faults"])
def test_a_run_without_operations_has_a_page(tmp_path: Path, history: str) -> None:
    folder = run_folders.make(tmp_path / "run", "unknown", ops=5)
    record = '{"index":0,"time":5,"process":"nemesis","type":"info","f":"kill"}\n'
    (folder / "history.jsonl").write_text(record if history else "")
    assert "The history has no operation to draw." in write_report(folder).read_text()
    (folder / "history.jsonl").unlink()
    assert "The history has no operation to draw." in write_report(folder).read_text()


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)  # fmt: skip
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme: str) -> None:
    """Text 4.5 to 1, bars and outlines 3 to 1, on the ground they are drawn on (WCAG 2.2, 1.4.3 and 1.4.11)."""
    style = Path(harness.report.__file__).with_name("style.css").read_text()
    tables = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]  # fmt: skip
    ink = tables[0] if scheme == "light" else tables[1]
    for text in ("ink", "soft", "accent", "bad", "good", "doubt"):
        assert contrast(ink[text], ink["card"]) >= 4.5, text
        assert contrast(ink[text], ink["paper"]) >= 4.5, text
    for mark in ("read", "write", "doubt", "other", "bad", "accent", "fault"):
        assert contrast(ink[mark], ink["card"]) >= 3, mark
    for fill in ("bar-read", "bar-write"):
        assert contrast(ink["ink"], ink[fill]) >= 4.5, fill


def life(process: int, start_ns: int, end_ns: int, outcome: str = "ok") -> Bar:
    known = outcome != "info"
    return Bar(start_ns, process, "", "write", 1, 7, outcome, start_ns, end_ns if known else None, None, None if known else end_ns)  # fmt: skip


def test_a_process_takes_the_lane_of_one_that_was_retired_before() -> None:
    bars = [
        life(0, 0, 10, "info"), life(1, 5, 20), life(11, 8, 22, "info"), life(10, 12, 15, "info"), life(21, 21, 60),
        life(20, 30, 50), life(1, 70, 80), life(31, 90, 95),
    ]  # fmt: skip
    names, lane = packed(bars)
    assert lane == {0: 0, 1: 1, 11: 2, 10: 0, 21: 0, 20: 2, 31: 3}
    assert names == ["process 0, 10 …", "process 1", "process 11, 20", "process 31"]


def test_clients_that_are_retired_and_go_on_keep_as_many_lanes_as_there_are() -> None:
    rng = random.Random(4)
    bars, now = [], dict.fromkeys(range(7), 0)
    for _ in range(400):
        process = rng.choice(list(now))
        start = now.pop(process) + rng.randrange(1, 50)
        bars.append(life(process, start, start + rng.randrange(1, 50), rng.choice(["ok", "fail", "info"])))
        now[process + 7 * (bars[-1].outcome == "info")] = last_ns(bars[-1])
    bars.sort(key=lambda each: each.start_ns)
    names, lane = packed(bars)
    assert len(names) == 7
    for number in range(7):
        mine = [each for each in bars if lane[each.process] == number]
        assert all(last_ns(one) <= other.start_ns for one, other in itertools.pairwise(mine))


def test_a_short_history_keeps_its_nanoseconds() -> None:
    history = parse_drawing("A: |--w 1--| |--w 2--|\nB:                      |--r 1--| |--r 2--|\n")
    scene = scene_of_history(history, {4}, registers=True)
    data = timeline(scene)
    assert data["unit_ns"] == (1 if scene.end_ns < 10_000_000 else 1000)
    assert running(data["ops"]["start"]) == [each.start_ns // data["unit_ns"] for each in scene.bars]
    assert data["stale"] == stale_reads(history)
    assert timeline(scene_of_history(history, set(), registers=False))["stale"] == []


def test_the_page_of_one_history_draws_it_and_of_two_does_not(tmp_path: Path) -> None:
    history = tmp_path / "a.jsonl"
    parse_drawing("A: |--w 1--| |--w 2--|\nB:                      |--r 1--|\n").dump(history)
    page = tmp_path / "page.html"
    assert status_of(["check", str(history), "--report", str(page)]) == 1
    [data] = re.findall(r'id="timeline-data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert json.loads(data)["lanes"] == ["process 1", "process 2"]
    assert len(json.loads(data)["core"]) >= 2
    assert status_of(["check", str(history), str(history), "--report", str(page)]) == 1
    assert "timeline-data" not in page.read_text().split("<script>")[0]
