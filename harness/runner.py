"""The story of a run, the same in both worlds.

     1  the plan becomes a system, a workload and a timetable of faults      bad input stops here, before anything is made
     2  a folder is made
     3  the world comes up
     4  clients and nemesis run until the time limit                         history.jsonl and faults.jsonl grow meanwhile
     5  everything is healed, and looked at
     6  last reads
     7  logs are fetched, the world goes down                                also after an error or Ctrl-C
     8  the history is read back and judged
     9  results.json, report.html
    10  one verdict

What is judged is the file that was written, not what was in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from checkers import History
from checkers.levels import LEVELS
from checkers.online import RegisterWatch
from checkers.op import Op
from checkers.verdict import Verdict
from harness import runs
from harness.client import Client
from harness.generator import (
    Crowd,
    Generator,
    any_of,
    clients,
    crowded,
    nemesis,
    op,
    phases,
    script,
    stagger,
    time_limit,
    unless,
)
from harness.interpreter import interpret
from harness.nemesis.aim import Heat
from harness.nemesis.client import HEAL, NemesisClient
from harness.nemesis.possible import controllers, details, refuse_impossible
from harness.nemesis.schedule import nemesis_ops, timetable
from harness.plan import Plan, PlanError, dump_plan, repeat_command
from harness.plan_claims import FILE as CLAIMS
from harness.plan_claims import Documented, dump_claims
from harness.plan_options import PRIMARIES, TIME_MAX_S
from harness.recorder import FileSink, Recorder, Sink, WatchedSink
from harness.results import results_of
from harness.rings import FILE as RING
from harness.rings import told
from harness.system import (
    SimulatedSystem,
    SystemFault,
    SystemUnderTest,
    find_system,
    refuse_incomplete,
)
from harness.workload import Workload, find_workload, refuse_unknown
from harness.worlds import World, WorldError
from harness.worlds.rings import Rings, rings_of
from harness.worlds.serving import serves
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.guard import guarded
from harness.worlds.sim.loop import SimStuckError, leave_off, rare_collections
from harness.worlds.sim.tape import RecordedStreams, Streams, streams_of
from harness.worlds.sim.tape_file import NAME as TAPE
from harness.worlds.sim.tape_file import written

Progress = Callable[[float, int, Sequence[str]], None]
"""(seconds of the run, records so far, kinds of fault going on)"""

SETTLE_S_MAX: Final = 20.0
SETTLE_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run left."""

    folder: Path
    results: dict[str, Any]
    verdict: Verdict
    interrupted: bool  # by Ctrl-C


