"""Runs that stand still: where they stop, what can be seen of nodes and messages there, and that looking changes nothing."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers import History
from harness.cli import status_of
from harness.plan import dump_plan, load_plan
from harness.runner import run
from harness.search.lamport import ROWS_MAX, draw_last
from harness.search.paused import stopped_at, stopped_before
from harness.simulate import simulate_run
from tests.sim.small import SMALL
from workloads.kvstore_sim import StoreNode

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENTUAL = load_plan(EXAMPLES / "eventual.toml")
WHOLE = simulate_run(SMALL).lines


@pytest.mark.parametrize("record", range(len(History.parse(WHOLE))))
def test_it_stands_before_each_record(record: int) -> None:
    standing = stopped_before(SMALL, record)
    assert standing.records <= record, "what is to be looked into has happened"
    assert WHOLE.startswith(standing.history)
    upcoming = standing.upcoming
    assert upcoming is not None
    times = [op.time_ns for op in History.parse(WHOLE)]
    assert times[record] - times[upcoming.index] <= 1000, "it stopped before another instant"
    standing.finish()
    assert standing.history == WHOLE


def test_messages_under_way_are_seen() -> None:
    with stopped_at(SMALL, 0.021) as standing:
        under_way = standing.under_way
        assert [(message.src, message.words) for message in under_way] == [
            ("n3", "Store register-0 = 212")
        ] * 2
        assert all(abs(message.sent_s - 0.0204) < 1e-6 for message in under_way)
    with stopped_at(SMALL, 0.05) as standing:
        stores = [message.fate for message in standing.messages if message.words.startswith("Store ")]
        assert stores == ["arrived", "cut"]


def test_nodes_can_be_looked_into() -> None:
    with stopped_at(SMALL, 0.05) as standing:
        process = standing.machines["n3"].process
        assert isinstance(process, StoreNode)
        assert process.state()["records"] == {"default/register-0": b"212"}
        states = standing.states()
    assert {name: state["node"]["records"] for name, state in states.items()} == {
        "n1": "{'default/register-0': b'212'}",
        "n2": "{}",
        "n3": "{'default/register-0': b'212'}",
    }
    assert states["n1"]["log"] == ["  0.000000 started, pid 1000"]


def test_a_time_after_the_end_is_told() -> None:
    with stopped_at(SMALL, 3600.0) as standing:
        assert standing.history == WHOLE
        assert standing.upcoming is None
        assert standing.ended_s is not None
        assert 0.06 < standing.ended_s < 1.0
    with stopped_at(SMALL, 0.05) as standing:
        assert standing.ended_s is None


def test_of_an_asyncio_program_it_is_the_same_run_too(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "asyncio_store", tmp_path, dirs_exist_ok=True)
    code = (tmp_path / "store.py").read_text()
    drawn = "        await asyncio.sleep(random.random() / 1000 + time.monotonic() / 1e5)\n        await self.disk.sync()\n"
    (tmp_path / "store.py").write_text("import random\nimport time\n\n" + code.replace("        await self.disk.sync()\n", drawn))  # fmt: skip
    plan = replace(load_plan(tmp_path / "plan.toml"), time_limit_s=1.0, faults=())
    lines = simulate_run(plan).lines
    with stopped_at(plan, 0.7) as standing:
        assert standing.records > 20
        assert lines.startswith(standing.history)
    assert standing.history == lines


def test_one_that_is_dropped_as_it_stands_goes_without_a_word() -> None:
    ignored = list[object]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", ignored.append)
        assert stopped_at(SMALL, 0.05).records == 6
        gc.collect()
    assert ignored == []


def test_of_a_long_run_the_last_rows_are_drawn() -> None:
    with stopped_at(EVENTUAL, 2.0) as standing:
        lines = draw_last(EVENTUAL, History.parse(standing.history), standing.messages).splitlines()
    assert len(lines) == ROWS_MAX + 2
    assert lines[1].startswith("… ")
    times = [float(line[:8]) for line in lines[2:]]
    assert times == sorted(times)
    assert 1900 < times[-1] <= 2000


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert status_of(["replay", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(SMALL))
    text = shown(capsys, str(plan), "--until", "50ms", "--trace")
    assert "* write 0 212" in text
    assert "* read 0" not in text, "the drawing goes on after the time"
    assert "at 0.05 s, after 6 records; next is" in text
    assert "n2  running, pid 1000, clock +0 ms" in text
    assert "    records: {'default/register-0': b'212'}" in text
    found: dict[str, Any] = json.loads(shown(capsys, str(plan), "--before", "3", "--json"))
    assert (found["records"], found["before"], found["ended_s"]) == (3, 3, None)
    assert json.loads(found["upcoming"])["index"] == 3
    assert found["under_way"] == [
        "n3->n1, sent at 0.020400 s: Store register-0 = 212",
        "n3->n2, sent at 0.020400 s: Store register-0 = 212",
    ]
    assert "the run was over at 0." in shown(capsys, str(plan), "--until", "1h")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "1s", "--before", "3"], "--until and --before both say where to stop"),
        (["--before", "99"], "there is no record 99 in the run of eventual, which has"),
        (["--before", "-1"], "there is no record -1"),
        (["--until", "soon"], "'soon' is no length of time"),
    ],
)
def test_what_cannot_be_shown_is_said(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(dump_plan(SMALL))
    assert status_of(["replay", str(plan), *arguments]) == 254
    assert words in " ".join(capsys.readouterr().err.split())


def test_of_a_run_that_does_not_repeat_itself_nothing_is_shown_and_of_one_that_was_stopped_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(SMALL, world="sim", out=tmp_path).folder
    history, plan = folder / "history.jsonl", folder / "plan.toml"
    history.write_bytes(history.read_bytes()[:-70])  # whoever wrote it was ended
    assert "after 6 records" in shown(capsys, str(folder), "--until", "50ms")
    plan.write_text(plan.read_text().replace("value = 212", "value = 213"))
    assert status_of(["replay", str(folder), "--until", "50ms"]) == 254
    assert "the run does not repeat itself: record 3 was" in capsys.readouterr().err
