"""Changes of membership as faults: nodes join, leave and are replaced while clients work.

    kind      does                                            it bit if
    join      takes in a node that is no member yet           the epoch grew and the new node is a member
    leave     lets a member go, while more than four are left the epoch grew
    replace   kills a member for good, another takes its place    the epoch grew, and the lost one was there before
    rolling-restart  SIGTERM and a new start, one after another   every member that ran ended by itself and has another pid

Whom it strikes depends on who is a member then: the timetable draws a number, and the fault turns it into a name.
A change may last longer than the fault; the final heal waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, cast

from harness.client import NO_ANSWER
from harness.nemesis.faults import Fault
from harness.system import ElasticSystem, Layout, SystemFault
from harness.worlds import World, WorldError

LEAST: Final = 4  # members that stay
SETTLE_S_MAX: Final = 120.0  # this and the last on a host of the usual speed
POLL_S: Final = 0.1
STALLED_S: Final = 5.0  # no step of a change for so long: it waits for somebody


def elastic(world: World) -> ElasticSystem:
    """The world's system, if its members can change. Raises WorldError."""
    if not hasattr(world.system, "change_members"):
        raise WorldError(f"the system {world.system.name} cannot change its members; leave such faults out")
    return cast(ElasticSystem, world.system)


async def look(world: World, *, but: str = "") -> Layout | None:
    """The newest layout that a running node, other than `but`, tells."""
    newest = None
    for node in world.nodes:
        if node == but:
            continue
        found = await look_at(world, node)
        if found is not None and (newest is None or found.epoch > newest.epoch):
            newest = found
    return newest


async def look_at(world: World, node: str) -> Layout | None:
    """The layout that this node tells; None while it tells none."""
    if (await world.process(node)).state != "running":
        return None
    try:
        channel = await world.dial(node)
        try:
            return await elastic(world).layout(channel)
        finally:
            await channel.close()
    except NO_ANSWER:
        return None


async def change(world: World, kind: str, node: str, lost: str, members: Sequence[str]) -> str:
    """Ask members until one begins the change; why none did, or nothing."""
    system, why = elastic(world), "no member is running"
    for member in members:
        if (member in (node, lost) and kind == "replace") or (await world.process(member)).state != "running":
            continue
        try:
            channel = await world.dial(member)
            try:
                await system.change_members(channel, kind, node, lost)
                return ""
            finally:
                await channel.close()
        except (*NO_ANSWER, SystemFault) as error:
            why = str(error)
    return why


class MemberChange(Fault):
    """What the three have in common."""

    there: Sequence[str]  # nodes that have a process

    def pick(self, names: Sequence[str]) -> str:
        """One of them, by the number drawn."""
        return sorted(names)[int(self.detail["draw"] * len(names))]

    def choose(self, layout: Layout, world: World) -> tuple[str, str] | None:
        """(node, lost), or None when there is nobody for it."""
        raise NotImplementedError

    async def before(self, world: World, node: str, lost: str) -> None:
        """What has to happen first."""

    async def start(self, world: World) -> None:
        """Look who is a member, and begin."""
        layout = await look(world)
        self.there = [node for node in world.nodes if (await world.process(node)).state != "gone"]
        chosen = None if layout is None or layout.changing else self.choose(layout, world)
        if layout is None or chosen is None:
            self.note = "no node to do it with, or a change goes on"
            return
        node, lost = chosen
        self.nodes = (node,)
        self.evidence = {
            "node": node,
            "lost": lost,
            "epoch_before": layout.epoch,
            "owned_before": dict(layout.owned),
        }
        await self.before(world, node, lost)
        self.evidence["refused"] = await change(world, self.kind, node, lost, layout.members)

    async def stop(self, world: World) -> None:
        """See how far it came."""
        self.healed = True
        layout = await look(world, but=self.evidence.get("node", ""))
        if layout is None or "epoch_before" not in self.evidence:
            self.note = self.note or "no node tells who is a member"
            return
        before: dict[str, int] = self.evidence["owned_before"]
        moved = sum(max(0, count - before.get(node, 0)) for node, count in layout.owned.items())
        self.evidence |= {
            "epoch_after": layout.epoch,
            "members_after": list(layout.members),
            "owners_moved": moved,
        }
        self.bit = layout.epoch > self.evidence["epoch_before"]
        self.note = "" if self.bit else self.evidence["refused"] or "the epoch stayed as it was"


class Join(MemberChange):
    """A node joins."""

    kind = "join"

    def choose(self, layout: Layout, world: World) -> tuple[str, str] | None:
        """A node that is no member."""
        free = [node for node in world.nodes if node not in (*layout.members, *layout.gone)]
        return (self.pick(free), "") if free else None


