"""What a matrix file says of hosts, and what `claims.toml` promises of its cells."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.advice import measured
from harness.cli import status_of
from harness.cli.advise import cells_of
from harness.matrix.grid import load_matrix
from harness.matrix.measure import Measured
from harness.matrix.merge import merge_cell
from harness.matrix.page import matrix_page
from harness.matrix.tables import grids, markdown, promised
from harness.plan import PlanError
from tests.small_plans import calm, modes_by_reads

PLAN = calm("integrity")
MATRIX = modes_by_reads("""[environments.calm]
[environments.partition]
faults = [{ kind = "partition", shape = "halves", start_s = 0.5, every_s = 2.0, for_s = 1.0 }]
""")
HOSTS = '[hosts]\nruns = 2\ncells = [{ "system.mode" = "eventual", environment = "partition" }, { "system.r" = 2, environment = "calm" }]\n'
CLAIMS = """
[[claims]]
says = "a read returns the last write"
source = "manual"
guarantee = "regular"
operations = ["read"]
where = { mode = "eventual" }
not_under = ["partition"]

[[claims]]
says = "nothing is out of thin air"
source = "manual"
guarantee = "integrity"
"""


def files(folder: Path, matrix: str, claims: str = "") -> Path:
    (folder / "plan.toml").write_text(PLAN)
    (folder / "matrix.toml").write_text(matrix)
    if claims:
        (folder / "claims.toml").write_text(claims)
    return folder / "matrix.toml"


def test_a_chosen_cell_has_all_values_of_one_of_the_tables(tmp_path: Path) -> None:
    hosted = load_matrix(files(tmp_path, MATRIX + HOSTS)).hosted
    assert hosted is not None
    cells = load_matrix(tmp_path / "matrix.toml").cells
    names = [cells[number].name for number in hosted.cells]
    assert names == ["mode=eventual r=2, calm", "mode=register r=2, calm", "mode=eventual r=1, partition", "mode=eventual r=2, partition"]  # fmt: skip
    assert (hosted.runs, hosted.place.kind) == (2, "netns")
    every = load_matrix(files(tmp_path, MATRIX + "[hosts]\nruns = 1\n")).hosted
    assert every is not None
    assert len(every.cells) == 6  # two of the eight are refused by the store


def test_hosts_and_seeds_may_change_and_the_folder_goes_on(tmp_path: Path) -> None:
    texts = {load_matrix(files(tmp_path, text)).text for text in (MATRIX, MATRIX + HOSTS, MATRIX.replace("seeds = 1", "seeds = 2"))}  # fmt: skip
    assert len(texts) == 1
    assert load_matrix(files(tmp_path, MATRIX, CLAIMS)).text not in texts


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("runs = 2", "runs = 0", "[hosts]: runs = 0 is no number of runs"),
        ("runs = 2", "run = 2", "[hosts]: unknown key 'run'; did you mean 'runs'?"),
        ("runs = 2", 'runs = 2\nkind = "vm"', "[hosts]: hosts of kind 'vm' are not made by quorate"),
        ('"system.r" = 2', '"system.w" = 2', "[hosts]: cells: unknown axis 'system.w'"),
        ('"eventual", environment = "partition" }, { "system.r" = 2', '"eventual", "system.r" = 7 }, { "system.r" = 8', "no cell that the system takes has the values"),
        ("cells = [", "cells = [1, ", "[hosts]: cells is a list of tables"),
    ],
)  # fmt: skip
def test_what_it_says_wrong_of_hosts_is_told(before: str, after: str, says: str, tmp_path: Path) -> None:
    assert before in HOSTS
    with pytest.raises(PlanError) as told:
        load_matrix(files(tmp_path, MATRIX + HOSTS.replace(before, after)))
    assert says in str(told.value)


def test_a_cell_that_hosts_cannot_run_is_named(tmp_path: Path) -> None:
    text = MATRIX.replace('kind = "partition", shape = "halves"', 'kind = "kill", point = "fsync"')
    with pytest.raises(PlanError, match=r"\[hosts\]: mode=eventual r=1, partition: .*point"):
        load_matrix(files(tmp_path, text + HOSTS))


def test_the_row_of_hosts_is_beside_and_apart(tmp_path: Path) -> None:
    """One row in each world: in the tables both, in the maps, which are of configurations, the simulator's."""
    matrix = load_matrix(files(tmp_path, MATRIX + HOSTS))
    fine, bad = {"linearizable": "valid", "regular": "valid"}, {"linearizable": "invalid", "regular": "valid"}
    simulated = [merge_cell(cell, [Measured(cell.number, 1, "valid", "", fine)]) for cell in matrix.cells]
    broken = Measured(4, 1, "invalid", "", bad, core_ops=3, proof="a proof", world="hosts", tries=2)
    trouble = Measured(4, 2, "infrastructure", "no answer", world="hosts", tries=3)
    hosts = merge_cell(matrix.cells[4], [broken, trouble], world="hosts")
    rows = [*simulated[:5], hosts, *simulated[5:]]
    assert (hosts.numbers["world"], hosts.numbers["infrastructure"], hosts.numbers["tried_again"]) == ("hosts", 1, 1)  # fmt: skip
    assert hosts.verdicts["regular"].value == "unknown"  # a run that came to nothing acquits nobody
    assert list(grids(matrix, rows)) == list(grids(matrix, simulated))
    text = markdown(matrix, rows, "the command")
    place = text.index("| mode=eventual r=1 on hosts | ")
    assert text[:place].rstrip().splitlines()[-1].startswith("| mode=eventual r=1 | linearizable")
    page = matrix_page(matrix, rows, {}, "the command")
    assert 'href="#cell-4-hosts"' in page
    assert 'id="cell-4-hosts"' in page
    (tmp_path / "cells.json").write_text(json.dumps([row.numbers for row in rows]))
    same = measured(cells_of(tmp_path), "kvstore", {"mode": "eventual", "r": 1})
    assert [cell["world"] for cell in same] == [
        "sim",
        "sim",
    ]  # wishes are met by what was simulated: one clock for all


