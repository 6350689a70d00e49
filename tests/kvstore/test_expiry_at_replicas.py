"""Deadlines at replicas: one version for all, no value under two writes, an end that is purged, and nothing comes back."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kvstore.config import bucket
from kvstore.events import Record, Tag
from kvstore.messages import Query, Store, StoreReply
from kvstore.messages_repair import Purge
from kvstore.ring import partition_of
from tests.kvstore.apart import MORTAL, QUIET, cut_off, heal, held, hints_for, suspected
from tests.kvstore.cluster import Cluster, failed, fields
from tests.kvstore.test_expiry import WALL_MS, cluster


def expires_ms(made: Cluster, name: str, key: bytes = b"x") -> int:
    record = held(made, name, key)
    assert record is not None
    return record.tag.expires_ms


def kept(made: Cluster, name: str, key: bytes) -> Record:
    record = held(made, name, key)
    assert record is not None
    return record


# ---- one version, one value ------------------------------------------------------------------------------------------


def test_a_deadline_travels_with_the_version_and_is_the_same_everywhere() -> None:
    made = cluster()
    cut_off(made, "c")
    suspected(made, "c")
    made.ask("a", "SET", "x", "1", "EX", "100")
    made.ask("b", "SET", "y", "1")
    made.ask("b", "EXPIRE", "y", "100")
    made.idle(100)
    assert len(hints_for(made, "c")) == 2
    heal(made)
    made.idle(5_000)
    for key in (b"x", b"y"):
        assert held(made, "a", key) == held(made, "b", key) == held(made, "c", key)
        assert expires_ms(made, "c", key) > 0


def test_a_read_repairs_a_deadline_that_a_replica_missed() -> None:
    made = cluster("monotonic")
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.network.cut = {("a", "c"), ("b", "c")}
    made.ask("a", "EXPIRE", "x", "100")
    made.idle(100)
    assert expires_ms(made, "c") == 0
    heal(made)
    for name in "abcabc":
        made.ask(name, "GET", "x")
    made.idle(1_000)
    assert expires_ms(made, "c") == expires_ms(made, "a") > 0


def test_anti_entropy_finds_a_deadline_that_a_replica_missed() -> None:
    made = Cluster(
        "abc",
        bucket("default", "quorum", read_repair="none"),
        hint_bytes_max=1,
        scrub_ms=0.0,
        anti_entropy_ms=2_000.0,
    )
    made.ask("a", "SET", "x", "1")
    made.idle(1_000)
    cut_off(made, "c")
    suspected(made, "c")
    made.ask("a", "EXPIRE", "x", "1000")
    made.idle(100)
    heal(made)
    assert expires_ms(made, "c") == 0
    made.idle(15_000)
    assert expires_ms(made, "c") == expires_ms(made, "a") > 0


def test_a_write_that_came_meanwhile_is_not_undone_by_a_deadline() -> None:
    """a reads "1" for EXPIRE; b writes "2"; only then a takes a time for its deadline. A rewrite of "1" would be newer, and win."""
    made = cluster(by_hand=True)
    first = made.send("a", "SET", "x", "1")
    settle(made)
    assert failed(made.replies[first]) is None
    made.now_ms = 10.0
    expire = made.send("a", "EXPIRE", "x", "100")
    made.deliver("a", "b", Query)
    made.deliver("a", "c", Query)
    answers, made.flights = made.flights, []
    made.now_ms = 20.0
    write = made.send("b", "SET", "x", "2")
    settle(made)
    assert failed(made.replies[write]) is None
    made.now_ms = 30.0
    made.flights = answers
    settle(made)
    assert made.replies[expire] == 1
    for name in "abc":
        record = held(made, name, b"x")
        assert record is not None
        assert (record.value, record.tag.expires_ms) == (b"2", 0)


def settle(made: Cluster) -> None:
    """Deliver everything, in order."""
    for name in "abc":
        made.commit(name)
    while made.flights:
        flight = made.flights[0]
        made.deliver(flight.src, flight.dst, type(flight.message))


def test_the_order_of_deadlines_does_not_matter_to_a_replica() -> None:
    write = Tag(1_000 << 16, "a", 1)
    versions = [
        write,
        write._replace(touched=(1_001 << 16), expires_ms=WALL_MS + 50_000),
        write._replace(touched=(1_002 << 16)),
        write._replace(touched=(1_003 << 16), expires_ms=WALL_MS + 90_000),
    ]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 3, 0, 1], [1, 3, 3, 0, 2]):
        made = cluster()
        for place in order:
            made.node("a").replica.take_in(Record("default", b"x", versions[place], b"1"))
        made.idle(100)
        record = made.node("a").overlay.get("default", b"x")[0]
        assert record is not None
        assert record.tag == versions[3]


def test_a_deadline_from_a_clock_far_ahead_is_refused() -> None:
    made = Cluster("abc", bucket("default", "quorum"), by_hand=True, **QUIET)
    ahead = Tag(1_000 << 16, "b", 1, int(WALL_MS + 60_000) << 16, WALL_MS + 90_000)
    made.node("a").replica.store("b", Store(7, "default", b"x", partition_of(b"x"), 1, 9e9, ahead, b"1"))
    assert not [each for each in made.flights if isinstance(each.message, StoreReply)]
    assert made.node("a").overlay.get("default", b"x")[0] is None


# ---- the end ---------------------------------------------------------------------------------------------------------

X = next(key for key in map(str, range(99)) if partition_of(key.encode()) % 3 == 0)  # a is its first replica


def expired_everywhere(**options: Any) -> Cluster:
    made = Cluster("abc", bucket("default", "quorum"), **{**MORTAL, **options})
    made.ask("a", "SET", X, "1", "PX", "30000")
    made.idle(1_000)
    return made


def test_an_expired_value_is_purged_from_all_replicas_after_the_grace() -> None:
    made = expired_everywhere()
    made.run(for_ms=40_000)
    assert made.ask("b", "GET", X) is None
    assert all(
        held(made, name, X.encode()) is not None for name in "abc"
    )  # expired for 11 s, the grace is 20
    made.run(for_ms=30_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]


def test_a_value_with_a_deadline_is_not_purged_before_it() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **MORTAL)
    made.ask("a", "SET", X, "1", "EX", "60")
    made.run(for_ms=50_000)
    assert all(held(made, name, X.encode()) is not None for name in "abc")
    assert made.ask("c", "GET", X) == b"1"


def test_an_expired_value_stays_while_a_replica_is_away() -> None:
    made = expired_everywhere()
    cut_off(made, "c")
    made.run(for_ms=80_000)
    assert held(made, "a", X.encode()) is not None
    heal(made)
    made.run(for_ms=60_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]


def resurrected(*bugs: str) -> bool:
    """c has the value without a deadline, and is away when it gets one and for longer than the grace. Does it come back?"""
    made = Cluster("abc", bucket("default", "quorum"), hint_bytes_max=1, bugs=list(bugs), **MORTAL)
    made.ask("a", "SET", X, "1")
    made.idle(3_000)
    cut_off(made, "c")
    suspected(made, "c")
    assert made.ask("a", "PEXPIRE", X, "1000") == 1
    made.run(for_ms=60_000)
    heal(made)
    made.run(for_ms=30_000)
    return made.ask("a", "GET", X) is not None


def test_nothing_comes_back_after_its_deadline() -> None:
    assert not resurrected()
    assert resurrected("tombstone.early_purge")


def test_a_clock_far_ahead_does_not_end_values_at_other_replicas() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **MORTAL)
    made.ask("b", "SET", X, "1", "EX", "5000")
    made.idle(3_000)
    tag = kept(made, "b", X.encode()).tag
    dead = Record("default", X.encode(), tag, None)
    for name in "bc":
        node = made.node(name)
        node.upkeep.purger.purge("a", Purge(node.ring.epoch, (dead,)))
    made.idle(100)
    assert made.ask("b", "GET", X) == b"1"
    made.machines["a"].offset_ms = 6_000_000.0  # it takes the value for long expired, and says so
    made.run(for_ms=40_000)
    assert made.node("a").upkeep.purger.purged == 0  # by the others' clocks it is not time
    assert held(made, "b", X.encode()) is not None
    assert held(made, "c", X.encode()) is not None
    made.machines["a"].offset_ms = 0.0
    made.run(for_ms=10_000)
    assert made.ask("a", "GET", X) == b"1"
    assert held(made, "a", X.encode()) == held(made, "b", X.encode())


def test_a_scrub_drops_the_value_and_keeps_the_version() -> None:
    made = cluster(anti_entropy_ms=1_000.0, max_clock_skew_ms=2_000.0)
    made.ask("a", "SET", "x", "long" * 100, "PX", "10000")
    made.ask("a", "SET", "y", "stays", "PX", "90000")
    made.run(for_ms=11_000)
    made.ask("b", "KV.NODE", "REPAIR")
    made.run(for_ms=500)
    assert kept(made, "b", b"x").value is not None  # a clock may be 2 s behind
    made.idle(2_000)
    made.ask("b", "KV.NODE", "REPAIR")
    made.idle(500)
    before, after = held(made, "a", b"x"), held(made, "b", b"x")
    assert before is not None
    assert after == Record("default", b"x", before.tag, None)
    assert kept(made, "b", b"y").value == b"stays"
    assert fields(made.ask("b", "KV.NODE", "STATUS"))["expired_dropped"] == 1
    handed = sum(made.node(name).upkeep.antientropy.handed for name in "abc")
    made.idle(10_000)  # comparisons find no difference, and readers at either are told the same
    assert sum(made.node(name).upkeep.antientropy.handed for name in "abc") == handed
    assert [made.ask(name, "GET", "x") for name in "abc"] == [None] * 3
    made.ask("c", "SET", "x", "2")
    assert made.ask("b", "GET", "x") == b"2"


def test_a_scrub_does_not_drop_what_is_being_written() -> None:
    made = Cluster("a", bucket("default", "quorum", n=1), by_hand=True, max_clock_skew_ms=0.0, **QUIET)
    made.send("a", "SET", "x", "1", "PX", "1")
    made.commit("a")
    made.now_ms += 10
    made.send("a", "SET", "x", "2")  # written, not yet committed
    scrub = made.node("a").upkeep.scrub
    scrub._partition = partition_of(b"x")
    scrub._next()
    assert scrub.dropped == 0
    made.commit("a")
    assert kept(made, "a", b"x").value == b"2"


# ---- all of it at once -----------------------------------------------------------------------------------------------

KEYS = tuple(f"k{number}" for number in range(6))
DEEDS = (
    ("SET", "{k}", "{v}"), ("SET", "{k}", "{v}", "PX", "{ms}"), ("PEXPIRE", "{k}", "{ms}"), ("PERSIST", "{k}"), ("DEL", "{k}"),
    ("PEXPIRE", "{k}", "-1"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_under_loss_and_crashes_replicas_agree_and_what_has_ended_stays_ended(seed: int) -> None:
    made = Cluster("abc", bucket("default", "quorum"), seed=seed, **{**MORTAL, "scrub_ms": 50.0})
    made.network.loss = made.network.double = 0.15
    rng = random.Random(seed)
    for number in range(60):
        name = rng.choice([each for each in "abc" if made.machines[each].node is not None])
        deed = rng.choice(DEEDS)
        made.send(
            name,
            *(part.format(k=rng.choice(KEYS), v=f"v{number}", ms=rng.randrange(500, 9_000)) for part in deed),
        )
        made.run(for_ms=rng.choice([1.0, 20.0, 300.0]))
        if rng.random() < 0.1:
            victim = rng.choice("abc")
            if all(machine.node is not None for machine in made.machines.values()):
                made.crash(victim)
        for each, machine in made.machines.items():
            if machine.node is None and rng.random() < 0.2:
                made.boot(each)
    for each, machine in made.machines.items():
        if machine.node is None:
            made.boot(each)
    made.network.loss = made.network.double = 0.0
    made.run(for_ms=15_000)  # the last deadline is over, every pair has compared
    alive = {key: made.ask("a", "GET", key) for key in KEYS}
    for key in KEYS:
        tags = {
            None if record is None else record.tag
            for record in (held(made, name, key.encode()) for name in "abc")
        }
        assert len(tags) == 1, (key, tags)
        assert {made.ask(name, "GET", key) for name in "bc"} == {alive[key]}
    made.run(for_ms=40_000)  # the grace is over
    for key in KEYS:
        for name in "abc":
            assert made.ask(name, "GET", key) == alive[key]
            assert (held(made, name, key.encode()) is not None) is (alive[key] is not None), (key, name)
