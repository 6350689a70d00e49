"""What is told of many nights: states, rates, bounds, the night's verdict, and the forms it is written in."""

from __future__ import annotations

import functools
import json
import operator
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.file import Accepted, Campaign, Item
from harness.campaign.findings import (
    Finding,
    family_of,
    finding_id,
    findings,
    runs_to_resolve,
    summaries,
    verdict_of_night,
)
from harness.campaign.ledger import Night, Record
from harness.campaign.morning import Morning, changed_between, github_lines, junit, markdown, sarif
from harness.campaign.night import run_one
from harness.campaign.page import morning_page
from harness.intervals import wilson
from harness.plan import dump_plan, load_plan
from harness.simulate import simulate_run
from harness.ways import Ways

TODAY = "2026-11-25"
EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = load_plan(EXAMPLES / "register.toml")
PATTERN = "a before b, b before a"
ID = finding_id("linearizable", "stale-read", "store mode=x", PATTERN)


def night(number: int, hits: int, runs: int, **more: Any) -> list[Record]:
    """The first `hits` of the runs show a stale read."""
    return [
        Record(
            number, "item", run, 100 * number + run, "violation" if run < hits else "ok", "why", (("linearizable", "stale-read", PATTERN),) if run < hits else (),
            ("write a, read a after 1",) if run < hits else (), "store mode=x", core_ops=3, sentence="read 1 was stale", drawing="|--read--|", **more,
        )
        for run in range(runs)
    ]  # fmt: skip


def only(records: list[Record], *accepted: Accepted) -> Finding:
    (found,) = findings(records, accepted, TODAY)
    return found


def test_of_a_run_that_broke_several_claims_each_finding_is_told_by_its_own_proof() -> None:
    plan = replace(load_plan(EXAMPLES / "eventual.toml"), claims=("read-your-writes", "linearizable"))
    claims = simulate_run(plan).results["claims"]
    record = run_one(1, "item", 0, dump_plan(plan))
    for found in findings([msgspec.json.decode(msgspec.json.encode(record), type=Record)], (), TODAY):
        assert found.example.sentence == claims[found.claim]["reason"]
        assert found.example.core_ops == len(claims[found.claim]["certificate"]["ops"])
        numbers = {int(number) for number in re.findall(r"#(\d+)", found.example.drawing)}
        assert numbers == set(claims[found.claim]["certificate"]["ops"])
    assert len(record.broken) == 2


def test_a_bug_comes_becomes_rare_and_is_mended() -> None:
    """Night 0 clean; 1 the bug is there; 2 still; then it shows once in 40 runs; then no more, until it counts as resolved."""
    nights = [night(0, 0, 20), night(1, 10, 20), night(2, 8, 20), night(3, 1, 40)]
    assert findings(nights[0], (), TODAY) == []
    found = [only(functools.reduce(operator.iadd, nights[: count + 1], [])) for count in range(1, 4)]
    assert [each.state for each in found] == ["new", "ongoing", "rare"]
    assert [each.red for each in found] == [True] * 3  # rare or not, it was seen tonight
    records = functools.reduce(operator.iadd, nights, [])
    states = []
    for number in range(4, 12):
        records = records + night(number, 0, 100)
        gone = only(records)
        assert gone.clean == (number - 3) * 100 + 39  # 39 runs of night 3 came after its only hit
        assert (gone.state == "resolved") == (gone.clean >= gone.needed)
        assert gone.needed == runs_to_resolve(wilson(1, 40)[0])  # not of the rate before it became rare
        states.append(gone.state)
    assert states == ["rare"] * 6 + ["resolved"] * 2


def test_a_rare_finding_needs_many_clean_runs() -> None:
    records = night(0, 1, 50) + night(1, 0, 50)
    found = only(records)
    assert found.state == "rare"
    assert found.clean == 49 + 50
    assert found.needed > 500
    assert (
        only(
            records + functools.reduce(operator.iadd, (night(number, 0, 50) for number in range(2, 20)), [])
        ).state
        == "resolved"
    )
    assert only(records + night(2, 1, 50)).state == "ongoing"


@given(st.floats(0.001, 0.999))
def test_so_many_clean_runs_would_have_shown_it(rate: float) -> None:
    needed = runs_to_resolve(rate)
    assert (1 - rate) ** needed <= 0.05 + 1e-9
    assert needed == 1 or (1 - rate) ** (needed - 1) > 0.05 - 1e-9


def test_runs_that_prove_nothing_are_not_clean() -> None:
    doubtful = [Record(1, "item", run, run, "vacuous", "the kill never bit", configuration="store mode=x") for run in range(30)]  # fmt: skip
    assert only(night(0, 5, 20) + doubtful).clean == 15


