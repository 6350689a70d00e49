"""Sweeps that are kept in a file, gone on with, and shown as tables."""

from __future__ import annotations

import pytest

from harness.search.detection import Name, Sweep
from harness.search.sweep_file import Kept, Limits, SweepFileError, as_line, read_sweeps
from harness.search.sweep_table import beyond, compared, comparisons, rows

LIMITS = Limits(200, 10.0)
BUGS = {"easy": "linearizable", "hard": "or-set"}


def kept(bug: str, strategy: str, repeat: int, runs: int, found: bool = True, each_s: float = 0.5) -> Kept:
    broken = ("linearizable: stale-read",) if found else ()
    return Kept(
        (bug, strategy, repeat), 1 + repeat, LIMITS, "abc", Sweep(runs, broken, 0, 1, 0, runs * each_s)
    )


def by_name(*all_kept: Kept) -> dict[Name, Kept]:
    return {each.name: each for each in all_kept}


def test_a_file_gives_back_what_was_written_and_the_later_of_two_lines_counts() -> None:
    short, other = kept("hard", "pct", 0, 20, found=False), kept("hard", "pct", 1, 3)
    longer = kept("hard", "pct", 0, 90)
    lines = [as_line(each) for each in (short, other, longer)]
    assert read_sweeps(lines[:2]) == by_name(short, other)
    assert read_sweeps(lines) == by_name(longer, other)
    assert read_sweeps([*lines[:2], lines[2].rstrip("\n")]) == by_name(short, other), "it was cut off"


@pytest.mark.parametrize("line", ["{}\n", "[1]\n", "no json\n", as_line(kept("easy", "pct", 0, 1)).replace('"runs"', '"run"')])  # fmt: skip
def test_a_line_that_is_no_sweep_is_named(line: str) -> None:
    with pytest.raises(SweepFileError, match="line 2 is no sweep"):
        read_sweeps([as_line(kept("easy", "seeds", 0, 1)), line])


def test_only_a_sweep_that_found_nothing_is_made_again_and_only_within_higher_limits() -> None:
    found, ended = kept("hard", "pct", 0, 20), kept("hard", "pct", 0, 20, found=False)
    assert found.settles(Limits(1000, 1000.0))
    assert ended.settles(LIMITS)
    assert ended.settles(Limits(10, 5.0))
    assert not ended.settles(Limits(201, 10.0))
    assert not ended.settles(Limits(200, 11.0))


def test_a_cell_has_the_median_and_the_90th_percentile_or_how_long_was_tried() -> None:
    made = by_name(
        *(kept("easy", "seeds", repeat, runs) for repeat, runs in enumerate((1, 2, 7))),
        *(kept("hard", "seeds", repeat, 20, found=False) for repeat in range(2)),
        *(kept("hard", "pct", repeat, runs, found=runs < 9) for repeat, runs in enumerate((4, 8, 9))),
    )
    _, _, easy, hard = rows(made, BUGS, ["seeds", "pct"], "runs")
    assert easy == "| `easy` | linearizable | 3 | 2 / 7 | – |"
    assert hard == "| `hard` | or-set | 2–3 | >20 / >20 | 8 / >9 |"
    assert "| 1.0 / 3.5 |" in list(rows(made, BUGS, ["seeds"], "cpu_s"))[2]


def test_a_strategy_that_finds_sooner_is_called_faster_and_the_other_way_round() -> None:
    made = by_name(
        *(kept("hard", "seeds", repeat, 20 + repeat) for repeat in range(12)),
        *(kept("hard", "pct", repeat, 5 + repeat % 3) for repeat in range(12)),
        *(kept("hard", "swarm", repeat, 60, found=False) for repeat in range(12)),
        *(kept("hard", "points", repeat, 20 + repeat) for repeat in range(12)),
    )
    beside = {each.strategy: each for each in comparisons(made, BUGS, ["seeds", "pct", "swarm", "points"])}
    assert [beside[name].word for name in ("pct", "swarm", "points")] == [
        "**faster than `seeds`**", "**slower than `seeds`**", "no difference from `seeds` shown",
    ]  # fmt: skip
    assert (beside["pct"].sooner, beside["pct"].later) == (12, 0)
    assert (beside["points"].sooner, beside["points"].later) == (0, 0)
    assert beside["pct"].ranks.rate_ratio > 1 > beside["swarm"].ranks.rate_ratio
    table = list(compared(made, BUGS, ["seeds", "swarm"]))
    assert table[2].startswith("| `seeds` | 12 of 12 | 12.5 s |")
    assert table[3].startswith("| `swarm` | 0 of 12 | more than was tried |")


def test_only_sweeps_that_both_have_are_compared() -> None:
    made = by_name(kept("easy", "seeds", 0, 1), kept("easy", "pct", 0, 2), kept("easy", "pct", 1, 1))
    (one,) = comparisons(made, BUGS, ["seeds", "pct"])
    assert (one.sooner, one.later, one.ranks.observed) == (0, 1, 1)


def test_a_target_is_missed_only_if_a_sweep_says_so() -> None:
    target = Limits(30, 12.0)
    made = by_name(
        kept("easy", "seeds", 0, 3),
        kept("late", "seeds", 0, 31, each_s=0.1),
        kept("slow", "seeds", 0, 3, each_s=5.0),
        kept("never", "seeds", 0, 30, found=False, each_s=0.1),
        kept("ended", "seeds", 0, 20, found=False),
    )
    bugs = ("easy", "late", "slow", "never", "ended", "untried")
    assert beyond(made, bugs, "seeds", target) == (["late", "slow", "never"], ["ended", "untried"])
