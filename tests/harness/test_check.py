"""`quorate check` on many files: a table, the worst exit status, and what a wrong argument is told."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from checkers.models import MODELS
from checkers.notation import parse_drawing
from harness.cli import check as command
from harness.cli import status_of

DRAWN = {
    "good": "A: |--w 1--|  |--r 1--|",
    "stale": "A: |--w 1--| |--w 2--| |--w 1--| |--w 2--|\nB:                                         |--r 1--|",
    "untested": "A: |--w 1--|",
}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A history of each verdict, and one that is none."""
    paths = {name: tmp_path / f"{name}.jsonl" for name in (*DRAWN, "bad")}
    for name, text in DRAWN.items():
        parse_drawing(text).dump(paths[name])
    paths["bad"].write_text('{"index":0,"time":1,"process":0,"type":"invoke","f":"read"}\n{oops\n')
    return paths


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """(exit status, stdout, stderr)."""
    status = status_of(["check", *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_it_is_told_what_is_being_done(files: dict[str, Path]) -> None:
    told: list[tuple[float, str]] = []
    options = command.Options(timeout_s=5.0)
    one = command.judged(files["stale"], options, command.judge_of(options), lambda *each: told.append(each))
    assert one.status == 1
    assert [words for _, words in told] == ["reading 0.0 MB", "judging 5 operations, 5 s at most"]
    assert [share for share, _ in told] == sorted(share for share, _ in told)


def test_what_was_dropped_on_reading_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cut.jsonl"
    parse_drawing(DRAWN["good"]).dump(path)
    path.write_bytes(path.read_bytes() + b'{"process":4,"ty')
    for arguments in ((), ("--json",)):
        status, _, err = run(capsys, path, *arguments)
        assert status == 0
        assert f"warning: {path}: line 5, the last, was cut off and is dropped" in err


@pytest.mark.parametrize(
    ("drawn", "hint"),
    [
        (
            "A: |--r 7--|  |--w 1--|",
            "hint: h.jsonl: if the object began with 7, judge it again with --initial 7",
        ),
        ("A: |--w 1--|  |--r 7--|", ""),  # it would have been replaced
        ("A: |--w 1--|  |--r 1--|", ""),
    ],
)
def test_a_value_that_nobody_wrote_may_be_the_first(
    drawn: str, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parse_drawing(drawn).dump("h.jsonl")
    status, _, err = run(capsys, "h.jsonl")
    assert [line for line in err.splitlines() if line.startswith("hint")] == ([hint] if hint else [])
    if hint:
        assert status == 1
        status, _, err = run(capsys, "h.jsonl", *hint.split()[-2:])
        assert (status, "hint" in err) == (0, False)


@pytest.mark.parametrize("columns", ["", "none", "0", "-5", "12", "120"])
def test_any_width_that_the_environment_gives(
    columns: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.chdir(files["stale"].parent)  # a long path would be told in several lines
    status, shown, _ = run(capsys, Path(files["stale"].name), Path(files["good"].name))
    assert status == 1
    assert "stale.jsonl" in shown
    assert max(map(len, shown.splitlines())) == (120 if columns == "120" else 200)


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("good",), 0),
        (("good", "untested"), 2),
        (("good", "untested", "bad"), 254),
        (("good", "bad", "untested", "stale"), 1),
    ],
)
def test_the_worst_file_decides(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], names: tuple[str, ...], status: int
) -> None:
    assert run(capsys, *(files[name] for name in names))[0] == status
    assert run(capsys, *(files[name] for name in reversed(names)), "--json")[0] == status


