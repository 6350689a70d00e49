"""The minimal interleavings that separate the modes, delivered message by message.

Coordinators d and e hold no replica of the key, so every message is visible. w(1) reaches replica A only; two
reads follow, one meets A and one does not.
"""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.messages import Query, QueryReply, Repair, Store, StoreReply
from tests.kvstore.cluster import Cluster

KEY = b"x"  # partition 254: replicas e, a, b of the five nodes
A, B, C = "e", "a", "b"
WRITER, READER = "c", "d"


def cluster(mode: str, **options: object) -> Cluster:
    made = Cluster("abcde", bucket("default", mode), by_hand=True, **options)
    assert made.ring.replicas(KEY, 3) == (A, B, C)
    return made


def reach(made: Cluster, coordinator: str, replicas: str, kind: type, reply: type) -> None:
    for replica in replicas:
        made.deliver(coordinator, replica, kind)
        made.deliver(replica, coordinator, reply)


def drop(made: Cluster) -> None:
    made.flights.clear()


def write_reaching_a_only(made: Cluster, query_first: bool) -> None:
    made.send(WRITER, "SET", KEY, "1")
    if query_first:
        reach(made, WRITER, A + B, Query, QueryReply)
    made.deliver(WRITER, A, Store)
    drop(made)


def read(made: Cluster, replicas: str) -> tuple[str, int]:
    handle = made.send(READER, "GET", KEY)
    reach(made, READER, replicas, Query, QueryReply)
    return handle


def test_s1_quorum_reads_go_back_to_the_old_value() -> None:
    made = cluster("quorum")
    write_reaching_a_only(made, query_first=False)
    first = read(made, A + B)
    assert made.replies[first] == b"1"
    drop(made)
    second = read(made, B + C)
    assert made.replies[second] is None  # new-old inversion


def test_s2_blocking_repair_removes_it() -> None:
    made = cluster("monotonic")
    write_reaching_a_only(made, query_first=False)
    first = read(made, A + B)
    assert first not in made.replies  # not before a majority holds it
    reach(made, READER, B, Repair, StoreReply)
    assert made.replies[first] == b"1"
    drop(made)
    second = read(made, B + C)
    reach(made, READER, C, Repair, StoreReply)
    assert made.replies[second] == b"1"


@pytest.mark.parametrize(("command", "told"), [(("GETEX", KEY, "PERSIST"), b"1"), (("PERSIST", KEY), 0)])
def test_s2_nor_does_a_read_that_was_to_take_a_deadline_away(
    command: tuple[str | bytes, ...], told: bytes | int
) -> None:
    made = cluster("monotonic")
    write_reaching_a_only(made, query_first=False)
    first = made.send(READER, *command)
    reach(made, READER, A + B, Query, QueryReply)
    assert first not in made.replies  # not before a majority holds it
    reach(made, READER, B, Repair, StoreReply)
    assert made.replies[first] == told
    drop(made)
    second = read(made, B + C)
    reach(made, READER, C, Repair, StoreReply)
    assert made.replies[second] == b"1"


@pytest.mark.parametrize("mode", ["quorum", "monotonic"])
def test_s3_skewed_clocks_lose_an_acknowledged_write(mode: str) -> None:
    made = cluster(mode)
    made.machines[WRITER].offset_ms = 5_000
    first = made.send(WRITER, "SET", KEY, "1")
    # the lease of the fast clock becomes durable before its tag is used
    made.commit(WRITER)
    reach(made, WRITER, A + B, Store, StoreReply)
    drop(made)
    second = made.send(READER, "SET", KEY, "2")
    reach(made, READER, A + B, Store, StoreReply)
    drop(made)
    assert made.replies[first] == made.replies[second]  # both OK, the second began after the first
    assert made.replies[read(made, A + B)] == b"1"  # and yet it is gone


def test_s6_register_reads_never_go_back() -> None:
    made = cluster("register")
    write_reaching_a_only(made, query_first=True)
    first = read(made, A + B)
    assert first not in made.replies
    reach(made, READER, B, Store, StoreReply)  # the write-back
    assert made.replies[first] == b"1"
    drop(made)
    second = read(made, B + C)
    reach(made, READER, C, Store, StoreReply)
    assert made.replies[second] == b"1"


