"""Nodes join, leave and are replaced while clients write: nothing acknowledged is lost, and the ring comes to rest."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.document import BOTH_OLD
from kvstore.events import Deliver, Failure, Simple, Tag
from kvstore.messages_cas import Prepare
from kvstore.ring import PARTITIONS, partition_of, walk
from tests.kvstore.cluster import Cluster, failed

KEYS = [b"key-%d" % number for number in range(60)]


def filled(mode: str = "register", names: str = "abc", *, first_start: bool = False) -> Cluster:
    made = Cluster(names, bucket("default", mode), seed=5, first_start=first_start)
    for key in KEYS:
        assert failed(made.ask("a", "SET", key, b"v-" + key)) is None
    made.ask("a", "DEL", KEYS[0])
    return made


def settle(made: Cluster, names: str, at: str = "a") -> int:
    """Let the change come to its end; the epoch then."""
    for _ in range(400):
        made.idle(100.0)
        view = made.node(at).view
        same = all(made.node(name).view.epoch == view.epoch for name in names)
        if same and view.document.change is None and view.members == tuple(names):
            break
    views = {name: made.node(name).view for name in names}
    assert {view.epoch for view in views.values()} == {views[at].epoch}
    assert views[at].document.change is None
    assert set(views[at].document.owners) == set(names)
    return views[at].epoch


def unharmed(made: Cluster, names: str) -> None:
    for name in names:
        assert made.ask(name, "GET", KEYS[0]) is None
        for key in KEYS[1:]:
            assert made.ask(name, "GET", key) == b"v-" + key


def on_disk(made: Cluster, name: str) -> set[bytes]:
    return {record.key for record in made.machines[name].disk.records() if record.bucket == "default"}


@pytest.mark.parametrize("mode", ["register", "cas", "quorum"])
def test_join_leave_and_replace_lose_nothing(mode: str) -> None:
    made = filled(mode)
    made.add("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    settle(made, "abcd")
    unharmed(made, "abcd")
    document = made.node("a").view.document
    for name in "abcd":  # each holds what it has to, and nothing else
        mine = {p for p in range(PARTITIONS) if name in walk(document.owners, p, 3)}
        assert on_disk(made, name) == {key for key in KEYS if partition_of(key) in mine}
    made.ask("d", "KV.CLUSTER", "LEAVE", "b")
    settle(made, "acd")
    unharmed(made, "acd")
    made.crash("c")
    made.add("e")
    made.ask("a", "KV.CLUSTER", "REPLACE", "c", "e", "e:7100")
    settle(made, "ade")
    unharmed(made, "ade")


def test_whoever_has_left_is_forgotten() -> None:
    """Also while it runs on and gossips: nobody suspects it, tells others of it, or learns of it anew."""
    made = filled("quorum", "abcd")
    made.idle(3_000.0)
    assert made.node("a").upkeep.told("d", "EPOCH")
    made.ask("a", "KV.CLUSTER", "LEAVE", "d")
    settle(made, "abc")
    made.idle(5_000.0)
    made.crash("d")
    made.crash("b")  # who begins anew learns from the others what there is
    made.boot("b")
    made.idle(10_000.0)
    for name in "abc":
        upkeep = made.node(name).upkeep
        assert sorted(upkeep.gossip.knowledge.endpoints) == ["a", "b", "c"]
        assert upkeep.detector.phi("d", made.now_ms) == 0.0
        assert upkeep.suspects == frozenset()
        assert not upkeep.heard("d")


@pytest.mark.parametrize("seed", range(5))
def test_whoever_is_told_that_a_change_has_begun_sees_it(seed: int) -> None:
    made = Cluster("abcd", bucket("default"), seed=seed)
    for asked in "abcd":
        told = made.ask(asked, "KV.CLUSTER", "LEAVE", "d" if asked != "d" else "c")
        status = made.ask(asked, "KV.CLUSTER", "STATUS")
        assert isinstance(told, dict)
        assert isinstance(status, dict)
        assert status["epoch"] >= told["epoch"]  # type: ignore[operator]
        assert status["change"] is not None
        made.ask(asked, "KV.CLUSTER", "ABORT")
        settle(made, "abcd")


def test_a_node_that_lost_its_disk_gets_its_data_back() -> None:
    made = filled("cas", first_start=True)
    made.crash("b")
    made.wipe("b")
    made.boot("b")
    made.idle(1_000.0)
    assert not made.node("b").ready
    assert any("b has an empty disk" in line for line in made.logs)
    made.crash("b")
    made.boot("b", replace=True)
    made.ask("a", "KV.CLUSTER", "REPLACE", "b")
    settle(made, "abc")
    assert made.node("b").incarnation > 1 << 20
    made.crash("c")
    unharmed(made, "ab")


def test_a_change_can_be_taken_back() -> None:
    made = filled()
    made.add("d")
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    made.idle(300.0)
    assert made.node("a").view.document.change is not None
    assert isinstance(made.ask("b", "KV.CLUSTER", "ABORT"), dict)
    for _ in range(300):
        made.idle(100.0)
        if made.node("a").view.document.change is None:
            break
    assert made.node("a").view.members == ("a", "b", "c")
    unharmed(made, "abc")


def test_a_newcomer_that_has_promised_more_still_gets_what_was_acknowledged() -> None:
    """b and c alone hold it, and d promises a dead proposer's ballot before it streams: yet a or d must know it then."""
    made = Cluster("abc", bucket("default", "cas"), seed=5, anti_entropy_ms=0.0)
    made.add("d")
    made.network.cut = {(other, "a") for other in "bc"}
    for key in KEYS:
        assert failed(made.ask("b", "SET", key, b"v-" + key)) is None
    made.network.cut = set()
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    promised: set[bytes] = set()
    view = made.node("d").view
    for _ in range(100_000):
        made.idle(0.5)
        for key in set(KEYS) - promised:
            partition = partition_of(key)
            if view.document.step(partition) == BOTH_OLD:
                body = ("default", key, partition, view.since(partition), 1000.0, Tag(1 << 40, "b", 9))
                made.step("d", Deliver("b", Prepare(1 << 60, *body)))
                promised.add(key)
        if view.joined and view.document.change is None:
            break
    disks = {name: on_disk(made, name) for name in "abcd"}
    replicas = {key: walk(view.document.owners, partition_of(key), 3) for key in promised}
    assert sum({"a", "d"} <= set(nodes) for nodes in replicas.values()) > 10
    for key, nodes in replicas.items():  # every majority meets it
        assert sum(key in disks[name] for name in nodes) >= 2


