"""How each process ended, as the page tells it: what nobody asked for stands at the top; and which faults went on at the same time."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.run import show
from harness.control import ControlError
from harness.plan import FaultPlan, load_plan
from harness.report import overlaps, write_report
from harness.report.endings import alarms, ends_of, in_words, rows
from harness.report.folder import RunFiles, read_folder
from harness.report.markdown import run_markdown
from harness.runner import run
from harness.worlds.hosts.endings import ends_of as parsed
from harness.worlds.hosts.endings import sounding

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

EXAMPLES = Path(__file__).parents[2] / "examples"
BEGAN = "2026-01-01T00:00:00+00:00"
BEGAN_S = 1_767_225_600.0


def with_ends(folder: Path, *ends: dict[str, Any], world: str = "hosts") -> RunFiles:
    """A run on n1 to n5 with faults of `run_folders.FAULTS`: partition of n1 and n2 from 10 to 15 s, kill of n4 from 18 to 20 s."""
    run_folders.make(folder, "valid", ops=5)
    known = {"world": world, "began": BEGAN, "ends": list(ends), "ends_of": ["n1", "n2", "n3", "n4", "n5"]}
    (folder / "environment.json").write_text(json.dumps(known))
    return read_folder(folder)


def ended(node: str, at_s: float | None, status: int | None = None, asked: str = "", words: str = "") -> dict[str, Any]:  # fmt: skip
    return {"node": node, "pid": 7, "at_s": None if at_s is None else BEGAN_S + at_s, "status": status, "asked": asked, "running": at_s is None, "words": words}  # fmt: skip


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (ended("n4", 18.0, 137, "KILL"), []),
        (ended("n3", 4.25, 139), ["The process on n3 ended by itself 4.25 s into the run (SIGSEGV, status 139): no fault was to end it."]),
        (ended("n1", 12.0, 1), ["The process on n1 ended by itself 12.00 s into the run (status 1), during partition there or within a second after: no fault was to end it."]),
        (ended("n1", 15.5, 1), ["The process on n1 ended by itself 15.50 s into the run (status 1), during partition there or within a second after: no fault was to end it."]),
        (ended("n1", 16.5, 1), ["The process on n1 ended by itself 16.50 s into the run (status 1): no fault was to end it."]),
        (ended("n2", 5.0, 0, "TERM"), []),
        (ended("n2", 5.0, 143, "TERM"), []),
        (ended("n2", 5.0, 134, "TERM"), ["The process on n2 was told to end 5.00 s into the run (SIGTERM), and ended with SIGABRT, status 134."]),
        (ended("n2", None), []),
    ],
)  # fmt: skip
def test_what_nobody_asked_for_is_told_at_the_top(tmp_path: Path, end: dict[str, Any], told: list[str]) -> None:  # fmt: skip
    found = with_ends(tmp_path / "run", end)
    assert alarms(found) == told
    page, text = write_report(found.folder).read_text(), run_markdown(found)
    assert page.count('class="proof alarm"') == len(told)
    for each in told:
        assert page.index(each) < page.index('id="claims"')
        assert f"**{each}**" in text


def test_an_end_under_a_fault_of_the_disk_is_an_answer(tmp_path: Path) -> None:
    found = with_ends(tmp_path / "run", ended("n4", 19.0, 1))
    assert len(alarms(found)) == 1, "a kill does not make a process end by itself"
    faults = [{**fault, "kind": "io-error"} for fault in found.faults]
    answered = replace(found, faults=faults)
    assert alarms(answered) == []
    assert in_words(answered) == "1 process ended before the run was over: 1 by itself under a fault of its disk or memory; none unasked."  # fmt: skip
    assert list(rows(answered)) == [("n4", "7", "19.000 s", "status 1", "by itself", "io-error")]


def test_many_ends_are_counted(tmp_path: Path) -> None:
    found = with_ends(tmp_path / "run", *(ended("n3", 1.0 + at, 1) for at in range(5)))
    assert alarms(found)[-1] == "So did 2 more: see Processes."
    assert in_words(found) == "5 processes ended before the run was over: 5 by itself, unasked."  # fmt: skip


def test_a_run_of_before_says_that_it_is_not_known(tmp_path: Path) -> None:
    found = read_folder(run_folders.make(tmp_path / "run", ops=5))
    assert (ends_of(found), alarms(found)) == ([], [])
    assert in_words(found) == "How the processes of the nodes ended was not recorded in this run."
    part = with_ends(tmp_path / "part", ended("n1", None))
    part = replace(part, environment={**part.environment, "ends_of": ["n1", "n2"]})
    assert in_words(part) == "No process ended before the run was over. Of n3, n4 and n5 it is not known."


def test_in_the_simulator_a_rolling_restart_asks_by_sigterm(tmp_path: Path) -> None:
    plan = load_plan(EXAMPLES / "register.toml")
    faults = (FaultPlan(kind="rolling-restart", start_s=0.2), FaultPlan(kind="kill", start_s=0.1, for_s=0.05))
    done = run(replace(plan, time_limit_s=1.0, rate=20.0, faults=faults), world="sim", out=tmp_path)
    ends = [end for end in ends_of(read_folder(done.folder)) if end.at_ns is not None]
    assert [end.asked for end in ends] == ["KILL", *["TERM"] * 5]
    assert not any(end.is_unexpected for end in ends)


def test_in_the_simulator_a_kill_is_asked_for_and_an_answer_has_its_words(tmp_path: Path) -> None:
    plan = replace(load_plan(EXAMPLES / "eventual.toml"), time_limit_s=6.0)
    found = read_folder(run(plan, world="sim", out=tmp_path).folder)
    killed = [fault for fault in found.faults if fault["kind"] == "kill"]
    ends = [end for end in ends_of(found) if end.at_ns is not None]
    assert [(end.node, end.asked, end.faults[-1]) for end in ends] == [(fault["nodes"][0], "KILL", "kill") for fault in killed]  # fmt: skip
    assert [end.at_ns for end in ends] == [pytest.approx(fault["start_ns"], abs=1e6) for fault in killed]
    assert len(ends_of(found)) == len(ends) + plan.nodes
    assert alarms(found) == []


def test_a_host_says_how_processes_ended() -> None:
    said = "41 137 100.50\n42 1 101.00\n41 KILL\n"
    first, second = parsed("n1", said, booted_s=1000.0)
    assert (first["pid"], first["status"], first["asked"], first["at_s"]) == (41, 137, "KILL", 1100.5)
    assert (second["pid"], second["status"], second["asked"]) == (42, 1, "")
    assert parsed("n1", "", 0.0) == []


@given(
    st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(0, 10)
)  # how far the clock is off, and the ways there and back, in seconds
def test_the_bound_of_an_offset_holds_however_unequal_the_ways_are(off_s: float, there_s: float, back_s: float) -> None:  # fmt: skip
    before_s = 1_000_000.0
    wall = before_s + there_s + off_s
    found = sounding(before_s, before_s + there_s + back_s, f"{wall:.9f}\n12.5\nboot-id\n")
    assert abs(found.offset_ms - 1000 * off_s) <= found.within_ms + 1e-3


@pytest.mark.parametrize("said", ["1767225600.%N\n12.5\nboot-id\n", "", "1767225600.5\n"])
def test_a_host_that_does_not_tell_its_clock_is_not_measured(said: str) -> None:
    with pytest.raises(ControlError, match="does not tell its clock"):
        sounding(1.0, 2.0, said)


def fault(kind: str, start_s: float, end_s: float | None, *, bit: bool = True) -> dict[str, Any]:
    return {"kind": kind, "nodes": ["n1"], "start_ns": int(start_s * 1e9), "end_ns": None if end_s is None else int(end_s * 1e9), "bit": bit}  # fmt: skip


def test_faults_at_the_same_time() -> None:
    faults = [fault("partition", 2, 12), fault("kill", 8, None), fault("pause", 10, 11), fault("loss", 3, 9, bit=False)]  # fmt: skip
    found = overlaps.overlaps(faults, int(14e9))
    assert [(low / 1e9, high / 1e9, which) for low, high, which in found] == [(8, 10, (0, 1)), (10, 11, (0, 1, 2)), (11, 12, (0, 1))]  # fmt: skip
    assert (
        overlaps.in_words(faults, int(14e9))
        == "For 4.0 s two faults or more went on at the same time, 3 at most."
    )
    assert next(overlaps.rows(faults, int(14e9))) == ("8.000 s", "10.000 s", "2,000.0 ms", "partition of n1 and kill of n1")  # fmt: skip
    assert overlaps.in_words(faults[:1], 1) == ""
    apart = [fault("partition", 0, 2), fault("kill", 2, 3)]
    assert overlaps.in_words(apart, int(4e9)) == "No two faults that bit went on at the same time: how faults work together was not tested."  # fmt: skip


def test_a_run_prints_what_nobody_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = with_ends(tmp_path / "run", ended("n3", 4.25, 139), ended("n4", 18.0, 137, "KILL"))
    show(found.results, found.folder)
    printed = " ".join(capsys.readouterr().out.split())
    assert alarms(found)[0] in printed
    assert printed.index("VALID") < printed.index(alarms(found)[0])
    assert "n4" not in printed
