"""One night: the runs that are missing, on several cores, each in the ledger before the next is told of.

    items on hosts    each process brings up hosts of its own ─► run ─► run ─► … ─► taken down      first, for they take real time that is known
    items simulated   each process simulates                                                        then, round by round

What the machine may be to blame for is tried again, on fresh hosts; how often is in the record. Of a run on hosts that came out well nothing is kept
but its record; the others keep their folder, for there no run is the same again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import quote

import msgspec

from checkers import History
from checkers.jsonl import HistoryError
from checkers.verdict import Verdict
from harness.campaign.file import Campaign
from harness.campaign.findings import retried
from harness.campaign.ledger import Ledger, Night, Record
from harness.campaign.shape import Shape, shape_of
from harness.hosted import HOSTS, SIM, TRIES_MAX, Place, run_on_hosts
from harness.made import Made
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import Jobs, in_order
from harness.results import CRASH, INFRASTRUCTURE, OK, VIOLATION, core_of, judge_claim, judge_claims
from harness.search.finding import Target, targets
from harness.simulate import simulate_run
from harness.system import SystemFault
from harness.worlds import WorldError


def run_one(
    night: int, item: str, run: int, text: str, place: Place | None = None, folder: Path = Path()
) -> Record:
    """Make one run, in whichever process. `place`: on hosts, where `folder`, the ledger's, gets what is kept of it."""
    plan, world = parse_plan(text, item), SIM if place is None else HOSTS
    kept = f"runs/{night}/{quote(item, safe='')}-{run}" if place is not None else ""
    known = Record(night, item, run, plan.seed, INFRASTRUCTURE, "", configuration=configuration_of(plan, world), world=world)  # fmt: skip
    for tries in range(1, TRIES_MAX + 1):
        if kept:
            rmtree(folder / kept, ignore_errors=True)  # of a try before, or of a night that was killed
        begin_s, begin_cpu_s = time.monotonic(), time.process_time()
        record = _once(msgspec.structs.replace(known, tries=tries), plan, place, folder / kept)
        if not retried(record.outcome):
            break
    cpu_s, real_s = time.process_time() - begin_cpu_s, time.monotonic() - begin_s
    if kept and record.outcome == OK:
        rmtree(folder / kept)
    kept = f"{kept}/{plan.name}" if kept and (folder / kept).exists() else ""
    return msgspec.structs.replace(record, cpu_s=round(cpu_s, 4), real_s=round(real_s, 4), folder=kept)


def _once(known: Record, plan: Plan, place: Place | None, folder: Path) -> Record:
    try:
        made = simulate_run(plan) if place is None else run_on_hosts(plan, place, folder)
    except (WorldError, SystemFault, PlanError) as error:
        return msgspec.structs.replace(known, reason=str(error))
    except Exception as error:  # of the harness or the system: somebody must look at it
        return msgspec.structs.replace(known, outcome=CRASH, reason=f"{type(error).__name__}: {error}")
    return _record(known, plan, made)


def _record(known: Record, plan: Plan, made: Made) -> Record:
    results, core, broken = made.results, made.results["core"] or {}, broken_by(made)
    bit: dict[str, int] = {}
    for fault in made.faults:
        bit[fault["kind"]] = bit.get(fault["kind"], 0) + bool(fault["bit"])
    p99 = [found["p99"] for found in results["latency_ms"].values()]
    return msgspec.structs.replace(
        known,
        outcome=results["class"],
        reason=str(results["reason"]),
        broken=tuple(broken),
        shapes=tuple(shape.text for shape in broken.values()),
        told=tuple(_told(made, claim) for claim, _, _ in broken) if len(broken) > 1 else (),
        ops=int(results["stats"]["stats"].get("ops", 0)),
        virtual_s=plan.time_limit_s,
        faults=bit,
        p99_ms=max(p99) if p99 else None,
        core_ops=_size(core),
        sentence=core.get("sentence", ""),
        drawing=core.get("drawing", ""),
        digest=made.digest,
    )


def _told(made: Made, claim: str) -> tuple[str, str, int]:
    """Of one of several claims that are broken: the sentence that proves it, the drawing, and how many operations that takes."""
    result = judge_claims(made.history, [claim])[1][claim]
    core = core_of(made.history, result) or {}
    return result.reason, str(core.get("drawing", "")), _size(core)


def _size(core: Mapping[str, Any]) -> int:
    return sum(op["type"] == "invoke" for op in core.get("ops", ()))


def broken_by(run: Made) -> dict[tuple[str, str, str], Shape]:
    """(claim, anomaly, pattern of the core) of each claim that the run broke, with the core's shape."""
    shapes = {target: _shape(run, target) for target in targets(run)}
    return {(target.claim, target.anomaly, shape.pattern): shape for target, shape in shapes.items()}


def _shape(run: Made, target: Target) -> Shape:
    certificate = run.results["claims"][target.claim]["certificate"] or {}
    if certificate.get("kind") != "core":
        return Shape("", "")

    def breaks(history: History) -> bool:
        try:
            found = judge_claim(history, target.claim)
        except HistoryError:  # with so little left it is no history of this object
            return False
        return found.verdict is Verdict.INVALID and (found.anomaly or "violation") == target.anomaly

    return shape_of(run.history, certificate["ops"], breaks)


def configuration_of(plan: Plan, world: str = SIM) -> str:
    """The system as it was set up: `kvstore mode=quorum n=3 r=2 w=2`, `… on hosts`. What is found in one world is not taken for what is found in the other."""
    options = " ".join(f"{key}={_plain(value)}" for key, value in sorted(plan.system_options.items()))
    return f"{plan.system} {options}".strip() + (" on hosts" if world == HOSTS else "")


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def todo(campaign: Campaign, ledger: Ledger, night: Night) -> Iterator[tuple[str, int, Plan]]:
    """What is missing of the night, run by run: after the first round every item has been looked at once."""
    made, used = ledger.made(night.number), ledger.seeds_before(night.number)
    for run in range(max(item.runs for item in campaign.items)):
        for item in campaign.items:
            if run < item.runs and (item.name, run) not in made:
                yield item.name, run, item.plan_of(night.number, run, used.get(item.name))


def forget(ledger: Ledger, folder: Path, before: int) -> None:
    """Remove what runs on hosts left in nights before this one, but for those that broke a claim or crashed."""
    for record in ledger.records():
        if record.folder and record.night < before and record.outcome not in (VIOLATION, CRASH):
            rmtree(folder / Path(record.folder).parent, ignore_errors=True)


def go(
    campaign: Campaign, ledger: Ledger, night: Night, jobs: Jobs, stop: Callable[[], bool], tell: Callable[[Record], None],
    *, folder: Path = Path(),
) -> int:  # fmt: skip
    """Make what is missing, or until `stop()` says so after a run; how many are missing then. `folder` is the ledger's."""
    here = jobs if isinstance(jobs, int) else 1  # hosts are made on this machine, of a cluster's one only
    places = {item.name: item.place for item in campaign.items}
    missing = list(todo(campaign, ledger, night))
    left = len(missing)
    for hosted in (True, False):
        tonight = [task for task in missing if (places[task[0]] is not None) == hosted]
        tasks = (
            (name, (night.number, name, run, dump_plan(plan), places[name], folder))
            for name, run, plan in tonight
        )
        few = min(here, len(tonight)) or 1
        where = few if hosted or isinstance(jobs, int) else jobs
        with closing(in_order(run_one, tasks, where)) as made:
            for _, record in made:
                ledger.add(record)
                left -= 1
                tell(record)
                if stop():
                    return left
    return left