@pytest.mark.parametrize("mode", ["quorum", "register", "siblings", "cas"])
def test_a_newcomer_whose_clock_is_far_behind_gets_what_was_acknowledged(mode: str) -> None:
    """b and c alone hold it. It is newer than d's clock may believe, and yet a or d must know it once d is a replica."""
    made = Cluster("abc", bucket("default", mode), seed=5, anti_entropy_ms=0.0)
    made.add("d")
    made.network.cut = {(other, "a") for other in "bc"}
    for key in KEYS:
        assert failed(made.ask("b", "KV.PUT", key, b"v-" + key)) is None
    made.network.cut = set()
    made.machines["d"].offset_ms = -60_000.0
    made.boot("d")
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    settle(made, "abcd")
    disks = {name: on_disk(made, name) for name in "abcd"}
    view = made.node("d").view
    for key in KEYS:  # every majority meets it
        assert sum(key in disks[name] for name in walk(view.document.owners, partition_of(key), 3)) >= 2


def test_the_driver_may_crash_at_any_time() -> None:
    made = filled()
    made.add("d")
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    for round_ in range(4):
        made.idle(400.0)
        made.crash("abca"[round_])
        made.idle(100.0)
        made.boot("abca"[round_])
    settle(made, "abcd")
    unharmed(made, "abcd")


def test_growth_from_one_node() -> None:
    made = Cluster("a", bucket("default", "register", n=1), seed=1)
    made.ask("a", "SET", "k", "v")
    for count, name in enumerate("bc", 2):
        made.add(name)
        made.ask("a", "KV.CLUSTER", "JOIN", name, f"{name}:7100")
        settle(made, "abc"[:count])
    assert made.node("c").view.document.acceptors == ("a", "b", "c")
    assert {name: made.ask(name, "GET", "k") for name in "abc"} == dict.fromkeys("abc", b"v")


def test_what_cannot_be_done_is_refused() -> None:
    made = filled()
    for args in (
        ("JOIN", "a", "a:1"),
        ("LEAVE", "x"),
        ("ABORT",),
        ("REBALANCE",),
        ("JOIN", "d", "nowhere"),
        ("DANCE",),
    ):
        answer = made.ask("a", "KV.CLUSTER", *args)
        assert isinstance(answer, Failure)
        assert answer.code == "BADARG"
    assert made.node("a").view.epoch == 1


@pytest.mark.parametrize("mode", ["register", "eventual"])
def test_a_stranger_serves_nobody(mode: str) -> None:
    """Not even what one replica may answer: it has no ring yet, and knows none."""
    made = filled(mode)
    made.add("d")
    assert failed(made.ask("d", "GET", "k")) == "UNAVAILABLE"
    status = made.ask("d", "KV.CLUSTER", "STATUS")
    assert isinstance(status, dict)
    assert status["ready"] == 0