def test_s6_register_survives_skewed_clocks() -> None:
    made = cluster("register")
    made.machines[WRITER].offset_ms = 5_000
    first = made.send(WRITER, "SET", KEY, "1")
    reach(made, WRITER, A + B, Query, QueryReply)
    made.commit(WRITER)
    reach(made, WRITER, A + B, Store, StoreReply)
    drop(made)
    second = made.send(READER, "SET", KEY, "2")
    reach(made, READER, B + C, Query, QueryReply)
    made.commit(READER)
    reach(made, READER, B + C, Store, StoreReply)
    drop(made)
    assert made.replies[first] == made.replies[second]
    third = read(made, A + B)
    reach(made, READER, A, Store, StoreReply)
    assert made.replies[third] == b"2"


def test_s6_fast_path_needs_a_majority_of_the_replica_set() -> None:
    made = cluster("register")
    write_reaching_a_only(made, query_first=True)
    handle = made.send(READER, "GET", KEY)
    made.deliver(READER, A, Query)
    made.deliver(READER, B, Query)
    made.deliver(A, READER, QueryReply, keep=True)
    made.deliver(A, READER, QueryReply)  # doubled: one replica of the set, not two
    assert handle not in made.replies


def test_s7_without_the_write_back_register_is_s1() -> None:
    made = cluster("register", bugs=["register.read_no_writeback"])
    write_reaching_a_only(made, query_first=True)
    assert made.replies[read(made, A + B)] == b"1"
    drop(made)
    assert made.replies[read(made, B + C)] is None


def test_one_phase_write_bug_is_s3() -> None:
    made = cluster("register", bugs=["register.one_phase_write"])
    made.machines[WRITER].offset_ms = 5_000
    made.send(WRITER, "SET", KEY, "1")
    made.commit(WRITER)
    reach(made, WRITER, A + B, Store, StoreReply)
    drop(made)
    second = made.send(READER, "SET", KEY, "2")
    reach(made, READER, A + B, Store, StoreReply)
    drop(made)
    assert second in made.replies
    assert made.replies[read(made, A + B)] == b"1"


def test_optimistic_retag_shows_one_value_under_two_tags() -> None:
    made = cluster("register", bugs=["register.optimistic_retag"])
    made.machines[WRITER].offset_ms = 5_000
    made.send(WRITER, "SET", KEY, "1")
    made.commit(WRITER)
    reach(made, WRITER, A + B, Store, StoreReply)
    drop(made)
    made.send(READER, "SET", KEY, "2")
    reach(made, READER, B + C, Store, StoreReply)
    made.commit(READER)
    tags = {message.tag for message in made.stored if message.value == b"2"}
    assert len(tags) == 2


def test_ack_before_fsync_bug_answers_before_the_commit() -> None:
    for bugs, early in (([], False), (["ack_before_fsync"], True)):
        made = Cluster("a", bucket("default", "quorum", n=1), by_hand=True, bugs=bugs)
        handle = made.send("a", "SET", "x", "1")
        assert (handle in made.replies) is early
        made.commit("a")
        assert handle in made.replies


@pytest.mark.parametrize(("bugs", "reissued"), [((), False), (("hlc.not_persisted",), True)])
def test_clock_set_back_over_a_crash(bugs: tuple[str, ...], reissued: bool) -> None:
    made = Cluster("a", bucket("default", "quorum", n=1), seed=3, bugs=bugs)
    made.ask("a", "SET", "x", "1")
    made.crash("a")
    made.machines["a"].offset_ms = -4_000
    made.boot("a")
    made.ask("a", "SET", "x", "2")
    assert made.ask("a", "GET", "x") == (b"1" if reissued else b"2")


def test_a_query_waits_for_the_commit_of_what_it_shows() -> None:
    made = Cluster("a", bucket("default", "quorum", n=1), by_hand=True)
    made.send("a", "SET", "x", "1")
    handle = made.send("a", "GET", "x")
    assert handle not in made.replies
    made.commit("a")
    assert made.replies[handle] == b"1"
