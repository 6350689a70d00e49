"""The runner: the story of a run, the same in both worlds.

    run    1 read the plan: system, workload, timetable of faults     story   4 the world comes up
           2 make the folder                                                  5 load and faults, until the time is over
           3 pick the world and its loop, tell the story                      6 heal, and look whether it is whole
           9 judge the history                                                7 last reads
          10 results.json, report.html                                        8 logs, the world goes down

Whatever happens on the way, step 8 is reached and the history kept; a run that was interrupted is judged by what it
recorded, and can no longer end VALID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from checkers import History
from checkers.verdict import Verdict
from harness import runs
from harness.client import ChannelError, Client
from harness.generator import Generator, any_of, clients, nemesis, op, phases, stagger, time_limit
from harness.interpreter import interpret
from harness.nemesis.client import HEAL, NemesisClient
from harness.nemesis.schedule import Stroke, nemesis_ops, timetable
from harness.plan import Plan, PlanError, dump_plan, repeat_command
from harness.recorder import FileSink, Recorder
from harness.results import Happened, results
from harness.system import SystemUnderTest, find_system
from harness.workload import Workload, find_workload
from harness.worlds import World, WorldError
from harness.worlds.sim import SimLoop, SimWorld, stream
from harness.worlds.sim.net import NetOptions

Progress = Callable[[float, int, Sequence[str]], None]
"""(seconds since the start, operations so far, the faults that go on)"""

PROGRESS_S: Final = 0.25
READY_S_MAX: Final = 30.0  # for all nodes to serve again after the heal
READY_POLL_S: Final = 0.1
SIM_GRACE_S: Final = 600.0  # virtual time beyond the plan's, for the heal and the last reads


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run left: its folder, what is in results.json, and the verdict."""

    folder: Path
    results: dict[str, Any]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SimRun:
    """A run in the simulator that touched no disk."""

    history: History
    faults: list[dict[str, Any]]
    results: dict[str, Any]
    verdict: Verdict
    logs: dict[str, str]


@dataclass(slots=True)
class Prepared:
    """A plan with its names looked up and its options checked."""

    plan: Plan
    system: SystemUnderTest
    workload: Workload
    strokes: tuple[Stroke, ...]

    def generator(self) -> Generator:
        """Load beside faults, then the heal, then the last reads."""
        plan, load = self.plan, self.workload.generator
        if plan.rate:
            load = stagger(1 / plan.rate, load)
        faults = nemesis_ops(self.strokes, plan.time_limit_s)
        main = time_limit(plan.time_limit_s, any_of(clients(load), nemesis(faults)))
        return phases(main, nemesis(op(HEAL)), clients(self.workload.final))


def prepare(plan: Plan) -> Prepared:
    """Look up the system and the workload, check every option, draw the timetable. Raises PlanError."""
    NetOptions.parse(plan.sim)
    try:
        make_system, make_workload = find_system(plan.system), find_workload(plan.workload)
    except KeyError as error:
        raise PlanError(str(error.args[0])) from None
    given = {
        "concurrency": plan.concurrency,
        "rate": plan.rate,
        "time_limit_s": plan.time_limit_s,
        "op_timeout_ms": plan.op_timeout_ms,
    }
    strokes = timetable(
        plan.faults, nodes=plan.node_names, time_limit_s=plan.time_limit_s, rng=stream(plan.seed, "nemesis")
    )
    system = make_system(plan.system_options, plan.node_names)
    return Prepared(plan, system, make_workload({**plan.options, **given}), strokes)


@dataclass(slots=True)
class Story:
    """One run in one world: steps 4 to 8."""

    prepared: Prepared
    world: World
    recorder: Recorder
    write_fault: Callable[[bytes], None]
    progress: Progress | None = None
    problems: list[str] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    failure: WorldError | None = None  # the world did not come up
    faults: list[dict[str, Any]] = field(default_factory=list)

    async def tell(self) -> None:
        """Tell it to its end. An interruption is noted, not passed on."""
        try:
            await self.world.up()
            await self._load()
        except WorldError as error:
            self.failure = error
            self.problems.append(f"the world failed: {error}")
        except asyncio.CancelledError:
            self.problems.append("interrupted before its end")
        finally:
            await self._down()

    async def _load(self) -> None:
        """Steps 5 to 7: one generator, so that processes are numbered through."""
        plan, loop = self.prepared.plan, asyncio.get_running_loop()
        start_s = loop.time()
        demon = NemesisClient(
            self.world,
            now_ns=lambda: int((loop.time() - start_s) * 1e9),
            write=self.write_fault,
            ready=self._not_ready,
            shifts_clocks=any(fault.kind == "clock" for fault in plan.faults),
        )
        self.faults = demon.records
        over = False

        def tick() -> None:
            if not over and self.progress is not None:
                self.progress(loop.time() - start_s, self.recorder.count, demon.active_words())
                loop.call_later(PROGRESS_S, tick)

        tick()
        try:
            await interpret(
                self.prepared.generator(),
                connect=self._connect,
                nodes=self.world.nodes,
                concurrency=plan.concurrency,
                recorder=self.recorder,
                nemesis=demon,
                op_timeout_ms=plan.op_timeout_ms,
                rng=stream(plan.seed, "generator"),
            )
        finally:
            over = True
            demon.abandon()
            self.problems += demon.problems

    async def _connect(self, node: str, process: int) -> Client:
        return self.prepared.workload.client(await self.world.dial(node))

    async def _not_ready(self) -> list[str]:
        """The nodes that do not serve, after they had time to."""
        loop, late = asyncio.get_running_loop(), []
        deadline = loop.time() + READY_S_MAX
        for node in self.world.nodes:
            while not await self._is_ready(node):
                if loop.time() > deadline:
                    late.append(node)
                    break
                await asyncio.sleep(READY_POLL_S)
        return late

    async def _is_ready(self, node: str) -> bool:
        try:
            channel = await self.world.dial(node)
        except ChannelError:
            return False
        try:
            return await self.prepared.system.ready(channel)
        except ChannelError:
            return False
        finally:
            await channel.close()

    async def _down(self) -> None:
        """Fetch what is left to read, then leave nothing behind."""
        try:
            self.logs = dict(await self.world.logs())
        except WorldError as error:
            self.problems.append(f"the logs could not be fetched: {error}")
        try:
            await self.world.down()
        except WorldError as error:
            self.problems.append(f"the world could not be taken down: {error}")