class Leave(MemberChange):
    """A node leaves."""

    kind = "leave"

    def choose(self, layout: Layout, world: World) -> tuple[str, str] | None:
        """A member, if enough stay."""
        return (self.pick(layout.members), "") if len(layout.members) > LEAST else None


class Replace(MemberChange):
    """A member that is there dies, and another node takes its place."""

    kind = "replace"

    def choose(self, layout: Layout, world: World) -> tuple[str, str] | None:
        """A node that is no member, and a member."""
        free = [node for node in world.nodes if node not in (*layout.members, *layout.gone)]
        there = [node for node in layout.members if node in self.there]
        return (self.pick(free), self.pick(there)) if free and there else None

    async def before(self, world: World, node: str, lost: str) -> None:
        """The member dies."""
        await world.kill(lost)


class RollingRestart(Fault):
    """Members are told to end, one after another, and the next only when the last is back and hears all the others.

    One that another fault has ended or stopped is left as it is. Nobody has to hear it, nor whom a fault of links cuts off.
    """

    kind = "rolling-restart"

    async def start(self, world: World) -> None:
        """The whole round."""
        layout = await look(world)
        if layout is None or layout.changing:
            self.note = "no node tells who is a member, or a change goes on"
            return
        states = {node: (await world.process(node)).state for node in layout.members}
        self.nodes = tuple(node for node, state in states.items() if state == "running")
        self.bit = bool(self.nodes)
        self.note = "" if self.bit else "no process was running"
        for node, state in states.items():
            if node not in self.nodes:
                self.evidence[node] = {"state": f"{state} already"}
        for node in self.nodes:
            before = await world.process(node)
            await world.stop(node)
            ended = (await world.process(node)).state == "gone"
            await world.start(node)
            back = await self._back(world, node)
            after = await world.process(node)
            self.evidence[node] = {
                "pid_before": before.pid,
                "ended": ended,
                "pid_after": after.pid,
                "heard": back,
            }
            self.bit &= (
                ended and before.pid is not None and after.pid not in (None, before.pid) and bool(back)
            )
            if not self.bit:
                self.note = f"{node} did not end, or did not come back"
                return

    async def _back(self, world: World, node: str) -> list[str]:
        """Wait until the node hears every member that it can; whom it hears, nobody when that takes too long, or when it ends."""
        waited_s = 0.0
        while waited_s < SETTLE_S_MAX * world.slowness and (await world.process(node)).state != "gone":
            layout = await look_at(world, node)
            if layout is not None:
                missing = [peer for peer in layout.members if peer not in layout.heard]
                if not [peer for peer in missing if await self._can_be_heard(world, node, peer)]:
                    return list(layout.heard)
            await asyncio.sleep(POLL_S)
            waited_s += POLL_S
        return []

    async def stop(self, world: World) -> None:
        """It is over; everybody must run."""
        states = {node: (await world.process(node)).state for node in self.nodes}
        self.healed = all(state != "gone" or node in self.kept_gone for node, state in states.items())

    async def _can_be_heard(self, world: World, node: str, peer: str) -> bool:
        """Whether nothing is in its way."""
        if self.cut_links & {(node, peer), (peer, node)}:
            return False
        return (await world.process(peer)).state == "running"


async def settle(world: World, lost: Sequence[str]) -> list[str]:
    """After the heal: wait until no change goes on and the nodes that lost their disks are replaced; what is wrong.

    A change may need a node that waits to be replaced, which waits for the end of the change. So one that stands still meanwhile is
    aborted; or, if it is the change by which that node takes another's place, that is begun again.
    """
    waiting, why, waited_s, epoch, since_s = list(lost), "", 0.0, -1, 0.0
    while waited_s < SETTLE_S_MAX * world.slowness:
        layout = await look(world)
        if layout is not None and layout.epoch != epoch:
            epoch, since_s = layout.epoch, waited_s
        if layout is not None and not layout.changing:
            if not waiting:
                return []
            why = await change(world, "replace", waiting[0], waiting[0], layout.members)
            if not why or waiting[0] not in layout.members:
                waiting.pop(0)
        elif layout is not None and waiting and waited_s - since_s >= STALLED_S * world.slowness:
            why = await change(world, "replace", waiting[0], waiting[0], layout.members)
            if why:
                why = await change(world, "abort", "", "", layout.members)
            else:
                waiting.pop(0)
            since_s = waited_s
        await asyncio.sleep(POLL_S)
        waited_s += POLL_S
    return [f"the membership did not come to rest: {why or 'a change goes on'}"]


KINDS: Final[dict[str, Any]] = {kind.kind: kind for kind in (Join, Leave, Replace, RollingRestart)}