class Story:
    """One run: its parts, and the steps that need a loop."""

    def __init__(
        self,
        plan: Plan,
        world: str,
        *,
        fail_fast: bool = False,
        streams: Streams | None = None,
        tells: bool = False,
    ) -> None:
        self.plan, self.tells = plan, tells
        self.streams = streams or streams_of(plan.seed, plan.tape)
        if fail_fast and not LEVELS.keys() & set(plan.claims):
            raise PlanError(
                f"--fail-fast watches registers, and this plan claims {', '.join(plan.claims)}; leave it out"
            )
        self.watch = RegisterWatch() if fail_fast else None
        self.kind = world
        nodes = plan.node_names
        given = {"concurrency": plan.concurrency, "rate": plan.rate, "time_limit_s": plan.time_limit_s, "op_timeout_ms": plan.op_timeout_ms}  # fmt: skip
        self.system: SystemUnderTest = find_system(plan.system)(plan.system_options, nodes)
        refuse_incomplete(self.system, plan.system, world)
        self.workload: Workload = find_workload(plan.workload)({**plan.options, **given})
        refuse_unknown(self.workload, plan.script, plan.name)
        refuse_impossible(plan, world, self.system, self.workload)
        self.crowd = Crowd(self.streams("hot-key")) if "hot-key" in plan.fault_kinds else None
        self.heat = Heat() if self.is_aimed() else None
        strokes = plan.strokes or timetable(plan.faults, nodes=nodes, time_limit_s=plan.time_limit_s, rng=self.streams("nemesis"))  # fmt: skip
        self.faults = nemesis_ops(strokes, plan.time_limit_s)
        self.doubts: list[str] = []
        self.environment: dict[str, Any] = {}
        self.logs: dict[str, str] = {}
        self.nemesis: NemesisClient | None = None
        self.world: World | None = None
        self.rings: Rings | None = None
        self.start_s = 0.0  # the loop's time at the zero of the history
        self.began: float | str | None = None  # the same as the logs of the nodes tell the time

    def simulated(self, loop: SimLoop) -> SimWorld:
        """The simulated world of this run."""
        system = cast(SimulatedSystem, self.system)
        return SimWorld(system, self.plan.sim, self.plan.seed, loop=loop, streams=self.streams)

    def is_aimed(self) -> bool:
        """Whether some fault is aimed at primaries. Raises PlanError if nobody can tell who they are."""
        if not any(detail.get("targets") == PRIMARIES for detail in details(self.plan)):
            return False
        if not hasattr(self.system, "primaries") or self.workload.key_name is None:
            what = self.system.name if not hasattr(self.system, "primaries") else self.workload.name
            raise PlanError(
                f'targets = "{PRIMARIES}" needs a system and a workload that tell who leads for which key, and {what} does not; use another'
            )
        return True

    def hot_key(self) -> bytes | None:
        """The key that is used most, as the system calls it."""
        hottest = self.heat.hottest() if self.heat is not None else None
        return None if hottest is None or self.workload.key_name is None else self.workload.key_name(hottest)

    def see(self, record: Op) -> None:
        """A record of the history, for those who watch."""
        for watcher in (self.watch, self.heat, self.crowd, self.rings):
            if watcher is not None:
                watcher.see(record)

    def generator(self) -> Generator:
        """Load and faults side by side; then the heal; then the last reads."""
        load, final = self.workload.generator, clients(self.workload.final)
        if self.plan.script:
            load = script(op for op in self.plan.script if op.at_s is not None)
            final = script((op for op in self.plan.script if op.at_s is None), since=HEAL)
        elif self.plan.rate:
            load = stagger(min(1 / self.plan.rate, TIME_MAX_S), load)
        main = any_of(clients(time_limit(self.plan.time_limit_s, crowded(self.crowd, load))), nemesis(self.faults))  # fmt: skip
        if (watch := self.watch) is not None:
            main = unless(lambda: watch.found is not None, main)
        return phases(main, nemesis(op(HEAL)), final)

    async def connect(self, node: str, process: int) -> Client:
        """A client of the workload on a node."""
        assert self.world is not None
        return self.workload.client(await self.world.dial(node))

    def now_ns(self) -> int:
        """The time of the history."""
        return round((asyncio.get_running_loop().time() - self.start_s) * 1e9)

    async def late(self) -> list[str]:
        """The nodes that do not serve, after they had `SETTLE_S_MAX` to come back."""
        assert self.world is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SETTLE_S_MAX * self.world.slowness
        left = list(self.world.nodes)
        while left and loop.time() < deadline:
            if await serves(self.world, left[0]):
                left.pop(0)
            else:
                await asyncio.sleep(SETTLE_POLL_S)
        return left

    async def play(self, world: World, history: Sink, faults: Callable[[bytes], None]) -> None:
        """Steps 3 to 7."""
        self.world = world
        self.rings = rings_of(world, self.workload.key_name) if self.tells else None
        seen = self.watch or self.heat or self.crowd or self.rings
        recorder = Recorder(history, watch=self.see if seen else None)
        loop = asyncio.get_running_loop()
        asking: asyncio.Task[None] | None = None
        try:
            await world.up()
            self.start_s = loop.time()
            if self.rings and self.kind != "sim":
                asking = loop.create_task(self.rings.ask(self.now_ns))
            self.began = self.start_s if self.kind == "sim" else datetime.now(UTC).isoformat()
            self.nemesis = NemesisClient(
                world, now_ns=self.now_ns, write=faults, ready=self.late,
                shifts_clocks="clock" in self.plan.fault_kinds, hot_key=self.hot_key, crowd=self.crowd,
            )  # fmt: skip
            await interpret(
                self.generator(), connect=self.connect, nodes=world.nodes, concurrency=self.plan.concurrency,
                recorder=recorder, nemesis=self.nemesis, op_timeout_ms=self.plan.op_timeout_ms,
                rng=self.streams("generator"),
            )  # fmt: skip
            self.doubts += self.nemesis.problems
        finally:
            if asking is not None:
                asking.cancel()
            try:
                recorder.close()
                if self.nemesis is not None:
                    self.nemesis.abandon()
            finally:
                await self.leave(world)

    async def leave(self, world: World) -> None:
        """Step 7. What goes wrong here must not hide what went wrong before, nor keep the world from going down."""
        try:
            self.logs = dict(await world.logs())
            self.environment = dict(world.environment())
        except WorldError as error:
            self.doubts.append(f"the logs could not be fetched: {error}")
        finally:  # also when a second Ctrl-C has come meanwhile
            try:
                await world.down()
            except WorldError as error:
                self.doubts.append(f"the world did not go down cleanly: {error}")


