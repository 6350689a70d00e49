"""What must never be otherwise: each rule of `kvstore.invariants` is broken once, and the node stops with a message.

That a correct store never breaks one is shown by every other suite: nodes that stop fail their tests.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from kvstore.config import bucket
from kvstore.engine import SqliteEngine
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Committed, Deliver, Meta, Record, Tag
from kvstore.forest import Forest
from kvstore.invariants import BrokenInvariantError
from kvstore.messages import Message, Repair, Store
from kvstore.messages_cas import Accept, Prepare
from kvstore.messages_repair import Handoff
from kvstore.overlay import Overlay
from kvstore.ring import partition_of
from tests.kvstore.cluster import Cluster
from tests.kvstore.live import READY_S, LiveCluster, ask

TAG = Tag(1_000 << 16, "b", 1)
EPOCH = 1
P = partition_of(b"x")
WAYS: dict[str, Callable[[bytes | None], Message]] = {
    "store": lambda value: Store(0, "default", b"x", P, EPOCH, 9e9, TAG, value),
    "repair": lambda value: Repair(0, "default", b"x", P, EPOCH, 9e9, TAG, value),
    "handoff": lambda value: Handoff(0, (Record("default", b"x", TAG, value),)),
}


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("other", [b"2", None])
@pytest.mark.parametrize("way", WAYS)
def test_a_second_value_under_one_tag_stops_the_replica(
    way: str, other: bytes | None, committed: bool
) -> None:
    made = Cluster("abc", bucket("default", "quorum"), by_hand=True)
    made.step("a", Deliver("b", WAYS[way](b"1")))
    if committed:
        made.commit("a")
    made.step("a", Deliver("b", WAYS[way](b"1")))  # a double is none
    with pytest.raises(BrokenInvariantError, match=r"key b'x' in default has two values under one tag"):
        made.step("a", Deliver("b", WAYS[way](other)))


def test_a_second_state_under_one_ballot_stops_the_acceptor() -> None:
    made = Cluster("abc", bucket("default", "cas"), by_hand=True)
    accepts = [Accept(1, "default", b"x", P, EPOCH, 9e9, TAG, state) for state in (b"1", b"2")]
    made.step("a", Deliver("b", accepts[0]))
    made.commit("a")
    made.step("a", Deliver("b", accepts[0]))
    with pytest.raises(BrokenInvariantError, match="two values under one tag"):
        made.step("a", Deliver("b", accepts[1]))


@pytest.mark.parametrize("kind", [Prepare, Accept])
def test_a_state_without_its_promise_stops_the_acceptor(kind: type) -> None:
    made = Cluster("abc", bucket("default", "cas"), by_hand=True)
    made.machines["a"].disk.commit([Record("default", b"x", TAG, b"1")])
    later = TAG._replace(hlc=TAG.hlc + 1)
    request = (1, "default", b"x", P, EPOCH, 9e9, later, *([b"2"] if kind is Accept else []))
    with pytest.raises(BrokenInvariantError, match="promised no more than"):
        made.step("a", Deliver("b", kind(*request)))


@pytest.mark.parametrize("mode", ["quorum", "register"])
def test_a_reader_that_meets_two_values_under_one_tag_stops(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode))
    made.idle(1_000)
    for name, value in zip("abc", (b"1", b"1", b"2"), strict=True):
        made.machines[name].disk.commit([Record("default", b"x", TAG, value)])
    made.network.cut = {("a", "b")}  # so that c is in the quorum
    with pytest.raises(BrokenInvariantError, match="two values under one tag"):
        made.ask("a", "GET", "x")


def overlay() -> Overlay:
    return Overlay(MemoryEngine(), Forest(b"", lambda bucket: "lww"))


def test_versions_of_a_key_never_go_back() -> None:
    here = overlay()
    here.write(Record("default", b"x", TAG, b"1"))
    here.write(Record("default", b"y", Tag(1, "a", 1), b"1"))
    older = Record("default", b"x", TAG._replace(hlc=TAG.hlc - 1), b"0")
    with pytest.raises(BrokenInvariantError, match="would go back"):
        here.write(older)
    with pytest.raises(BrokenInvariantError, match="would go back"):
        here.write_rows([Meta("fact", b""), older])


def test_storage_reports_only_what_was_written() -> None:
    made = Cluster("a", bucket("default", "quorum", n=1), by_hand=True)
    ticket = made.machines["a"].ticket
    made.step("a", Committed(ticket))
    with pytest.raises(BrokenInvariantError, match=f"committed ticket {ticket + 1}"):
        made.step("a", Committed(ticket + 1))


def reissue(*bugs: str) -> None:
    """A node writes, loses power, and its clock shows the same millisecond again when it writes another value."""
    made = Cluster("a", bucket("default", "quorum", n=1), bugs=list(bugs))
    made.idle(1_000)
    at_ms = made.now_ms
    made.ask("a", "SET", "x", "1")
    made.crash("a")
    made.boot("a")
    made.idle(1_000)
    made.machines["a"].offset_ms = at_ms - made.now_ms
    made.ask("a", "SET", "x", "2")


def test_the_seeded_bug_that_forgets_its_clock_is_caught() -> None:
    reissue()
    with pytest.raises(BrokenInvariantError, match="two values under one tag"):
        reissue("hlc.not_persisted")


def test_a_real_node_ends_with_a_message(tmp_path: Path) -> None:
    cluster = LiveCluster(tmp_path, 3, bucket='mode = "quorum"\nr = 3\nread_repair = "none"')
    for name in cluster.names:
        engine = SqliteEngine(tmp_path / name)
        engine.commit([Record("default", b"x", TAG, random.Random(name).randbytes(8))])
        engine.close()
    try:
        cluster.start_all()
        with pytest.raises(OSError, match=r"closed|reset"):
            ask(cluster.ports["n1"], [b"GET", b"x"])
        assert cluster.running.pop("n1").wait(READY_S) == 255
        log = (tmp_path / "n1.log").read_text()
        assert "stops at once: key b'x' in default has two values under one tag" in log
        assert ask(cluster.ports["n2"], [b"PING"]) == [b"PONG"]
    finally:
        cluster.stop_all()