def run(
    plan: Plan, *, world: str, out: Path, progress: Progress | None = None, inventory: Path | None = None
) -> RunOutcome:
    """Run a plan and leave a run folder in `out`. Raises PlanError, and WorldError if the world did not come up."""
    prepared = prepare(plan)
    hosts = None
    if world == "hosts":
        hosts = load_inventory(inventory, len(plan.node_names))
    elif world != "sim":
        raise PlanError(f"there is no world {world!r}; use sim or hosts")
    folder = runs.create(out, plan.name, plan.seed)
    runs.write_text(folder / "plan.toml", dump_plan(plan))
    recorder, faults = Recorder(FileSink(folder / "history.jsonl")), FileSink(folder / "faults.jsonl")

    def begin(place: World) -> Story:
        return Story(prepared, place, recorder, faults.write, progress)

    try:
        story = tell_sim(prepared, begin) if hosts is None else tell_hosts(prepared, begin, hosts)
    finally:
        recorder.close()
        faults.close()
    runs.write_logs(folder, story.logs)
    command = repeat_command(folder / "plan.toml", world, plan.seed)
    about = {
        **runs.environment(),
        "world": dict(story.world.environment()),
        "seed": plan.seed,
        "command": command,
    }
    runs.write_json(folder / "environment.json", {**about, "system": dict(prepared.system.describe())})
    happened = Happened(world, story.faults, story.problems, command)
    table, verdict = results(plan, History.load(folder / "history.jsonl"), happened)
    runs.write_json(folder / "results.json", table)
    if story.failure is not None and recorder.count == 0:
        raise story.failure
    from harness.report.page import write_report

    write_report(folder)
    return RunOutcome(folder, table, verdict)


def simulate_run(plan: Plan, seed: int | None = None, *, judge: bool = True) -> SimRun:
    """Run a plan in the simulator, in memory only. `judge=False` leaves `results` empty and the verdict UNKNOWN."""
    plan = plan if seed is None else replace(plan, seed=seed)
    prepared = prepare(plan)
    recorder = Recorder(None, keep=True)
    story = tell_sim(prepared, lambda place: Story(prepared, place, recorder, lambda line: None))
    if story.failure is not None:
        raise story.failure
    history = History.from_ops(recorder.ops)
    table: dict[str, Any] = {}
    verdict = Verdict.UNKNOWN
    if judge:
        table, verdict = results(plan, history, Happened("sim", story.faults, story.problems))
    return SimRun(history, story.faults, table, verdict, story.logs)


def tell_sim(prepared: Prepared, begin: Callable[[World], Story]) -> Story:
    """On a loop of virtual time. Ctrl-C ends it where it is; there is nothing to take down."""
    plan = prepared.plan
    loop = SimLoop(time_virtual_s_max=plan.time_limit_s + SIM_GRACE_S)
    story = begin(SimWorld(prepared.system, plan.sim, plan.seed, loop=loop))
    try:
        loop.run_until_complete(story.tell())
    except KeyboardInterrupt:
        story.problems.append("interrupted before its end")
    finally:
        loop.close()
    return story


def load_inventory(path: Path | None, count: int) -> Any:
    """The hosts to run on. Raises PlanError."""
    from harness.provision import load

    if path is None:
        raise PlanError(
            "the world hosts needs an inventory; make one with `quorate hosts up`, or give --inventory FILE"
        )
    inventory = load(path)
    inventory.first(count)
    return inventory


def tell_hosts(prepared: Prepared, begin: Callable[[World], Story], inventory: Any) -> Story:
    """On a real loop. The first Ctrl-C is taken as a cancellation, after which the world is still taken down."""
    from harness.worlds.hosts import HostsWorld

    shifts = any(fault.kind == "clock" for fault in prepared.plan.faults)

    async def main() -> Story:
        story = begin(HostsWorld(prepared.system, inventory, shift_clocks=shifts))
        await story.tell()
        return story

    return asyncio.run(main())
