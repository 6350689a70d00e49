"""`compare --initial`: registers that begin with a value of their own are judged by every level as those that begin with null."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from checkers import MISSING, History, Op, Type, Verdict, check
from checkers.first import beginning_with
from checkers.levels import judge
from harness.cli import status_of
from tests.checkers.random_calls import random_history

FIRST = 7


def begun(history: History) -> History:
    """The same history of registers that begin with 77: it is read where null was."""

    def other(value: Any) -> Any:
        return 77 if value is None else value

    return History.from_ops(
        replace(
            op,
            value=[*map(other, op.value)]
            if op.f == "cas" and isinstance(op.value, list)
            else other(op.value),
        )
        if op.f in ("read", "write", "cas")
        else op
        for op in history
    )


def verdicts(history: History, first: Any = MISSING) -> dict[str, Verdict]:
    return {level: result.verdict for level, result in judge(history, initial=first).results.items()}


@pytest.mark.parametrize("seed", range(150))
def test_every_level_says_what_it_says_of_null(seed: int) -> None:
    history = random_history("register", seed)
    known = verdicts(history)
    assert verdicts(begun(history), 77) == known
    atomic = check(begun(history), "register", initial=77).verdict
    assert Verdict.UNKNOWN in (atomic, known["linearizable"]) or atomic is known["linearizable"]


def reads(*values: Any) -> History:
    """A write of 1, and reads one after the other, the first of them before the write."""
    calls = [
        ("read", MISSING, values[0]),
        ("write", 1, 1),
        *(("read", MISSING, value) for value in values[1:]),
    ]
    pairs = [
        (Op(-1, 10 * n, n, Type.INVOKE, f, "x", value), Op(-1, 10 * n + 5, n, Type.OK, f, "x", result))
        for n, (f, value, result) in enumerate(calls)
    ]
    return History.from_ops(op for pair in pairs for op in pair)


def test_what_null_stands_for_is_told() -> None:
    kept = verdicts(reads(FIRST, 1), FIRST)
    assert (kept["linearizable"], kept["safe"]) == (Verdict.VALID, Verdict.VALID)
    assert Verdict.INVALID not in kept.values()
    assert verdicts(reads(FIRST, 1))["integrity"] is Verdict.INVALID
    stale = judge(reads(FIRST, FIRST), initial=FIRST)
    assert stale.weakest_refuted == ["safe"]
    assert stale.results["safe"].reason.endswith("; null and None are the first value here, 7")
    assert "first value" not in judge(reads(FIRST, 1), initial=FIRST).results["safe"].reason
    assert verdicts(reads(None, 1), FIRST)["integrity"] is Verdict.INVALID  # it was never null
    assert beginning_with(reads(None, "nothing"), FIRST).op(1).value == "nothing…"


def test_compare_takes_the_options_of_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.jsonl"
    tuples = [
        replace(op, key=None, value=["x", None if op.value is MISSING else op.value])
        for op in reads(FIRST, 1)
    ]
    History.from_ops(tuples).dump(path)
    options = ["--key-by", "0", "--initial", "7", "--timeout", "5", "--memory", "100"]
    assert status_of(["compare", str(path), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["strongest"] == ["linearizable"]
    for wrong, why in (
        (["--initial", "x"], "--initial x is not JSON"),
        (["--timeout", "0"], "--timeout 0 leaves nothing"),
    ):
        assert status_of(["compare", str(path), *wrong]) == 254
        assert why in " ".join(capsys.readouterr().err.split())
