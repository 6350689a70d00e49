"""A node of one's own whose system tells more: who leads, who is a member, and how that is changed. The faults that ask for it strike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.client import Channel
from harness.plan import FaultPlan, Plan, PlanError
from harness.simulate import SimRun, simulate_run
from harness.system import Layout, SystemFault
from harness.worlds.sim.sansio import (
    Clock,
    Command,
    Committed,
    Deliver,
    Effect,
    ErrorReply,
    Event,
    Reply,
    SansIoSystem,
    Send,
    Setting,
    Write,
    sans_io,
)

BORN = ("n1", "n2", "n3", "n4", "n5")  # the members at first; n6 is free


class Led:
    """The first member has the rows; it tells the others who the members are, and how many changes there have been."""

    def __init__(self, setting: Setting) -> None:
        self.name, self.disk = setting.name, setting.disk
        self.epoch, self.members = setting.disk.get("members", (1, BORN))
        self.nodes = setting.nodes

    def step(self, clock: Clock, event: Event) -> Iterator[Effect]:
        match event:
            case Command(caller, (b"WHO", _)):
                yield Reply(caller, self.members[0].encode())
            case Command(caller, (b"LAYOUT",)):
                yield Reply(caller, [self.epoch, *(member.encode() for member in self.members)])
            case Command(caller, (b"join" | b"leave" as kind, name)) if self.name == self.members[0]:
                node = name.decode()
                if kind == b"leave" and node == self.name:
                    yield Reply(caller, ErrorReply("UNAVAILABLE the leader stays"))
                    return
                left = tuple(member for member in self.members if member != node)
                yield from self.adopt(self.epoch + 1, (*left, node) if kind == b"join" else left)
                yield from (
                    Send(other, (self.epoch, self.members)) for other in self.nodes if other != self.name
                )
                yield Reply(caller, "OK")
            case Deliver(_, (int() as epoch, members)) if epoch > self.epoch:
                yield from self.adopt(epoch, members)
            case Command(caller, (b"GET", key)) if self.name == self.members[0]:
                yield Reply(caller, self.disk.get(key))
            case Command(caller, (b"SET", key, value)) if self.name == self.members[0]:
                yield Write(key, value, ticket=caller)
            case Committed(caller):
                yield Reply(caller, "OK")
            case Command(caller, _):
                yield Reply(caller, ErrorReply(f"UNAVAILABLE ask {self.members[0]}"))

    def adopt(self, epoch: int, members: tuple[str, ...]) -> Iterator[Effect]:
        self.epoch, self.members = epoch, members
        yield Write("members", (epoch, members))


class Telling(SansIoSystem):
    """Tells it to the faults."""

    async def primaries(self, channel: Channel, key: bytes) -> tuple[str, ...]:
        return (str((await channel.request([b"WHO", key], timeout_s=0.5)).decode()),)

    async def layout(self, channel: Channel) -> Layout | None:
        epoch, *names = await channel.request([b"LAYOUT"], timeout_s=0.5)
        members = tuple(name.decode() for name in names)
        return Layout(epoch, members, dict.fromkeys(members, 1), changing=False, heard=members)

    async def change_members(self, channel: Channel, kind: str, node: str, lost: str) -> None:
        answer = await channel.request([kind.encode(), node.encode()], timeout_s=0.5)
        if isinstance(answer, Exception):
            raise SystemFault(str(answer))


def made(options: Mapping[str, Any], nodes: Sequence[str]) -> Telling:
    return Telling(Led, {}, options, nodes)


mute = sans_io(Led)


def played(*faults: FaultPlan, system: str = "made") -> SimRun:
    plan = Plan(
        name="led", workload="register", system=f"{__name__}:{system}", claims=("linearizable",), nodes=6, concurrency=6,
        rate=100.0, time_limit_s=4.0, op_timeout_ms=200.0, faults=faults,
    )  # fmt: skip
    return simulate_run(plan)


def fault(kind: str, **options: object) -> FaultPlan:
    return FaultPlan(kind=kind, start_s=0.5, every_s=2.0, for_s=0.5, options=options)


def test_a_fault_that_is_aimed_strikes_who_leads() -> None:
    run = played(fault("kill", targets="primaries"))
    assert [record["nodes"] for record in run.faults] == [["n1"], ["n1"]]
    assert all(record["bit"] for record in run.faults)
    assert run.verdict.value == "valid", run.results["reason"]


def test_members_join_and_leave() -> None:
    run = played(fault("join"), replace(fault("leave"), start_s=1.5))
    joined, left = run.faults[0], run.faults[1]
    assert (joined["kind"], joined["bit"], joined["evidence"]["node"]) == ("join", True, "n6")
    assert joined["evidence"]["members_after"] == [*BORN, "n6"]
    assert left["kind"] == "leave"
    assert left["bit"] == (left["evidence"]["node"] != "n1"), "only the leader is refused"
    assert run.verdict.value == "valid", run.results["reason"]


def test_members_are_restarted_one_after_another() -> None:
    run = played(fault("rolling-restart"))
    assert run.faults[0]["bit"]
    assert sorted(run.faults[0]["evidence"]) == list(BORN)
    assert run.verdict.value == "valid", run.results["reason"]


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("kill", {"targets": "primaries"}, "needs a system and a workload that tell who leads"),
        ("bitflip", {}, "has no `damage`"),
    ],
)
def test_without_the_methods_it_is_refused(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(PlanError, match=words):
        played(fault(kind, **options), system="mute")


def test_a_change_of_members_that_nobody_can_make_is_told() -> None:
    run = played(fault("join"), system="mute")
    assert not run.faults[0]["bit"]
    assert "cannot change its members" in str(run.faults[0])
