"""Files of runs, mutilated in every way: whatever is asked of them ends with an exit status and a sentence, and never with a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from harness.cli import status_of
from harness.plan import dump_plan
from harness.runner import run
from harness.worlds.sim.tape import TapeError
from harness.worlds.sim.tape_file import read_tape, written
from tests.sim.small import SMALL

TEXT: Final = dump_plan(SMALL)
DRAWS: Final[dict[str, Any]] = {"net": [0.5, 0.25], "node/n1": [(2, 3), 0.125], "nemesis": []}
FILES: Final = ("tape.jsonl", "history.jsonl", "environment.json", "plan.toml")
LONG: Final = 4_000  # what a number that was changed may not do is make the test endless
Change = Callable[[bytes], bytes]


def at(share: float, data: bytes) -> int:
    return int(share * len(data))


SHARES: Final = st.floats(0, 1, exclude_max=True)
NOISE: Final = st.one_of(st.binary(max_size=8), st.sampled_from([b"[" * LONG, b"{" * LONG, b"\x00", b"\n", b"1e999", b'"\\ud800"', b"null", b"-1"]))  # fmt: skip


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """A bit is flipped, a stretch is cut out, doubled or overwritten, lines change places, the end is gone."""
    kind, one, other, noise, bit = draw(
        st.tuples(st.sampled_from("fcdoisle"), SHARES, SHARES, NOISE, st.integers(0, 7))
    )

    def change(data: bytes) -> bytes:
        low, high = sorted((at(one, data), at(other, data)))
        lines = data.splitlines(keepends=True)
        first, second = at(one, b"x" * len(lines)), at(other, b"x" * len(lines))
        if kind == "f" and data:
            return data[:low] + bytes([data[low] ^ 1 << bit]) + data[low + 1 :]
        if kind == "s" and lines:
            lines[first], lines[second] = lines[second], lines[first]
            return b"".join(lines)
        if kind == "l" and lines:
            return b"".join(lines[:first] + lines[first + 1 :])
        return {
            "c": data[:low] + data[high:], "d": data[:high] + data[low:high] + data[high:],
            "o": data[:low] + noise + data[low + len(noise) :], "i": data[:low] + noise + data[low:], "e": data[:low],
        }.get(kind, data)  # fmt: skip

    return change


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run, with its tape."""
    return run(SMALL, world="sim", out=tmp_path_factory.mktemp("runs"), tape=True).folder


SLOW: Final = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.explicit, Phase.reuse, Phase.generate)
)  # fmt: skip
"""What fails is not made small: each example is a command."""


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(several=st.lists(changes(), min_size=1, max_size=3))
@example(several=[lambda data: b"[" * LONG + data])
@example(several=[lambda data: data.replace(b"0.25", b"[" * LONG)])
@example(several=[lambda data: data.replace(b"[2,3]", b"[2,3,4]")])
@example(several=[lambda data: data.replace(b"0.25", b"9" * LONG)])
def test_a_tape_is_read_as_it_was_written_or_refused(several: list[Change], tmp_path_factory: pytest.TempPathFactory) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "tape.jsonl"
    data = written(DRAWS, TEXT)
    for change in several:
        data = change(data)
    path.write_bytes(data)
    found = read_or_refused(path)
    if isinstance(found, str):
        assert found.startswith(str(path))
    else:  # the name of a stream may be another one; then the run has none that is called so
        assert sorted(map(repr, found.values())) == sorted(map(repr, DRAWS.values()))


def read_or_refused(path: Path) -> Any:
    try:
        return read_tape(path, TEXT)
    except TapeError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@SLOW
@given(change=changes())
@example(change=lambda data: data.replace(b"212", b"\xff\xfe", 1))
@example(change=lambda data: b"[" * LONG + data)
@example(change=lambda data: b"[]")
@example(change=lambda data: data[:-1])
@example(change=lambda data: data.replace(b"\n", b"\r\n"))
@example(change=lambda data: data.replace(b'"versions": {', b'"versions": 1, "others": {'))
def test_a_run_with_a_mutilated_file_is_the_same_run_or_refused(name: str, change: Change, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    path = folder / name
    whole = path.read_bytes()
    data = change(whole)
    path.write_bytes(data)
    try:
        status = status_of(["replay", str(folder), "--json"])
    finally:
        path.write_bytes(whole)
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    answer = json.loads(told.out)
    assert status in (1, 254), answer
    if status == 254:
        assert answer["error"]
        assert data != whole
    else:
        assert answer["same"], answer


@pytest.mark.slow
@SLOW
@given(
    change=changes(),
    command=st.sampled_from([("replay",), ("shrink", "--budget", "10ms"), ("replay", "--until", "30ms")]),
)
def test_a_mutilated_plan_of_a_finding_is_run_or_refused(
    change: Change, command: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    where = tmp_path_factory.getbasetemp() / "finding.toml"
    where.write_bytes(change(dump_plan(replace(SMALL, name="finding")).encode()))
    name, *options = command
    where_to = ["--out", str(tmp_path_factory.getbasetemp() / "shrunk")] if name == "shrink" else []
    status = status_of([name, str(where), *options, *where_to, "--json"])
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    answer = json.loads(told.out)
    assert status in (0, 1, 2, 254), answer
    assert status != 254 or answer["error"]
