"""The end of tombstones on whole nodes: what is dead stays dead, and is forgotten once nobody can bring it back."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.messages_repair import Purge
from kvstore.ring import partition_of
from tests.kvstore.apart import MORTAL, contents, cut_off, heal, held, hints_for, suspected
from tests.kvstore.cluster import Cluster, failed, fields

X = next(key for key in map(str, range(99)) if partition_of(key.encode()) % 3 == 0)  # a is its first replica


def deleted_everywhere(**options: object) -> Cluster:
    made = Cluster("abc", bucket("default", "quorum"), **{**MORTAL, **options})
    made.ask("a", "SET", X, "1")
    made.idle(1_000)
    assert made.ask("a", "DEL", X) == 1
    made.idle(1_000)
    return made


def test_a_tombstone_is_purged_from_all_replicas() -> None:
    made = deleted_everywhere()
    made.idle(15_000)
    assert all(held(made, name, X.encode()) is not None for name in "abc")  # too young
    made.idle(60_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]


def test_a_tombstone_stays_while_a_replica_is_away() -> None:
    made = deleted_everywhere()
    cut_off(made, "c")
    made.idle(120_000)
    assert held(made, "a", X.encode()) is not None
    heal(made)
    made.idle(120_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]


def test_a_tombstone_stays_while_a_member_that_may_keep_a_hint_is_silent() -> None:
    """It holds no replica of the key, and kept the value for one that missed it after it last told of its hints."""
    made = Cluster("abcde", bucket("default", "quorum", n=3), **MORTAL)
    made.idle(5_000)
    replicas = made.node("a").view.plan(partition_of(X.encode()), 3).replicas
    keeper = next(name for name in "abcde" if name not in replicas)
    made.network.cut = {(keeper, replicas[2]), (replicas[2], keeper)}
    suspects = made.node(keeper).upkeep
    made.idle(6_000)
    assert not suspects.alive(replicas[2])
    assert failed(made.ask(keeper, "SET", X, "1")) is None
    made.run(for_ms=5)
    assert len(hints_for(made, replicas[2])) == 1
    cut_off(made, keeper)
    made.idle(5_000)
    assert made.ask(replicas[0], "DEL", X) == 1
    made.idle(120_000)
    assert all(held(made, name, X.encode()) is not None for name in replicas)
    heal(made)
    made.idle(120_000)
    assert [held(made, name, X.encode()) for name in replicas] == [None, None, None]


def test_a_tombstone_is_purged_after_a_member_was_replaced_by_itself() -> None:
    """Its new disk is above all its lives before, in what it says of its hints too; else it is taken for silent."""
    made = Cluster("abc", bucket("default", "quorum"), first_start=True, **MORTAL)
    made.idle(1_000)
    for _ in range(2):  # its lives so far
        made.crash("c")
        made.boot("c")
        made.idle(3_000)
    made.crash("c")
    made.wipe("c")
    made.boot("c", replace=True)
    made.idle(1_000)
    assert failed(made.ask("a", "KV.CLUSTER", "REPLACE", "c")) is None
    made.idle(60_000)
    assert not made.node("a").view.changing
    made.ask("a", "SET", X, "1")
    assert made.ask("a", "DEL", X) == 1
    made.idle(1_000)
    assert held(made, "c", X.encode()) is not None
    made.idle(60_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]


@pytest.mark.parametrize("timeout_ms", [15_000, 90_000])
def test_a_value_that_is_kept_long_after_it_was_written_does_not_come_back(timeout_ms: int) -> None:
    """Its coordinator finds out who missed it when the client's time is over: after the deletion, and even after the grace."""
    made = Cluster("abcde", bucket("default", "quorum", n=3), request_timeout_ms=timeout_ms, **MORTAL)
    made.idle(5_000)
    replicas = made.node("a").view.plan(partition_of(X.encode()), 3).replicas
    keeper = next(name for name in "abcde" if name not in replicas)
    for missed in replicas[1:]:
        made.network.cut |= {(keeper, missed), (missed, keeper)}
    writing = made.send(keeper, "SET", X, "1")
    made.idle(1_000)
    assert made.ask(replicas[0], "DEL", X) == 1
    made.idle(120_000)
    assert failed(made.replies[writing]) == "TIMEOUT"
    heal(made)
    made.idle(120_000)
    assert [held(made, name, X.encode()) for name in replicas] == [None, None, None]


def resurrected(**options: object) -> bool:
    """c is away during a deletion for longer than the grace; does the deleted value come back?"""
    made = Cluster("abc", bucket("default", "quorum"), hint_bytes_max=1, **{**MORTAL, **options})
    made.ask("a", "SET", X, "1")
    made.idle(3_000)
    cut_off(made, "c")
    suspected(made, "c")
    made.ask("a", "DEL", X)
    made.idle(120_000)
    heal(made)
    made.idle(60_000)
    assert contents(made, "a") == contents(made, "b") == contents(made, "c"), "either way they agree"
    return made.ask("a", "GET", X) is not None


def test_nothing_is_resurrected() -> None:
    assert not resurrected()


def test_the_seeded_bug_resurrects() -> None:
    assert resurrected(bugs=["tombstone.early_purge"])


def test_a_purge_removes_nothing_newer() -> None:
    made = deleted_everywhere()
    tombstone = held(made, "b", X.encode())
    assert tombstone is not None
    made.ask("a", "SET", X, "2")
    made.idle(1_000)
    node = made.node("b")
    node.upkeep.purger.purge("a", Purge(node.ring.epoch, (tombstone,)))
    assert made.ask("b", "GET", X) == b"2"


def test_a_tombstone_that_cannot_be_read_when_it_is_to_go_ends_nobody() -> None:
    made = deleted_everywhere()
    made.idle(10_000)
    made.machines["b"].disk.corrupt("default", X.encode())
    made.idle(60_000)
    assert [held(made, name, X.encode()) for name in "ac"] == [None, None]
    assert failed(made.ask("b", "KV.GET", X, "CL", "all")) == "NOQUORUM"  # and b asks the others
    made.idle(2_000)
    assert made.machines["b"].disk.damaged == frozenset()
    assert fields(made.ask("b", "KV.GET", X, "CL", "all"))["values"] == []


def test_no_request_may_last_as_long_as_a_deletion_is_remembered() -> None:
    """It is asked again when the ring changes; by then what was deleted after it, and forgotten since, would be back."""
    made = Cluster("abc", bucket("default", "quorum"), **MORTAL)
    made.idle(1_000)
    cut_off(made, "c")
    write = made.send("a", "KV.PUT", X, "1", "CL", "all", "TIMEOUT", 190_000)
    made.idle(250)
    heal(made)
    assert failed(made.ask("b", "DEL", X)) is None
    made.idle(45_000)
    assert [held(made, name, X.encode()) for name in "abc"] == [None, None, None]
    made.add("d")
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    made.idle(20_000)
    assert made.node("b").view.members == ("a", "b", "c", "d")
    assert made.ask("b", "GET", X) is None
    assert failed(made.replies[write]) == "BADARG"
    assert failed(made.ask("a", "KV.GET", X, "TIMEOUT", 10_000)) is None
    assert failed(made.ask("a", "KV.GET", X, "TIMEOUT", 10_001)) == "BADARG"
