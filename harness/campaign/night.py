"""One night: the runs that are missing, on several cores, each in the ledger before the next is told of."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any, Final

from checkers import History
from checkers.jsonl import HistoryError
from checkers.levels import LEVELS
from checkers.models import check
from checkers.verdict import Verdict
from harness.campaign.file import Campaign
from harness.campaign.findings import retried
from harness.campaign.ledger import Ledger, Night, Record
from harness.campaign.shape import Shape, shape_of
from harness.plan import Plan, PlanError, dump_plan, parse_plan
from harness.pool import in_order
from harness.results import CRASH, INFRASTRUCTURE
from harness.search.finding import Target, targets
from harness.simulate import SimRun, simulate_run
from harness.system import SystemFault
from harness.worlds import WorldError

TRIES_MAX: Final = 3  # of a run for whose end the machine may be to blame


def run_one(night: int, item: str, run: int, text: str) -> Record:
    """Make one run, in whichever process."""
    plan, tries = parse_plan(text, item), 0
    while True:
        tries += 1
        record = _once(night, item, run, plan, tries)
        if not retried(record.outcome) or tries == TRIES_MAX:
            return record


def _once(night: int, item: str, run: int, plan: Plan, tries: int) -> Record:
    begin_s = time.process_time()
    try:
        made = simulate_run(plan)
    except (WorldError, SystemFault, PlanError) as error:
        return Record(night, item, run, plan.seed, INFRASTRUCTURE, str(error), configuration=configuration_of(plan), tries=tries)  # fmt: skip
    except Exception as error:  # of the harness or the system: somebody must look at it
        reason = f"{type(error).__name__}: {error}"
        return Record(night, item, run, plan.seed, CRASH, reason, configuration=configuration_of(plan), tries=tries)  # fmt: skip
    return _record(night, item, run, plan, made, time.process_time() - begin_s, tries)


def _record(night: int, item: str, run: int, plan: Plan, made: SimRun, cpu_s: float, tries: int) -> Record:
    results, core, broken = made.results, made.results["core"] or {}, broken_by(made)
    bit: dict[str, int] = {}
    for fault in made.faults:
        bit[fault["kind"]] = bit.get(fault["kind"], 0) + bool(fault["bit"])
    p99 = [found["p99"] for found in results["latency_ms"].values()]
    return Record(
        night=night,
        item=item,
        run=run,
        seed=plan.seed,
        outcome=results["class"],
        reason=str(results["reason"]),
        broken=tuple(broken),
        shapes=tuple(shape.text for shape in broken.values()),
        configuration=configuration_of(plan),
        ops=int(results["stats"]["stats"].get("ops", 0)),
        virtual_s=plan.time_limit_s,
        cpu_s=round(cpu_s, 4),
        faults=bit,
        p99_ms=max(p99) if p99 else None,
        core_ops=sum(op["type"] == "invoke" for op in core.get("ops", ())),
        sentence=core.get("sentence", ""),
        drawing=core.get("drawing", ""),
        digest=sha256(made.lines + made.fault_lines).hexdigest()[:32],
        tries=tries,
    )


def broken_by(run: SimRun) -> dict[tuple[str, str, str], Shape]:
    """(claim, anomaly, pattern of the core) of each claim that the run broke, with the core's shape."""
    shapes = {target: _shape(run, target) for target in targets(run)}
    return {(target.claim, target.anomaly, shape.pattern): shape for target, shape in shapes.items()}


def _shape(run: SimRun, target: Target) -> Shape:
    certificate = run.results["claims"][target.claim]["certificate"] or {}
    if certificate.get("kind") != "core":
        return Shape("", "")

    def breaks(history: History) -> bool:
        judge = LEVELS.get(target.claim)
        try:
            found = judge(history) if judge is not None else check(history, target.claim)
        except HistoryError:  # with so little left it is no history of this object
            return False
        return found.verdict is Verdict.INVALID and (found.anomaly or "violation") == target.anomaly

    return shape_of(run.history, certificate["ops"], breaks)


def configuration_of(plan: Plan) -> str:
    """The system as it was set up: `kvstore mode=quorum n=3 r=2 w=2`."""
    options = " ".join(f"{key}={_plain(value)}" for key, value in sorted(plan.system_options.items()))
    return f"{plan.system} {options}".strip()


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def todo(campaign: Campaign, ledger: Ledger, night: Night) -> Iterator[tuple[str, int, Plan]]:
    """What is missing of the night, run by run: after the first round every item has been looked at once."""
    made = ledger.made(night.number)
    for run in range(max(item.runs for item in campaign.items)):
        for item in campaign.items:
            if run < item.runs and (item.name, run) not in made:
                yield item.name, run, item.plan_of(night.number, run)


def go(
    campaign: Campaign, ledger: Ledger, night: Night, jobs: int, stop: Callable[[], bool], tell: Callable[[Record], None]
) -> int:  # fmt: skip
    """Make what is missing, or until `stop()` says so after a run; how many are missing then."""
    missing = list(todo(campaign, ledger, night))
    tasks = ((name, (night.number, name, run, dump_plan(plan))) for name, run, plan in missing)
    left = len(missing)
    with closing(in_order(run_one, tasks, jobs)) as made:
        for _, record in made:
            ledger.add(record)
            left -= 1
            tell(record)
            if stop():
                break
    return left