def test_a_crash_is_worse_than_bad_input_and_less_than_a_violation(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = command.loaded

    def breaks(path: Path, *rest: str) -> object:
        if path == files["good"]:
            raise RuntimeError("boom")
        return real(path, *rest)

    monkeypatch.setattr(command, "loaded", breaks)
    status, _, stderr = run(capsys, files["good"], files["bad"])
    assert status == 255
    assert "quorate itself failed (RuntimeError: boom)" in stderr
    assert run(capsys, files["good"], files["stale"])[0] == 1


def test_a_malformed_file_does_not_keep_the_others_from_being_judged(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, stdout, stderr = run(capsys, files["bad"], files["good"], files["stale"], "--json")
    lines = [json.loads(line) for line in stdout.splitlines()]
    assert status == 1
    assert [line["verdict"] for line in lines] == ["unknown", "valid", "invalid"]
    assert "line 2 is not JSON" in lines[0]["reason"]
    assert stderr.count("line 2 is not JSON") == 1
    assert list(lines[0]) == [
        "file",
        "model",
        "verdict",
        "path",
        "seconds",
        "ops",
        "anomaly",
        "core",
        "reason",
    ]
    assert lines[2]["path"] == "search"
    assert len(lines[2]["core"]) == 3
    status, stdout, _ = run(capsys, files["bad"], files["good"], files["stale"])
    assert [word for word in ("NOT JUDGED", "VALID", "INVALID") if word not in stdout] == []


def test_explain_says_why_step_by_step(files: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, stdout, _ = run(capsys, files["stale"], "--explain", "--engine", "search")
    assert "must have happened by then, but no order has a place for it" in stdout
    assert re.search(
        r"after #\d+ write 1, then #\d+ write 2 the state is 2; #8 read -> 1 cannot happen there", stdout
    )
    _, stdout, _ = run(capsys, files["stale"], "--explain", "--engine", "search", "--json")
    line = json.loads(stdout)
    assert line["reason"] == line["explanation"][0]
    assert line["drawing"].count("|") == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--initial", "x"], "--initial x is not JSON; write text in quotes"),
        (["--model", "mutex", "--initial", "true"], "the first value True does not fit the model 'mutex'"),
        (["--engine", "zones", "--initial", "1"], "use search, or auto"),
        (["--model", "mutex", "--engine", "zones"], "zones are of registers"),
        (["--model", "set", "--initial", "1"], "is checked in one way"),
        (["--model", "sequential", "--initial", "1"], "no first value to choose"),
        (["--timeout", "0"], "give a number above 0"),
        (["--key-by", "account"], "has no key at 'account'"),
        (["--key-by", "-1"], "is no place; give a position from 0"),
        (["--report", "no/such/out.html"], "there is no directory no/such"),
    ],
)
def test_wrong_arguments(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, stdout, stderr = run(capsys, files["good"], *arguments)
    assert (status, stdout) == (254, "")
    assert words in stderr
    assert stderr.count("error: ") == 1


def test_the_first_value_may_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.jsonl"
    parse_drawing("A: |--r 7--|").dump(path)
    assert run(capsys, path)[0] == 1
    assert run(capsys, path, "--initial", "7")[0] == 0


@pytest.mark.parametrize(
    ("selector", "values"),
    [
        ("0", ['["x",1]', '["y",2]', '["x",null]', '["x",1]']),
        ("to", ['{"to":"x","value":1}', '{"to":"y","value":2}', '{"to":"x"}', '{"to":"x","value":1}']),
    ],
)
def test_the_key_may_be_in_the_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], selector: str, values: list[str]
) -> None:
    first, second, asked, read = values
    lines = [
        ("invoke", "write", first), ("ok", "write", first), ("invoke", "write", second), ("ok", "write", second),
        ("invoke", "read", asked), ("ok", "read", read),
    ]  # fmt: skip
    path = tmp_path / "history.jsonl"
    path.write_text(
        "".join(
            f'{{"time":{at},"process":0,"type":"{t}","f":"{f}","value":{v}}}\n'
            for at, (t, f, v) in enumerate(lines)
        )
    )
    assert run(capsys, path)[0] == 1
    assert run(capsys, path, "--key-by", selector)[0] == 0


def test_the_report_is_one_page_that_loads_nothing(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = tmp_path / "<script>alert(1).jsonl"
    evil.write_text(
        '{"process":0,"type":"invoke","f":"write","value":"<img src=x>"}\n'
        '{"process":0,"type":"ok","f":"write","value":"<img src=x>"}\n'
        '{"process":1,"type":"invoke","f":"read"}\n{"process":1,"type":"ok","f":"read","value":"</script><b>"}\n'
    )
    page = tmp_path / "out.html"
    assert run(capsys, files["stale"], files["bad"], files["good"], evil, "--report", page)[0] == 1
    text = page.read_text()
    assert text.count('<section id="history-') == 4
    assert '<svg class="lanes"' in text
    assert "not judged" in text
    assert "<img" not in text
    assert "<script>alert" not in text
    assert "</script><b>" not in text
    assert not re.search(r"(?:src|href)=[\"']?(?:http|//)", text)


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_ends_in_a_verdict_and_an_explanation(
    model: str, files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    status, stdout, _ = run(capsys, files["stale"], "--model", model, "--explain", "--json")
    assert status == {"valid": 0, "invalid": 1, "unknown": 2}[json.loads(stdout)["verdict"]]
