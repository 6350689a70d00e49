"""Runs as bad luck and bad will leave them: each has a correct page, and the page says what is missing."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from checkers.history import History
from checkers.jsonl import encode_op
from checkers.op import MISSING, Op, Type
from harness.cli import status_of
from harness.plan import PlanError, load_plan
from harness.report import write_report
from harness.report.drawing import CHARACTER, LABEL, WIDTH
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.report.remains import UNFINISHED, WENT_ON, went_on
from harness.report.text import cut, one_line, visible
from harness.results import results_of
from tests.harness.test_report import Page
from tests.polling import poll

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

ROOT = Path(__file__).parents[2]
SCRIPT = "<script>alert(1)</script>"
LONG = "m" * 1_000_000
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
TURNED = f"a\nb\u202e{HEBREW} 12"
VALUES = {"script": (SCRIPT, SCRIPT), "megabyte": ("k", LONG), "long key": (LONG, 7), "turned key": (TURNED, TURNED), "nothing": ("", "")}  # fmt: skip


ODD_LOAD = """
import dataclasses
from harness.workload import find_workload

def workload(options):
    register = find_workload("register")(options)

    class Odd:
        errors = {}

        def __init__(self, channel):
            self.client = register.client(channel)

        async def invoke(self, op):
            done = await self.client.invoke(op)
            return op.ok(bytes([255]).decode(errors="surrogateescape")) if op.f == "read" else done

        async def close(self):
            await self.client.close()

    return dataclasses.replace(register, client=Odd)
