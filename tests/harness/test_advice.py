"""Advice: what is said of quorums is held against counting them; choices against cells made by hand; the commands end to end."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.advice import BAD, COST, GOOD, Told, Wishes, choose, measured, of_quorums, of_system
from harness.cli import status_of
from harness.pbs import Quorums
from harness.plan import PlanError

ROOT = Path(__file__).parents[2]
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


def known(source: str) -> bool:
    """A file that is there, or a paper with its year."""
    return (ROOT / source).exists() or re.search(r"\b(19|20)\d\d\b", source) is not None


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "session", "register", "cas", "siblings", "crdt"])  # fmt: skip
def test_every_mode_of_the_store_is_described_and_its_sources_exist(mode: str) -> None:
    typed = {"type": "or-set"} if mode == "crdt" else {}
    statements = of_system("kvstore", {"mode": mode, "n": 3, **typed}).statements
    assert any(statement.kind == GOOD and f"Mode {mode}" in statement.text for statement in statements)
    for statement in statements:
        for source in statement.source.split("; "):
            assert known(source), source


CHOICES: list[tuple[dict[str, Any], str, str]] = [
    ({"sloppy": True}, GOOD, "accepted wherever 2 nodes can be reached"),
    ({"sloppy": True}, BAD, "may not be read until it is handed over"),
    ({"sloppy": True}, GOOD, "Mode quorum with stand-ins: Replicas become alike once faults are over"),
    ({"clock": "wall"}, BAD, "Bare wall clocks: a write may lose even against one that its node has heard of"),
    ({}, GOOD, "Hybrid clocks: a write is above every version that its node has heard of"),
    ({"durability": "interval:2"}, BAD, "what replicas took in during the last 2 s is gone if enough of them lose power"),
    ({"durability": "never"}, BAD, "what replicas took in since the last fsync, whenever that was, is gone"),
    ({"durability": "group:5"}, COST, "waits for an fsync that begins up to 5 ms later"),
    ({}, GOOD, "a power cut of all of them loses nothing acknowledged"),
    ({"read_repair": "none"}, BAD, "Reads mend nothing"),
    ({"read_repair": "blocking"}, COST, "waits until W of them have what it returns"),
    ({"mode": "register", "clock": "wall"}, GOOD, "Clocks decide nothing: a write asks a majority"),
]  # fmt: skip


@pytest.mark.parametrize(("choices", "kind", "text"), CHOICES)
def test_each_choice_within_a_mode_is_told_and_only_where_it_is_made(
    choices: dict[str, Any], kind: str, text: str
) -> None:
    said = {"mode": "quorum", "n": 3, **choices}
    statements = of_system("kvstore", said).statements
    (found,) = [statement for statement in statements if text in statement.text]
    assert found.kind == kind
    assert all(known(source) for source in found.source.split("; "))
    told = of_system("kvstore", said)
    assert (told.sloppy, told.durable) == ("sloppy" in choices, choices.get("durability", "always")[:5] in ("alway", "group"))  # fmt: skip
    if choices:
        other = {"sloppy": False, "clock": "hlc", "durability": "always", "read_repair": "async"}
        plain = of_system("kvstore", {"mode": "quorum", "n": 3, **other}).statements
        assert not any(text in statement.text for statement in plain)


@given(SIZES)
def test_with_stand_ins_or_without_a_disk_nothing_is_promised_that_rests_on_them(
    sizes: tuple[int, int, int],
) -> None:
    n, r, w = sizes
    quorums = Quorums(n=n, r=r, w=w)
    sloppy = list(of_quorums(quorums, Told(sloppy=True)))
    assert not any("a read hears of every write" in statement.text for statement in sloppy)
    assert any(statement.kind == BAD and "say nothing while nodes beyond" in statement.text for statement in sloppy)  # fmt: skip
    assert any(f"writes as long as any {w} nodes of the cluster" in statement.text for statement in sloppy)
    loose = list(of_quorums(quorums, Told(durable=False)))
    assert not any("on the disks" in statement.text for statement in loose)
    assert any(statement.kind == BAD and f"in the memory of {w} of {n} replicas" in statement.text for statement in loose)  # fmt: skip
    assert any(f"on the disks of {w} of {n} replicas" in statement.text for statement in of_quorums(quorums))


def test_what_the_store_refuses_is_refused_here() -> None:
    with pytest.raises(PlanError, match="mode register needs majorities"):
        of_system("kvstore", {"mode": "register", "n": 3, "r": 1, "w": 3})
    with pytest.raises(
        PlanError, match=r"--system kvstor: no installed system of this name .* did you mean 'kvstore'"
    ):
        of_system("kvstor", {})
    with pytest.raises(PlanError, match="kvstore has no 'durabilty' to say anything of"):
        of_system("kvstore", {"mode": "quorum", "durabilty": "never"})


def cell(number: int, environment: str, *, r: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "cell": number, "environment": environment, "configuration": {"system.r": r}, "runs": 10, "levels": {"linearizable": "valid", "regular": "unknown"},
        "violations": {}, "latency_ms": {"read": {"p50": 1.0, "p99": 10.0}, "write": {"p50": 1.0, "p99": 20.0}},
        "system": {"name": "kvstore", "mode": "quorum", "n": 3, "r": r, "w": 1, "sloppy": False, "clock": "hlc"}, "slowest": {"seed": 40 + number, "p99_ms": 20.0, "digest": "d"}, "available_under": {},
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
        (Wishes(survive=1), {"system": {"n": 3, "r": 2, "w": 2}}, []),
        (Wishes(survive=1), {"system": {"n": 3, "r": 3, "w": 1}}, ["a read waits for 3 of 3 replicas, and not for 2, calm", "an acknowledged write may be on 1 replica only, calm"]),
        (Wishes(survive=2), {"system": {"n": 5, "r": 1, "w": 4}}, ["a write waits for 4 of 5 replicas, and not for 3, calm"]),
        (Wishes(survive=2), {"system": {"n": 5, "r": 3, "w": 3}}, []),
        (Wishes(survive=1), {"system": {"name": "another"}}, ["the system does not tell its N, R and W, calm"]),
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
    assert [run["seed"] for run in found[0].support] == [41, 44]
    with pytest.raises(PlanError, match="no such environment; did you mean 'calm'"):
        choose(cells, Wishes(), ["clam"])
    with pytest.raises(PlanError, match="no run yet"):
        choose([cell(0, "calm", runs=0)], Wishes(), [])


def test_a_cell_all_of_whose_runs_crashed_will_not_do() -> None:
    (found,) = choose([cell(0, "calm", slowest=None)], Wishes(), [])
    assert (found.missing, found.support) == (("no run came to its end, calm",), [])


def test_measured_cells_are_those_of_the_same_system_whether_by_axes_or_not() -> None:
    cells = [cell(0, "calm", r=1), cell(1, "calm", r=2), cell(2, "cut", r=2, runs=0)]
    assert [each["cell"] for each in measured(cells, "kvstore", {"r": 2, "w": 1})] == [1]
    assert measured(cells, "kvstore", {"r": 2, "sloppy": True}) == []  # no axis, but every plan was strict
    assert [each["cell"] for each in measured(cells, "kvstore", {"r": 2, "sloppy": False})] == [1]
    assert measured(cells, "another", {"r": 2}) == []


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "cells.json").write_text(json.dumps([cell(7, "calm", r=1, strongest=["linearizable"], weakest_refuted=[])]))  # fmt: skip
    assert status_of(["advise", "--r", "1", "--w", "1", "--mode", "quorum", "--strict", "--clocks", "hlc", "--matrix", str(folder), "--json"]) == 0  # fmt: skip
    said = json.loads(capsys.readouterr().out)
    assert [each["cell"] for each in said["measured"]] == [7]
    assert said["configuration"] == {
        "n": 3,
        "r": 1,
        "w": 1,
        "mode": "quorum",
        "sloppy": False,
        "clock": "hlc",
    }
    assert 0.2 < said["pbs"]["stale_at_once"] < 0.3
    assert status_of(["advise", "--mode", "quorum", "--sloppy", "--durability", "never", "--matrix", str(folder)]) == 0  # fmt: skip
    told = " ".join(capsys.readouterr().out.split())
    assert "has no cell of this configuration" in told
    assert "Stand-ins are not in it" in told
    assert "a read hears of every write" not in told
    assert status_of(["advise", "--r", "1", "--w", "1", "--matrix", str(folder)]) == 0
    assert "need not meet" in capsys.readouterr().out
    assert status_of(["choose", str(folder), "--keep", "linearizable", "--json"]) == 0
    (choice,) = json.loads(capsys.readouterr().out)["will_do"]
    assert choice["cells"] == [7]
    assert choice["support"] == [{"cell": 7, "environment": "calm", "runs": 10, "seed": 47, "p99_ms": 20.0, "digest": "d", "again": f"quorate run '{folder}/supports/7.toml'"}]  # fmt: skip
    assert status_of(["choose", str(folder), "--keep", "linearizable"]) == 0
    assert f"calm, seed 47, p99 20.0 ms: quorate run '{folder}/supports/7.toml'" in capsys.readouterr().out
    assert status_of(["choose", str(folder), "--read-p99", "1"]) == 1
    assert "read p99 is 10.0 ms, calm" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["choose", "advise --matrix"])
def test_cells_of_before_are_refused(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {name: value for name, value in cell(7, "calm").items() if name not in ("system", "slowest")}
    (tmp_path / "cells.json").write_text(json.dumps([old]))
    assert status_of([*command.split(), str(tmp_path)]) == 254
    assert "another version of quorate wrote it" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["advise", "--r", "4"], "r = 4"),
        (["advise", "--mode", "quorums"], "quorum"),
        (["advise", "--read-repair", "none"], "--read-repair is a choice within a mode; give --mode too"),
        (["advise", "--sloppy"], "--sloppy is a choice within a mode; give --mode too"),
        (["advise", "--durability", "never"], "--durability is a choice within a mode"),
        (["advise", "--clocks", "wall"], "--clocks is a choice within a mode"),
        (["advise", "--mode", "register", "--sloppy"], "mode register cannot be sloppy"),
        (
            ["advise", "--mode", "cas", "--durability", "interval:1"],
            "acknowledges writes that a crash may undo",
        ),
        (
            ["advise", "--mode", "quorum", "--durability", "sometimes"],
            "choose always, group:<ms>, interval:<s> or never",
        ),
        (
            ["advise", "--mode", "quorum", "--clocks", "sundial"],
            'clock = "sundial" is not known; choose from hlc, wall',
        ),
        (["advise", "--mode", "register", "--read-repair", "async"], "writes back in its own read"),
        (["advise", "--system", "kvstor", "--mode", "quorum"], "did you mean 'kvstore'"),
        (["advise", "--system", "kvstor"], "did you mean 'kvstore'"),
        (["advise", "--latency", "slow"], "latency is 'slow'"),
        (["advise", "--latency-ms", "nan"], "delays are from 0 to 60,000 ms"),
        (["advise", "--latency-ms", "1e300"], "delays are from 0 to 60,000 ms"),
        (["advise", "--matrix", "nowhere"], "nowhere holds no matrix"),
        (["choose", "nowhere"], "nowhere holds no matrix"),
        (["choose", "nowhere", "--survive", "0"], "--survive 0: how many nodes may go?"),
        (["choose", "nowhere", "--keep", "linearisable"], "did you mean 'linearizable'"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert status_of(arguments) == 254
    assert says in " ".join(capsys.readouterr().err.split())
