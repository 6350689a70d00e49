"""What can only be a mistake is refused where it is read, in words that fit it, and not found out by a run."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest
import run_folders

from harness.cli import status_of, status_of_error
from harness.plan import FaultPlan, PlanError, dump_plan, parse_plan
from harness.plan_faults import idle, refuse_idle
from harness.plan_script import ScriptOp
from harness.runner import Story
from harness.search.strategies import STRATEGIES

PLAN = """\
name = "early"
workload = "register"
claims = ["linearizable"]
nodes = 3
time_limit_s = 4

[system]
name = "kvstore"
mode = "register"

[[faults]]
kind = "kill"
start_s = 3.5
every_s = 20
for_s = 1
"""


def flapping(for_s: float, own: str = "") -> str:
    return PLAN.replace('"kill"', f'"flapping"{own}').replace("for_s = 1", f"for_s = {for_s}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAN.replace('"kill"', "3"), "p.toml:12: kind must be text in quotes, not 3"),
        (PLAN.replace('kind = "kill"', ""), "p.toml: one of the [[faults]] has no kind; it is one of partition"),
    ],
)  # fmt: skip
def test_a_kind_that_is_none(text: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_plan(text, "p.toml")
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLAN.replace("time_limit_s = 4", "time_limit_s = 3.5"), "start_s of kill is 3.5, and time_limit_s is 3.5: it would never begin"),
        (flapping(1.0), "for_s of flapping is 1, and must exceed down_ms + up_ms (1 s): it goes down twice at least"),
        (flapping(0.6, "\ndown_ms = 100"), "for_s of flapping is 0.6, and must exceed down_ms + up_ms (0.6 s)"),
    ],
)  # fmt: skip
def test_faults_that_would_do_nothing(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(text)
    assert status_of(["run", str(path), "--out", str(tmp_path / "out")]) == 254
    assert f"p.toml: [[faults]] {message}" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_stroke_that_would_come_when_all_is_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(PLAN.partition("[[faults]]")[0] + '[[strokes]]\nkind = "kill"\nstart_s = 4\nfor_s = 1\nnodes = ["n1"]\n')  # fmt: skip
    assert status_of(["run", str(path), "--out", str(tmp_path / "out")]) == 254
    said = " ".join(capsys.readouterr().err.split())
    assert (
        "p.toml: [[strokes]] start_s of kill is 4, and time_limit_s is 4: it would come when all is over"
        in said
    )
    assert not (tmp_path / "out").exists()


def test_a_fault_that_would_come_more_often_than_anything_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        PLAN.partition("[[faults]]")[0] + '[[faults]]\nkind = "kill"\nfor_s = 1e-7\nevery_s = 1e-7\n'
    )
    assert status_of(["run", str(path), "--out", str(tmp_path / "out")]) == 254
    said = " ".join(capsys.readouterr().err.split())
    assert "every_s of kill is 1e-07, and time_limit_s 4: it would come more than 1,000,000 times" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ("rate = 1e-300", 0, "VALID early"),
        ("[sim]\nloss = 1.0", 255, "simulated node n1 was not ready within"),
    ],
)
def test_a_run_in_which_nothing_can_be_done_is_no_crash(
    change: str, status: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    text = PLAN.partition("[[faults]]")[0]
    path.write_text(f"{text}\n{change}\n" if "[" in change else f"{change}\n{text}")
    assert status_of(["run", str(path), "--out", str(tmp_path / "out")]) == status
    told = " ".join("".join(capsys.readouterr()).split())
    assert said in told
    assert "quorate itself failed" not in told


def test_flapping_that_goes_down_twice_is_taken() -> None:
    refuse_idle(parse_plan(flapping(0.61, "\ndown_ms = 100")), "p.toml")


def test_a_limit_on_the_command_line_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    path.write_text(PLAN)
    assert status_of(["run", str(path), "--time-limit", "3", "--out", str(tmp_path / "out")]) == 254
    assert "start_s of kill is 3.5, and time_limit_s is 3:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("workload", "known"),
    [
        ("register", "read, write"),
        ("session", "read, write"),
        ("cas-register", "read, write, cas"),
        ("counter", "read, add"),
        ("append-list", "read, append"),
        ("siblings", "read, write, delete, final-read, digest"),
        ("or-set", "read, add, remove, final-read, digest"),
        ("pn-counter", "read, add, final-read, digest"),
    ],
)
def test_a_script_of_operations_that_nobody_does(workload: str, known: str) -> None:
    plan = replace(
        parse_plan(PLAN), workload=workload, system_options={}, script=(ScriptOp(client=0, f="read"),)
    )
    Story(plan, "sim")
    with pytest.raises(
        PlanError,
        match=f"early: script, operation 2: f is 'frob', which the workload {workload} does not do; there are {known}$",
    ):
        Story(replace(plan, script=(*plan.script, ScriptOp(client=0, f="frob"))), "sim")


def test_swarms_of_flapping_are_plans() -> None:
    """However short the flapping was drawn, it goes down twice."""
    fault = FaultPlan(kind="flapping", start_s=0.1, every_s=1.2, for_s=1.1)
    plan = replace(parse_plan(PLAN), faults=(fault,))
    drawn = [STRATEGIES["swarm"](plan, number) for number in range(200)]
    assert all(parse_plan(dump_plan(each)) == each for each in drawn)
    assert [each for each in drawn if idle(each.faults[0], each.time_limit_s)] == []
    assert len({each.faults[0].options["down_ms"] for each in drawn}) > 100


@pytest.mark.parametrize(
    "arguments",
    [["explore", "p.toml", "--out", "file"],
     ["explore", "p.toml", "--out", "file/deeper"], ["cluster", "init", "file", "-n", "3"], ["cluster", "init", "file/deeper", "-n", "3"]],
)  # fmt: skip
def test_a_path_that_is_no_good_is_bad_input(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("kept")
    (tmp_path / "p.toml").write_text(PLAN)
    assert status_of(arguments) == 254
    assert "check that the path is right" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_a_page_in_place_of_a_folder_is_refused_before_anything_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "h.jsonl").write_text('{"process":1,"type":"invoke","f":"read","key":1}\n')
    assert status_of(["check", "h.jsonl", "--report", "folder"]) == 254
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "give the page's name too, such as folder/verdicts.html" in shown.err


@pytest.mark.parametrize(
    ("number", "path", "status"),
    [
        (errno.EISDIR, "out", 254),
        (errno.EACCES, "out/runs/x", 254),
        (errno.ENOSPC, "out", 255),
        (errno.EIO, "out", 255),
        (errno.ENOENT, "iptables", 255),
        (errno.EACCES, "/etc/elsewhere", 255),
    ],
)
def test_whose_fault_a_path_is(number: int, path: str, status: int) -> None:
    error = OSError(number, "why", path)
    assert status_of_error(error, debug=False, arguments=["run", "p.toml", "--out", "out"]) == status


@pytest.mark.parametrize("port", ["99999", "0", "65536"])
def test_a_port_that_cannot_be(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["cluster", "status", "--node", f"localhost:{port}"]) == 254
    assert f"'localhost:{port}' is not host:port with a port from 1 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--world", "hosts", "--times", "4"], "--times is 5 or more"), (["--world", "hosts", "--cluster", "none-such"], "no cluster 'none-such' is up"), (["--world", "moon"], "there is no world 'moon'"), (["--cluster", "c"], "go with --world hosts")],
)  # fmt: skip
def test_what_cannot_be_done_on_hosts_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    assert status_of(["attribute", str(folder), *words]) in (254, 255)
    assert said in capsys.readouterr().err
    assert not (folder / "attribution.json").exists()
    if "hosts" in words:
        assert status_of(["attribute", str(folder / "plan.toml"), "--world", "hosts"]) == 254
        assert "is a plan" in capsys.readouterr().err
