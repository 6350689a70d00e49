"""How soon reads see a write, in the report: which reads count, that the prediction is the run's own, and that it fits under its assumptions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers.jsonl import encode_op
from checkers.op import MISSING, Op, Type
from harness.cli import status_of
from harness.pbs import Delays, Quorums, predict
from harness.report import words, write_report
from harness.report.folder import RunFiles, read_folder
from harness.report.freshness import READS_LEAST, chunks, differences, freshness
from harness.report.rows import freshness_rows
from harness.visibility import Seen

MS = 1_000_000
NETWORK = {"latency": "exponential", "latency_ms": 10.0, "latency_ms_min": 0.0, "client_latency_ms": 0.5, "reorder": 1.0}  # fmt: skip
SYSTEM = {"n": 3, "r": 1, "w": 1, "read_repair": "none"}
PLAN = """
name = "pbs"
workload = "register"
claims = ["linearizable"]
nodes = 12
concurrency = 60
rate = 600
time_limit_s = 8
op_timeout_ms = 5000
[system]
name = "kvstore"
mode = "quorum"
n = 3
r = 1
w = 1
read_repair = "none"
[options]
keys = 150
ops_per_key = 10000
read_fraction = 0.75
[sim]
latency_ms = 20.0
latency_ms_min = 0.0
client_latency_ms = 0.0
duplicate = 0.0
reorder = 1.0
"""


def made(folder: Path, stale_every: int, *, writes: int = 120, faults: Any = (), **environment: Any) -> RunFiles:  # fmt: skip
    """Writes that take 1 ms, each read twice: 4 ms and 5 ms after its acknowledgement. Of each `stale_every`th the first read misses it."""
    records = []
    for write in range(writes):
        at = write * 100 * MS
        seen = write - 1 if stale_every and write and write % stale_every == 0 else write
        for process, start, end, f, value in (
            (0, 0, 1, "write", write),
            (1, 5, 6, "read", seen),
            (2, 6, 7, "read", write),
        ):
            argument = value if f == "write" else MISSING
            records.append((at + start * MS, process, Type.INVOKE, f, 1, argument))
            records.append((at + end * MS, process, Type.OK, f, 1, value))
    records.sort(key=lambda record: (record[0], -record[2]))  # at one instant the answer first
    folder.mkdir()
    (folder / "history.jsonl").write_bytes(b"".join(encode_op(Op(at, *record)) for at, record in enumerate(records)))  # fmt: skip
    results = {"schema": 2, "name": "made", "world": "sim", "staleness": {"reads": 1}}
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "environment.json").write_text(json.dumps({"system": SYSTEM, "network": NETWORK, **environment}))  # fmt: skip
    (folder / "faults.jsonl").write_text("".join(json.dumps(fault) + "\n" for fault in faults))
    (folder / "plan.toml").write_text("nodes = 5\n")
    return read_folder(folder)


def test_each_write_counts_once_in_a_part_by_its_first_read(tmp_path: Path) -> None:
    found = freshness(made(tmp_path / "run", 3))
    assert found is not None
    assert (found.reads, found.left_out) == (240, 0)
    [early, late] = found.parts
    assert (early.from_ms, early.reads, early.stale) == (4.0, 120, 39)
    assert (late.from_ms, late.reads, late.stale) == (5.0, 120, 0)
    assert early.low < early.share < early.high
    assert not found.flat


def test_the_prediction_is_of_this_run(tmp_path: Path) -> None:
    found = freshness(made(tmp_path / "run", 3))
    assert found is not None
    assert found.curve is not None
    expected = predict(Quorums(n=3, r=1, w=1, nodes=5), Delays(latency_ms=10.0, latency_ms_min=0.0), trials=200_000)  # fmt: skip
    assert found.parts[0].predicted == expected.stale(4.0 + 1.0)  # the way to the client and back
    assert words.percent(expected.stale(1.0)) in words.freshness(found)


@pytest.mark.parametrize("change", [{"network": None}, {"system": {"n": 3, "mode": "x"}}])
def test_without_delays_or_quorums_there_is_no_prediction(tmp_path: Path, change: dict[str, Any]) -> None:
    found = freshness(made(tmp_path / "run", 3, **change))
    assert found is not None
    assert found.curve is None
    assert {part.predicted for part in found.parts} == {None}
    assert "redicted" not in words.freshness(found)
    assert {len(row) for row in freshness_rows(found)} == {5}


def test_reads_with_a_fault_between_are_left_out(tmp_path: Path) -> None:
    bit = {"kind": "partition", "start_ns": 1_000 * MS, "end_ns": 2_005 * MS, "bit": True}
    blunt = {"kind": "kill", "start_ns": 5_000 * MS, "end_ns": 9_000 * MS, "bit": False}
    found = freshness(made(tmp_path / "run", 3, faults=[bit, blunt]))
    assert found is not None
    assert found.left_out == 2 * 11  # the writes at 1.0 s to 2.0 s
    assert "(22 others did)" in words.freshness(found)


def test_a_fault_that_never_ended_leaves_out_all_that_came_after(tmp_path: Path) -> None:
    fault = {"kind": "kill", "start_ns": 6_000 * MS, "end_ns": None, "bit": True}
    found = freshness(made(tmp_path / "run", 3, faults=[fault]))
    assert found is not None
    assert found.left_out == 2 * 60


def test_parts_have_reads_enough_and_hold_all() -> None:
    reads = [Seen(0.03 * at * at, False, at) for at in range(333)]
    parts = list(chunks(reads))
    assert [seen for part in parts for seen in part] == reads
    assert len(parts) > 3
    assert min(map(len, parts)) >= READS_LEAST
    assert [len(part) for part in chunks(reads[: READS_LEAST + 5])] == [READS_LEAST + 5]


def test_quorums_that_meet_are_told_in_words_not_drawn(tmp_path: Path) -> None:
    run = made(tmp_path / "run", 0, system={**SYSTEM, "r": 2, "w": 2})
    found = freshness(run)
    assert found is not None
    assert found.flat
    assert words.freshness(found).endswith("no read that begins after an acknowledgement misses it.")


def test_too_few_reads_or_no_registers_say_nothing(tmp_path: Path) -> None:
    run = made(tmp_path / "run", 3, writes=READS_LEAST // 2 - 1)
    assert freshness(run) is None
    enough = made(tmp_path / "more", 3)
    assert freshness(replace(enough, results={**enough.results, "staleness": {}})) is None


def test_what_pbs_does_not_know_is_named(tmp_path: Path) -> None:
    run = made(tmp_path / "run", 3, system={**SYSTEM, "read_repair": "async", "sloppy": True}, network={**NETWORK, "reorder": 0.1, "loss": 0.2})  # fmt: skip
    told = " ".join(differences(run))
    for word in ("read repair (async)", "sloppy quorum", "keep their order", "lost messages"):
        assert word in told
    assert list(differences(made(tmp_path / "plain", 3))) == []


@pytest.mark.slow
def test_under_its_own_assumptions_the_prediction_fits_and_another_does_not(tmp_path: Path) -> None:
    (tmp_path / "pbs.toml").write_text(PLAN)
    status_of(["run", str(tmp_path / "pbs.toml"), "--out", str(tmp_path / "runs")])
    run = read_folder((tmp_path / "runs" / "pbs" / "latest").resolve())
    found = freshness(run)
    assert found is not None
    assert sum(part.stale for part in found.parts) > 10
    assert found.outside <= 1
    slower = {**run.environment, "network": {**run.environment["network"], "latency_ms": 60.0}}
    other = freshness(replace(run, environment=slower))
    assert other is not None
    assert other.outside >= 3
    html = write_report(run.folder).read_text()
    assert "How soon after a write do reads see it?" in html
    assert "predicted (PBS)" in html
