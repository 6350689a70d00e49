"""What a small finding is a finding of: scripts that do as their runs did, time to repair that is not left out, twins that keep the claim."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.cli import status_of
from harness.generator import clients, nemesis, op, phases, script, simulate
from harness.plan import Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.plan_script import ScriptOp, Stroke
from harness.plan_tape import calm_but
from harness.search import simpler
from harness.search.finding import Target, scripted, shows
from harness.search.shrink import NotShownError, Shrunk, Size, shrink
from harness.search.story import story
from harness.search.trace import traced
from harness.search.twin import Twin, with_changes, without_mistakes
from harness.simulate import simulate_run
from tests.sim.from_file import small_again
from tests.sim.small import SMALL

EXAMPLES = Path(__file__).parents[2] / "examples"
DIVERGED = Target("convergence", "diverged")
SECOND = 1_000_000_000


def away(until_s: float, write_s: float) -> Plan:
    """One write while n1 is away, and what the replicas hold 3 s after the heal; hints alone repair, and they are kept in memory."""
    return replace(
        load_plan(EXAMPLES / "bugs" / "hint.unsynced.toml"), concurrency=3, time_limit_s=until_s + 0.05, faults=(),
        strokes=(Stroke(1, "kill", 20_000_000, round(until_s * SECOND), ("n1",), {"targets": "one"}),),
        sim={"latency": "exponential", "latency_ms": 1.0, "duplicate": 0.0, "reorder": 0.0, "loss": 0.0, "streams": "links"},
        tape=calm_but([("net/n1/n2/Pong", 1, 0.7)]),
        script=(
            ScriptOp(client=1, f="write", at_s=write_s, key=0, value={"value": 1, "seen": []}),
            ScriptOp(client=1, f="digest", key=0, after_s=3.0),
        ),
    )  # fmt: skip


SHORT = away(0.05, 0.025)
"""Nobody suspects n1 yet, so nobody keeps a hint, whatever becomes of hints: what the shrinker once made of hint.unsynced."""
_SUSPECTED = away(3.049, 3.0291)
LONG = replace(
    _SUSPECTED,
    strokes=(
        *_SUSPECTED.strokes,
        Stroke(2, "kill", 3_040_000_000, 3_049_000_000, ("n2",), {"targets": "one"}),
    ),
    script=(_SUSPECTED.script[0], replace(_SUSPECTED.script[1], client=2)),
)
"""n2 has begun to suspect n1, keeps a hint, and crashes."""


def records(run: Any) -> list[Any]:
    return [json.loads(line) for line in run.lines.splitlines()]


# ---- scripts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["siblings", "crdt-set", "bugs/hint.unsynced"])
def test_what_comes_after_the_heal_is_as_long_after_it_in_the_script(name: str) -> None:
    plan = replace(load_plan(EXAMPLES / f"{name}.toml"), time_limit_s=0.8)
    run = simulate_run(plan)
    written = parse_plan(dump_plan(scripted(plan, run)))
    assert max(each.after_s for each in written.script) > 0.5, "the workload leaves time for repairs"
    assert records(simulate_run(written)) == records(run), "contexts too are those that the run had"


def test_times_after_the_heal_count_from_its_end() -> None:
    late = script(
        [ScriptOp(client=0, f="digest", after_s=2.0), ScriptOp(client=1, f="read", after_s=0.5)], since="heal"
    )
    gen = phases(clients(op("write")), nemesis(op("heal")), late)
    calls = {each.f: each.time_ns for each in simulate(gen) if each.type.word == "invoke"}
    (healed,) = [each.time_ns for each in simulate(gen) if each.f == "heal" and each.type.word == "ok"]
    assert healed > 0
    assert (calls["read"] - healed, calls["digest"] - healed) == (SECOND // 2, 2 * SECOND)


def test_what_a_script_has_left_out_nobody_has_seen() -> None:
    whole = replace(load_plan(EXAMPLES / "crdt-set.toml"), time_limit_s=0.8)
    written = scripted(whole, simulate_run(whole))
    removal = next(each for each in written.script if each.f == "remove")
    alone = replace(written, script=(removal,), strokes=())
    (ended,) = [
        each for each in records(simulate_run(alone)) if each["f"] == "remove" and each["type"] != "invoke"
    ]
    assert (ended["type"], ended["error"].split()[0]) == ("fail", "UNSEEN")
    cas = ScriptOp(client=0, f="cas", at_s=0.01, key=0, value=[3, 4])
    plan = replace(load_plan(EXAMPLES / "cas.toml"), faults=(), script=(cas,))
    (ended,) = [
        each for each in records(simulate_run(plan)) if each["f"] == "cas" and each["type"] != "invoke"
    ]
    assert (ended["type"], ended["error"].split()[0]) == ("fail", "UNSEEN")


def test_reads_come_sooner_and_what_looks_at_all_replicas_at_rest_does_not() -> None:
    read = ScriptOp(client=0, f="read", key=0, after_s=0.7)
    plan = replace(LONG, script=(*LONG.script, read))
    afters = [[each.after_s for each in smaller.script] for smaller in simpler.sooner(plan)]
    assert [0.0, 3.0, 0.0] in afters
    assert all(after[1] == 3.0 for after in afters)


def test_one_update_alone_is_tried_before_what_looks() -> None:
    first, look = LONG.script
    plan = replace(LONG, script=(first, replace(first, at_s=3.04), replace(first, key=1), look))
    assert [[each.at_s for each in alone.script] for alone in simpler.one_update(plan, [3])] == [[3.04, None], [3.0291, None]]  # fmt: skip
    assert not [*simpler.only_core(plan, [3])], "nothing differs where nothing is done"
    assert not [*simpler.one_update(SMALL, [1])], "a core that is more than a look"


def test_an_update_is_left_out_with_what_later_ones_say_of_it() -> None:
    script = (
        ScriptOp(client=0, f="add", at_s=0.1, key=0, value={"value": 2, "tag": 7}),
        ScriptOp(client=0, f="add", at_s=0.2, key=0, value={"value": 2, "tag": 9}),
        ScriptOp(client=0, f="remove", at_s=0.3, key=0, value={"value": 2, "seen": [7, 9]}),
        ScriptOp(client=0, f="add", at_s=0.4, key=1, value={"value": 2, "tag": 11}),
    )
    seen = [[op.value["seen"] for op in less.script if op.f == "remove"] for less in simpler.forgotten(replace(SMALL, script=script))]  # fmt: skip
    assert seen == [[[9]], [[7]]], "of the others nobody says that they were seen"
    written = ScriptOp(client=0, f="write", at_s=0.1, key=0, value={"value": 3, "seen": []})
    heir = replace(written, at_s=0.2, value={"value": 4, "seen": [3]})
    (less,) = simpler.forgotten(replace(SMALL, script=(written, heir)))
    assert [op.value for op in less.script] == [{"value": 4, "seen": []}]


# ---- twins -----------------------------------------------------------------------------------------------------------


def test_a_smaller_plan_that_breaks_its_claim_without_the_mistake_too_is_another_finding() -> None:
    twin = without_mistakes(LONG)
    assert twin is not None
    assert twin.words == "system.bugs = []"
    assert [shows(plan, DIVERGED) is not None for plan in (LONG, SHORT)] == [True, True]
    assert [twin.keeps(plan, DIVERGED) for plan in (LONG, SHORT)] == [True, False]


def test_a_twin_that_cannot_be_run_keeps_nothing() -> None:
    assert with_changes(SMALL, ["system.n=2"]).keeps(SMALL, DIVERGED)
    assert not Twin("fewer nodes", lambda plan: replace(plan, nodes=2)).keeps(SMALL, DIVERGED)


def small(plan: Plan, **options: Any) -> Shrunk:
    return shrink(plan, DIVERGED, **options)


@pytest.mark.slow
def test_what_is_left_is_a_finding_of_the_mistake(tmp_path: Path) -> None:
    found = small(LONG)
    small_again(found, DIVERGED, tmp_path)
    assert (found.done, found.lasting, Size.of(found.plan).ops) == (True, True, 2)
    twin = without_mistakes(found.plan)
    assert twin is not None
    assert twin.keeps(found.plan, DIVERGED)
    longest_ns = max(stroke.end_ns - stroke.start_ns for stroke in found.plan.strokes)
    assert longest_ns > SECOND, "n1 is away until it is suspected"
    assert found.plan.script[-1].after_s == 3.0
    told = story(found, DIVERGED, traced(found.plan))
    assert "With system.bugs = [] the same plan keeps the claim. With 10 times as long after the heal it is broken as well." in told  # fmt: skip


def test_a_whole_run_that_breaks_its_claim_without_the_mistake_is_made_small_and_says_so(
    tmp_path: Path,
) -> None:
    found = small(SHORT, out_of_time=lambda: True)
    small_again(found, DIVERGED, tmp_path)
    assert found.twin is None
    assert "breaks the claim with system.bugs = [] as well, so this is no story of that" in story(found, DIVERGED, traced(found.plan))  # fmt: skip


def test_the_cause_may_be_any_change_of_the_plan() -> None:
    sound = replace(SHORT, system_options={**SHORT.system_options, "bugs": []})
    assert without_mistakes(sound) is None
    compared = with_changes(sound, ["system.anti_entropy_ms=300.0"])
    assert small(sound, unless=compared, out_of_time=lambda: True).twin is compared
    with pytest.raises(NotShownError, match="with rate=20 as well: that is not the cause"):
        small(sound, unless=with_changes(sound, ["rate=20"]))
    with pytest.raises(PlanError, match="the plan has seed=1 already"):
        with_changes(sound, ["seed=1"])


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ("rate=20", 2, "breaks convergence with rate=20 as well"),
        ("system.anti_entropy=20", 254, "kvstore has no option 'anti_entropy'"),
        ("colour=red", 254, "--unless colour: no such key"),
        ("rate", 254, "--unless rate has no '='"),
        ("seed=1", 254, "has seed=1 already"),
    ],
)
def test_a_cause_that_is_none_is_said(
    change: str, status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(SHORT))
    assert status_of(["shrink", str(plan), "--unless", change]) == status
    assert words in " ".join(capsys.readouterr().err.split())


def test_what_is_over_with_more_time_is_no_small_finding_of_what_lasts() -> None:
    longer = simpler.with_more_rest(LONG)
    assert [each.after_s for each in longer.script] == [0.0, 30.0]
    assert simpler.with_more_rest(SMALL) == SMALL, "nothing looks at all replicas at rest"
