"""ring.json: what is kept of many looks, and what page and timeline say of it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import run_folders

from harness.plan import FaultPlan, PlanError, load_plan
from harness.report import write_report
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.report.placement import for_timeline, in_words, key_rows, share_rows, stage_rows
from harness.rings import KEYS_MAX, RingLog, told
from harness.runner import run
from harness.simulate import simulate_run
from harness.system import Ring
from kvstore.ring import PARTITIONS, partition_of
from workloads.register import key_name

EXAMPLES = Path(__file__).parents[2] / "examples"
CALM = Ring(1, ("a", "b"), (("a", "b"), ("b", "a")))
GOING = Ring(2, ("a", "b", "c"), CALM.lists, (("a", "b"), ("c", "a")), "join c")
DONE = Ring(4, ("a", "b", "c"), GOING.wanted)


def log_of(*looks: tuple[int, dict[str, Ring]]) -> dict[str, Any]:
    log = RingLog(lambda key: None if key == "odd" else key % 2)
    for key in (3, 4, 3, "odd", None, [1]):
        log.use(key) if key is not None else None
    for at_ns, rings in looks:
        log.see(at_ns, rings)
    return log.as_json()


def test_a_stage_begins_where_something_changes() -> None:
    same = CALM._replace(epoch=2)
    found = log_of((0, {"a": CALM, "b": CALM}), (5, {"a": same, "b": CALM}), (9, {"a": GOING._replace(epoch=3), "b": same}), (20, {"a": DONE}))  # fmt: skip
    assert [(stage["from_ns"], stage["epochs"], stage["change"]) for stage in found["stages"]] == [(0, [1, 2], ""), (9, [3, 3], "join c"), (20, [4, 4], "")]  # fmt: skip
    assert found["stages"][1]["wanted"] == [["a", "b"], ["c", "a"]]
    assert found["nodes"] == {"a": [[0, 1], [5, 2], [9, 3], [20, 4]], "b": [[0, 1], [9, 2]]}
    assert found["keys"] == {"3": 1, "4": 0}


def test_a_node_that_is_behind_does_not_bring_back_what_was() -> None:
    found = log_of((0, {"a": GOING, "b": CALM}), (5, {"b": CALM}), (9, {}))
    assert [stage["epochs"] for stage in found["stages"]] == [[2, 2]]
    assert found["nodes"]["b"] == [[0, 1]]


def test_very_many_keys_are_not_all_kept() -> None:
    log = RingLog(lambda key: 0)
    for key in range(KEYS_MAX + 5):
        log.use(key)
    assert len(log.as_json()["keys"]) == KEYS_MAX


@pytest.fixture(scope="module")
def joined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stale read while a node joins, in the simulator."""
    plan = replace(
        load_plan(EXAMPLES / "eventual.toml"), time_limit_s=6.0, system_options={"mode": "eventual", "members": 4},
        faults=(FaultPlan(kind="partition", start_s=0.5, every_s=3.0, for_s=2.0), FaultPlan(kind="join", start_s=3.2, every_s=100.0, for_s=3.0)),
    )  # fmt: skip
    return run(plan, world="sim", out=tmp_path_factory.mktemp("joined")).folder


def test_a_run_tells_its_ring_from_the_beginning_to_the_end(joined: Path) -> None:
    found = json.loads((joined / "ring.json").read_text())
    stages = found["stages"]
    assert [stage["change"] for stage in stages] == ["", "join n5", ""]
    assert (stages[0]["members"], stages[-1]["members"]) == (["n1", "n2", "n3", "n4"], ["n1", "n2", "n3", "n4", "n5"])  # fmt: skip
    assert stages[1]["lists"] == stages[0]["lists"]
    assert stages[1]["wanted"] == stages[2]["lists"] != stages[0]["lists"]
    assert all(len(stage["lists"]) == PARTITIONS for stage in stages)
    assert found["keys"]
    assert all(partition == partition_of(key_name(int(key))) for key, partition in found["keys"].items())
    assert {node: epochs[-1][1] for node, epochs in found["nodes"].items()} == dict.fromkeys(found["nodes"], stages[-1]["epochs"][1])  # fmt: skip


def test_to_look_changes_nothing(joined: Path) -> None:
    unseen = simulate_run(load_plan(joined / "plan.toml"))
    assert unseen.lines == (joined / "history.jsonl").read_bytes()
    assert unseen.results["trace"] == json.loads((joined / "results.json").read_text())["trace"]


def test_the_page_tells_who_held_the_keys_of_the_finding(joined: Path) -> None:
    told_of = read_folder(joined)
    rows = list(key_rows(told_of))
    stages = told_of.ring["stages"]
    core = {str(bar.key) for bar in told_of.core_bars}
    assert {row[0] for row in rows} == core
    for key, partition, _, now, _ in rows:
        assert int(partition) == partition_of(key_name(int(key)))
        assert now in {", ".join(stage["lists"][int(partition)]) for stage in stages}
    words = in_words(told_of)
    assert words.startswith("The keys are cut into 256 partitions, each held by 3 nodes")
    assert "changes seen under way: join n5 (from " in words
    moved = [now != then for now, then in zip(stages[1]["lists"], stages[1]["wanted"], strict=True)]
    assert [row[4] for row in stage_rows(told_of)] == ["–", str(sum(moved)), "–"]
    shares = {row[0]: row[1:] for row in share_rows(told_of)}
    assert shares["n5"][:2] == ("0", "0")
    assert sum(int(row[1]) for row in shares.values()) == sum(int(row[3]) for row in shares.values()) == 3 * PARTITIONS  # fmt: skip
    page, text = (joined / "report.html").read_text(), run_markdown(told_of)
    assert words in page
    assert "The keys of the finding" in text


def test_the_timeline_knows_who_held_each_key(joined: Path) -> None:
    told_of = read_folder(joined)
    found = for_timeline(told_of, ["0", "no such key"], 1000)
    assert found is not None
    partition = partition_of(key_name(0))
    assert found["partitions"] == [partition, -1]
    assert [stage[1] for stage in found["stages"]] == ["", "join n5", ""]
    assert found["stages"][0][2] == {str(partition): (", ".join(told_of.ring["stages"][0]["lists"][partition]), "")}  # fmt: skip


def test_a_system_without_a_ring_says_so(tmp_path: Path) -> None:
    assert told(None, "redis")["why"] == "the system redis has no ring, or does not tell of it"
    folder = run(load_plan(EXAMPLES / "primary_backup" / "plan.toml"), world="sim", out=tmp_path).folder
    assert json.loads((folder / "ring.json").read_text())["stages"] == []
    assert "has no ring, or does not tell of it." in (folder / "report.html").read_text()


def test_a_run_of_before_says_that_nothing_was_recorded(tmp_path: Path) -> None:
    folder = run_folders.make(tmp_path / "run", ops=50)
    assert "was not recorded in this run" in write_report(folder).read_text()
    (folder / "ring.json").write_text('{"stages": []}')
    with pytest.raises(PlanError, match="is not what a run writes"):
        write_report(folder)
