"""The command line: every bad input is one sentence with what to do, an exit status of 254 or 255, and no traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from harness.cli import status_of, status_of_error
from harness.cli.app import app
from harness.cli.hosts import in_words
from harness.plan import PlanError
from harness.worlds import WorldError

PLAN = run_folders.PLAN


def quorate(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """(exit status, stdout, stderr)."""
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path, status: int = 254) -> str:
    """The one sentence of an error."""
    got, stdout, stderr = quorate(capsys, *arguments)
    assert (got, stdout) == (status, "")
    message = stderr.splitlines()[-1]
    assert message.startswith("error: ")
    assert stderr.count("error: ") == 1
    assert "Traceback" not in stderr
    return message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frob"], "No such command 'frob'"),
        (["run"], "Missing argument 'PLAN'"),
        (["version", "--frob"], "No such option"),
        (["run", "none.toml"], "none.toml does not exist"),
        (["check", "none.jsonl"], "none.jsonl does not exist"),
        (["run", "/"], "give the file in it, for example /plan.toml"),
        (["compare", "/"], "give the file in it, for example /history.jsonl"),
        (["check", "none.jsonl", "--report", "/"], "such as /verdicts.html"),
        (["check", "x.jsonl", "--model", "registre"], "did you mean 'register'?"),
        (["hosts", "up", "--kind", "frob"], "hosts of kind 'frob' are not made"),
        (["hosts", "up", "-n", "many"], "Invalid value for '-n'"),
        (["node", "--config", "none.toml"], "none.toml does not exist"),
        (["report", "none"], "none is not a run folder"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], words: str) -> None:
    assert words in refused(capsys, *arguments)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["frob", "--json"], 254),
        (["run", "--json"], 254),
        (["run", "none.toml", "--json"], 254),
        (["check", "x.jsonl", "--model", "registre", "--json"], 254),
        (["explore", "none.toml", "--json"], 254),
        (["report", "none", "--format", "json"], 254),
        (["report", "none", "--format=json"], 254),
        (["campaign", "report", "none.toml", "--format", "json"], 254),
        (["cluster", "status", "--node", "no-port", "--json"], 254),
        (["cluster", "status", "--node", "127.0.0.1:1", "--json"], 255),
    ],
)
def test_who_asked_for_json_reads_the_error_as_json(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int
) -> None:
    got, stdout, stderr = quorate(capsys, *arguments)
    answer = json.loads(stdout)
    assert (got, answer["status"], answer.keys()) == (status, status, {"error", "status"})
    assert stderr.splitlines()[-1] == f"error: {answer['error']}"


def test_json_that_is_not_the_answers_form(capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, "check", "none.json", "--format", "json")
    refused(capsys, "check", "--", "--json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("name = \n", ":1:8:"),
        (PLAN.replace("seed = 7", "sede = 7"), "did you mean 'seed'?"),
        (PLAN.replace('"linearizable"', '"linearisable"'), "did you mean 'linearizable'?"),
        (PLAN.replace("nodes = 5", "nodes = 0"), "nodes is a number of nodes, from 1 to 1,000, not 0"),
        (PLAN.replace("n = 3\nr = 2", "n = 3\nr = 4"), "4"),
        (PLAN.replace('workload = "register"', 'workload = "registre"'), "register"),
        (PLAN.replace('name = "kvstore"', 'name = "frob"'), "kvstore"),
    ],
)
def test_bad_plans(capsys: pytest.CaptureFixture[str], tmp_path: Path, change: str, words: str) -> None:
    (tmp_path / "plan.toml").write_text(change)
    assert words in refused(capsys, "run", tmp_path / "plan.toml", "--out", tmp_path / "runs")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--world", "moon"], "moon"),
        (["--set", "frob=1"], "frob"),
        (["--set", "seed"], "seed"),
        (["--inventory", "x"], "--inventory"),
    ],
)
def test_bad_options_of_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], named: str
) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    assert named in refused(capsys, "run", tmp_path / "plan.toml", *options)


def test_a_corrupt_history_names_its_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=3)
    lines = (folder / "history.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "bad.jsonl").write_bytes(b"".join([lines[0], b"{oops\n", *lines[1:]]))
    assert "line 2" in refused(capsys, "check", folder / "bad.jsonl")


def test_check_reads_edn_and_refuses_what_it_cannot_judge(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "history.edn"
    path.write_text("[{:process 0, :type :invoke, :f :read} {:process 0, :type :ok, :f :read, :value 7}]\n")
    assert quorate(capsys, "check", path)[0] == 1
    assert quorate(capsys, "check", path, "--format", "edn")[0] == 1
    assert "history.edn: line 1" in refused(capsys, "check", path, "--format", "jsonl")
    assert "there is no format 'xml'" in refused(capsys, "check", path, "--format", "xml")
    path.write_text("{:process 0, :type :invoke, :value [[:r 1 nil]]}")
    assert "history.edn: the operations are transactions" in refused(capsys, "check", path)


def test_compare_shows_every_level_and_both_ends(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from checkers.jsonl import encode_op
    from checkers.levels import LEVELS

    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(encode_op(op) for op in run_folders.core_ops()))
    status, stdout, _ = quorate(capsys, "compare", path, "--json")
    line = json.loads(stdout)
    assert status == 1
    assert list(line["levels"]) == list(LEVELS)
    assert line["levels"]["linearizable"]["verdict"] == "invalid"
    assert "linearizable" not in line["strongest"]
    assert line["weakest_refuted"]
    assert all(line["levels"][level]["verdict"] == "valid" for level in line["strongest"])
    for level in line["weakest_refuted"]:
        assert line["levels"][level]["certificate"]["ops"]
    status, stdout, _ = quorate(capsys, "compare", path)
    assert status == 1
    assert "a core of" in stdout
    assert "INVALID" in stdout
    assert f"strongest kept: {', '.join(line['strongest'])}" in stdout
    status, _, stderr = quorate(capsys, "compare", tmp_path / "absent.jsonl")
    assert status == 254
    assert "absent.jsonl" in stderr


def test_check_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from checkers.jsonl import encode_op

    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(encode_op(op) for op in run_folders.core_ops()))
    status, stdout, _ = quorate(capsys, "check", path, path, "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert status == 1
    assert len(lines) == 2
    assert set(lines[0]) == {
        "file",
        "model",
        "verdict",
        "path",
        "seconds",
        "ops",
        "anomaly",
        "core",
        "reason",
    }
    assert (lines[0]["verdict"], lines[0]["ops"]) == ("invalid", 4)
    assert set(lines[0]["core"]) <= set(range(8))
    assert lines[0]["core"]


def test_infrastructure_is_255(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of_error(WorldError("host n1 refuses SSH; start sshd on it"), debug=False) == 255
    assert capsys.readouterr().err == "error: host n1 refuses SSH; start sshd on it\n"


def test_input_is_254(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of_error(PlanError("two\nlines"), debug=False) == 254
    assert capsys.readouterr().err == "error: two lines\n"


def test_a_crash_keeps_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of_error(ZeroDivisionError("x"), debug=False, arguments=["demo", "--json"]) == 255
    answer, message = capsys.readouterr()
    assert json.loads(answer)["error"] in " ".join(message.split())
    trace = Path(message.split("the trace is in ")[1].split(",")[0])
    assert "ZeroDivisionError: x" in trace.read_text()
    trace.unlink()


def test_a_crash_where_no_file_can_be_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    assert status_of_error(ZeroDivisionError("x"), debug=False) == 255
    message = capsys.readouterr().err
    assert message.startswith("ZeroDivisionError: x\n")
    assert message.splitlines()[-1].startswith("error: quorate itself failed (ZeroDivisionError: x)")


def test_report_prints_its_path(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=5)
    status, stdout, _ = quorate(capsys, "report", folder, "--json")
    assert (status, json.loads(stdout)) == (0, {"report": str(folder / "report.html")})


def commands(group: Any = None, *names: str) -> Iterator[tuple[list[str], Any]]:
    """Every command and group, by its names."""
    group = group or get_command(app)
    yield list(names), group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *names, name)


@pytest.mark.parametrize(("names", "command"), [*commands()], ids=lambda each: "-".join(each) if isinstance(each, list) else "")  # fmt: skip
def test_every_command_has_help_that_reads_as_it_is_written(
    capsys: pytest.CaptureFixture[str], names: list[str], command: Any
) -> None:
    """What stands in square brackets is markup to who prints it, and would be gone."""
    status, stdout, stderr = quorate(capsys, *names, "--help")
    assert (status, stderr) == (0, "")
    assert "Usage: quorate" in stdout
    shown = "".join(re.sub("[│ \n]", "", line) for line in stdout.splitlines())
    for text in (command.help, *(getattr(option, "help", None) for option in command.params)):
        for bracketed in re.findall(r"\\?(\[[^\]]+\])", text or ""):
            assert bracketed.replace(" ", "") in shown


def test_the_version_is_told_as_programs_do(capsys: pytest.CaptureFixture[str]) -> None:
    status, stdout, _ = quorate(capsys, "version")
    assert quorate(capsys, "--version") == (0, stdout, "")
    assert (status, stdout.split()[0]) == (0, "quorate")


def test_commands_load_little() -> None:
    """What is slow to load waits until something is drawn, or a host is reached."""
    code = """
import sys
from harness.cli import status_of
status_of(["version"])
print(sorted({"paramiko", "matplotlib", "jinja2", "checkers._core"} & set(sys.modules)))
import harness.cli.run
print(sorted({"paramiko", "matplotlib", "jinja2", "networkx", "numpy", "ray"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["[]", "[]"]


def test_a_cell_of_the_list_of_clusters_is_no_code() -> None:
    assert [in_words(value) for value in (("n1", "n2"), True, False, "lab")] == ["n1 n2", "yes", "no", "lab"]