def test_a_plan_says_what_would_move_and_moves_nothing() -> None:
    made = filled()
    plan = made.ask("a", "KV.CLUSTER", "PLAN", "JOIN", "d", "d:7100")
    assert isinstance(plan, dict)
    assert plan["replicas"] == 192
    assert made.node("a").view.epoch == 1
    assert made.ask("a", "PING") == Simple("PONG")


# ---- what only one replica holds ------------------------------------------------------------------------------------


def held_by_b_alone(names: str) -> Cluster:
    """Acknowledged by one replica of each key, of which no other has a copy."""
    promise = bucket("default", "eventual", n=min(3, len(names)), read_repair="none")
    made = Cluster(names, promise, seed=5, anti_entropy_ms=0.0, hint_bytes_max=1)
    made.idle(1_000.0)
    others = [name for name in names if name != "b"]
    made.network.cut = {pair for other in others for pair in ((other, "b"), ("b", other))}
    document = made.node("b").view.document
    for key in KEYS:
        if "b" in walk(document.owners, partition_of(key), 3):
            assert failed(made.ask("b", "SET", key, b"v-" + key)) is None
    assert len(on_disk(made, "b")) > 30
    assert made.node("b").upkeep.hints.pending_bytes == 0  # a hint would bring the copies as well
    made.network.cut = set()
    return made


@pytest.mark.parametrize("names", ["abcd", "abc", "ab"])
def test_who_goes_hands_over_what_nobody_else_holds(names: str) -> None:
    made = held_by_b_alone(names)
    mine = on_disk(made, "b")
    made.ask("a", "KV.CLUSTER", "LEAVE", "b")
    rest = names.replace("b", "")
    settle(made, rest)
    assert on_disk(made, "b") == set()
    assert set().union(*(on_disk(made, name) for name in rest)) == mine


def test_who_is_pushed_out_by_a_newcomer_hands_over_too() -> None:
    made = held_by_b_alone("abc")
    mine = on_disk(made, "b")
    made.add("d")
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    settle(made, "abcd")
    assert on_disk(made, "b") < mine
    assert set().union(*(on_disk(made, name) for name in "abcd")) == mine


def test_who_goes_and_is_dead_is_not_waited_for() -> None:
    made = held_by_b_alone("abcd")
    made.crash("b")
    made.ask("a", "KV.CLUSTER", "LEAVE", "b")
    settle(made, "acd")


# ---- who loses its disk while it is taken in ------------------------------------------------------------------------


def wiped(made: Cluster, name: str) -> None:
    made.crash(name)
    made.wipe(name)
    made.boot(name, replace=True)
    made.idle(1_000.0)


def test_a_replacement_that_loses_its_disk_on_the_way_does_not_begin_anew_as_if_it_had_acknowledged_nothing() -> (
    None
):
    made = filled(first_start=True)
    made.add("d")
    made.idle(1_000.0)
    made.crash("c")
    made.ask("a", "KV.CLUSTER", "REPLACE", "c", "d", "d:7100")
    while not any(
        step > BOTH_OLD for step in made.node("d").view.document.steps
    ):  # it counts in some majorities
        made.idle(5.0)
    wiped(made, "d")
    made.idle(5_000.0)
    assert not made.node("d").ready
    assert any("d has lost its data and waits" in line for line in made.logs)


def test_a_spare_that_lost_its_disk_before_it_was_taken_in_may_join() -> None:
    made = filled(first_start=True)
    made.add("d")
    made.idle(1_000.0)
    wiped(made, "d")
    assert not made.node("d").ready
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    settle(made, "abcd")
    unharmed(made, "abcd")


def test_who_is_about_to_hold_a_partition_cannot_vouch_for_a_record() -> None:
    """With w = 1 a write may be at one replica alone: three others would have to say what it was, and of those that are read there are two."""
    made = Cluster("abc", bucket("default", "quorum", r=3, w=1), seed=5, anti_entropy_ms=0.0, scrub_ms=0.0)
    for key in KEYS:
        made.ask("b", "SET", key, b"v-" + key)
    made.idle(100.0)
    made.add("d")
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    view = made.node("a").view
    for _ in range(100_000):
        made.idle(0.5)
        moving = [key for key in KEYS if view.document.step(partition_of(key)) == BOTH_OLD]
        if moving and "d" in view.plan(partition_of(moving[0]), 3).replicas:
            break
    made.machines["a"].disk.corrupt("default", moving[0])
    made.ask("b", "GET", moving[0])
    assert any("no other replicas can vouch" in line for line in made.logs), made.logs


def test_a_change_that_waits_says_for_whom() -> None:
    made = filled()
    made.add("d")
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    made.crash("d")
    made.idle(15_000.0)
    waits = {line.partition(": ")[2] for line in made.logs if "the change of the ring waits" in line}
    assert waits == {"no answer in time from d"}
