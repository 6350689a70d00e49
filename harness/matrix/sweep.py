"""All runs of a matrix, on several cores, each written down when it is done; the same folder goes on where it was stopped.

cells x seeds, seed by seed: after the first round every cell has been looked at once
    ──► process pool ──► runs.jsonl, in the order of the list      a line that was cut off is made again

FOLDER/matrix.json   what the folder is about     FOLDER/findings/<cell>.toml   the plan of a cell's shortest violation
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from harness.matrix.grid import Cell, Matrix
from harness.matrix.measure import Measured, measure
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import Jobs, in_order
from harness.runs import write_text


def work(cell: int, text: str) -> Measured:
    """Make one run, in whichever process."""
    return measure(cell, parse_plan(text, "the cell's plan"))


class Sweep:
    """A folder with the runs so far, and the way on."""

    def __init__(self, matrix: Matrix, folder: Path) -> None:
        """Open or make the folder. Raises PlanError: it is of another matrix, or its file is damaged."""
        self.matrix, self.folder = matrix, folder
        self._file = folder / "runs.jsonl"
        self._bind()
        self.records = self._read()

    def _bind(self) -> None:
        path = self.folder / "matrix.json"
        (self.folder / "findings").mkdir(parents=True, exist_ok=True)
        about = {"matrix": self.matrix.text}
        if not path.exists():
            write_text(path, json.dumps(about, indent=1) + "\n")
        elif json.loads(path.read_text(encoding="utf-8")) != about:
            raise PlanError(f"{self.folder} holds the runs of another matrix; give --out another folder")

    def _read(self) -> list[Measured]:
        """The runs that are there, in order; what follows the last whole line is cut off."""
        if not self._file.exists():
            return []
        whole = self._file.read_bytes().split(b"\n")[:-1]
        found, todo = list[Measured](), self.todo()
        for number, line in enumerate(whole, 1):
            try:
                record = msgspec.json.decode(line, type=Measured)
            except msgspec.DecodeError as error:
                raise PlanError(
                    f"{self._file}:{number}: no record of a run: {error}; remove the line and those after it, and go on"
                ) from None
            expected = next(todo, None)
            if expected is not None and (record.cell, record.seed) != (
                expected[0].number,
                expected[1].seed,
            ):
                raise PlanError(
                    f"{self._file}:{number}: is the run of cell {record.cell}, seed {record.seed}, out of order; give --out another folder"
                )
            found.append(record)
        self._file.write_bytes(b"".join(line + b"\n" for line in whole))
        return found

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
            for _, record in made:
                file.write(msgspec.json.encode(record) + b"\n")
                file.flush()
                self.records.append(record)
                tell(record)
                if stop():
                    return

    def of(self, cell: Cell) -> list[Measured]:
        """The runs of a cell."""
        return [record for record in self.records if record.cell == cell.number]

    def finding(self, cell: Cell, record: Measured) -> Path:
        """Write the plan of this violation, for `quorate replay` and `quorate shrink`; where it is."""
        assert cell.plan is not None
        path = self.folder / "findings" / f"{cell.number}.toml"
        name = f"{self.matrix.name}-cell-{cell.number}"
        write_text(path, dump_plan(replace(cell.plan, seed=record.seed, name=name)))
        return path
