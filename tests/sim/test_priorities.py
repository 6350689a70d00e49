"""Priorities of links: what goes first, how long the rest waits, what a change point does; and that a run by them repeats itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from harness.plan import PlanError, load_plan, parse_plan
from harness.search.simpler import calmer
from harness.search.strategies import DEPTH_MAX, pct
from harness.simulate import simulate_run
from harness.worlds.sim import stream
from harness.worlds.sim.loop import SimLoop, simulate
from harness.worlds.sim.net import LinkedNetwork, NetOptions, Network
from harness.worlds.sim.priorities import Priorities
from harness.worlds.trouble import DELAY, Trouble

PLAN = load_plan(Path(__file__).parents[2] / "examples" / "bugs" / "register.read_no_writeback.toml")
FLIGHT_MS, HOLD_MS = 2.0, 10.0
LINKS = [(src, dst) for src in "abcd" for dst in "abcd" if src != dst]
Sent = tuple[float, str, str]
"""(when in milliseconds, from, to)"""
Arrival = tuple[float, str, str, int]
"""(when in milliseconds, from, to, number of the message)"""


def carried(sent: Sequence[Sent], *, seed: int = 1, changes_s: Sequence[float] = ()) -> list[Arrival]:
    """What arrives of messages sent at these times."""
    got: list[Arrival] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        made = Priorities(
            loop, LINKS, partial(stream, seed), lambda src, dst, _, number: got.append((loop.now * 1000, src, dst, number)),
            flight_ms=FLIGHT_MS, hold_ms=HOLD_MS, changes_s=changes_s,
        )  # fmt: skip
        for number, (at_ms, src, dst) in enumerate(sent):
            loop.post(at_ms / 1000, made.carry, 0.0, src, dst, None, number)
        await asyncio.sleep(60)

    simulate(main())
    return got


def order(seed: int = 1) -> list[tuple[str, str]]:
    """The links, the first first: all send at the same time, and nothing is held up."""
    return [(src, dst) for _, src, dst, _ in carried([(0.0, *link) for link in LINKS], seed=seed)]


def traffic(seed: int, count: int = 400) -> list[Sent]:
    """Messages at random times over random links."""
    rng = random.Random(seed)
    return sorted((rng.uniform(0, 300), *rng.choice(LINKS)) for _ in range(count))


def test_the_order_is_of_all_links_and_of_the_seed() -> None:
    assert sorted(order(1)) == sorted(LINKS)
    assert order(1) == order(1) != order(2)


def test_a_message_waits_while_one_on_a_link_above_is_under_way_but_not_for_ever() -> None:
    (first, *_, last) = order()
    (at_ms, *link, _), (late_ms, *other, _) = carried([(0.0, *last), (1.5, *first)])
    assert (tuple(link), tuple(other)) == (first, last), "sent later, and overtakes"
    assert at_ms == late_ms == pytest.approx(1.5 + FLIGHT_MS)
    busy = carried([(0.0, *last), *((float(at_ms), *first) for at_ms in range(30))])
    (waited_ms,) = (at_ms for at_ms, *link, _ in busy if tuple(link) == last)
    assert waited_ms == pytest.approx(FLIGHT_MS + HOLD_MS)


@pytest.mark.parametrize("seed", range(20))
def test_every_message_arrives_once_in_time_in_order_and_by_priority(seed: int) -> None:
    sent = traffic(seed)
    got = carried(sent, seed=seed)
    rank = {link: place for place, link in enumerate(order(seed))}
    assert sorted(number for *_, number in got) == list(range(len(sent)))
    arrived_ms = {number: at_ms for at_ms, *_, number in got}
    for place, (at_ms, src, dst, number) in enumerate(got):
        delay_ms = at_ms - sent[number][0]
        assert FLIGHT_MS - 1e-6 <= delay_ms <= FLIGHT_MS + HOLD_MS + 1e-6
        above = [
            other
            for *_, other in got[place + 1 :]
            if sent[other][0] < at_ms and rank[sent[other][1:]] < rank[src, dst]
        ]
        assert not above or delay_ms == pytest.approx(FLIGHT_MS + HOLD_MS)
        earlier = [other for other in range(number) if sent[other][1:] == (src, dst)]
        assert all(arrived_ms[other] <= at_ms for other in earlier)


def test_at_a_change_point_the_link_whose_turn_it_is_becomes_the_last() -> None:
    first, second, *_ = order()
    sent = [(at_ms, *link) for at_ms in (0.0, 50.0, 100.0) for link in LINKS]
    rounds = carried(sent, changes_s=[0.04])
    size = len(LINKS)
    links = [[(src, dst) for _, src, dst, _ in rounds[size * turn : size * (turn + 1)]] for turn in range(3)]
    assert links[0] == order()
    assert links[1] == links[2] == [*order()[1:], first]
    assert [(src, dst) for _, src, dst, _ in carried(sent, changes_s=[0.04, 0.045])][size:][-2:] == [
        first,
        second,
    ]


def test_a_delay_on_a_link_makes_its_messages_late_and_keeps_their_order() -> None:
    got: list[tuple[float, str]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        options = NetOptions(latency_ms=1.0, duplicate=0.0, schedule="priorities", hold_ms=0.0)
        network = Network(loop, stream(1, "net"), options)
        for node in "ab":
            network.attach(node, lambda src, text: got.append((round(loop.now * 1000, 6), text)))
        network.prioritise(partial(stream, 1))
        trouble = Trouble(number=1, kind=DELAY, links={"b": frozenset("a")}, delay_ms=20.0)
        network.disturb(trouble, random.Random(1))
        network.send("a", "b", "late")
        network.send("b", "a", "back")
        network.relieve(1)
        network.send("a", "b", "behind it")
        await asyncio.sleep(1)

    simulate(main())
    assert got == [(1.0, "back"), (21.0, "late"), (21.0, "behind it")]


@pytest.mark.parametrize("kind", [Network, LinkedNetwork])
def test_a_network_by_priorities_still_loses_and_doubles(kind: type[Network]) -> None:
    def arrivals(**accidents: float) -> int:
        got: list[int] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, SimLoop)
            options = NetOptions.parse({"duplicate": 0.0, "schedule": "priorities", **accidents})
            streams = partial(stream, 3)
            network = LinkedNetwork(loop, streams, options) if kind is LinkedNetwork else Network(loop, streams("net"), options)  # fmt: skip
            for node in "ab":
                network.attach(node, lambda src, number: got.append(number))
            network.prioritise(streams)
            for number in range(300):
                network.send("a", "b", number)
            await asyncio.sleep(60)

        simulate(main())
        return len(got)

    assert arrivals() == 300
    assert arrivals(duplicate=1.0) == 600
    assert arrivals(loss=1.0) == 0
    assert 200 < arrivals(loss=0.2) < 280


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('schedule = "chance"', "must be one of delays, priorities"),
        ('schedule = "priorities"\nhold_ms = -1.0', "from 0 to 60,000"),
        ('schedule = "priorities"\nchanges_s = [0.5, -1.0]', "each from 0 to"),
        ('schedule = "priorities"\nchanges_s = ["soon"]', "a list of seconds"),
        ("hold_ms = 9.0", 'plan:7: hold_ms has a meaning with schedule = "priorities" only'),
        (
            'schedule = "delays"\nchanges_s = [0.5]',
            'plan:8: changes_s has a meaning with schedule = "priorities" only',
        ),
        ("changes_s = 3.0", "must be a list"),
    ],
)
def test_what_makes_no_sense_is_refused(table: str, says: str) -> None:
    text = f'name = "x"\nworkload = "register"\nclaims = ["linearizable"]\n[system]\nname = "kvstore"\n[sim]\n{table}\n'
    with pytest.raises(PlanError, match=says):
        simulate_run(parse_plan(text))


# ---- the strategy --------------------------------------------------------------------------------------------------------


def test_a_run_by_priorities_repeats_itself_and_is_another_than_by_delays() -> None:
    plan = pct(PLAN, 1)
    one, again, other = simulate_run(plan), simulate_run(plan), simulate_run(pct(PLAN, 2))
    assert (one.lines, one.fault_lines) == (again.lines, again.fault_lines)
    assert one.lines != other.lines
    delays = {
        name: value for name, value in plan.sim.items() if name not in ("schedule", "hold_ms", "changes_s")
    }
    assert simulate_run(replace(plan, sim=delays)).lines != one.lines
    unchanged = replace(plan, sim={**plan.sim, "changes_s": []})
    assert (simulate_run(unchanged).lines != one.lines) == bool(plan.sim["changes_s"])


def test_the_plans_differ_in_what_the_scheduler_draws_and_in_nothing_else() -> None:
    plans = [pct(PLAN, number) for number in range(60)]
    assert {len(plan.sim["changes_s"]) for plan in plans} == set(range(DEPTH_MAX))
    assert len({plan.sim["hold_ms"] for plan in plans}) > 40
    assert len({plan.seed for plan in plans}) == 60
    for plan in plans:
        assert replace(plan, seed=PLAN.seed, sim=PLAN.sim) == PLAN
        assert plan.sim["loss"] == PLAN.sim["loss"]
        assert 0 < plan.sim["hold_ms"] <= PLAN.op_timeout_ms / 2
        assert all(0 <= at_s <= PLAN.time_limit_s for at_s in plan.sim["changes_s"])


def test_what_is_made_smaller_is_tried_without_priorities_and_with_fewer_changes() -> None:
    plan = replace(PLAN, sim={**PLAN.sim, "schedule": "priorities", "hold_ms": 9.0, "changes_s": [0.1, 0.2]})
    tried = [each.sim for each in calmer(plan)]
    assert PLAN.sim in tried
    assert [sim["changes_s"] for sim in tried if len(sim.get("changes_s", "xx")) == 1] == [[0.2], [0.1]]
