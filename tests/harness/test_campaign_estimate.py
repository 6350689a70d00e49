"""What a night will take: from what runs have taken, of the world they are made in; and one run to see where none was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.campaign.estimate import costs, night_s
from harness.campaign.file import Campaign, Item
from harness.campaign.ledger import Record
from harness.campaign.prune import folded
from harness.cli import status_of
from harness.hosted import Place
from harness.plan import load_plan

PLAN = load_plan(Path(__file__).parents[2] / "examples" / "register.toml")
CAMPAIGN = Campaign(
    "c", "1h", (Item("sim", PLAN, 100), Item("hosts", PLAN, 10, Place()), Item("new", PLAN, 5)), ()
)
FILE = 'name = "small"\nbudget = "BUDGET"\n[[items]]\nname = "one"\nplan = "plan.toml"\nruns = 1000\n'


def runs(item: str, world: str, *cpu_and_real_s: tuple[float, float]) -> list[Record]:
    return [
        Record(0, item, n, n, "ok", "", world=world, cpu_s=cpu_s, real_s=real_s)
        for n, (cpu_s, real_s) in enumerate(cpu_and_real_s)
    ]


def test_simulated_runs_cost_processor_and_runs_on_hosts_time() -> None:
    made = [*runs("sim", "sim", (1.0, 9.0), (3.0, 9.0)), *runs("hosts", "hosts", (0.5, 30.0), (0.5, 50.0))]
    found = costs(CAMPAIGN, made)
    assert [(cost.item, cost.each_s, cost.seen) for cost in found] == [("sim", 2.0, 2), ("hosts", 40.0, 2), ("new", None, 0)]  # fmt: skip
    assert night_s(found, 2) == (100 * 2.0 + 10 * 40.0) / 2


def test_runs_of_the_other_world_and_those_that_took_nothing_do_not_count() -> None:
    made = [*runs("hosts", "sim", (1.0, 1.0)), *runs("sim", "sim", (0.0, 0.0), (4.0, 0.0))]
    assert [cost.each_s for cost in costs(CAMPAIGN, made)] == [4.0, None, None]


def test_old_nights_made_small_cost_the_same() -> None:
    made = runs("sim", "sim", (1.0, 1.0), (2.0, 2.0), (6.0, 6.0))
    hosts = runs("hosts", "hosts", (1.0, 20.0), (1.0, 40.0))
    before, after = costs(CAMPAIGN, [*made, *hosts]), costs(CAMPAIGN, folded([*made, *hosts]))
    assert [cost.each_s for cost in after] == [cost.each_s for cost in before] == [3.0, 30.0, None]


@pytest.mark.parametrize(("budget", "status"), [("10h", 0), ("1s", 2)])
def test_the_command_makes_a_run_to_see_and_leaves_nothing(
    budget: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.toml").write_text((Path(__file__).parents[2] / "examples" / "register.toml").read_text().replace("time_limit_s = 30", "time_limit_s = 8"))  # fmt: skip
    (tmp_path / "small.toml").write_text(FILE.replace("BUDGET", budget))
    arguments = ["campaign", "run", str(tmp_path / "small.toml"), "--estimate", "--jobs", "4", "--out", str(tmp_path / "out")]  # fmt: skip
    assert status_of([*arguments, "--json"]) == status
    told = json.loads(capsys.readouterr().out)
    (item,) = told["items"]
    assert (item["runs"], item["seen"], item["world"]) == (1000, 1, "sim")
    assert told["total_s"] == pytest.approx(1000 * item["each_s"] / 4, rel=0.01)
    assert not (tmp_path / "out").exists()
    assert status_of(arguments) == status
    assert "for 1,000 runs in 4 processes; the budget is " in capsys.readouterr().out
