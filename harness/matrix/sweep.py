"""All runs of a matrix, on several cores, each written down when it is done; the same folder goes on where it was stopped.

cells x seeds, seed by seed: after the first round every cell has been looked at once
    ──► process pool ──► runs.jsonl, in the order of the list      a line that was cut off is made again

FOLDER/matrix.json   what the folder is about     FOLDER/findings/<cell>.toml   the plan of a cell's shortest violation
                                                  FOLDER/supports/<cell>.toml   the plan of a cell's slowest run

Cells that are run on hosts too come after, each process on hosts of its own: hosts.jsonl, in whatever order, and of each run that did not come out
well its folder, FOLDER/runs/<cell>-<seed>.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any, BinaryIO, Final

import msgspec

from checkers.verdict import Verdict
from harness.hosted import HOSTS, SIM, Place
from harness.matrix.grid import Cell, Matrix
from harness.matrix.measure import RECORDS, Measured, measure
from harness.matrix.merge import Row, merge_cell
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import Jobs, in_order
from harness.results import CRASH, INFRASTRUCTURE
from harness.runs import cut_to, write_text
from harness.ways import Ways

SUPPORTS: Final = "supports"
VERDICTS: Final = frozenset(verdict.value for verdict in Verdict)
OUTCOMES: Final = VERDICTS | {CRASH, INFRASTRUCTURE}


def work(cell: int, text: str, place: Place | None = None, folder: Path = Path()) -> Measured:
    """Make one run, in whichever process. On hosts, what it left in `folder` goes if all was well."""
    plan = parse_plan(text, "the cell's plan")
    if place is None:
        return measure(cell, plan)
    rmtree(folder, ignore_errors=True)  # of a run that was cut off
    record = measure(cell, plan, place, folder)
    if record.outcome == Verdict.VALID.value:
        rmtree(folder)
    return record


def recorded(line: bytes) -> Measured | None:
    """The run that a line is the record of; None if it is none."""
    try:
        record = msgspec.json.decode(line, type=Measured)
    except (ValueError, RecursionError):
        return None
    judged = {*record.levels.values(), *record.claims.values()}
    return record if record.outcome in OUTCOMES and judged <= VERDICTS else None


class Sweep:
    """A folder with the runs so far, and the way on."""

    def __init__(self, matrix: Matrix, folder: Path) -> None:
        """Open or make the folder. Raises PlanError: it is of another matrix, or its file is damaged."""
        self.matrix, self.folder = matrix, folder
        self._file = folder / "runs.jsonl"
        self._hosts_file = folder / "hosts.jsonl"
        self._bind()
        self.records = self._read()
        self.hosted = self._read_hosts()

    def _bind(self) -> None:
        path = self.folder / "matrix.json"
        for under in ("findings", SUPPORTS):
            (self.folder / under).mkdir(parents=True, exist_ok=True)
        about = {"records": RECORDS, "matrix": self.matrix.text}
        if not path.exists():
            write_text(path, json.dumps(about, indent=1) + "\n")
            return
        try:
            there = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (ValueError, RecursionError):
            raise PlanError(f"{path}: is damaged; give --out another folder") from None
        if there.get("records") != RECORDS:
            raise PlanError(
                f"{self.folder} holds runs as another version of quorate wrote them down, without all that is shown of a cell now; give --out another folder"
            )
        if there != about:
            raise PlanError(f"{self.folder} holds the runs of another matrix; give --out another folder")

    def _read(self) -> list[Measured]:
        """The runs that are there, in order; what follows the last whole line is cut off."""
        if not self._file.exists():
            return []
        whole = self._file.read_bytes().split(b"\n")[:-1]
        found, todo = list[Measured](), self.todo()
        for number, line in enumerate(whole, 1):
            if (record := recorded(line)) is None:
                raise PlanError(
                    f"{self._file}:{number}: no record of a run; remove the line and those after it, and go on"
                )
            expected = next(todo, None)
            if expected is not None and (record.cell, record.seed) != (
                expected[0].number,
                expected[1].seed,
            ):
                raise PlanError(
                    f"{self._file}:{number}: is the run of cell {record.cell}, seed {record.seed}, out of order; give --out another folder"
                )
            found.append(record)
        cut_to(self._file, whole)
        return found

    def _read_hosts(self) -> list[Measured]:
        """The runs on hosts that are there; a last line that was cut off is not."""
        if not self._hosts_file.exists():
            return []
        whole = self._hosts_file.read_bytes().split(b"\n")[:-1]
        found = list[Measured]()
        for number, line in enumerate(whole, 1):
            if (record := recorded(line)) is None:
                raise PlanError(f"{self._hosts_file}:{number}: no record of a run; remove the line, and go on")  # fmt: skip
            found.append(record)
        cut_to(self._hosts_file, whole)
        return found

    def todo_on_hosts(self) -> list[tuple[Cell, Plan]]:
        """The runs on hosts that are missing."""
        hosted, made = self.matrix.hosted, {(record.cell, record.seed) for record in self.hosted}
        if hosted is None:
            return []
        cells = [cell for cell in self.matrix.cells if cell.number in hosted.cells]
        every = [(cell, replace(cell.plan, seed=cell.plan.seed + run)) for run in range(hosted.runs) for cell in cells if cell.plan is not None]  # fmt: skip
        return [(cell, plan) for cell, plan in every if (cell.number, plan.seed) not in made]

    def go_on_hosts(self, jobs: Jobs, stop: Callable[[], bool], tell: Callable[[Measured], None]) -> None:
        """Make what is missing on hosts, as `go` does, but always on this machine."""
        hosted, following = self.matrix.hosted, self.todo_on_hosts()
        here = jobs if isinstance(jobs, int) else 1
        if hosted is None or not following:
            return
        tasks = (
            (
                cell.number,
                (cell.number, dump_plan(plan), hosted.place, self.folder_of(cell.number, plan.seed)),
            )
            for cell, plan in following
        )
        with (
            self._hosts_file.open("ab") as file,
            closing(in_order(work, tasks, min(here, len(following)))) as made,
        ):
            _take((record for _, record in made), file, self.hosted, stop, tell)

    def folder_of(self, cell: int, seed: int) -> Path:
        """Where a run on hosts leaves its folder."""
        return self.folder / "runs" / f"{cell}-{seed}"

    def todo(self) -> Iterator[tuple[Cell, Plan]]:
        """Every run in its order, those that are done too."""
        for seed in range(self.matrix.seeds):
            for cell in self.matrix.cells:
                if cell.plan is not None:
                    yield cell, replace(cell.plan, seed=cell.plan.seed + seed)

    @property
    def total(self) -> int:
        """How many runs there are in all."""
        return self.matrix.seeds * sum(cell.plan is not None for cell in self.matrix.cells)

    def go(self, jobs: Jobs, stop: Callable[[], bool], tell: Callable[[Measured], None]) -> None:
        """Make what is missing, or until `stop()` says so after a run. `tell` is given each record."""
        following = list(self.todo())[len(self.records) :]
        tasks = ((cell.number, (cell.number, dump_plan(plan))) for cell, plan in following)
        with self._file.open("ab") as file, closing(in_order(work, tasks, jobs)) as made:
            _take((record for _, record in made), file, self.records, stop, tell)

    def of(self, cell: Cell) -> list[Measured]:
        """The simulated runs of a cell."""
        return [record for record in self.records if record.cell == cell.number]

    def rows(self) -> list[Row]:
        """One of each cell, and beside it one of its runs on hosts if it has such."""
        hosted, found = self.matrix.hosted, list[Row]()
        for cell in self.matrix.cells:
            found.append(merge_cell(cell, self.of(cell), self.matrix.documented))
            if hosted is not None and cell.number in hosted.cells:
                runs = [record for record in self.hosted if record.cell == cell.number]
                found.append(merge_cell(cell, runs, self.matrix.documented, world=HOSTS))
        return found

    def finding(self, cell: Cell, record: Measured) -> Ways:
        """Write the plan of this violation; how it is seen again."""
        own = f"{cell.number}" if record.world == SIM else f"{cell.number}-{record.world}"
        path = self._planned("findings", own, cell, record)
        if record.world == SIM or self.matrix.hosted is None:
            return Ways(str(path))
        assert cell.plan is not None
        left = self.folder_of(cell.number, record.seed) / cell.plan.name / "latest"
        return Ways(str(path), cell.plan.nodes, self.matrix.hosted.place, str(left))

    def supporting(self, cell: Cell, record: Measured) -> Path:
        """Write the plan of a run that stands for its cell."""
        return self._planned(SUPPORTS, f"{cell.number}", cell, record)

    def _planned(self, under: str, own: str, cell: Cell, record: Measured) -> Path:
        assert cell.plan is not None
        path = self.folder / under / f"{own}.toml"
        write_text(
            path, dump_plan(replace(cell.plan, seed=record.seed, name=f"{self.matrix.name}-cell-{own}"))
        )
        return path


def _take(
    made: Iterable[Measured], file: BinaryIO, records: list[Measured], stop: Callable[[], bool], tell: Callable[[Measured], None]
) -> None:  # fmt: skip
    """Write down and tell what comes, until `stop()` says so after a run."""
    for record in made:
        file.write(msgspec.json.encode(record) + b"\n")
        file.flush()
        records.append(record)
        tell(record)
        if stop():
            return
