"""NemesisClient: the process `nemesis` of the history. It starts and stops faults through the world, and heals at the end.

    partition-start {"id": 1, …} ──► Fault.start ──► ok, value = what was measured so far
    partition-stop  {"id": 1}    ──► Fault.stop  ──► ok, value = the evidence ──► one line in faults.jsonl
    heal                         ──► every fault that goes on is stopped; then the world is looked over

A fault that did not bite ends `fail`, with the reason. A heal that cannot be verified leaves `problems`, and the run
cannot end VALID.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from checkers.op import Op, Type
from harness.client import NO_ANSWER
from harness.completion import describe
from harness.generator.crowd import Crowd
from harness.nemesis import disks, faults, files, holding, hot_key, links, members, moving, pressure
from harness.nemesis.aim import aimed, at_point, is_aimed
from harness.nemesis.faults import CLOCK_TOLERANCE_MS, Fault, Wipe
from harness.nemesis.flapping import Flapping
from harness.nemesis.hot_key import HotKey
from harness.nemesis.restoring import Restore
from harness.system import LedSystem
from harness.worlds import PointedWorld, World, WorldError

HEAL: Final = "heal"
KINDS: Final[Mapping[str, Callable[..., Fault]]] = {
    **faults.KINDS,
    **links.KINDS,
    **disks.KINDS,
    **files.KINDS,
    **pressure.KINDS,
    **hot_key.KINDS,
    Flapping.kind: Flapping,
    Restore.kind: Restore,
    **members.KINDS,
    faults.ClockShift.kind: moving.clock,
}


class NemesisClient:
    """Performs `<kind>-start`, `<kind>-stop` and `heal`. `write` takes each finished fault's line for faults.jsonl."""

    errors: Mapping[type[BaseException], Type] = {}

    def __init__(
        self,
        world: World,
        *,
        now_ns: Callable[[], int],
        write: Callable[[bytes], None],
        ready: Callable[[], Any],
        shifts_clocks: bool,
        hot_key: Callable[[], bytes | None] = lambda: None,
        crowd: Crowd | None = None,
    ) -> None:
        """`hot_key()` is the key that is used most, as the system calls it; `crowd` makes one hot. `ready()` returns an awaitable list of nodes that do not serve, once they had time to come back."""
        self.records: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self._unsettled = False  # members have changed
        self._wiped: list[str] = []  # nodes that have to be replaced
        self.active: dict[int, tuple[Fault, int]] = {}
        self._world = world
        self._now_ns = now_ns
        self._write = write
        self._ready = ready
        self._shifts_clocks = shifts_clocks
        self._hot_key, self._crowd = hot_key, crowd

    async def invoke(self, op: Op) -> Op:
        """Do what the operation says. What the world cannot do is a problem of the whole run."""
        try:
            if op.f == HEAL:
                return op.ok(await self.heal())
            kind, _, what = op.f.rpartition("-")
            if what == "start":
                return await self._start(kind, op)
            return await self._stop(op)
        except Exception as error:
            self.problems.append(f"{op.f}: {_told(error)}")
            return op.info(_told(error))

    async def close(self) -> None:
        """Nothing to give back."""

    def active_words(self) -> list[str]:
        """The faults that go on, for a progress line."""
        return [" of ".join(filter(None, (fault.kind, ", ".join(fault.nodes)))) for fault, _ in self.active.values()]  # fmt: skip

    async def _start(self, kind: str, op: Op) -> Op:
        value = dict(op.value)
        until_ns = value.pop("until_ns", None)
        if until_ns is not None:
            within_s = (until_ns - self._now_ns()) / 1e9
            node = await cast(PointedWorld, self._world).reached(value["point"], within_s)
            if node is None:
                return op.fail(f"no node came to the point {value['point']!r} in time")
            value = dict(at_point(value, node))
        if is_aimed(value):
            found = await self._primaries()
            if not found:
                return op.fail("no node tells who leads for the key that is used most")
            value = dict(aimed(kind, value, found, self._world.nodes))
        spared = holding.taken(kind, value, value["nodes"], [fault for fault, _ in self.active.values()])
        if len(spared) < len(value["nodes"]):
            value, spared = holding.without(value, spared), {}
        number, nodes = value.pop("id"), tuple(value.pop("nodes"))
        fault = KINDS[kind](number, nodes, value)
        if spared:
            fault.healed = True  # nothing was begun
            fault.note = f"another fault goes on there: {', '.join(f'{other} of {node}' for node, other in spared.items())}"
            self._record(fault, self._now_ns())
            return op.fail(fault.note)
        if isinstance(fault, HotKey) and self._crowd is not None:
            fault.crowd = self._crowd
        self._look_around(fault)
        self.active[number] = (fault, self._now_ns())
        await fault.start(self._world)
        if fault.note:
            await self._end(number)
            return op.fail(fault.note)
        return op.ok({"id": number, "nodes": list(nodes), **fault.evidence})

    def _look_around(self, fault: Fault) -> None:
        """Tell a fault what others do meanwhile."""
        others = [other for other, _ in self.active.values() if other is not fault]
        fault.kept_gone, fault.cut_links = holding.kept_gone(others), holding.cut_links(others)

    async def _primaries(self) -> tuple[str, ...]:
        """The nodes that lead for the key in use, as the first node tells that can."""
        key = self._hot_key()
        for node in self._world.nodes:
            if key is None or (await self._world.process(node)).state != "running":
                continue
            with suppress(*NO_ANSWER):
                channel = await self._world.dial(node)
                try:
                    if found := await cast(LedSystem, self._world.system).primaries(channel, key):
                        return found
                finally:
                    await channel.close()
        return ()

    async def _stop(self, op: Op) -> Op:
        number = op.value["id"]
        if number not in self.active:
            return op.fail("it had not begun")
        fault = await self._end(number)
        done = {"id": number, "bit": fault.bit, "evidence": fault.evidence}
        return op.ok(done) if fault.bit else op.fail(fault.note or "it did not bite")

    async def _end(self, number: int) -> Fault:
        """Stop a fault and write its record, whatever happens."""
        fault, start_ns = self.active[number]
        self._look_around(fault)
        try:
            await fault.stop(self._world)
        except Exception as error:
            fault.note = _told(error)
            raise
        finally:
            del self.active[number]
            self._record(fault, start_ns)
        if isinstance(fault, Wipe) and hasattr(self._world.system, "change_members"):
            emptied = [node for node in fault.nodes if fault.evidence.get(node, {}).get("removed")]
            self._wiped += [node for node in emptied if node not in self._wiped]
            layout = await members.look(self._world)
            for node in (
                list(self._wiped) if layout is not None else ()
            ):  # refused while another change goes on
                if not await members.change(
                    self._world, "replace", node, node, layout.members if layout else ()
                ):
                    self._wiped.remove(node)
                    break
        self._unsettled |= isinstance(fault, Wipe | members.MemberChange)
        return fault

    def _record(self, fault: Fault, start_ns: int) -> None:
        record = {
            "id": fault.number,
            "kind": fault.kind,
            **fault.detail,
            "nodes": list(fault.nodes),
            "start_ns": start_ns,
            "end_ns": self._now_ns(),
            "bit": fault.bit,
            "evidence": fault.evidence,
            "healed": fault.healed,
            "note": fault.note,
        }
        self.records.append(record)
        self._write(msgspec.json.encode(record) + b"\n")

    async def heal(self) -> dict[str, Any]:
        """Stop what goes on, mend everything, and look whether it is whole. Fills `problems`."""
        for number in list(self.active):
            await self._try(f"fault {number} could not be stopped: ", self._end(number))
        world = self._world
        await self._try("", world.mend())
        await self._try("", self._heal_disks())
        for node in world.nodes:
            await self._try("", self._heal_node(node))
        if self._unsettled and hasattr(world.system, "change_members"):
            self.problems += await members.settle(world, self._wiped)
        late: Sequence[str] = await self._ready()
        self.problems += [f"{node} does not serve after the heal" for node in late]
        return {"healed": not self.problems, "problems": list(self.problems)}

    async def _try(self, what: str, step: Awaitable[object]) -> None:
        """A step of the heal. What goes wrong with it is a problem, and no reason to leave the others out."""
        try:
            await step
        except Exception as error:
            self.problems.append(f"{what}{_told(error)}")

    async def _heal_disks(self) -> None:
        """Try again to mend the disks that their faults did not leave whole."""
        left = [
            node
            for record in self.records
            if record["kind"] in disks.KINDS and not record["healed"]
            for node in record["nodes"]
        ]
        for node, probe in (await self._world.mend_disks(list(dict.fromkeys(left)))).items() if left else ():
            if probe.error:
                self.problems.append(f"a write to the disk of {node} gets {probe.error} after the heal")

    async def _heal_node(self, node: str) -> None:
        world = self._world
        state = (await world.process(node)).state
        if state == "stopped":
            await world.resume(node)
        elif state == "gone":
            await world.start(node)
        state = (await world.process(node)).state
        if state != "running":
            self.problems.append(f"the process on {node} is {state} after the heal")
        elif self._shifts_clocks:
            await world.set_clock(node, 0.0)
            offset_ms = await world.clock_offset_ms(node)
            if abs(offset_ms) > CLOCK_TOLERANCE_MS:
                self.problems.append(f"the clock of {node} is {offset_ms:.1f} ms off after the heal")

    def abandon(self) -> None:
        """The run was interrupted: record what goes on as it is, not healed."""
        for number in list(self.active):
            fault, start_ns = self.active.pop(number)
            fault.abandon()
            fault.note = fault.note or "the run ended before the fault did"
            self._record(fault, start_ns)


def _told(error: Exception) -> str:
    """The world's own words; of what nobody foresaw, what it is too."""
    return str(error) if isinstance(error, WorldError) else describe(error)
