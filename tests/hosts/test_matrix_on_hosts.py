"""Cells of a matrix on hosts: beside the simulator's row, gone on with where it was stopped, nothing left."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.cli import status_of
from harness.matrix.grid import load_matrix
from harness.matrix.sweep import Sweep
from tests.hosts.test_campaign_on_hosts import PLAN, owned

pytestmark = [pytest.mark.hosts, pytest.mark.slow]

MATRIX = """
name = "small"
plan = "plan.toml"
seeds = 1
[axes]
"system.mode" = ["eventual", "register"]
[hosts]
runs = 2
cells = [{ "system.mode" = "eventual" }]
"""


def test_a_chosen_cell_is_run_on_hosts_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "matrix.toml").write_text(MATRIX)
    out = tmp_path / "out"
    sweep = Sweep(load_matrix(tmp_path / "matrix.toml"), out)
    sweep.go_on_hosts(1, lambda: True, lambda record: None)  # stopped after a run
    assert [record.seed for record in sweep.hosted] == [1]
    with (out / "hosts.jsonl").open("ab") as file:
        file.write(b'{"cell": 0, "se')  # cut off
    assert (
        status_of(["matrix", str(tmp_path / "matrix.toml"), "--jobs", "1", "--out", str(out), "--json"]) == 0
    )
    told: Any = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["missing"]) == (4, 0)
    assert [(cell["world"], cell["configuration"]["system.mode"], cell["runs"]) for cell in told["cells"]] == [
        ("sim", "eventual", 1), ("hosts", "eventual", 2), ("sim", "register", 1),
    ]  # fmt: skip
    hosts = told["cells"][1]
    assert hosts["levels"]["linearizable"] == "invalid"
    assert (hosts["crashes"], hosts["infrastructure"]) == (0, 0)
    assert sorted(record.seed for record in Sweep(sweep.matrix, out).hosted) == [1, 2]
    kept = out / "runs" / f"0-{hosts['example']['seed']}" / "base" / "latest"
    assert json.loads((kept / "results.json").read_text())["world"] == "hosts"
    page = (out / "matrix.html").read_text()
    assert f"quorate report {kept}" in page
    assert f"quorate hosts up --kind netns -n 3 &amp;&amp; quorate replay {out / 'findings' / '0-hosts.toml'} --world hosts" in page  # fmt: skip
    assert owned(os.getpid()) == []
