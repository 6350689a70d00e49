"""Advice: what is said of quorums is held against counting them; choices against cells made by hand; the commands end to end."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.advice import BAD, GOOD, Wishes, choose, measured, of_quorums, of_system
from harness.cli import status_of
from harness.pbs import Quorums
from harness.plan import PlanError

SIZES = st.integers(1, 6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n), st.integers(1, n)))


@given(SIZES)
def test_what_is_said_of_quorums_is_so(sizes: tuple[int, int, int]) -> None:
    n, r, w = sizes
    said = {statement.text: statement.kind for statement in of_quorums(Quorums(n=n, r=r, w=w))}
    reads, writes = list(combinations(range(n), r)), list(combinations(range(n), w))
    meet = all(set(a) & set(b) for a in reads for b in writes)
    assert any(kind == GOOD and "a read hears of every write" in text for text, kind in said.items()) is meet
    assert any(kind == BAD and "may miss an acknowledged write" in text for text, kind in said.items()) is not meet  # fmt: skip
    apart = any(not set(a) & set(b) for a in writes for b in writes)
    assert any("both sides of a partition acknowledge" in text for text in said) is apart
    assert all(statement.source for statement in of_quorums(Quorums(n=n, r=r, w=w)))


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "session", "register", "cas", "siblings"])  # fmt: skip
def test_every_mode_of_the_store_is_described_and_its_sources_exist(mode: str) -> None:
    statements = of_system("kvstore", {"mode": mode, "n": 3})
    assert any(statement.kind == GOOD and f"Mode {mode}" in statement.text for statement in statements)
    root = Path(__file__).parents[2]
    for statement in statements:
        for source in statement.source.split("; "):
            assert (root / source).exists(), source


def test_what_the_store_refuses_is_refused_here() -> None:
    with pytest.raises(PlanError, match="mode register needs majorities"):
        of_system("kvstore", {"mode": "register", "n": 3, "r": 1, "w": 3})
    assert of_system("nobody's", {}) == ()


def cell(number: int, environment: str, *, r: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "cell": number, "environment": environment, "configuration": {"system.r": r}, "runs": 10, "levels": {"linearizable": "valid", "regular": "unknown"},
        "violations": {}, "latency_ms": {"read": {"p50": 1.0, "p99": 10.0}, "write": {"p50": 1.0, "p99": 20.0}},
        "stale": {"count": 0, "of": 9, "share": 0.0, "low": 0.0, "high": 0.0}, "available": {"share": 0.99}, "lost_keys": {"count": 0, "of": 3},
        **changes,
    }  # fmt: skip


STALE = {"count": 3, "of": 90, "share": 0.03, "low": 0.01, "high": 0.06}


@pytest.mark.parametrize(
    ("wishes", "changes", "missing"),
    [
        (Wishes(keep="linearizable"), {}, []),
        (Wishes(keep="regular"), {}, []),  # unknown by itself, but the stronger level was kept
        (Wishes(keep="sequential"), {"levels": {"regular": "valid"}}, ["sequential is unknown, calm"]),
        (Wishes(keep="regular"), {"levels": {"linearizable": "valid", "regular": "invalid"}, "violations": {"regular": {"runs": 2}}}, ["regular is refuted in 2 of 10 runs, calm"]),
        (Wishes(read_p99_ms=9.9), {}, ["read p99 is 10.0 ms, calm"]),
        (Wishes(read_p99_ms=10.0, write_p99_ms=20.0), {}, []),
        (Wishes(write_p99_ms=5.0), {"latency_ms": {"read": {"p99": None}, "write": {"p99": None}}}, ["write p99 is – ms, calm"]),
        (Wishes(stale_max=0.0), {}, []),
        (Wishes(stale_max=0.05), {"stale": STALE}, ["3.00 % of reads are stale, calm"]),
        (Wishes(stale_max=0.06), {"stale": STALE}, []),
        (Wishes(stale_max=0.5), {"stale": None}, ["– of reads are stale, calm"]),
        (Wishes(available_min=0.995), {}, ["99.0 % of operations succeed, calm"]),
        (Wishes(available_min=0.0), {"available": None}, ["– of operations succeed, calm"]),
        (Wishes(no_loss=True), {}, []),
        (Wishes(no_loss=True), {"lost_keys": {"count": 1, "of": 3}}, ["1 of 3 keys lost an acknowledged write, calm"]),
        (Wishes(no_loss=True), {"lost_keys": None}, ["– of – keys lost an acknowledged write, calm"]),
    ],
)  # fmt: skip
def test_wishes(wishes: Wishes, changes: dict[str, Any], missing: list[str]) -> None:
    assert wishes.refusals(cell(0, "calm", **changes)) == missing


def test_choices_are_those_that_will_do_everywhere_the_fastest_first() -> None:
    slow = {"latency_ms": {"read": {"p99": 50.0}, "write": {"p99": 50.0}}}
    cells = [
        cell(0, "calm", r=1), cell(1, "calm", r=2, **slow), cell(2, "calm", r=3),
        cell(3, "cut", r=1, levels={"linearizable": "invalid"}, violations={"linearizable": {"runs": 1}}), cell(4, "cut", r=2, **slow),
    ]  # fmt: skip
    found = choose(cells, Wishes(keep="linearizable"), [])
    assert [(choice.configuration["system.r"], choice.missing) for choice in found] == [
        (2, ()), (1, ("linearizable is refuted in 1 of 10 runs, cut",)), (3, ("1 environments were not run",))
    ]  # fmt: skip
    calm = choose(cells, Wishes(keep="linearizable"), ["calm"])
    assert [choice.configuration["system.r"] for choice in calm] == [1, 3, 2]
    with pytest.raises(PlanError, match="no such environment; did you mean 'calm'"):
        choose(cells, Wishes(), ["clam"])
    with pytest.raises(PlanError, match="no run yet"):
        choose([cell(0, "calm", runs=0)], Wishes(), [])


def test_measured_cells_are_those_of_the_same_values() -> None:
    cells = [cell(0, "calm", r=1), cell(1, "calm", r=2), cell(2, "cut", r=2, runs=0)]
    assert [each["cell"] for each in measured(cells, {"system.r": 2, "system.w": 1})] == [1]


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cells.json").write_text(json.dumps([cell(7, "calm", r=1, strongest=["linearizable"], weakest_refuted=[])]))  # fmt: skip
    assert status_of(["advise", "--r", "1", "--w", "1", "--mode", "quorum", "--matrix", str(tmp_path), "--json"]) == 0  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    assert [each["cell"] for each in said["measured"]] == [7]
    assert 0.2 < said["pbs"]["stale_at_once"] < 0.3
    assert status_of(["advise", "--r", "1", "--w", "1", "--matrix", str(tmp_path)]) == 0
    assert "need not meet" in capsys.readouterr().out
    assert status_of(["choose", str(tmp_path), "--keep", "linearizable", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["will_do"][0]["cells"] == [7]
    assert status_of(["choose", str(tmp_path), "--read-p99", "1"]) == 1
    assert "read p99 is 10.0 ms, calm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["advise", "--r", "4"], "r = 4"),
        (["advise", "--mode", "quorums"], "quorum"),
        (["advise", "--latency", "slow"], "latency is 'slow'"),
        (["advise", "--matrix", "nowhere"], "nowhere holds no matrix"),
        (["choose", "nowhere"], "nowhere holds no matrix"),
        (["choose", "nowhere", "--keep", "linearisable"], "did you mean 'linearizable'"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert status_of(arguments) == 254
    assert says in " ".join(capsys.readouterr().err.split())
