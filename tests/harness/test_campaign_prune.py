"""Old nights made small: nothing that is told in the morning changes, but for what is in doubt, and the ledger stops growing."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.file import Campaign, Item
from harness.campaign.findings import findings, summaries
from harness.campaign.ledger import Record, opened
from harness.campaign.prune import folded
from harness.plan import load_plan

PLAN = load_plan(Path(__file__).parents[2] / "examples" / "register.toml")
CAMPAIGN = Campaign("c", "1h", (Item("a", PLAN, 9), Item("b", PLAN, 9)), ())
BROKEN = (("linearizable", "stale-read", "a before b"),)


def record(night: int, item: str, run: int, outcome: str) -> Record:
    broken = BROKEN if outcome == "violation" else ()
    return Record(
        night, item, run, run, outcome, "why", broken, ("read a",) * len(broken), "store", ops=100 + run, virtual_s=10.0, cpu_s=0.5,
        faults={"kill": run % 2}, p99_ms=4.0 + run, digest=f"{night} {item} {run}",
    )  # fmt: skip


def nights(rng: random.Random, number: int) -> list[Record]:
    outcomes = ["ok"] * 8 + ["violation", "unknown"]
    return [record(night, item, run, rng.choice(outcomes)) for night in range(number) for item in "ab" for run in range(9)]  # fmt: skip


@given(st.randoms(use_true_random=False), st.integers(1, 4))
def test_what_is_told_stays(rng: random.Random, old: int) -> None:
    records = nights(rng, 5)
    small = [*(one for night in range(old) for one in folded(run for run in records if run.night == night)), *(run for run in records if run.night >= old)]  # fmt: skip
    before = {each.id: each for each in findings(records, (), "today")}
    after = {each.id: each for each in findings(small, (), "today")}
    assert after.keys() == before.keys()
    for name, was in before.items():
        now = after[name]
        assert (now.hits, now.rate, now.needed, now.example) == (was.hits, was.rate, was.needed, was.example)
        assert now.clean <= was.clean  # in doubt a run is not counted
        if max(night for night, (hits, _) in was.hits.items() if hits) >= old:
            assert now.clean == was.clean
    for was, now in zip(summaries(CAMPAIGN, records, 4), summaries(CAMPAIGN, small, 4), strict=True):
        assert (now.outcomes, now.ops, now.bit) == (was.outcomes, was.ops, was.bit)
        assert now.clean_runs <= was.clean_runs


def test_clean_runs_are_counted_and_the_others_kept() -> None:
    runs = [
        record(0, "a", run, outcome) for run, outcome in enumerate(["ok", "violation", "ok", "crash", "ok"])
    ]
    together, violation, crash = folded(runs)
    assert (violation, crash) == (runs[1], runs[3])
    assert (together.run, together.count, together.ops, together.virtual_s, together.cpu_s) == (
        0,
        3,
        306,
        30.0,
        1.5,
    )
    assert (together.p99_ms, together.faults) == (6.0, {"kill": 0})
    other = msgspec.structs.replace(runs[4], configuration="another")
    assert len(folded([*runs[:4], other])) == 4  # runs of another set-up are none of these
    assert folded([together, violation, crash]) == [together, violation, crash]


def test_a_ledger_is_made_small_up_to_a_night(tmp_path: Path) -> None:
    with opened(tmp_path / "campaign.sqlite", make=True) as ledger:
        for number in range(4):
            night = ledger.begin("then", "1")
            for run in range(9):
                ledger.add(record(number, "a", run, "violation" if run == 4 else "ok"))
            ledger.end(night, "later")
        assert ledger.small(2, folded) == 2 * 7
        assert ledger.small(2, folded) == 0
        assert [sum(run.night == night for run in ledger.records()) for night in range(4)] == [2, 2, 9, 9]
        assert sum(run.count for run in ledger.records()) == 36
