"""Class cas while a partition gets new replicas: what a quorum has promised never to take binds the newcomer, too.

Two proposals from one empty key. "one" is accepted by a alone; then b and c promise more, and "two" is accepted by b alone. So "one" can
never be chosen. A newcomer that took a's copy of it would make two of a, b and d hold it: one reader would see "one" as chosen, the next
one would meet "two" at b, though both were written on condition that there was nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from kvstore.config import bucket
from kvstore.document import BOTH_OLD, advanced, left, moving, newcomers, packed, still
from kvstore.envelope import EMPTY, Rid, sealed
from kvstore.events import Clock, Deliver, Erase, Meta, Record, Send, Tag, Write
from kvstore.messages import Message, Stale
from kvstore.messages_cas import Accept, Prepare
from kvstore.messages_repair import Handoff
from kvstore.messages_ring import RingOffer
from kvstore.ring import partition_of, walk
from kvstore.slices import READING, SLICE
from tests.kvstore.cluster import Cluster, failed
from tests.kvstore.watched import Watched

KEYS = [b"key-%d" % number for number in range(60)]
LOW, HIGH = Tag(1 << 30, "c", 0), Tag(1 << 31, "a", 0)  # of earlier lives


def state(value: bytes, who: bytes) -> bytes:
    return sealed(EMPTY.changed(Rid(who, 1), value, 0))


ONE, TWO = state(b"one", b"x"), state(b"two", b"y")


def proposed_twice() -> Cluster:
    """a, b and c with both proposals of every key; the network stands still meanwhile."""
    made = Cluster("abc", bucket("default", "cas"), seed=5, anti_entropy_ms=0.0)
    made.idle(500.0)
    for key in KEYS:
        body = ("default", key, partition_of(key), 1, 10_000.0)
        for name in "ab":
            made.step(name, Deliver("c", Prepare(1, *body, LOW)))
        made.step("a", Deliver("c", Accept(2, *body, LOW, ONE)))
        for name in "bc":
            made.step(name, Deliver("a", Prepare(3, *body, HIGH)))
        made.step("b", Deliver("a", Accept(4, *body, HIGH, TWO)))
    made.idle(100.0)
    return made


def alone(made: Cluster, name: str) -> None:
    """Nothing comes to that node or from it."""
    made.network.cut = {pair for other in "abcd" if other != name for pair in ((name, other), (other, name))}


def joined(made: Cluster) -> Iterator[None]:
    """d joins; a step of the walk at a time, until it is over."""
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    for _ in range(100_000):
        made.idle(0.5)
        view = made.node("d").view
        if view.joined and view.document.change is None:
            return
        yield
    pytest.fail("the change does not end")


def contradictions(made: Cluster) -> list[bytes]:
    """The keys of a, b and d that show one reader "one" and another "two"."""
    owners = made.node("a").view.document.owners
    shared = [key for key in KEYS if set(walk(owners, partition_of(key), 3)) == set("abd")]
    assert len(shared) > 5
    found = []
    for key in shared:
        alone(made, "b")
        first = made.ask("d", "GET", key)
        alone(made, "a")
        second = made.ask("d", "GET", key)
        assert failed(first) is None
        assert failed(second) is None
        if first != second:
            found.append(key)
    return found


def test_a_newcomer_is_bound_before_it_takes_a_state() -> None:
    made = proposed_twice()
    made.add("d")
    made.network.cut = {("b", "d"), ("d", "b")}  # it streams from a and c
    for _ in joined(made):
        pass
    assert contradictions(made) == []


def test_a_copy_that_comes_by_repair_before_is_not_taken() -> None:
    made = proposed_twice()
    made.add("d")
    made.network.cut = {("b", "d"), ("d", "b")}
    given: set[int] = set()
    for _ in joined(made):
        document = made.node("d").view.document
        for key in KEYS:
            partition = partition_of(key)
            if (
                partition not in given
                and document.change is not None
                and document.step(partition) <= BOTH_OLD
            ):
                if document.step(partition) == BOTH_OLD:
                    given.add(partition)
                made.step("d", Deliver("a", Handoff(0, (Record("default", key, LOW, ONE),))))
    assert given
    assert contradictions(made) == []


def test_what_a_newcomer_holds_from_earlier_days_goes_with_the_document_that_makes_it_one() -> None:
    """One write for both: a crash in between would leave a state that nobody bound by later promises would have taken."""
    made = Cluster("abcd", bucket("default", "cas"), seed=5, anti_entropy_ms=0.0)
    made.idle(500.0)
    document = left(made.node("a").view.document, "c", 3)
    while len(moving(document)) < len(still(document)):
        document = advanced(document, [], still(document)[:64])
    fresh = {p for p in moving(document) if "d" in newcomers(document, p, 3)}
    strange = {key for key in KEYS if partition_of(key) in fresh}
    assert len(strange) > 3
    made.crash("d")
    made.machines["d"].disk.commit([Record("default", key, LOW, ONE) for key in strange])
    made.boot("d")
    made.idle(10.0)
    node = made.node("d")
    offer = RingOffer(0, packed(document), [])
    writes = [
        effect
        for effect in node.step(Clock(made.now_ms, 1_000_000.0 + made.now_ms), Deliver("a", offer))
        if isinstance(effect, Write)
    ]
    assert len(writes) == 1
    assert {row.key for row in writes[0].rows if isinstance(row, Erase)} == strange
    assert any(isinstance(row, Meta) and row.name == "ring" for row in writes[0].rows)


def test_much_that_a_newcomer_holds_from_earlier_days_goes_in_slices_before_the_document() -> None:
    """Nothing comes to it meanwhile, and a crash in between leaves nothing that the document finds."""
    made = Watched("abcd", bucket("default", "cas"), seed=5, anti_entropy_ms=0.0, scrub_ms=0.0)
    document = left(made.node("a").view.document, "c", 3)
    partition = next(p for p in still(document) if "d" in newcomers(advanced(document, [], [p]), p, 3))
    document = advanced(document, [], [partition])
    keys = (b"%d" % number for number in range(100_000))
    strange = list(islice((key for key in keys if partition_of(key) == partition), 350))
    made.begin_with([])
    made.crash("d")
    for bucket_name, value in (("default", ONE), ("!promise/default", None)):
        made.machines["d"].disk.commit([Record(bucket_name, key, LOW, value) for key in strange])
    made.boot("d")
    made.idle(10.0)
    for name in "abc":  # they know it already
        made.step(name, Deliver("c", RingOffer(0, packed(document), [])))
    made.worst = 0
    made.step("d", Deliver("a", RingOffer(0, packed(document), [])))
    made.idle(5.0)
    node, disk = made.node("d"), made.machines["d"].disk
    assert 0 < len(list(disk.records())) < 2 * len(strange)
    assert node.view.epoch < document.epoch
    late = Prepare(1, "default", strange[0], partition, 1, 10_000.0, HIGH)
    assert [type(effect.message) for effect in stepped(made, "d", late)] == [Stale]
    stepped(made, "d", Handoff(0, (Record("default", strange[0], HIGH, TWO),)))
    made.crash("d")
    made.boot("d")
    made.idle(10.0)
    made.step("d", Deliver("a", RingOffer(0, packed(document), [])))
    made.idle(100.0)
    assert made.node("d").view.epoch >= document.epoch
    assert [row for row in disk.records() if partition_of(row.key) == partition] == []
    assert SLICE <= made.worst <= 2 * (SLICE + 2 * READING)


def stepped(made: Cluster, name: str, message: Message) -> list[Send]:
    """What a node sends at once when that message comes."""
    clock = Clock(made.now_ms, 1_000_000.0 + made.now_ms)
    effects = made.node(name).step(clock, Deliver("a", message))
    made._perform(name, effects)
    return [effect for effect in effects if isinstance(effect, Send)]


@pytest.mark.parametrize("mode", ["register", "cas", "quorum"])
def test_who_goes_last_takes_nothing_along(mode: str) -> None:
    """b and c alone hold what was acknowledged; c goes, then b."""
    made = Cluster("abc", bucket("default", mode), seed=5, anti_entropy_ms=0.0, hint_window_ms=0.0)
    made.idle(500.0)
    made.network.cut = {(other, "a") for other in "bc"}
    for key in KEYS:
        assert failed(made.ask("b", "SET", key, b"v-" + key)) is None
    made.network.cut = set()
    for leaver, staying in (("c", "ab"), ("b", "a")):
        made.ask("a", "KV.CLUSTER", "LEAVE", leaver)
        for _ in range(600):
            made.idle(100.0)
            document = made.node("a").view.document
            if document.change is None and document.names == tuple(staying):
                break
        assert made.node("a").view.members == tuple(staying)
    held = {record.key: record for record in made.machines["a"].disk.records() if record.bucket == "default"}
    assert held.keys() == set(KEYS)
    made.add("d")  # one node alone does not serve them: they need two
    made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100")
    for _ in range(600):
        made.idle(100.0)
        document = made.node("d").view.document
        if document.change is None and document.names == ("a", "d"):
            break
    assert [key for key in KEYS if made.ask("d", "GET", key) != b"v-" + key] == []
