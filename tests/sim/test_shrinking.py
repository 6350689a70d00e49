"""Findings: written out as scripts, made small, replayed byte for byte, stopped half way, drawn; and the files that keep them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from checkers.op import MISSING
from harness.cli import status_of
from harness.generator import script, simulate
from harness.plan import Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.plan_script import ScriptOp, Stroke
from harness.search import fewer, simpler
from harness.search.finding import Target, scripted, shows, targets
from harness.search.lamport import draw
from harness.search.paused import stopped_at
from harness.search.replay import Recorded, ReplayError, replayed
from harness.search.shrink import NotShownError, Size, shrink
from harness.search.trace import traced
from harness.simulate import simulate_run
from harness.worlds.sim import SimLoop, stream
from harness.worlds.sim.net import LinkedNetwork, NetOptions
from tests.sim.from_file import keeps, shown_by, small_again
from tests.sim.small import SMALL

EXAMPLES = Path(__file__).parents[2] / "examples"
STALE, LOST = Target("linearizable", "stale-read"), Target("linearizable", "lost-write")


def plan_of(name: str, **changes: Any) -> Plan:
    return replace(load_plan(EXAMPLES / f"{name}.toml"), **changes)


EVENTUAL = plan_of("eventual", time_limit_s=6.0)


def test_a_script_is_played_in_order_and_a_busy_client_catches_up() -> None:
    ops = [
        ScriptOp(client=1, f="b", at_s=0.2),
        ScriptOp(client=0, f="a", at_s=0.1),
        ScriptOp(client=1, f="c", at_s=0.2),
        ScriptOp(client=0, f="d"),
    ]
    calls = [(op.process, op.f) for op in simulate(script(ops), concurrency=2) if op.type.word == "invoke"]
    assert calls == [(0, "d"), (0, "a"), (1, "b"), (1, "c")]


def test_a_script_survives_being_written() -> None:
    assert parse_plan(dump_plan(SMALL)) == SMALL
    assert parse_plan(dump_plan(SMALL)).script[1].value is None
    read = next(op for op in simulate_run(SMALL).history if op.f == "read")
    assert read.value is MISSING


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("client = 2", "client = 3", "client is 3; it is a number from 0 to 2"),
        ('f = "write"', "f = 7", "f is 7; it is the name of an operation"),
        ("at_s = 0.06", "at_s = -1", "at_s is -1; it is a number of seconds"),
        ("at_s = 0.06", "after_s = -1", "after_s is -1; it is a number of seconds, from 0 to"),
        ("at_s = 0.06", "after_s = true", "after_s is True; it is a number of seconds"),
        ("at_s = 0.06", "at_s = 0.06, after_s = 1", "at_s counts from the beginning, after_s from the heal"),
        ("at_s = 0.06", "at_s = 0.6", "an operation at 0.6 s, and time_limit_s is 0.2"),
        ("value = 212", "valeu = 212", "script, operation 1: unknown key 'valeu'"),
        ('kind = "partition"', 'kind = "partitoin"', "which is no fault"),
        ("for_s = 0.02", "for_s = 0", "for_s more than 0"),
        ('nodes = ["n2"]', 'nodes = ["n9"]', "there is no node 'n9'"),
        ('n2 = ["n3"]', 'n2 = ["n8"]', "there is no node 'n8'"),
        ('nodes = ["n2"]', 'nodes = [["n2"]]', "there is no node ['n2']"),
        ('n2 = ["n3"]', 'n2 = [["n3"]]', "there is no node ['n3']"),
        (
            "[[strokes]]",
            '[[strokes]]\nkind = "clock"\nstart_s = 0\nfor_s = 1\nnodes = ["n2"]\ndetail = {offsets_ms = {n1 = 50.0}}\n\n[[strokes]]',
            "offsets_ms has n1, and nodes n2; name the same nodes in both",
        ),
        ("[[strokes]]", '[[faults]]\nkind = "kill"\n\n[[strokes]]', "leave one of them out"),
    ],
)
def test_a_bad_script_is_refused_by_name(old: str, new: str, words: str) -> None:
    text = dump_plan(SMALL)
    assert old in text
    with pytest.raises(PlanError, match=re.escape(words)):
        parse_plan(text.replace(old, new, 1))


@pytest.mark.parametrize(
    "plan", [EVENTUAL, plan_of("monotonic_skewed", time_limit_s=6.0)], ids=lambda plan: plan.name
)
def test_a_run_written_out_is_the_same_run(plan: Plan) -> None:
    run = simulate_run(plan)
    again = simulate_run(scripted(plan, run))
    assert again.lines == run.lines
    assert [fault["evidence"] for fault in again.faults] == [fault["evidence"] for fault in run.faults]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "target"), [("eventual", STALE), ("monotonic_skewed", LOST)])
def test_a_finding_becomes_small(name: str, target: Target, tmp_path: Path) -> None:
    plan = plan_of(name)
    found = shrink(plan, target)
    size = Size.of(found.plan)
    assert found.done
    assert found.before.ops > 1000
    assert (size.nodes <= 4, size.clients <= 3, size.ops <= 4, size.faults) == (True, True, True, 1)
    small_again(found, target, tmp_path)
    for place in range(size.ops):  # each operation that is left is needed
        less = replace(found.plan, script=found.plan.script[:place] + found.plan.script[place + 1 :])
        assert shows(less, target) is None
    assert shows(replace(found.plan, strokes=()), target) is None


@pytest.mark.slow
def test_a_fault_that_is_not_needed_is_left_out(tmp_path: Path) -> None:
    needless = replace(plan_of("quorum").faults[0], start_s=0.5)
    plan = plan_of("quorum", time_limit_s=2.0, seed=2, faults=(needless,))
    found = shrink(plan, Target("linearizable", "new-old-inversion"))
    assert (found.before.ops > 500, found.before.faults) == (True, 1)
    small_again(found, Target("linearizable", "new-old-inversion"), tmp_path)
    assert 3 <= Size.of(found.plan).ops <= 4, "none would be the workload's own load"
    without = replace(found.plan, strokes=())
    assert without == found.plan or shows(without, Target("linearizable", "new-old-inversion")) is None


def test_what_does_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(NotShownError, match="shows no thin-air against integrity"):
        shrink(SMALL, Target("integrity", "thin-air"))


def test_without_any_time_the_script_as_it_is_is_the_answer(tmp_path: Path) -> None:
    found = shrink(EVENTUAL, STALE, out_of_time=lambda: True)
    assert (found.done, found.runs, Size.of(found.plan)) == (False, 1, found.before)
    assert found.plan.script
    small_again(found, STALE, tmp_path)


def test_time_ends_a_shrinking_and_what_was_found_so_far_fails_too(tmp_path: Path) -> None:
    left = iter(range(40))
    found = shrink(EVENTUAL, STALE, out_of_time=lambda: next(left, None) is None)
    assert not found.done
    small_again(found, STALE, tmp_path)


@pytest.mark.parametrize("steps", range(1, 14, 3))
def test_whenever_time_is_over_the_plan_is_that_of_the_run(steps: int) -> None:
    left = iter(range(steps))
    found = shrink(EVENTUAL, STALE, out_of_time=lambda: next(left, None) is None)
    assert simulate_run(found.plan).lines == found.run.lines


def test_one_node_less_keeps_each_client_and_fault_at_its_node() -> None:
    clients = tuple(ScriptOp(client=client, f="read", at_s=0.1, key=0) for client in range(6))
    stroke = Stroke(1, "clock", 0, 10, ("n1", "n3"), {"offsets_ms": {"n1": 5.0, "n3": 7.0}})
    plan = replace(SMALL, concurrency=6, script=clients, strokes=(stroke,))
    candidates = list(fewer.fewer_nodes(plan))
    without_n3 = candidates[0]
    assert without_n3.nodes == 2
    assert without_n3.strokes[0].detail == {"offsets_ms": {"n1": 5.0}}
    assert [op.client % 2 for op in without_n3.script] == [0, 1, 0, 0, 1, 0]
    turned = candidates[1]
    assert turned.strokes[0].detail == {"offsets_ms": {"n2": 5.0}}
    assert [op.client % 2 for op in turned.script] == [1, 0, 0, 1, 0, 0]


def test_a_fault_of_links_gets_fewer_links_and_gets_milder() -> None:
    grudge = {"n1": ["n2"], "n2": ["n1", "n3"]}
    stroke = Stroke(1, "loss", 0, 10, ("n2",), {"share": 0.4, "grudge": grudge})
    details = [plan.strokes[0].detail for plan in simpler.narrower(replace(SMALL, strokes=(stroke,)))]
    assert {"share": 0.2, "grudge": grudge} in details
    assert {"share": 0.4, "grudge": {"n1": ["n2"], "n2": ["n1"]}} in details
    assert {"share": 0.4, "grudge": {"n1": ["n2"]}} in details
    faint = replace(stroke, detail={"share": 0.0015, "grudge": {"n1": ["n2"]}})
    assert not [plan for plan in simpler.narrower(replace(SMALL, strokes=(faint,))) if plan.strokes[0].detail["share"] != 0.0015]  # fmt: skip


def test_faults_are_given_time_and_the_script_still_fails() -> None:
    slow = simpler.settled(SMALL, 0.5)
    stroke = slow.strokes[0]
    times = [stroke.start_ns / 1e9, slow.script[0].at_s, slow.script[1].at_s, stroke.end_ns / 1e9]
    assert times == pytest.approx([0.02, 0.52, 1.0397, 1.5397])
    assert slow.time_limit_s > 1.5397
    assert slow.script[2] == SMALL.script[2]
    assert targets(simulate_run(slow)) == targets(simulate_run(SMALL))


def test_closing_the_gaps_keeps_the_order_of_all_that_begins_and_ends() -> None:
    for plan in simpler.sooner(replace(SMALL, time_limit_s=9.0)):
        moments = [(op.at_s or 0.0) * 1e9 for op in plan.script[:2]]
        stroke = plan.strokes[0]
        assert stroke.start_ns <= moments[0] <= stroke.end_ns <= moments[1] < plan.time_limit_s * 1e9


def test_each_link_and_kind_draws_for_itself() -> None:
    def arrivals(others: int) -> list[float]:
        loop, seen = SimLoop(), list[float]()
        net = LinkedNetwork(loop, partial(stream, 7), NetOptions(duplicate=0.0, reorder=1.0))
        net.attach("b", lambda src, message: seen.append(loop.now))
        net.attach("c", lambda src, message: None)
        for number in range(20):
            for _ in range(others):
                net.send("a", "c", "x")
            net.send("a", "b", number)
        loop.run_until_complete(_sleep(loop))
        return seen

    assert arrivals(0) == arrivals(3)
    assert len(set(arrivals(0))) > 10


async def _sleep(loop: SimLoop) -> None:
    done = loop.create_future()
    loop.call_later(1.0, done.set_result, None)
    await done


DIGEST = "import sys; from harness.plan import load_plan; from harness.search.trace import traced; print(traced(load_plan(sys.argv[1])).digest)"


def test_the_digest_of_a_run_is_the_same_in_every_process(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(dump_plan(replace(EVENTUAL, time_limit_s=3.0)))
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(path)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
        ).stdout
        for hash_seed in ("0", "1")
    }  # fmt: skip
    assert len(digests) == 1
    assert traced(replace(EVENTUAL, time_limit_s=3.0, seed=2)).digest not in digests.pop()


def test_the_fates_of_messages_are_told() -> None:
    trace = traced(SMALL)
    stores = [message for message in trace.messages if message.words.startswith("Store register")]
    assert [(message.src, message.dst, message.fate) for message in stores] == [
        ("n3", "n1", "arrived"),
        ("n3", "n2", "cut"),
    ]
    assert all(
        message.end_s is not None and 0.0009 < message.end_s - message.sent_s < 0.0011 for message in stores
    )


def test_the_drawing_shows_who_calls_whom() -> None:
    lines = draw(SMALL, traced(SMALL)).splitlines()
    assert lines[0].split() == ["ms", "n1", "n2", "n3"]
    assert any("* write 0 212" in line and line.index("*") == lines[0].index("n3") for line in lines)
    assert any("x-------------------o" in line and "cut at" in line for line in lines)


def test_a_run_stands_still_and_goes_on() -> None:
    whole = simulate_run(SMALL).lines
    standing = stopped_at(SMALL, 0.05)
    before = standing.history
    assert 0 < len(before) < len(whole)
    assert whole.startswith(before)
    assert {state["state"] for state in standing.states().values()} == {"running"}
    assert type(standing.machines["n1"].process).__name__ == "StoreNode"
    standing.finish()
    assert standing.history == whole


def test_a_replay_that_differs_names_the_record() -> None:
    good = simulate_run(SMALL).lines
    assert replayed(Recorded(SMALL, good, {})).run.lines == good
    changed = good.replace(b'"value":212', b'"value":213', 1)
    with pytest.raises(ReplayError, match=r"record 3 was .*213.* and is .*212"):
        replayed(Recorded(SMALL, changed, {}))
    with pytest.raises(ReplayError, match=r"recorded by quorate 0\.0\.0, this is"):
        replayed(Recorded(SMALL, changed, {"quorate": "0.0.0"}))
    with pytest.raises(ReplayError, match="and is nothing"):
        replayed(Recorded(SMALL, good + b"{}\n", {}))


def answers(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, Any]:
    status = status_of([str(argument) for argument in (*arguments, "--json")])
    return status, json.loads(capsys.readouterr().out)


def test_from_a_run_to_a_test_that_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(EVENTUAL))
    status, ran = answers(capsys, "run", plan, "--out", tmp_path / "runs")
    assert status == 1
    assert shown_by(Path(ran["folder"])) == [STALE]
    played = answers(capsys, "replay", ran["folder"])[1]
    assert (played["same"], played["broken"]) == (True, [{"claim": "linearizable", "anomaly": "stale-read"}])
    status, small = answers(capsys, "shrink", ran["folder"], "--budget", "20s")
    assert (status, small["anomaly"], small["faults"]) == (1, "stale-read", 1)
    folder = Path(small["folder"])
    assert small["sentence"] in (folder / "story.md").read_text()
    status, again = answers(capsys, "replay", folder / "plan.toml")
    assert (status, again["broken"]) == (1, [{"claim": "linearizable", "anomaly": "stale-read"}])
    assert answers(capsys, "replay", folder)[1]["error"].endswith(f"What its plan does is shown by: quorate replay {folder / 'plan.toml'}")  # fmt: skip
    kept = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        capture_output=True,
        text=True,
    )
    assert kept.returncode == 0, kept.stdout
    assert "1 passed" in kept.stdout


def test_the_test_that_keeps_a_finding_fails_once_it_is_mended(tmp_path: Path) -> None:
    keeps(SMALL, LOST, tmp_path)()
    mended = replace(SMALL, system_options={"mode": "register", "n": 3})
    with pytest.raises(AssertionError):
        keeps(mended, LOST, tmp_path)()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["shrink", "PLAN", "--budget", "soon"], 254, "'soon' is no length of time"),
        (["shrink", "PLAN", "--claim", "integrity"], 2, "does not break the claim 'integrity'"),
        (["shrink", "PLAN", "--out", "PLAN"], 254, "File exists"),
        (["replay", "PLAN", "--times", "3"], 254, "--times and --cluster go with --world hosts"),
        (["replay", "PLAN", "--world", "moon"], 254, "there is no world 'moon'"),
        (["replay", "PLAN", "--settle", "soon"], 254, "is no length of time"),
        (["replay", str(EXAMPLES / "eventual.toml"), "--settle", "2s"], 254, "--settle is for scripts"),
        (["replay", "nowhere"], 254, "nowhere holds no run"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], status: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(SMALL))
    assert status_of([str(plan) if word == "PLAN" else word for word in arguments]) == status
    assert words in " ".join(capsys.readouterr().err.split())