def test_each_cell_is_asked_what_is_promised_of_it(tmp_path: Path) -> None:
    matrix = load_matrix(files(tmp_path, MATRIX, CLAIMS))
    asked = {cell.name: cell.plan.claims for cell in matrix.cells if cell.plan is not None}
    assert asked["mode=eventual r=1, calm"] == ("integrity", "regular (read)")
    assert asked["mode=eventual r=1, partition"] == asked["mode=register r=2, calm"] == ("integrity",)
    cell = matrix.cells[0]
    runs = [Measured(0, seed, "invalid", "", {}, claims={"integrity": "valid", "regular (read)": verdict}) for seed, verdict in enumerate(("valid", "invalid", "unknown"))]  # fmt: skip
    row = merge_cell(cell, runs, matrix.documented)
    assert [(each["claim"], each["verdict"], each["broken"]) for each in row.numbers["promises"]] == [("integrity", "valid", 0), ("regular (read)", "invalid", 1)]  # fmt: skip
    assert promised([row]) == [
        ("“a read returns the last write” (manual)", "regular (read)", "mode=eventual r=1, calm", "broken in 1 of 3 runs"),
        ("“nothing is out of thin air” (manual)", "integrity", "mode=eventual r=1, calm", "kept in 3 runs"),
    ]  # fmt: skip


def test_a_broken_promise_makes_the_matrix_red(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = files(tmp_path, MATRIX, CLAIMS.replace('not_under = ["partition"]', ""))
    assert status_of(["matrix", str(path), "--jobs", "1", "--out", str(tmp_path / "out")]) == 1
    assert "broken in 1 of 1 runs: “a read returns the last write” (manual), regular (read); mode=eventual r=1, partition" in capsys.readouterr().out  # fmt: skip
    assert "| kept in 1 run |" in (tmp_path / "out" / "matrix.md").read_text()
