"""What a violation needs, on real hosts: the plan runs again and again with and without its fault, and the rates are in the report of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli import status_of
from harness.plan import parse_plan
from harness.provision import find_inventory
from harness.provision.inventory import Inventory
from harness.report.folder import read_folder
from harness.report.markdown import run_markdown
from harness.runner import run

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

# between them there is time for a busy machine: to cut the link, to replicate, to read before the heal
CUT = """
name = "cut"
workload = "register"
claims = ["linearizable"]
seed = 1
nodes = 2
concurrency = 2
time_limit_s = 3.1
script = [
  {at_s = 1.2, client = 0, f = "write", key = 0, value = 212},
  {at_s = 2.0, client = 1, f = "read", key = 0},
]

[system]
name = "kvstore"
mode = "eventual"
n = 2

[[strokes]]
kind = "partition"
start_s = 0.0
for_s = 3.0
nodes = ["n2"]
detail = {shape = "halves", grudge = {n2 = ["n1"]}}
"""


def test_a_stale_read_needs_the_partition(
    five: Inventory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(parse_plan(CUT), world="hosts", out=tmp_path, inventory=find_inventory(five.cluster)).folder
    assert "quorate attribute" in (folder / "report.html").read_text()
    capsys.readouterr()
    assert (
        status_of(["attribute", str(folder), "--times", "5", "--cluster", str(five.cluster), "--json"]) == 1
    )
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads((folder / "attribution.json").read_text())
    base, without = found["variants"]
    assert (base["hits"], base["runs"]) == (5, 5)
    assert (without["without"], without["hits"], without["runs"], without["verdict"]) == ("partition", 0, 5, "needed")  # fmt: skip
    assert [read_folder(folder / each["folder"]).results["claims"]["linearizable"]["verdict"] for each in found["made"]] == [
        {"shown": "invalid", "clean": "valid"}[each["seen"]] for each in found["made"]
    ]  # fmt: skip
    told = run_markdown(read_folder(folder))
    assert "event required: partition" in told
    assert "| without partition | 0 of 5 | 0 to 45 % | 0.004 | needed |" in told
