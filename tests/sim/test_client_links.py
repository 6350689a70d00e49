"""Faults of the links between clients and nodes, in the simulator: what arrives, what does not, and what the client makes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from checkers.op import Type
from harness.client import ChannelError
from harness.generator import NEMESIS
from harness.nemesis.grudges import ANSWERS, BOTH, CLIENTS, REQUESTS, WAYS, struck, to_clients
from harness.plan import Plan, PlanError, parse_plan
from harness.search.simpler import narrower
from harness.simulate import SimRun, simulate_run
from harness.worlds.sim import SimLoop, SimWorld
from harness.worlds.trouble import DELAY, DROP, RESET, Trouble
from kvstore.client import StoreClient
from tests.sim.three import in_world

PLAN = """
name = "clients"
workload = "register"
claims = ["linearizable"]
seed = 7
time_limit_s = 8
rate = 200
[system]
name = "kvstore"
mode = "register"
[[faults]]
kind = "KIND"
clients = "WAY"
targets = "minority"
start_s = 1
every_s = 4
for_s = 3
"""


def trouble(way: str, kind: str = DROP, *, number: int = 1, **asked: float) -> Trouble:
    return Trouble(number=number, kind=kind, links=to_clients(["n1"], way), **asked)


async def store(world: SimWorld, node: str = "n1", timeout_s: float = 0.5) -> StoreClient:
    return StoreClient(await world.dial(node), timeout_s=timeout_s)


async def in_doubt(call: Any) -> None:
    with pytest.raises(ChannelError) as caught:
        await call
    assert not caught.value.definite


def test_without_answers_a_request_takes_effect_and_is_in_doubt() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        client, elsewhere = await store(world), await store(world, "n2")
        await world.disturb(trouble(ANSWERS))
        await in_doubt(client.put(b"k", b"1"))
        assert await elsewhere.get(b"k") == b"1", "n1 took it in, and talks to its peers"
        with pytest.raises(ChannelError, match="n1 did not answer within 2 s") as caught:
            await world.dial("n1")
        assert caught.value.definite, "of a connection that was never made nothing was sent"
        told = await world.relieve(1)
        assert told[f"n1->{CLIENTS}"].hit >= 3, "the answer more than once, and what was said to who dialled"
        assert f"{CLIENTS}->n1" not in told
        await asyncio.sleep(5)
        assert await client.get(b"k") == b"1", "the late answer is not taken for this one"

    in_world(story)


def test_a_request_that_was_dropped_may_yet_take_effect_after_the_heal() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        client, elsewhere = await store(world), await store(world, "n2")
        await world.disturb(trouble(REQUESTS))
        await in_doubt(client.put(b"k", b"1"))
        await client.channel.close()
        assert await elsewhere.get(b"k") is None
        told = await world.relieve(1)
        assert set(told) == {f"{CLIENTS}->n1"}
        await asyncio.sleep(2)
        assert await elsewhere.get(b"k") == b"1"

    in_world(story)


def test_what_is_lost_is_sent_again_and_nothing_overtakes() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        client = await world.dial("n1")
        await world.disturb(trouble(BOTH, share=0.5))
        order: list[bytes] = []

        async def ask(number: int) -> None:
            order.append(await client.request([b"ECHO", b"%d" % number], timeout_s=600.0))

        await asyncio.gather(*map(ask, range(40)))
        assert order == [b"%d" % number for number in range(40)]
        told = await world.relieve(1)
        assert all(0 < touch.hit < touch.seen for touch in told.values())
        assert loop.time() > 1, "what is sent again is late"

    in_world(story)


def test_a_delay_is_added_to_both_ways_and_to_nobody_elses() -> None:
    async def took_s(world: SimWorld, loop: SimLoop, node: str) -> float:
        client = await store(world, node)
        begun_s = loop.time()
        await client.ping()
        return loop.time() - begun_s

    async def story(world: SimWorld, loop: SimLoop) -> None:
        await world.disturb(trouble(BOTH, DELAY, delay_ms=60.0))
        assert await took_s(world, loop, "n1") == pytest.approx(0.12, abs=0.01)
        assert await took_s(world, loop, "n2") < 0.01
        told = await world.relieve(1)
        assert told[f"n1->{CLIENTS}"].held_ms == pytest.approx(60)
        assert await took_s(world, loop, "n1") < 0.01

    in_world(story)


def test_a_reset_ends_the_connection_in_doubt_and_refuses_new_ones() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        client = await store(world)
        await world.disturb(trouble(ANSWERS, RESET))
        await in_doubt(client.put(b"k", b"1"))
        with pytest.raises(ChannelError, match="not sent to n1: connection reset"):
            await client.ping()
        with pytest.raises(ChannelError, match="n1 refused the connection: it was reset"):
            await world.dial("n1")
        assert await (await store(world, "n2")).get(b"k") == b"1"
        await world.relieve(1)
        await (await store(world)).ping()

    in_world(story)


def test_the_end_of_a_process_is_not_heard_where_its_answers_are_dropped() -> None:
    async def story(world: SimWorld, loop: SimLoop) -> None:
        client = await store(world)
        await world.disturb(trouble(ANSWERS))
        await world.kill("n1")
        with pytest.raises(ChannelError, match="no answer from n1 within 500 ms"):
            await client.ping()
        await world.mend()
        await asyncio.sleep(2)
        with pytest.raises(ChannelError, match="not sent to n1: connection reset, the process died"):
            await client.ping()

    in_world(story)


def ran(kind: str, way: str, more: str = "") -> tuple[Plan, SimRun]:
    plan = parse_plan(PLAN.replace("KIND", kind).replace("WAY", way) + more)
    return plan, simulate_run(plan)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "more"),
    [("partition", ""), ("loss", "share = 0.3"), ("flapping", ""), ("reset", ""), ("delay", "")],
)
def test_each_kind_bites_and_no_operation_that_was_sent_is_said_to_have_failed(
    kind: str, more: str, way: str
) -> None:
    plan, run = ran(kind, way, more)
    assert run.results["outcome"] == "valid", run.results["reason"]
    assert len(run.faults) == 2
    for fault in run.faults:
        assert (fault["bit"], fault["healed"], len(fault["nodes"])) == (True, True, 2)
        assert fault["evidence"]["links"] == (4 if way == BOTH else 2)
    failed = [op for op in run.history if op.type is Type.FAIL and op.process != NEMESIS]
    assert all(str(op.error).startswith("no client") for op in failed), "nothing was sent on those"
    assert simulate_run(plan).lines == run.lines


def test_a_write_in_doubt_is_read_and_one_on_each_way_is_told_apart() -> None:
    """Whether requests or answers are dropped shows in the history: only what arrived is read while the fault goes on."""
    found = {}
    for way in (REQUESTS, ANSWERS):
        _, run = ran("partition", way)
        doubtful = {op.value for op in run.history if op.type is Type.INFO and op.f == "write"}
        (first, _) = run.faults
        seen = {
            op.value
            for op in run.history
            if op.type is Type.OK and op.f == "read" and first["start_ns"] < op.time_ns < first["end_ns"]
        }
        found[way] = len(doubtful & seen)
    assert found[REQUESTS] == 0
    assert found[ANSWERS] > 0


def test_a_plan_with_shape_and_clients_or_a_slow_link_of_clients_is_refused() -> None:
    text = PLAN.replace("KIND", "loss").replace("WAY", "both")
    with pytest.raises(PlanError, match="shape is of links between nodes; with clients say targets"):
        parse_plan(text.replace("targets", "shape").replace("minority", "halves"))
    with pytest.raises(PlanError, match=r"unknown key 'clients' in \[\[faults\]\] of kind rate"):
        parse_plan(text.replace("loss", "rate"))
    one = parse_plan(text.replace("rate = 200", "nodes = 1"))
    assert one.nodes == 1, "one node has clients, too"


def test_a_stroke_names_clients_and_is_made_smaller() -> None:
    head = PLAN[: PLAN.index("[[faults]]")]
    stroke = '[[strokes]]\nkind = "KIND"\nstart_s = 1\nfor_s = 1\nnodes = ["n1", "n2"]\ndetail = {grudge = {clients = ["n1", "n2"], n1 = ["clients"]}}\n'
    plan = parse_plan(head + stroke.replace("KIND", "loss"))
    smaller = [
        (list(each.strokes[0].nodes), each.strokes[0].detail["grudge"])
        for each in narrower(plan)
        if each.strokes[0].detail["grudge"] != plan.strokes[0].detail["grudge"]
    ]
    assert all(nodes == struck(grudge) for nodes, grudge in smaller)
    assert (["n1"], {"n1": ["clients"]}) in smaller
    assert (["n1", "n2"], {"clients": ["n2"], "n1": ["clients"]}) in smaller
    with pytest.raises(PlanError, match="there is no node 'clients'"):
        parse_plan(head + stroke.replace("KIND", "rate"))
    with pytest.raises(PlanError, match="there is no node 'clients'"):
        parse_plan(head + stroke.replace("KIND", "loss").replace('nodes = ["n1"', 'nodes = ["clients"'))


def test_clients_of_who_leads_are_found_when_the_fault_begins() -> None:
    plan = parse_plan(
        PLAN.replace("KIND", "partition").replace("WAY", "answers").replace("minority", "primaries")
    )
    run = simulate_run(replace(plan, options={"keys": 1, "ops_per_key": 10_000}))
    for fault in run.faults:
        assert fault["grudge"] == {CLIENTS: fault["nodes"]}
        assert (fault["bit"], len(fault["nodes"])) == (True, 1)
