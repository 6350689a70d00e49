"""What became of acknowledged writes, on histories whose fates are told by hand, and on simulated runs that lose some."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from harness.plan import load_plan
from harness.report import write_report
from harness.report.folder import Bar, read_folder
from harness.report.markdown import run_markdown
from harness.report.survival import BACK, KEPT, LOST, PARTLY, UNREAD, survival
from harness.report.words import survived
from harness.runner import run

EXAMPLES = Path(__file__).parents[2] / "examples"
S = 1_000_000_000


def operation(index: int, f: str, value: Any, start: int, end: int | None, *, key: Any = 1, outcome: str = "ok") -> Bar:  # fmt: skip
    """A bar; times in ms."""
    ms = 1_000_000
    return Bar(index, index, "n1", f, key, value, outcome, start * ms, None if end is None else end * ms)


def fates(*bars: Bar, faults: tuple[dict[str, Any], ...] = ()) -> dict[int, str]:
    found = survival(bars, faults, 10 * S)
    assert found is not None
    return dict(found.fate)


FIRST, SECOND = operation(0, "write", 7, 0, 10), operation(1, "write", 8, 20, 30)


def test_a_later_write_replaces_and_an_earlier_one_does_not() -> None:
    assert fates(FIRST, SECOND, operation(2, "read", 8, 40, 50)) == {0: KEPT, 1: KEPT}
    assert fates(FIRST, SECOND, operation(2, "read", 7, 40, 50)) == {0: KEPT, 1: LOST}
    assert fates(FIRST, SECOND, operation(2, "read", None, 40, 50)) == {0: LOST, 1: LOST}


def test_a_write_at_the_same_time_may_have_come_after() -> None:
    beside = operation(1, "write", 8, 5, 30)
    assert fates(FIRST, beside, operation(2, "read", 7, 40, 50)) == {0: KEPT, 1: KEPT}


def test_what_is_in_doubt_may_have_come_after() -> None:
    doubtful = operation(1, "write", 9, 0, None, outcome="info")
    bars = (doubtful, operation(2, "write", 8, 20, 30), operation(3, "read", 9, 40, 50))
    assert fates(*bars) == {2: KEPT}
    found = survival(bars, (), S)
    assert found is not None
    assert (found.doubtful, found.refused, found.returned) == ((1, 1), (0, 0), 0)


def test_who_was_missed_on_the_way_came_back() -> None:
    assert fates(FIRST, SECOND, operation(2, "read", 7, 40, 50), operation(3, "read", 8, 60, 70), faults=({"kind": "kill", "start_ns": 0, "end_ns": 55_000_000, "bit": True},)) == {0: KEPT, 1: BACK}  # fmt: skip


def test_not_all_last_reads_have_it() -> None:
    assert fates(FIRST, SECOND, operation(2, "read", 7, 40, 50), operation(3, "read", 8, 60, 70)) == {0: KEPT, 1: PARTLY}  # fmt: skip


def test_without_a_read_after_the_faults_nobody_knows() -> None:
    fault = {"kind": "kill", "start_ns": 35_000_000, "end_ns": None, "bit": True}
    reads = (operation(2, "read", 8, 40, 50), operation(3, "read", 8, 60, None, outcome="fail"))
    assert fates(FIRST, SECOND, *reads, faults=(fault,)) == {0: UNREAD, 1: UNREAD}
    found = survival((FIRST, SECOND, *reads), (fault,), 10 * S)
    assert found is not None
    assert "None was looked for at the end" in survived(found)


def test_keys_are_judged_apart_and_types_stay_different() -> None:
    other = operation(2, "write", 7, 0, 10, key="1")
    assert fates(FIRST, other, operation(3, "read", 7, 40, 50), operation(4, "read", None, 40, 50, key="1")) == {0: KEPT, 2: LOST}  # fmt: skip


@pytest.mark.parametrize("bars", [(), (operation(0, "add", 7, 0, 10),), (FIRST, operation(1, "write", 7, 20, 30)), (operation(0, "write", None, 0, 10),)])  # fmt: skip
def test_other_histories_are_not_measured(bars: tuple[Bar, ...]) -> None:
    assert survival(bars, (), S) is None


def sibling(index: int, value: int, seen: list[int], start: int) -> Bar:
    return operation(index, "write", {"value": value, "seen": seen}, start, start + 5)


def test_siblings_are_kept_by_those_that_have_seen_them() -> None:
    writes = (sibling(0, 1, [], 0), sibling(1, 2, [1], 10), sibling(2, 3, [2], 20), sibling(3, 4, [], 30))
    early, last = operation(4, "read", [2], 40, 45), operation(5, "final-read", [3], 60, 65)
    assert fates(*writes, early, last) == {0: KEPT, 1: KEPT, 2: BACK, 3: LOST}
    assert fates(*writes, early, last, operation(6, "final-read", [3, 4], 60, 65)) == {0: KEPT, 1: KEPT, 2: BACK, 3: PARTLY}  # fmt: skip


def test_faults_have_writes_in_their_reach() -> None:
    bars = (*(operation(at, "write", at, 1000 * at, 1000 * at + 1) for at in range(10)), operation(10, "read", 4, 20_000, 20_001))  # fmt: skip
    faults = [{"kind": kind, "start_ns": start * S + S // 2, "end_ns": end * S, "bit": bit} for kind, start, end, bit in (("kill", 3, 5, True), ("kill", 7, 8, True), ("pause", 0, 9, False))]  # fmt: skip
    found = survival(bars, faults, 30 * S)
    assert found is not None
    assert {kind: (count, dict(counts)) for kind, (count, counts) in found.near.items()} == {"kill": (2, {KEPT: 2, LOST: 1})}  # fmt: skip
    assert found.of(LOST) == [5, 6, 7, 8, 9]


def test_a_disk_that_lies_loses_what_was_acknowledged(tmp_path: Path) -> None:
    """Page, Markdown and timeline tell the same writes."""
    outcome = run(replace(load_plan(EXAMPLES / "lying_disk.toml")), world="sim", out=tmp_path)
    told = read_folder(outcome.folder)
    assert told.survival is not None
    lost = told.survival.of(LOST)
    assert len(lost) > 20
    assert {index for index in lost if told.by_index[index].start_ns < 2 * S} == set()
    page, text = (outcome.folder / "report.html").read_text(), run_markdown(told)
    for sentence in (f"{len(lost)} of them were lost", "in the reach of lying-fsync (1)"):
        assert sentence in page
    assert f"| {len(lost)} | 0 |" in text
    assert f'href="#op-{lost[0]}"' in page
    assert f'"lost":{str(lost).replace(" ", "")}' in page


def test_a_store_that_syncs_loses_nothing(tmp_path: Path) -> None:
    outcome = run(load_plan(EXAMPLES / "register.toml"), world="sim", out=tmp_path)
    told = read_folder(outcome.folder)
    assert told.survival is not None
    assert told.survival.counts == {KEPT: told.survival.counts.total()}
    assert "none of them was lost." in survived(told.survival)


def test_without_last_reads_the_page_says_so(tmp_path: Path) -> None:
    page = write_report(run_folders.make(tmp_path / "run", ops=50)).read_text()
    assert "None was looked for at the end" in page