def broken(run: int, pattern: str, configuration: str, shape: str = "", core_ops: int = 3) -> Record:
    return Record(0, "item", run, run, "violation", "why", (("linearizable", "stale-read", pattern),), (shape,), configuration, core_ops=core_ops)  # fmt: skip


def test_the_same_anomaly_elsewhere_or_in_another_pattern_is_another_finding() -> None:
    """What cores of one pattern come down to does not part findings: one bug has many ways to show."""
    records = [*night(0, 1, 2), broken(5, PATTERN, "store mode=y"), broken(6, "another", "store mode=x")]
    found = findings([*records, broken(7, PATTERN, "store mode=x", "read a", core_ops=2)], (), TODAY)
    assert {(each.configuration, each.pattern): each.hits for each in found} == {
        ("store mode=x", PATTERN): {0: (2, 4)},
        ("store mode=x", "another"): {0: (1, 4)},
        ("store mode=y", PATTERN): {0: (1, 1)},
    }
    same = next(each for each in found if each.id == ID)
    assert same.shapes == ("read a", "write a, read a after 1")
    assert same.example.run == 7  # the smallest core
    assert {family_of(each.id) for each in found if each.configuration == "store mode=x"} == {family_of(ID)}
    assert len({each.id for each in found}) == 3


def test_a_ledger_of_before_patterns_has_findings_by_their_families() -> None:
    old = [msgspec.structs.replace(run, shapes=()) for run in night(0, 2, 3)]
    assert only(old).id == family_of(ID)


def test_who_accepts_a_family_accepts_all_its_shapes() -> None:
    records = [*night(0, 1, 2), broken(6, "another", "store mode=x"), broken(7, "", "store mode=x")]
    family = findings(records, [Accepted(family_of(ID), "ada", "all", TODAY)], TODAY)
    assert [each.red for each in family] == [False] * 3
    one = findings(records, [Accepted(ID, "ada", "this", TODAY)], TODAY)
    assert {each.id: each.red for each in one if not each.red} == {ID: False}
    both = [Accepted(family_of(ID), "ada", "all", TODAY), Accepted(ID, "bob", "this", TODAY)]
    (own,) = (each.accepted for each in findings(records, both, TODAY) if each.id == ID)
    assert own is not None
    assert own.owner == "bob"  # who names the finding itself knows more of it


def test_clean_runs_are_counted_from_the_last_hit_of_any_item() -> None:
    """Items are made round by round: run 9 of one came after run 3 of the other."""
    early = [msgspec.structs.replace(run, item="a") for run in night(0, 10, 20)]  # its runs 0 to 9 show it
    other = [msgspec.structs.replace(run, item="b") for run in night(0, 1, 20)]  # run 0 alone
    assert only(early + other).clean == 10 + 10


@pytest.mark.parametrize(
    ("until", "red"), [("2026-11-25", False), ("2026-12-01", False), ("2026-11-24", True)]
)
def test_what_is_accepted_is_not_red_until_it_expires(until: str, red: bool) -> None:
    records = night(0, 1, 2)
    found = only(records, Accepted(ID, "ada", "known", until))
    assert found.id == ID
    assert found.red is red
    outcome, status, _ = verdict_of_night([found], [records[1]], 0)
    assert (outcome, status) == (("violation", 1) if red else ("ok", 0))


def test_precedence() -> None:
    ended = [Record(0, "i", n, n, outcome, f"the {outcome}") for n, outcome in enumerate(("ok", "vacuous", "unknown", "infrastructure", "crash"))]  # fmt: skip
    said = [verdict_of_night([], ended[:count], 0)[:2] for count in range(1, 6)]
    assert said == [("ok", 0), ("vacuous", 2), ("unknown", 2), ("infrastructure", 255), ("crash", 255)]
    assert verdict_of_night([only(night(0, 1, 1))], ended, 0)[:2] == ("violation", 1)
    assert verdict_of_night([], ended[:1], 3)[:2] == ("unknown", 2)
    assert verdict_of_night([], [], 0)[:2] == ("unknown", 2)


def test_a_clean_item_says_what_rate_is_still_possible() -> None:
    campaign = Campaign("c", "1h", (Item("item", PLAN, 5), Item("idle", PLAN, 1)), ())
    item, idle = summaries(campaign, night(0, 2, 20) + night(1, 0, 42, p99_ms=7.0), 1)
    assert (item.clean_runs, item.outcomes) == (18 + 42, {"ok": 42})
    assert (1 - item.bound) ** 60 == pytest.approx(0.05)
    assert item.p99_ms == (7.0,)
    assert (idle.outcomes, idle.bound) == ({}, 1.0)


