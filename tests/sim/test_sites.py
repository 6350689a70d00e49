"""Nodes at several sites, and delays that were measured: each message takes its way, and a whole run shows it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checkers import Type, Verdict
from harness.pbs import Delays, Quorums, predict
from harness.plan import Plan, PlanError, dump_plan, load_plan, parse_plan
from harness.runner import run
from harness.search import simpler
from harness.search.strategies import pct, swarm
from harness.simulate import simulate_run
from harness.worlds.sim import SimLoop
from harness.worlds.sim.net import LinkedNetwork, NetOptions, Network, delay_draw
from harness.worlds.sim.sites import CITIES, KNOWN_MS

REGIONS = load_plan(Path(__file__).parents[2] / "examples" / "regions.toml")
NODES = ("n1", "n2", "n3", "n4")
EXACT: Mapping[str, Any] = {"latency": "constant", "latency_ms": 1.0, "duplicate": 0.0, "reorder": 0.0}
MEASURED = (0.5, 2.0, 2.0, 9.0)


def took_ms(sim: Mapping[str, Any], *, linked: bool = False) -> dict[tuple[str, str], float]:
    """How long one message on each link is under way."""
    loop, options, found = SimLoop(), NetOptions.parse({**EXACT, **sim}), dict[tuple[str, str], float]()
    network = (
        LinkedNetwork(loop, lambda name: random.Random(name), options)
        if linked
        else Network(loop, random.Random(1), options)
    )
    for node in NODES:
        network.attach(node, lambda src, dst: found.__setitem__((src, dst), round(loop.now * 1000, 6)))
    network.place(NODES)
    for src in NODES:
        for dst in NODES:
            network.send(src, dst, dst)
    loop.run_until_complete(_after(loop, 10.0))
    loop.close()
    return found


async def _after(loop: SimLoop, seconds: float) -> None:
    done = loop.create_future()
    loop.post(seconds, done.set_result, None)
    await done


@pytest.mark.parametrize("linked", [False, True], ids=["one-stream", "streams-of-links"])
def test_a_message_takes_the_way_between_its_sites(linked: bool) -> None:
    """Known cities, one way that is given both ways alike, one that is not; the fourth node is where the first is."""
    between_ms = {"lab": {"dallas": 30, "london": 5}, "london": {"lab": 80}}
    found = took_ms({"sites": ["dallas", "london", "lab"], "between_ms": between_ms}, linked=linked)
    ways = {("n1", "n2"): 56.5, ("n2", "n1"): 56.5, ("n1", "n3"): 30, ("n3", "n1"): 30, ("n3", "n2"): 5, ("n2", "n3"): 80, ("n1", "n4"): 0}  # fmt: skip
    assert {link: found[link] for link in ways} == {link: ms + 1.0 for link, ms in ways.items()}
    assert found["n4", "n2"] == found["n1", "n2"]
    assert set(took_ms({}).values()) == {1.0}


def test_what_is_known_of_cities_is_the_same_both_ways_and_holds_all() -> None:
    assert len(KNOWN_MS) == len(CITIES) * (len(CITIES) - 1)
    assert all(KNOWN_MS[dst, src] == ms > 0 for (src, dst), ms in KNOWN_MS.items())
    assert (KNOWN_MS["frankfurt", "london"], KNOWN_MS["sydney", "sao-paulo"]) == (6.5, 164)


def test_measured_delays_are_drawn_as_often_as_they_were_measured() -> None:
    draw = delay_draw(NetOptions.parse({"measured_ms": list(MEASURED), "latency_ms_min": 1.0}), random.Random(5))  # fmt: skip
    drawn = [round(draw() * 1000, 6) for _ in range(40_000)]
    assert set(drawn) == {1.0, 2.0, 9.0}  # none is faster than the minimum
    assert drawn.count(2.0) / len(drawn) == pytest.approx(0.5, abs=0.02)


def test_measured_delays_are_predicted_from_as_well() -> None:
    quorums, at = Quorums(n=3, r=1, w=1), 3.0
    same = predict(quorums, Delays(measured_ms=(4.0,) * 3, latency_ms_min=0.0), trials=20_000)
    constant = predict(quorums, Delays(latency="constant", latency_ms=4.0, latency_ms_min=0.0), trials=20_000)
    assert same.stale(at) == constant.stale(at)
    apart = predict(quorums, Delays(measured_ms=(0.0, 100.0), latency_ms_min=0.0), trials=20_000)
    assert apart.stale(at) > constant.stale(at)


def test_every_operation_of_a_run_waits_for_a_second_city() -> None:
    """Two of three replicas answer, one of them in another city: 113 ms there and back at the least, and longer while it is cut off."""
    run = simulate_run(REGIONS)
    assert run.verdict is Verdict.VALID, run.results["reason"]
    called, fastest_ms = dict[int, int](), float("inf")
    for op in run.history:
        if op.type is Type.INVOKE:
            called[op.process] = op.time_ns
        elif op.type is Type.OK and op.f in ("read", "write"):
            fastest_ms = min(fastest_ms, (op.time_ns - called[op.process]) / 1e6)
    assert 113.0 < fastest_ms < 125.0
    near = simulate_run(replace(REGIONS, sim={}))
    assert near.results["latency_ms"]["read"]["p50"] < 20 < run.results["latency_ms"]["read"]["p50"]


def test_the_page_of_a_run_says_where_its_nodes_are(tmp_path: Path) -> None:
    short = replace(REGIONS, time_limit_s=2.0, faults=())
    for sites, said in (
        (REGIONS.sim["sites"], "n1 in dallas, n2 in london and n3 in tokyo"),
        (["tokyo", "london"], "n1 in tokyo, n2 in london and n3 in tokyo"),
    ):
        folder = run(replace(short, sim={"sites": sites}), world="sim", out=tmp_path / sites[0]).folder
        assert f"<dt>sites</dt><dd>{said}</dd>" in (folder / "report.html").read_text()


def sims(plan: Plan) -> Mapping[str, Any]:
    """The network of a plan that has been written down and read again, and that the simulator takes."""
    again = parse_plan(dump_plan(plan))
    NetOptions.parse(again.sim)
    return again.sim


def test_searches_and_shrinking_keep_what_they_can() -> None:
    """swarm keeps sites and measured delays and varies the rest; pct draws no delays; shrinking tries without each."""
    plan = replace(REGIONS, sim={"sites": ["osaka", "tokyo"], "between_ms": {"osaka": {"tokyo": 7}}, "measured_ms": [1.5]})  # fmt: skip
    assert sims(plan)["sites"] == ["osaka", "tokyo"]
    for number in range(5):
        varied = sims(swarm(plan, number))
        assert varied["measured_ms"] == [1.5]
        assert varied["sites"] == ["osaka", "tokyo"]
        assert not {"latency", "latency_ms"} & varied.keys()
        assert not {"sites", "between_ms", "measured_ms"} & sims(pct(plan, number)).keys()
    simple = [sims(each) for each in simpler.calmer(plan)]
    assert {"measured_ms": [1.5]} in simple
    assert {"sites": ["osaka", "tokyo"], "between_ms": {"osaka": {"tokyo": 7}}} in simple


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('sites = ["dallas", "londn"]', "did you mean 'london'"),
        ('sites = ["here", "there"]', r"add here.there = MILLISECONDS to \[sim.between_ms\]"),
        ('sites = "dallas"', "must be a list"),
        ("sites = [1]", "list of names"),
        ("between_ms = {dallas = {london = 5}}", "with sites only"),
        ('sites = ["dallas"]\nbetween_ms = {dallas = {london = 5}}', "no node is there"),
        ('sites = ["dallas"]\nbetween_ms = {dallas = {dallas = 5}}', "within a site it is latency_ms"),
        ('sites = ["a", "b"]\nbetween_ms = {a = {b = -1}}', "0 to 60000"),
        ('sites = ["a", "b"]\nbetween_ms = {a = {b = inf}}', "0 to 60000"),
        ('sites = ["a", "b"]\nbetween_ms = {a = 3}', "lines like london.tokyo = 120"),
        ('sites = ["a", "b"]\nbetween_ms = {a = {b = "far"}}', "lines like london.tokyo = 120"),
        (f'sites = ["a", "b"]\nbetween_ms = {{a = {{b = 1{"0" * 400}}}}}', "0 to 60000"),
        (f"measured_ms = [1{'0' * 400}]", "each 0 to 60000"),
        ("between_ms = 3", "must be a table"),
        ("measured_ms = [1, -2]", "each 0 to 60000"),
        ("measured_ms = [nan]", "each 0 to 60000"),
        ('measured_ms = ["1"]', "each 0 to 60000"),
        ("measured_ms = [1]\nlatency_ms = 2", "take each other's place"),
        ('measured_ms = [1]\nschedule = "priorities"', "no delay is drawn"),
        ('sites = ["dallas"]\nschedule = "priorities"', "no delay is drawn"),
    ],
)
def test_bad_options_are_refused(table: str, words: str) -> None:
    """Some when the plan is read, the others when the simulator takes it."""
    text = f'name = "p"\nworkload = "register"\nclaims = ["linearizable"]\n[system]\nname = "kvstore"\n[sim]\n{table}\n'
    with pytest.raises(PlanError, match=words):
        NetOptions.parse(parse_plan(text).sim)
