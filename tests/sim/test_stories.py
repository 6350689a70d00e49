"""What a stranger reads of a finding: sentences in the order of time, a drawing with the faults on their nodes, words for every draw."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from checkers import History
from harness.plan import load_plan
from harness.plan_options import LINK_KINDS
from harness.plan_script import ScriptOp, Stroke
from harness.plan_tape import calm_but
from harness.search.finding import targets
from harness.search.lamport import draw, draw_last
from harness.search.narrative import HEARD, narrative, words
from harness.search.paused import stopped_at
from harness.search.shrink import Shrunk, Size
from harness.search.story import chance, story
from harness.search.trace import traced
from tests.sim.small import SMALL

EVENTUAL = load_plan(Path(__file__).parents[2] / "examples" / "eventual.toml")
CALM = replace(SMALL, tape=calm_but([]))


def test_a_run_is_told_in_sentences_and_what_did_not_arrive_is_told() -> None:
    assert narrative(CALM, traced(CALM)) == (
        "Fault: partition from 20 to 40 ms: n2 hears nothing from n3. "
        "#2: at 20.3 ms process 2 asks n3 for `write 212` of key 0, and is told at 21.1 ms that it is done. "
        'The message "Store register-0 = 212" from n3 to n2, sent at 20.4 ms, is cut off. '
        "#6: at 60.0 ms process 1 asks n2 for `read` of key 0, and is told at 60.2 ms that there is no value. "
        'The message "Query register-0" from n2 to n3, sent at 60.1 ms, is under way to the end. '
        'The message "Query register-0" from n2 to n1, sent at 60.1 ms, is under way to the end. '
        "#10: at 60.8 ms process 1 asks n2 for `read` of key 0, and is told at 61.0 ms that there is no value."
    )


def test_an_operation_without_an_answer_is_told_as_one_that_may_have_an_effect() -> None:
    plan = replace(
        CALM, op_timeout_ms=50.0, script=(ScriptOp(client=2, f="write", at_s=0.03, key=0, value=1),),
        strokes=(Stroke(1, "pause", 20_000_000, 150_000_000, ("n3",)),),
    )  # fmt: skip
    assert "asks n3 for `write 1` of key 0, and gets no answer in time: it may have an effect, or none." in narrative(plan, traced(plan))  # fmt: skip


def test_an_operation_that_fails_or_loses_its_node_is_told_with_the_reason() -> None:
    ops = (
        ScriptOp(client=1, f="write", at_s=0.0199, key=0, value=1),
        ScriptOp(client=1, f="read", at_s=0.03, key=0),
    )
    plan = replace(CALM, script=ops, strokes=(Stroke(1, "kill", 20_000_000, 150_000_000, ("n2",)),))
    told = narrative(plan, traced(plan))
    assert (
        "asks n2 for `write 1` of key 0, and does not know at 20.0 ms whether it has an effect (ChannelError: no answer from n2: "
        in told
    )
    assert "fails at 30.0 ms, without an effect (no client: ChannelError: n2 refused the connection: no process)." in told  # fmt: skip
    assert "in time" not in told


def test_a_message_of_the_last_operation_that_does_not_arrive_is_told() -> None:
    cut = Stroke(1, "partition", 20_000_000, 150_000_000, ("n1",), {"grudge": {"n1": ["n2"]}})
    plan = replace(CALM, script=(ScriptOp(client=1, f="read", at_s=0.06, key=0),), strokes=(cut,))
    assert 'The message "Query register-0" from n2 to n1, sent at 60.1 ms, is cut off.' in narrative(plan, traced(plan))  # fmt: skip


def test_a_drawing_without_room_for_all_has_the_operations_that_prove_it() -> None:
    trace = traced(EVENTUAL)
    found = Shrunk(EVENTUAL, trace.run, Size.of(EVENTUAL), EVENTUAL.system_options, 1, True)
    (target,) = targets(trace.run)
    drawn = story(found, target, trace).split("## What is said")[1]
    last = max(trace.run.results["claims"][target.claim]["certificate"]["ops"])
    assert re.search(rf"is told, #{last}$", drawn, re.MULTILINE)
    assert re.search(r"^… \d+ before$", drawn, re.MULTILINE)
    assert re.search(r"^… and \d+ more$", drawn, re.MULTILINE)


def test_a_value_of_several_lines_stays_on_one() -> None:
    plan = replace(CALM, script=(ScriptOp(client=2, f="write", at_s=0.03, key=0, value="a\nb"),))
    trace = traced(plan)
    assert "`write a\\nb` of key 0" in narrative(plan, trace)
    assert "* write 0 a\\nb" in draw(plan, trace)


def test_too_much_to_tell_is_told_without_messages() -> None:
    ops = tuple(
        ScriptOp(client=2, f="write", at_s=0.021 + place / 1000, key=0, value=place) for place in range(16)
    )
    plan = replace(CALM, script=ops)
    told = narrative(plan, traced(plan))
    assert told.count(" asks n3 for ") == 16
    assert "is cut off" not in told


def test_the_drawing_has_faults_on_the_nodes_they_strike_and_the_numbers_of_operations() -> None:
    plan = replace(CALM, strokes=(Stroke(1, "kill", 25_000_000, 45_000_000, ("n1", "n3")),))
    lines = draw(plan, traced(plan)).splitlines()
    places = [lines[0].index(node) for node in ("n1", "n2", "n3")]
    (begin,) = [line for line in lines if "kill begins, at !" in line]
    assert [begin[place] for place in places] == ["!", "|", "!"]
    assert len([line for line in lines if "kill ends" in line]) == 1
    assert [line.split()[-1] for line in lines if "process 2" in line] == ["#0", "#0"]
    assert any("Store register-0 = 212, arrives at " in line for line in lines)


def test_of_a_run_that_stands_still_no_message_is_said_to_be_gone_that_may_yet_arrive() -> None:
    with stopped_at(CALM, 0.0205) as standing:
        told = draw_last(CALM, History.parse(standing.history), standing.messages).splitlines()
    places = [told[0].index(node) for node in ("n1", "n2", "n3")]
    late = [[line[place] for place in places] for line in told if "still under way" in line]
    assert sorted(late) == [["|", "-", "o"], ["|", "|", "o"]]
    cut = [
        [line[place] for place in places]
        for line in draw(CALM, traced(CALM)).splitlines()
        if "cut at" in line
    ]
    assert cut == [["|", "x", "o"]]


def test_few_nodes_have_wide_columns_and_what_does_not_fit_is_cut_in_sight() -> None:
    ops = (
        ScriptOp(client=0, f="write", at_s=0.03, key=0, value=7 * 10**17),
        ScriptOp(client=0, f="write", at_s=0.05, key=0, value=7 * 10**70),
    )
    plan = replace(
        CALM, nodes=1, concurrency=1, script=ops, strokes=(), system_options={"mode": "eventual", "n": 1}
    )
    lines = draw(plan, traced(plan)).splitlines()
    assert [f"* write 0 {7 * 10**17}  " in line for line in lines if "process 0 calls" in line] == [
        True,
        False,
    ]
    assert any("000…" in line for line in lines)


def test_the_operations_are_those_that_prove_the_claim_that_is_meant() -> None:
    plan = replace(EVENTUAL, claims=("read-your-writes", "linearizable"))
    trace = traced(plan)
    for target in targets(trace.run):
        found = Shrunk(plan, trace.run, Size.of(plan), plan.system_options, 1, True)
        drawn = story(found, target, trace).split("## The operations that prove it")[1].split("##")[0]
        numbers = trace.run.results["claims"][target.claim]["certificate"]["ops"]
        assert set(map(int, re.findall(r"#(\d+)", drawn))) == set(numbers)
    assert len(targets(trace.run)) == 2


def test_a_draw_is_told_in_words() -> None:
    pins = [("net/n3/n1/Query", 0, 0.6), ("node/n2", 4, 0.25)]
    assert chance(replace(SMALL, tape=calm_but(pins))).splitlines()[2:] == [
        "- Query from n3 to n1: the draw number 0 of `net/n3/n1/Query` is 0.6",
        "- what n2 draws itself: the draw number 4 of `node/n2` is 0.25",
    ]


def test_draws_that_there_was_no_time_to_make_few_are_counted() -> None:
    many = calm_but([("node/n2", at, 0.25) for at in range(41)])
    assert chance(replace(SMALL, tape=many)).startswith(
        "41 random draws are given, in plan.toml, and the others are halves."
    )


def test_a_clock_that_is_shifted_is_ahead_or_behind() -> None:
    stroke = Stroke(
        1, "clock", 20_000_000, 40_000_000, ("n1", "n2"), {"offsets_ms": {"n1": 9.2, "n2": -300.0}}
    )
    assert words(stroke) == "clock from 20 to 40 ms: n1 is 9.2 ms ahead, n2 is 300 ms behind"


@pytest.mark.parametrize(
    ("kind", "detail", "told"),
    [
        ("partition", {}, "n2 hears nothing from n1, n3"),
        ("flapping", {}, "n2 hears nothing, again and again, from n1, n3"),
        ("loss", {"share": 0.3}, "n2 hears not all (share 0.3) from n1, n3"),
        ("delay", {"delay_ms": 50.0}, "n2 hears late (delay_ms 50) from n1, n3"),
        ("rate", {}, "n2 hears slowly from n1, n3"),
        ("reset", {}, "n2 hears that connections are reset from n1, n3"),
        ("duplicate", {}, "n2 hears some twice from n1, n3"),
        ("reorder", {}, "n2 hears some out of order from n1, n3"),
        ("corrupt", {}, "n2 hears some damaged from n1, n3"),
    ],
)
def test_what_a_fault_of_links_does_is_told_and_no_more(
    kind: str, detail: dict[str, float], told: str
) -> None:
    grudge = {"n2": ["n1", "n3"]}
    stroke = Stroke(1, kind, 20_000_000, 40_000_000, ("n2",), {**detail, "grudge": grudge})
    assert words(stroke) == f"{kind} from 20 to 40 ms: {told}"


def test_each_fault_of_links_has_words() -> None:
    assert HEARD.keys() == {*LINK_KINDS}


def test_one_of_a_thing_is_no_plural() -> None:
    assert str(Size(1, 2, 1_234, 1)) == "1 node, 2 clients, 1,234 operations, 1 fault"
