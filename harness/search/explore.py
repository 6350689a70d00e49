"""Explore: many runs of a plan in the simulator, on several cores, written down one by one so that it can go on later.

    number 0, 1, 2, … ──strategy──► plan ──► process pool ──► record ──► explored.jsonl
                                                                └─ a claim broken ──► findings/<number>.toml, a plan to shrink or replay

What a number means does not depend on how many processes there are, nor on which came first. A run that crashes the harness is a record
too. Records are written in order of number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from checkers.verdict import Verdict
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.plan_text import no_json, read_text
from harness.pool import Jobs, in_order
from harness.runs import cut_to, write_text
from harness.search.finding import targets
from harness.search.steering import WATCHERS, steering
from harness.simulate import simulate_run

CRASH: Final = "crash"
OUTCOMES: Final = frozenset({CRASH, *(verdict.value for verdict in Verdict)})


@dataclass(frozen=True, slots=True)
class Record:
    """One run. `outcome`: valid | invalid | unknown | crash. `broken`: "claim: anomaly" each. `digest` is over history, faults and trace.

    `new`: the features that no run before has shown, for strategies that learn from them.
    """

    number: int
    seed: int
    outcome: str
    broken: tuple[str, ...]
    reason: str
    ops: int
    virtual_s: float
    digest: str
    cpu_s: float
    new: tuple[int, ...] = ()


def run_one(text: str, number: int, watched: str = "") -> Record:
    """Make one run of its plan, in whichever process. `watched`: by which of WATCHERS; its record has all that is seen."""
    begin_s = time.process_time()
    plan, watcher = parse_plan(text, "the plan"), WATCHERS[watched]() if watched else None
    try:
        run = simulate_run(plan, on_world=watcher.open) if watcher else simulate_run(plan)
    except Exception as error:  # of the harness or the system: a finding of its own kind
        reason = f"{type(error).__name__}: {error}"
        return Record(number, plan.seed, CRASH, (), reason, 0, 0.0, "", time.process_time() - begin_s)
    return Record(
        number=number,
        seed=plan.seed,
        outcome=run.verdict.value,
        broken=tuple(f"{target.claim}: {target.anomaly}" for target in targets(run)),
        reason=str(run.results["reason"]),
        ops=int(run.results["stats"]["stats"].get("ops", 0)),
        virtual_s=plan.time_limit_s,
        digest=sha256(run.lines + run.fault_lines + run.results["trace"].encode()).hexdigest()[:32],
        cpu_s=round(time.process_time() - begin_s, 4),
        new=watcher.features(run.start_s) if watcher else (),
    )


class Exploration:
    """A folder with what was explored so far, and the way on."""

    def __init__(self, plan: Plan, strategy: str, folder: Path) -> None:
        """Open or make the folder. Raises PlanError: no such strategy, or the folder is of another plan or strategy."""
        self._steering = steering(strategy, plan)
        if plan.script:
            raise PlanError("a script is one run; give the plan that it was made from")
        self.plan, self.strategy, self.folder = plan, strategy, folder
        self._text = dump_plan(plan)
        self._file = folder / "explored.jsonl"
        self._bind()
        self.records = list(self._read())
        for record in self.records:
            self._steering.learn(record.number, record.ops, record.new)
            self._keep_plan(record)  # whoever stopped us may have come between the record and its plan

    def _bind(self) -> None:
        about = {"plan": self._text, "strategy": self.strategy}
        path = self.folder / "exploration.json"
        (self.folder / "findings").mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_text(path, json.dumps(about, indent=1) + "\n")
            return
        try:
            there = json.loads(read_text(path, "an exploration"))
        except (ValueError, RecursionError) as error:
            raise PlanError(f"{path}: is damaged: {no_json(error)}; give --out another folder") from None
        if there != about:
            raise PlanError(
                f"{self.folder} holds the exploration of another plan or strategy; give --out another folder"
            )

    def _read(self) -> Iterator[Record]:
        """What is there already. A last line that was cut off is made again."""
        if not self._file.exists():
            return
        whole = self._file.read_bytes().split(b"\n")[:-1]
        for number, line in enumerate(whole, 1):
            try:
                record = msgspec.json.decode(line, type=Record)
                known = record.outcome in OUTCOMES
            except (ValueError, RecursionError):
                known = False
            if not known:
                raise PlanError(
                    f"{self._file}:{number}: no record of a run; remove the line and those after it, and go on"
                )
            if record.number != number - 1:
                raise PlanError(
                    f"{self._file}:{number}: is run {record.number}, and run {number - 1} comes here; remove the line and those after it, and go on"
                )
            yield record
        cut_to(self._file, whole)

    def plan_of(self, number: int) -> Plan:
        """The plan of a run, complete: `quorate replay` makes the run of it."""
        return replace(self._steering.plan(number), name=f"{self.plan.name}-{number}")

    def go(self, runs: int, jobs: Jobs, stop: Callable[[], bool], tell: Callable[[Record], None]) -> None:
        """Make runs until there are `runs` in all, or `stop()` says so after one. `tell` is given each record."""
        with self._file.open("ab") as file, closing(in_order(run_one, self._tasks(runs), jobs)) as made:
            for number, done in made:
                record = replace(done, new=self._steering.learn(number, done.ops, done.new))
                file.write(json.dumps(asdict(record)).encode() + b"\n")
                file.flush()
                self._keep(record)
                tell(record)
                if stop():
                    return

    def _tasks(self, runs: int) -> Iterator[tuple[int, tuple[str, int, str]] | None]:
        """The runs to make; None as long as the next depends on what is under way."""
        for number in range(len(self.records), runs):
            while not self._steering.ready(number):
                yield None
            yield number, (dump_plan(self._steering.plan(number)), number, self._steering.watches)

    def _keep(self, record: Record) -> None:
        self.records.append(record)
        self._keep_plan(record)

    def _keep_plan(self, record: Record) -> None:
        if (record.broken or record.outcome == CRASH) and not self.finding(record).exists():
            write_text(self.finding(record), dump_plan(self.plan_of(record.number)))

    def _learned(self) -> dict[str, int]:
        """How much was seen of what the strategy learns from, under its name; nothing of one that does not learn."""
        seen = sum(len(record.new) for record in self.records)
        return {self._steering.watches: seen} if self._steering.watches else {}

    def finding(self, record: Record) -> Path:
        """Where the plan of a finding is."""
        return self.folder / "findings" / f"{record.number}.toml"

    def summary(self) -> dict[str, Any]:
        """Counts of the outcomes, and of each finding how often and where first."""
        counts: dict[str, int] = {}
        found: dict[str, list[Record]] = {}
        for record in self.records:
            counts[record.outcome] = counts.get(record.outcome, 0) + 1
            what = record.broken or ((f"crash: {record.reason}",) if record.outcome == CRASH else ())
            for each in what:
                found.setdefault(each, []).append(record)
        return {
            "runs": len(self.records),
            "outcomes": counts,
            "virtual_s": sum(record.virtual_s for record in self.records),
            "cpu_s": round(sum(record.cpu_s for record in self.records), 2),
            "ops": sum(record.ops for record in self.records),
            **self._learned(),
            "findings": [
                {
                    "what": what,
                    "count": len(records),
                    "first": records[0].number,
                    "plan": str(self.finding(records[0])),
                }
                for what, records in sorted(found.items(), key=lambda each: each[1][0].number)
            ],
        }
