"""`python -m checkers`: the options and the JSON of `quorate check`, without the rest of quorate."""

import json
import subprocess
import sys

import pytest

from checkers import Verdict
from checkers.__main__ import main
from checkers.levels import judge
from checkers.notation import parse_drawing

GOOD = parse_drawing("A: |--w 1--|  |--r 1--|")
STALE = parse_drawing(
    "A: |--w 1--| |--w 2--| |--w 1--| |--w 2--|\nB:                                         |--r 1--|"
)


@pytest.fixture
def files(tmp_path):
    paths = [str(tmp_path / name) for name in ("good", "stale", "bad")]
    GOOD.dump(paths[0])
    STALE.dump(paths[1])
    (tmp_path / "bad").write_text("{oops\n")
    return paths


def test_the_worst_file_decides_and_the_others_are_judged(files, capsys):
    good, stale, bad = files
    assert [main([good]), main([good, bad]), main([bad, good, stale])] == [0, 254, 1]
    capsys.readouterr()
    assert main([bad, good, stale, "--json"]) == 1
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["verdict"] for line in lines] == ["unknown", "valid", "invalid"]
    assert [line["core"] is None for line in lines] == [True, True, False]
    assert captured.err.count("bad: line 1") == 1


def test_it_explains(files, capsys):
    assert main([files[1], "--explain", "--engine", "search"]) == 1
    assert "no order has a place for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--model", "registre"], ["--engine", "fast"], ["--initial", "x"], ["--timeout", "-1"]]
)
def test_a_wrong_option_is_one_sentence(files, capsys, arguments):
    assert main([files[0], *arguments]) == 254
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--frob"], ["x", "--format", "xml"]])
def test_a_wrong_command_line_ends_with_254(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 254
    assert capsys.readouterr().err.startswith("error: ")


def test_a_claim_is_decided_where_values_repeat():
    judged = judge(STALE, ["linearizable"])
    assert judged.claims["linearizable"].verdict is Verdict.INVALID
    assert judged.claims["linearizable"].stats["path"] == "search"
    small = judge(STALE, clock=lambda: 0.0).results["linearizable"]
    assert len(small.certificate.ops) == 3


def test_leaving_ends_with_the_status_and_loses_no_output() -> None:
    program = "import sys; from checkers.knossos import leave; print('said', end=''); print('told', end='', file=sys.stderr); leave(7)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "said", "told")