"""


def stale(key: object, value: object) -> list[Op]:
    """A read that misses the write before it, of any key and value: INVALID."""
    calls = [("write", value, 1), ("write", [[value, 2]], 2), ("read", value, 3)]
    ops = list[Op]()
    for at, (f, told, process) in enumerate(calls):
        written = told if f == "write" else MISSING
        ops.append(Op(2 * at, 20_000_000 * at, process, Type.INVOKE, f, key, written))
        ops.append(Op(2 * at + 1, 20_000_000 * at + 5_000_000, process, Type.OK, f, key, told))
    return ops


def test_a_history_that_was_changed_after_it_was_judged_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(run_folders.PLAN)
    assert status_of(["run", str(plan), "--time-limit", "0.5", "--out", str(tmp_path / "runs")]) in (0, 1, 2)
    folder = (tmp_path / "runs" / "quorum-under-faults" / "latest").resolve()
    assert read_folder(folder).changed == []
    assert status_of(["report", str(folder)]) == 0
    assert "was changed" not in capsys.readouterr().err + (folder / "report.html").read_text()
    lines = (folder / "history.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "history.jsonl").write_bytes(b"".join(lines[:-2]))
    told = "history.jsonl was changed after it was judged"
    assert status_of(["report", str(folder)]) == 0
    assert told in capsys.readouterr().err
    assert told in (folder / "report.html").read_text()
    assert status_of(["report", str(folder), "--format", "md"]) == 0
    assert told in capsys.readouterr().out
    assert status_of(["report", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"][0].startswith(told)
    assert status_of(["review", str(folder), "--out", str(tmp_path / "review")]) == 0
    assert told in (tmp_path / "review" / "review.md").read_text()
    (folder / "faults.jsonl").unlink()
    assert [line.split()[0] for line in read_folder(folder).changed] == ["history.jsonl"]


def nemesis(at: int, time_ms: int, kind: Type, f: str, **value: object) -> Op:
    return Op(at, time_ms * run_folders.MS, "nemesis", kind, f, None, value)


def judged(folder: Path, ops: list[Op], faults: list[dict[str, object]]) -> Path:
    """A run that came to its end, judged by what judges all runs."""
    folder.mkdir()
    (folder / "plan.toml").write_text(run_folders.PLAN)
    (folder / "history.jsonl").write_bytes(b"".join(map(encode_op, ops)))
    (folder / "faults.jsonl").write_text("".join(json.dumps(fault) + "\n" for fault in faults))
    plan, history = load_plan(folder / "plan.toml"), History.load(folder / "history.jsonl")
    _, results = results_of(plan, history, faults, [], world="sim", command="quorate run x")
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.mark.parametrize("name", VALUES)
def test_any_key_and_value_has_a_correct_page(name: str, tmp_path: Path) -> None:
    key, value = VALUES[name]
    folder = judged(tmp_path / "run", stale(key, value), [])
    html = write_report(folder).read_text()
    page, text = Page(html), run_markdown(read_folder(folder))
    assert len(html) < 1_000_000
    assert len(text) < 200_000
    assert "broke its claim to be linearizable" in page.words
    assert "The proof: 3 operations that cannot all be true Lost-write: read #4 of key" in page.words
    assert "had been acknowledged 15.0 ms before the read began" in page.words
    assert page.tags.count("script") == 3
    assert json.loads(page.scripts["data"])["results"]["outcome"] == "invalid"
    assert len(json.loads(page.scripts["timeline-data"])["ops"]["index"]) == 3
    assert "\u202e" not in "".join(page.text)
    assert "\u202e" not in text
    assert "<script" not in text.split("```")[0]


@pytest.mark.parametrize(
    ("name", "shown"), [(r"$\frac$", r"$\frac$ ok"), ("_hidden", "_hidden ok"), ("w" * 300, "wwww…")]
)
def test_an_operation_of_any_name_is_in_the_plot_of_latencies(name: str, shown: str, tmp_path: Path) -> None:
    ops = [Op(0, 1_000_000, 0, Type.INVOKE, name, "k", 1), Op(1, 2_000_000, 0, Type.OK, name, "k", 1)]
    html = write_report(judged(tmp_path / "run", ops, [])).read_text()
    plot = html[html.index("Latency of operations over time") :].partition("</svg>")[0]
    assert shown in plot
    assert "w" * 40 not in plot


def test_text_that_is_no_unicode_is_written_by_its_escapes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a client has it that decodes bytes of any kind with `surrogateescape`."""
    (tmp_path / "load.py").write_text(ODD_LOAD)
    plan = run_folders.PLAN.replace('workload = "register"', 'workload = "load.py:workload"')
    (tmp_path / "plan.toml").write_text(plan)
    asked = [
        "run",
        str(tmp_path / "plan.toml"),
        "--time-limit",
        "0.3",
        "--out",
        str(tmp_path / "runs"),
        "--json",
    ]
    assert status_of(asked) == 1
    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    results = json.loads((folder / "results.json").read_text())
    assert (results["outcome"], results["core"]["anomaly"]) == ("invalid", "thin-air")
    assert "\udcff" in [op["value"] for op in results["core"]["ops"] if op["type"] == "ok"]
    assert "broke its claim" in (folder / "report.html").read_text()
    assert status_of(["report", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["core"] == results["core"]
    assert status_of(["report", str(folder), "--format", "md"]) == 0
    assert "thin-air" in capsys.readouterr().out


def test_a_long_value_is_told_by_its_beginning_and_length(tmp_path: Path) -> None:
    html = write_report(judged(tmp_path / "run", stale("k", LONG), [])).read_text()
    assert "m… (1,000,000 characters)" in html
    assert "m" * 5_000 not in html
    labels = re.findall(r'<text class="(?:in|out|named)"[^>]*>([^<]*)</text>', html)
    assert len(labels) >= 6
    assert max(len(label) * CHARACTER for label in labels) < WIDTH - LABEL


def test_an_empty_history_has_a_page_without_a_verdict(tmp_path: Path) -> None:
    folder = judged(tmp_path / "run", [], [])
    page = Page(write_report(folder).read_text())
    assert "There is no verdict on kvstore in mode quorum (N=3 R=2 W=2)" in page.words
    assert page.words.count("no client did anything") + page.words.count("No client did anything") == page.words.count("look whether this is the whole history")  # fmt: skip
    assert "The history has no operation to draw." in page.words
    assert "No faults were injected" in page.words
    assert "# UNKNOWN: There is no verdict" in run_markdown(read_folder(folder))


def test_a_history_of_faults_alone_has_its_faults_and_no_verdict(tmp_path: Path) -> None:
    ops = [nemesis(0, 100, Type.INVOKE, "kill-start", id=1, nodes=["n4"]), nemesis(1, 100, Type.OK, "kill-start", id=1, nodes=["n4"])]  # fmt: skip
    page = Page(write_report(judged(tmp_path / "run", ops, [run_folders.FAULTS[1]])).read_text())
    assert "There is no verdict on" in page.words
    assert "pid before 4711" in page.words
    assert "The history has no operation to draw." in page.words


def killed(folder: Path, *, core: bool = True) -> Path:
    """As kill -9 leaves a run: no results, no page, both last lines torn, a fault that went on."""
    run_folders.make(folder, ops=200)
    for name in ("results.json", "environment.json"):
        (folder / name).unlink()
    filler = [op for op in run_folders.filler(200, 8, random.Random(7)) if op.f == "write"]
    ops = sorted([*(run_folders.core_ops() if core else []), *filler], key=lambda op: op.time_ns)
    lines = [encode_op(Op(at, op.time_ns, op.process, op.type, op.f, op.key, op.value, op.error)) for at, op in enumerate(ops)]  # fmt: skip
    begun = [nemesis(len(lines) + at, 30_000, kind, "pause-start", id=9, nodes=["n3"]) for at, kind in enumerate((Type.INVOKE, Type.OK))]  # fmt: skip
    (folder / "history.jsonl").write_bytes(b"".join([*lines, *map(encode_op, begun), lines[0][:30]]))
    with (folder / "faults.jsonl").open("a") as faults:
        faults.write('{"id":4,"kind":"ki')
    return folder


def test_a_killed_run_says_what_is_missing(tmp_path: Path) -> None:
    run = read_folder(killed(tmp_path / "run", core=False))
    page = Page(write_report(run.folder).read_text())
    assert run.results["outcome"] == "unknown"
    assert UNFINISHED in page.words
    for line in ("results.json: the run was killed", "history.jsonl: ", "faults.jsonl: the last line is torn", "environment.json: versions", "nodes: no log"):  # fmt: skip
        assert line in page.words
    assert len(run.missing) == 5
    assert len(run.bars) > 50
    assert [fault["kind"] for fault in run.faults] == ["partition", "kill", "partition", "pause"]
    assert WENT_ON in page.words
    assert f"quorate run {run.folder}/plan.toml" in page.words
    assert "## What is missing here" in run_markdown(run)
    assert not (run.folder / "results.json").exists()


def test_a_violation_in_what_a_killed_run_left_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    folder = killed(tmp_path / "run")
    assert status_of(["report", str(folder)]) == 0
    page = Page((folder / "report.html").read_text())
    assert "broke its claim to be linearizable" in page.words
    assert "The proof: " in page.words
    assert status_of(["report", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "invalid"


def test_a_fault_that_was_recorded_did_not_go_on(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"".join(map(encode_op, [nemesis(0, 5, Type.OK, "kill-start", id=1, nodes=["n1"]), nemesis(1, 9, Type.OK, "loss-start", id=2, nodes=[])])))  # fmt: skip
    assert [(each["kind"], each["start_ns"], each["end_ns"]) for each in went_on(path, [{"id": 1}])] == [("loss", 9_000_000, 9_000_000)]  # fmt: skip
    assert went_on(tmp_path / "none.jsonl", []) == []


@pytest.mark.parametrize("lost", ["plan.toml", "history.jsonl"])
def test_too_little_to_judge_is_refused_by_name(lost: str, tmp_path: Path) -> None:
    folder = killed(tmp_path / "run")
    (folder / lost).unlink()
    with pytest.raises(PlanError, match=f"no {lost} to judge in its place"):
        write_report(folder)


def test_a_whole_run_misses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = (ROOT / "examples" / "register.toml").read_text().replace("time_limit_s = 30", "time_limit_s = 6")
    (tmp_path / "plan.toml").write_text(plan)
    status_of(["run", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs"), "--json"])
    folder = Path(json.loads(capsys.readouterr().out)["folder"])
    assert read_folder(folder).missing == []
    assert "What is missing here" not in (folder / "report.html").read_text()


@pytest.mark.slow
def test_kill_9_leaves_a_run_that_has_a_page(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "quorate"), "run", str(ROOT / "examples" / "register.toml"), "--time-limit", "100000", "--out", str(tmp_path)]  # fmt: skip
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = tmp_path / "register" / "latest"
    poll(lambda: (folder / "history.jsonl").exists() and (folder / "history.jsonl").stat().st_size > 100_000, wait_s=600.0)  # fmt: skip
    run.send_signal(signal.SIGKILL)
    assert run.wait(timeout=600) == -signal.SIGKILL
    assert sorted(path.name for path in folder.iterdir()) == ["environment.json", "faults.jsonl", "history.jsonl", "plan.toml"]  # fmt: skip
    page = Page(write_report(folder.resolve()).read_text())
    assert UNFINISHED in page.words
    assert "--world sim --seed 7" in page.words
    assert json.loads(page.scripts["data"])["results"]["levels"]["linearizable"]["verdict"] == "valid"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain <b> text", "plain <b> text"),
        ("a\nb\tc", "a\nb\tc"),
        ("a\u202eb\u2066c\x00", "a\\u202eb\\u2066c\\x00"),
        (f"key {HEBREW} is 12", f"key \u2068{HEBREW}\u2069 is 12"),
        (f"{HEBREW} 1 {HEBREW} x {HEBREW}", f"\u2068{HEBREW} 1 {HEBREW}\u2069 x \u2068{HEBREW}\u2069"),
        ("stray \u2068 and \u2069", "stray \u2068 and \u2069"),
        ("stray \u2069", "stray \\u2069"),
    ],
)
def test_text_stays_where_it_is_put(given: str, shown: str) -> None:
    assert visible(given) == shown
    assert visible(shown) == shown


def test_a_value_is_one_line() -> None:
    assert one_line("a\nb\u2028c") == "a\\nb\\u2028c"


def test_cut_data_keeps_its_shape() -> None:
    data = {"k" * 10: ["x" * 10, 3, None, {"a": "b" * 5}]}
    assert cut(data, 8) == {"kkkkkkkk… (10 characters)": ["xxxxxxxx… (10 characters)", 3, None, {"a": "bbbbb"}]}  # fmt: skip
