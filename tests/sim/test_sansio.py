"""Nodes of one's own: what reaches them, what becomes of what they want done, what a crash leaves, and what is refused."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from harness.plan import PlanError
from harness.system import SystemFault
from harness.worlds import WorldError
from harness.worlds.disk_trouble import FULL, SLOW, DiskTrouble
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.sim.guard import guarded
from harness.worlds.sim.sansio import (
    COMMIT_MS_MAX,
    Clock,
    Closed,
    Command,
    Committed,
    Deliver,
    Effect,
    ErrorReply,
    Event,
    Failed,
    Fired,
    Halt,
    Log,
    NodeError,
    Parcel,
    Reply,
    SansIoNode,
    SansIoSystem,
    Send,
    SetTimer,
    Setting,
    Start,
    Write,
    sans_io,
)

Story = Callable[[SimWorld, SimLoop], Awaitable[Any]]
NODES = ("n1", "n2")
CALM = {"latency": "constant", "duplicate": 0.0, "reorder": 0.0}


class Noting:
    """Notes what happens to it. SAY x: sends x to n2. PUT a b: writes, and answers when it is durable. WAIT ms: answers late."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.seen: list[Event] = []

    def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
        self.seen.append(event)
        match event:
            case Command(_, (b"SAY", what)):
                yield Send("n2", what)
            case Command(caller, (b"PUT", key, value)):
                yield Write(key, value, ticket=caller)
            case Committed(caller):
                yield Reply(caller, b"durable")
            case Command(caller, (b"WAIT", ms)):
                yield SetTimer(float(ms), caller)
            case Fired(caller):
                yield Reply(caller, b"late")
            case Command(caller, (b"NO",)):
                yield Reply(caller, ErrorReply("UNAVAILABLE not now"))
            case Failed(write, error):
                yield Halt(f"{write.key} met {error}")
                yield Reply(write.ticket, b"not said")
            case Start():
                yield Log(f"began with {len(self.setting.disk)} rows")


def play(make: Callable[[Setting], Any], story: Story, seed: int = 1) -> Any:
    """Run `story(world, loop)` on two nodes that are up."""
    loop = SimLoop()

    async def whole() -> Any:
        world = SimWorld(SansIoSystem(make, {}, {}, NODES), CALM, seed, loop=loop)
        await world.up()
        return await story(world, loop)

    try:
        with guarded():
            return loop.run_until_complete(whole())
    finally:
        loop.close()


def node_of(world: SimWorld, name: str) -> Any:
    process = world.machine(name).process
    assert isinstance(process, SansIoNode)
    return process.node


async def ask(world: SimWorld, *words: bytes, node: str = "n1") -> Any:
    channel = await world.dial(node)
    answer = await channel.request(words, timeout_s=1.0)
    await channel.close()
    return answer


def test_what_happens_to_a_node_reaches_it() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        channel = await world.dial("n1")
        begin_s = loop.time()
        assert await channel.request([b"WAIT", b"20"], timeout_s=1.0) == b"late"
        assert 0.02 < loop.time() - begin_s < 0.021
        assert str(await channel.request([b"NO"], timeout_s=1.0)) == "UNAVAILABLE not now"
        with pytest.raises(Exception, match="no answer from n1 within 10 ms"):
            await channel.request([b"SAY", b"hello"], timeout_s=0.01)
        await channel.close()
        await asyncio.sleep(0.01)
        assert [type(event) for event in node_of(world, "n1").seen] == [Start, Command, Fired, Command, Command, Closed]  # fmt: skip
        assert node_of(world, "n2").seen[-1] == Deliver("n1", b"hello")
        assert "began with 0 rows" in (await world.logs())["n1"]

    play(Noting, story)


@pytest.mark.parametrize("seed", range(8))
def test_a_crash_keeps_what_was_committed_and_a_prefix_of_the_rest(seed: int) -> None:
    class Writing(Noting):
        """Writes row after row, and notes which are durable."""

        def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
            match event:
                case Start() if self.setting.name == "n1":
                    yield from (Write(row, row + 1, ticket=row) for row in range(6))
                case Committed(int() as row):
                    durable.append(row)
                    assert self.setting.disk[row] == row + 1

    async def story(world: SimWorld, loop: SimLoop) -> list[int]:
        await asyncio.sleep(random.Random(seed).uniform(0, 2 * COMMIT_MS_MAX) / 1000)
        known = list(durable)
        process = world.machine("n1").process
        assert isinstance(process, SansIoNode)
        disk = process.disk
        await world.kill("n1")
        kept = list(disk)
        assert kept == list(range(len(kept))), "what is kept is no prefix"
        assert kept[: len(known)] == known, "what was told to be durable is lost"
        await world.start("n1")
        assert node_of(world, "n1").setting.disk == {row: row + 1 for row in kept}
        return kept

    durable: list[int] = []
    kept = play(Writing, story, seed)
    assert 0 <= len(kept) <= 6