def made(records: list[Record], *accepted: Accepted) -> Morning:
    campaign = Campaign("c", "1h", (Item("item", PLAN, 5),), accepted)
    found = findings(records, accepted, TODAY)
    last = max(record.night for record in records)
    tonight = [record for record in records if record.night == last]
    outcome, status, why = verdict_of_night(found, tonight, 0)
    rows = summaries(campaign, records, last)
    return Morning(campaign, Night(last, "then", None, "1.0"), last + 1, outcome, status, why, tuple(found), tuple(rows), tuple(tonight), {each.id: Ways("p.toml") for each in found})  # fmt: skip


def test_junit_counts_and_skips_what_is_accepted() -> None:
    records = [*night(0, 1, 3), Record(0, "item", 7, 7, "crash", "it fell"), Record(0, "item", 8, 8, "unknown", "who knows")]  # fmt: skip
    suite = ElementTree.fromstring(junit(made(records)).encode()).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}  # fmt: skip
    known = ElementTree.fromstring(junit(made(records, Accepted(ID, "ada", "known", TODAY))).encode()).find("testsuite")  # fmt: skip
    assert known is not None
    assert (known.get("failures"), known.get("skipped")) == ("0", "2")


def test_no_text_of_the_system_breaks_a_form() -> None:
    evil = "<script>alert(1)</script>]]>\x00\x1b"
    records = [Record(0, "item", 0, 0, "violation", evil, ((evil, evil, evil),), (evil,), evil, sentence=evil, drawing=evil)]  # fmt: skip
    morning = made(records)
    assert "<script>alert" not in morning_page(morning)
    ElementTree.fromstring(junit(morning).encode())
    assert json.loads(json.dumps(sarif(morning)))["runs"][0]["results"][0]["ruleId"] == evil
    assert evil in markdown(morning)


def test_the_page_says_where_and_how_often() -> None:
    page = morning_page(made(night(0, 1, 2)))
    assert "store mode=x; in item. Comes down to: write a, read a after 1." in page
    assert "Nights (runs that show it, of all): 0: 1 of 2." in page
    assert "built-in" not in page


def test_sarif_and_annotations_tell_what_is_there_tonight() -> None:
    there = made(night(0, 1, 2))
    (result,) = sarif(there)["runs"][0]["results"]
    assert (result["baselineState"], result["partialFingerprints"]) == ("new", {"quorate/v1": ID})
    assert github_lines(there) == ["::error title=stale-read against linearizable (new)::read 1 was stale"]
    gone = made(night(0, 1, 2) + night(1, 0, 2))
    assert sarif(gone)["runs"][0]["results"] == []
    assert github_lines(gone) == []
    accepted = made(night(0, 1, 2), Accepted(ID, "ada", "known", TODAY))
    assert sarif(accepted)["runs"][0]["results"][0]["suppressions"][0]["justification"] == "known"
    assert github_lines(accepted) == []
    assert "accepted by ada until 2026-11-25: known" in markdown(accepted)


def test_a_change_of_latency_is_in_every_form() -> None:
    nights = [
        night(number, 0, 3, p99_ms=(4.0 if number < 6 else 8.0) + number % 2 / 5) for number in range(12)
    ]
    morning = made(functools.reduce(operator.iadd, nights, []))
    line = "item: p99 (ms) rose from 4.1 to 8.1 with night 6."
    assert f"- {line}\n" in markdown(morning)
    assert f"<li>{line}</li>" in morning_page(morning)
    (item,) = morning.as_json()["items"]
    assert [(trend["what"], trend["night"]) for trend in item["trends"]] == [("p99 (ms)", 6)]


def test_two_nights_differ_by_what_shows_in_them() -> None:
    records = night(0, 1, 2) + night(1, 0, 2) + night(2, 1, 2)
    found = findings(records, (), TODAY)
    (line,) = changed_between(found, 0, 1)["gone"]
    assert line.startswith(ID)
    assert changed_between(found, 1, 2)["new"] == [line]
    assert changed_between(found, 0, 2)["still there"] == [line]


def test_ids_do_not_run_together() -> None:
    parts = [("a", "b", "c"), ("ab", "", "c"), ("a", "bc", ""), ("", "ab", "c")]
    ids = sorted(finding_id(*each, "read a") for each in parts)
    assert all(a != b for a, b in pairwise(ids))
    assert all(len(each) == 8 + 1 + 4 for each in ids)
    assert finding_id("a", "b", "c", "") == family_of(finding_id("a", "b", "c", "read a"))