def run(
    plan: Plan,
    *,
    world: str,
    out: Path = Path("runs"),
    progress: Progress | None = None,
    inventory: Path | None = None,
    fail_fast: bool = False,
    documented: Sequence[Documented] = (),
    tape: bool = False,
) -> RunOutcome:
    """Run a plan and judge it. Raises PlanError (bad input) and WorldError (the infrastructure); the folder stays.

    `fail_fast`: the load ends at the first violation that is seen while it runs (`checkers.online`); the heal and the last reads follow.
    `documented`: what `claims.toml` promises; those that speak of this plan are judged with its claims.
    `tape`: every random draw is recorded in tape.jsonl.
    """
    if tape and world != "sim":
        raise PlanError(f"a tape holds the draws of a simulated run; in the world {world!r} leave --tape out")
    recorded = RecordedStreams(streams_of(plan.seed, plan.tape)) if tape else None
    story = Story(plan, world, fail_fast=fail_fast, streams=recorded, tells=True)
    make_world = world_maker(story, inventory)
    folder = runs.create(out, plan.name, plan.seed)
    runs.write_text(folder / "plan.toml", dump_plan(plan))
    if documented:
        runs.write_text(folder / CLAIMS, dump_claims(documented))
    command = repeat_command(folder / "plan.toml", world, plan.seed)
    failure: BaseException | None = None
    known = {**runs.environment(), "command": command, "seed": plan.seed, "world": world, "system": story.system.describe()}  # fmt: skip
    runs.write_json(folder / "environment.json", known)  # now, for a run that is killed
    with (folder / "faults.jsonl").open("wb", buffering=0) as faults:
        sink = watched(FileSink(folder / "history.jsonl"), story, progress)
        try:
            perform(story, make_world, sink, faults.write)
        except (Exception, KeyboardInterrupt) as error:
            failure = error
            story.doubts.insert(
                0, "interrupted" if isinstance(error, KeyboardInterrupt) else f"the run broke off: {error}"
            )
        finally:
            sink.close()
    if recorded is not None:
        runs.write_bytes(folder / TAPE, written(recorded.draws, dump_plan(plan)))
    runs.write_logs(folder, story.logs)
    runs.write_text(
        folder / RING, json.dumps(told(story.rings.log if story.rings else None, plan.system)) + "\n"
    )
    runs.write_json(folder / "environment.json", {**known, **story.environment, "began": story.began})
    verdict, results = judge_folder(story, folder, command, documented)
    if failure is not None and not isinstance(failure, KeyboardInterrupt):
        raise failure
    return RunOutcome(folder, results, verdict, failure is not None)


def judge_folder(
    story: Story, folder: Path, command: str, documented: Sequence[Documented]
) -> tuple[Verdict, dict[str, Any]]:
    """Steps 8 to 10."""
    from harness.report import write_report

    history = History.load(folder / "history.jsonl")
    records = story.nemesis.records if story.nemesis is not None else []
    verdict, results = results_of(
        story.plan, history, records, story.doubts, world=story.kind, command=command, documented=documented
    )
    if story.kind == "sim":
        results["trace"] = story.environment.get("trace")
    results["ended_early"] = story.watch.found if story.watch is not None else None
    results["judged"] = runs.sums(folder)
    runs.write_json(folder / "results.json", results)
    write_report(folder)
    return verdict, results


def watched(sink: Sink, story: Story, progress: Progress | None) -> Sink:
    """The sink, telling `progress` how far the run is."""
    if progress is None:
        return sink
    tell = progress
    started: list[float] = []

    def say(lines: int) -> None:
        now = asyncio.get_running_loop().time()
        started.append(now)
        tell(now - started[0], lines // 2, story.nemesis.active_words() if story.nemesis is not None else ())

    return WatchedSink(sink, say)


def world_maker(story: Story, inventory: Path | None) -> Callable[[SimLoop | None], World]:
    """How this run's world is made. Looks at the inventory now, so that a bad one is refused before anything is made."""
    plan = story.plan
    if story.kind == "sim":

        def simulated(loop: SimLoop | None) -> World:
            assert loop is not None
            return story.simulated(loop)

        return simulated
    if story.kind != "hosts":
        raise PlanError(f"there is no world {story.kind!r}; use sim or hosts")
    if inventory is None:
        raise PlanError(
            "the world hosts needs an inventory; make hosts with `quorate hosts up`, or give --inventory"
        )
    from harness.provision import load
    from harness.worlds.hosts import HostsWorld
    from harness.worlds.hosts.lease import LEASE_S

    hosts = load(inventory)
    shift_clocks = "clock" in plan.fault_kinds
    return lambda _: HostsWorld(
        story.system,
        hosts,
        shift_clocks=shift_clocks,
        lease_s=float(plan.hosts.get("lease_s", LEASE_S)),
        faults=plan.fault_kinds,
        grouped=controllers(plan),
    )


def perform(
    story: Story,
    make_world: Callable[[SimLoop | None], World],
    history: Sink,
    faults: Callable[[bytes], Any],
) -> None:
    """Play the story on the loop that its world needs."""
    try:
        if story.kind == "sim":
            simulate(lambda loop: story.play(make_world(loop), history, faults))
        else:
            with asyncio.Runner() as runner:
                runner.run(story.play(make_world(None), history, faults))
    except (SystemFault, SimStuckError) as error:
        raise WorldError(str(error)) from error


def simulate(play: Callable[[SimLoop], Coroutine[Any, Any, None]]) -> None:
    """Play on a loop of virtual time. After Ctrl-C, or an error of a node, the story still comes to its end, as on a real loop.

    Raises LeakError where something asks the real world (`harness.worlds.sim.guard`).
    """
    loop = SimLoop()
    task = loop.create_task(play(loop))
    try:
        with guarded(), rare_collections():
            loop.run_until_complete(task)
    except BaseException:
        leave_off(loop, task)
        raise
    finally:
        loop.close()