def test_some_crashes_lose_writes_and_none_loses_an_acknowledged_one() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> int:
        for number in range(3):
            assert await ask(world, b"PUT", b"safe", b"%d" % number) == b"durable"
        channel = await world.dial("n1")
        writing = loop.create_task(channel.request([b"PUT", b"unsafe", b"1"], timeout_s=1.0))
        await asyncio.sleep(0.0002)  # it has arrived, and is not durable yet
        await world.kill("n1")
        with pytest.raises(Exception, match="the process died"):
            await writing
        await world.start("n1")
        disk: Mapping[bytes, bytes] = node_of(world, "n1").setting.disk
        assert disk[b"safe"] == b"2"
        return len(disk)

    assert {play(Noting, story, seed) for seed in range(20)} == {1, 2}, "an unsynced write is kept or lost"


def test_a_life_that_is_over_is_told_nothing_more_and_a_wiped_disk_is_empty() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        await ask(world, b"PUT", b"a", b"1")
        channel = await world.dial("n1")
        waiting = loop.create_task(channel.request([b"WAIT", b"50"], timeout_s=1.0))
        await asyncio.sleep(0.01)
        before = node_of(world, "n1")
        count = len(before.seen)
        await world.kill("n1")
        with pytest.raises(Exception, match="the process died"):
            await waiting
        assert await world.wipe("n1") == 1
        await world.start("n1")
        await asyncio.sleep(0.1)
        assert len(before.seen) == count, "a timer of a dead node has run out in it"
        assert node_of(world, "n1") is not before
        assert node_of(world, "n1").seen == [Start()]
        assert dict(node_of(world, "n1").setting.disk) == {}

    play(Noting, story)


def test_a_disk_that_refuses_is_told_and_a_node_may_end_by_itself() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        await world.spoil_disks(("n1",), DiskTrouble(FULL))
        with pytest.raises(Exception, match="the process died"):
            await ask(world, b"PUT", b"a", b"1")
        assert world.machine("n1").state == "gone"
        assert "b'a' met ENOSPC" in (await world.logs())["n1"]
        await world.mend_disks(("n1",))
        await world.start("n1")
        assert dict(node_of(world, "n1").setting.disk) == {}
        assert await ask(world, b"PUT", b"a", b"2") == b"durable"
        await world.spoil_disks(("n1",), DiskTrouble(SLOW, stall_ms=400.0))
        begin_s = loop.time()
        for number in range(4):
            assert await ask(world, b"PUT", b"a", b"%d" % number) == b"durable"
        assert 0.2 < loop.time() - begin_s < 1.6

    play(Noting, story)


def test_while_a_node_is_paused_its_events_wait() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        await world.pause("n2")
        seen = node_of(world, "n2").seen
        channel = await world.dial("n1")
        with pytest.raises(Exception, match="no answer"):
            await channel.request([b"SAY", b"x"], timeout_s=0.05)
        assert seen == [Start()]
        await world.resume("n2")
        assert seen == [Start(), Deliver("n1", b"x")]

    play(Noting, story)


def test_a_node_that_is_not_ready_holds_up_the_start() -> None:
    class Slow(Noting):
        def ready(self) -> bool:
            return Fired("warm") in self.seen

        def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
            self.seen.append(event)
            if event == Start():
                yield SetTimer(300, "warm")

    async def story(world: SimWorld, loop: SimLoop) -> float:
        return loop.time()

    assert 0.3 < play(Slow, story) < 0.4

    class Never(Noting):
        def ready(self) -> bool:
            return False

    with pytest.raises(WorldError, match="n1 was not ready within 10 s"):
        play(Never, story)


def test_the_clock_on_the_wall_is_the_nodes_own() -> None:
    class Dated(Noting):
        def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
            if isinstance(event, Command):
                yield Reply(event.caller, clock)

    async def story(world: SimWorld, loop: SimLoop) -> None:
        true = await ask(world, b"NOW")
        await world.set_clock("n1", 5000.0)
        shifted = await ask(world, b"NOW")
        assert shifted.wall_ms - shifted.mono_ms - (true.wall_ms - true.mono_ms) == pytest.approx(5000.0)
        assert 0 < shifted.mono_ms - true.mono_ms < 1

    play(Dated, story)


def test_a_message_carries_the_request_it_was_sent_for() -> None:
    class Handing(Noting):
        """Hands a request on through a timer, the disk and the other node, and gossips besides."""

        def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
            match event:
                case Start():
                    yield Send("n1", "gossip")
                case Command(caller, _):
                    yield SetTimer(5, caller)
                case Fired(caller):
                    yield Write("asked", 1, ticket=caller)
                case Committed(caller):
                    yield Send("n2", ("question", caller))
                case Deliver(src, ("question", caller)):
                    yield Send(src, ("answer", caller))
                case Deliver(_, ("answer", caller)):
                    yield Reply(caller, b"done")

    sent: list[Parcel] = []

    async def story(world: SimWorld, loop: SimLoop) -> None:
        world.watch(lambda what, src, dst, parcel: sent.append(parcel) if what == "sent" else None)
        assert await ask(world, b"ASK") == b"done"
        await world.kill("n2")
        await world.start("n2")
        words = [world.system.describe_message(parcel) for parcel in sent]
        caller = sent[0].about
        assert words == [
            (repr(("question", caller)), caller),
            (repr(("answer", caller)), caller),
            ("'gossip'", None),
        ]
        assert caller is not None

    play(Handing, story)


@dataclass
class Changeable:
    text: str


@pytest.mark.parametrize(
    ("effect", "words"),
    [
        (Send("n2", {"a": 1}), r"the message \{'a': 1\} could be changed afterwards; make it of tuples"),
        (Send("n2", Changeable("x")), r"the message Changeable\(text='x'\) could be changed afterwards"),
        (Send("n9", "x"), "there is no node 'n9' to send to, only n1, n2"),
        (Write("a", [1]), r"the value \[1\] could be changed afterwards"),
        ("nonsense", "'nonsense' is no effect"),
        (lambda: time.time(), r"LeakError: test_sansio.py, line \d+, calls time.time\(\) in a simulated run"),
        (lambda: 1 / 0, r"ZeroDivisionError: division by zero \(test_sansio.py, line \d+\)"),
    ],
    ids=["dict", "dataclass", "nobody", "list", "nonsense", "clock", "error"],
)
def test_what_cannot_be_is_told_with_the_node_the_time_and_the_event(effect: Any, words: str) -> None:
    class Odd(Noting):
        def step(self, clock: Clock, event: Event) -> Iterator[Any]:
            if isinstance(event, Command):
                yield effect() if callable(effect) else effect

    async def story(world: SimWorld, loop: SimLoop) -> None:
        await asyncio.sleep(1.5)
        await ask(world, b"GO")

    with pytest.raises(
        NodeError, match=r"node n1 broke off at 1\.5\d+ s of the simulator, at Command\(caller=.*" + words
    ):
        play(Odd, story)


def test_a_step_that_forgets_to_return_is_told() -> None:
    class Forgetful(Noting):
        def step(self, clock: Clock, event: Event) -> Any:
            self.seen.append(event)

    async def story(world: SimWorld, loop: SimLoop) -> None:
        raise AssertionError("it came up")

    with pytest.raises(NodeError, match=r"at Start\(\): step gave nothing back; return a list of effects"):
        play(Forgetful, story)


def test_a_node_that_cannot_be_made_or_asked_is_told() -> None:
    class Unmade(Noting):
        def __init__(self, setting: Setting) -> None:
            raise KeyError(setting.name)

    class Unasked(Noting):
        def ready(self) -> bool:
            raise ValueError("who?")

    async def story(world: SimWorld, loop: SimLoop) -> None:
        raise AssertionError("it came up")

    with pytest.raises(
        SystemFault, match=r"node n1 broke off at 0\.0+ s of the simulator, at being made: KeyError: 'n1'"
    ):
        play(Unmade, story)
    with pytest.raises(SystemFault, match=r"at ready\(\): ValueError: who\?"):
        play(Unasked, story)


def test_options_have_defaults_and_are_checked() -> None:
    make = sans_io(Noting, early=False, batch=3)
    assert make({"early": True}, NODES).describe() == {"name": "Noting", "early": True, "batch": 3}
    with pytest.raises(PlanError, match="Noting has no option 'earyl'; did you mean 'early'"):
        make({"earyl": True}, NODES)
    for bad in ({"early": "yes"}, {"batch": 3.5}, {"batch": True}):
        with pytest.raises(PlanError, match="must be like its default"):
            make(bad, NODES)
