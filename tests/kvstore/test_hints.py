"""Hints: what a replica missed is kept for it and handed over; and at the edges, on their way to disk, of large values, for a target whose clock is behind."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.config import bucket
from kvstore.document import advanced, packed
from kvstore.document import left as document_left
from kvstore.events import Deliver, Record, Tag
from kvstore.hints import BATCH_BYTES, PREFIX, Hint
from kvstore.messages import Pong
from kvstore.messages_repair import Handoff, StandIn
from kvstore.messages_ring import RingOffer
from kvstore.ring import PARTITIONS, partition_of
from kvstore.slices import BYTES_EACH, READING
from tests.kvstore.apart import QUIET, cut_off, heal, held, hints_for, suspected
from tests.kvstore.cluster import Cluster, failed, fields
from tests.kvstore.watched import Watched


@pytest.mark.parametrize("mode", ["quorum", "register"])
def test_what_a_replica_missed_is_handed_to_it(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode), **QUIET)
    cut_off(made, "c")
    suspected(made, "c")
    assert failed(made.ask("a", "SET", "x", "1")) is None
    assert failed(made.ask("b", "SET", "y", "2")) is None
    made.idle(100)
    assert held(made, "c", b"x") is None
    assert len(hints_for(made, "c")) == 2
    heal(made)
    made.idle(5_000)
    assert held(made, "c", b"x") == held(made, "a", b"x")
    assert held(made, "c", b"y") == held(made, "b", b"y")
    assert hints_for(made, "c") == []


def test_a_hint_survives_a_crash_of_its_keeper() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    cut_off(made, "c")
    suspected(made, "c")
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.crash("a")
    made.boot("a")
    heal(made)
    made.idle(5_000)
    assert held(made, "c", b"x") == held(made, "b", b"x")
    assert hints_for(made, "c") == []


def test_a_hint_never_counts_in_a_quorum() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    cut_off(made, "c")
    cut_off(made, "b")
    suspected(made, "c")
    assert failed(made.ask("a", "SET", "x", "1")) == "TIMEOUT"


def test_hints_of_one_key_become_one() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    cut_off(made, "c")
    suspected(made, "c")
    for value in range(5):
        made.ask("a", "SET", "x", str(value))
    made.idle(100)
    assert len(hints_for(made, "c")) == 1
    heal(made)
    made.idle(5_000)
    record = held(made, "c", b"x")
    assert record is not None
    assert record.value == b"4"


def test_hints_are_bounded_in_bytes_and_in_time() -> None:
    made = Cluster("abc", bucket("default", "quorum"), hint_bytes_max=200, hint_window_ms=60_000.0, **QUIET)
    cut_off(made, "c")
    suspected(made, "c")
    for key in range(5):
        made.ask("a", "SET", f"k{key}", "v" * 50)
    made.idle(100)
    assert len(hints_for(made, "c")) == 1
    assert made.node("a").upkeep.hints.dropped == 4
    made.idle(70_000)
    made.ask("b", "SET", "x", "1")
    made.ask("b", "SET", "x", "2")
    made.idle(70_000)
    made.ask("b", "SET", "late", "1")
    made.idle(100)
    assert not any(b"late" in each.key for each in hints_for(made, "c"))


def test_a_hint_stays_until_its_target_has_it() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    cut_off(made, "c")
    suspected(made, "c")
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.network.cut = {("c", "a"), ("c", "b")}  # what is sent arrives, and no word comes back
    made.idle(20_000)
    assert len(hints_for(made, "c")) == 1
    heal(made)
    made.idle(5_000)
    assert hints_for(made, "c") == []


# ---- at the edges ----


def away(**options: object) -> Cluster:
    """c is cut off and suspected."""
    made = Cluster("abc", bucket("default", "quorum"), **{**QUIET, **options})
    cut_off(made, "c")
    suspected(made, "c")
    return made


def test_a_hint_on_its_way_to_disk_when_its_target_answers_is_not_forgotten() -> None:
    """Else it stays on disk, known to nobody: it is not handed over, and a tombstone newer than it may be purged."""
    made = away()
    assert failed(made.ask("a", "SET", "x", "1")) is None
    node = made.node("a")
    assert node.overlay.ticket > node.overlay.committed
    heal(made)
    made.step("a", Deliver("c", Pong(1, node.view.epoch)))
    assert node.upkeep.hints.oldest_ms < float("inf")
    made.idle(5_000)
    assert held(made, "c", b"x") == held(made, "b", b"x")
    assert hints_for(made, "c") == []
    assert node.upkeep.hints.oldest_ms == float("inf")


def test_a_step_reads_no_more_hints_than_it_hands_over() -> None:
    made = Watched("ab", bucket("default", "quorum", n=2), **QUIET)
    value = b"v" * (BATCH_BYTES // 2)
    rows = list[Record]()
    for key in (b"%d" % number for number in range(40)):
        hint = msgspec.msgpack.encode(Hint("default", key, Tag(2, "a", 1), value))
        rows.append(
            Record(PREFIX + "b", b"{hint}" + msgspec.msgpack.encode(("default", key)), Tag(2, "a", 1), hint)
        )
    made.begin_with(rows)
    made.idle(20)  # they are counted once, at the start
    made.worst = 0
    made.idle(20_000)
    assert made.node("a").upkeep.hints.replayed == len(rows)
    assert held(made, "b", b"39") == Record("default", b"39", Tag(2, "a", 1), value)
    assert 0 < made.worst <= READING + 2 * BATCH_BYTES // BYTES_EACH


def test_a_key_that_is_written_again_and_again_takes_the_room_of_one_hint() -> None:
    """Else the room is used up by what is not there, and sloppy buckets refuse writes for it."""
    made = away(hint_bytes_max=300)
    for value in range(20):
        assert failed(made.ask("a", "SET", "x", "v" * 50 + str(value))) is None
    hints = made.node("a").upkeep.hints
    assert (hints.kept, hints.dropped) == (20, 0)
    assert hints.pending_bytes < 200
    assert failed(made.ask("a", "SET", "y", "v" * 150)) is None
    assert hints.dropped == 1
    heal(made)
    made.idle(5_000)
    assert held(made, "c", b"x") == held(made, "b", b"x")


def test_what_was_kept_and_counted_stays_until_the_clock_of_its_owner_has_gone_on() -> None:
    """An owner whose clock is far behind does not take it; if it were erased then, an acknowledged write would be nowhere."""
    made = Cluster("abcd", bucket("default", "quorum", n=3, sloppy=True), **QUIET)
    made.idle(3_000)
    key = b"k"
    owner = made.node("a").view.plan(partition_of(key), 3).replicas[0]
    keeper = next(name for name in "abcd" if name != owner)
    made.crash(owner)
    tag = Tag((1_000_000 + int(made.now_ms)) << 16, keeper, 1)
    asked = StandIn(1, "default", key, partition_of(key), made.ring.epoch, 9e9, tag, b"new", owner)
    made.step(keeper, Deliver(keeper, asked))
    made.machines[owner].offset_ms = -20_000.0
    made.boot(owner)
    made.idle(5_000)
    assert held(made, owner, key) is None
    assert len([row for row in made.machines[keeper].disk.records() if row.bucket == PREFIX + owner]) == 1
    made.idle(10_000)
    assert held(made, owner, key) == Record("default", key, tag, b"new")
    assert fields(made.ask(owner, "KV.GET", key))["values"] == [b"new"]
    made.idle(1_000)
    assert hints_for(made, owner) == []


def put_hint(made: Cluster, keeper: str, target: str, record: Record) -> None:
    """As if the keeper had it from before."""
    row = msgspec.msgpack.encode(Hint("default", record.key, record.tag, record.value))
    place = PREFIX + target, b"{hint}" + msgspec.msgpack.encode(("default", record.key))
    made.crash(keeper)
    made.machines[keeper].disk.commit([Record(*place, record.tag, row)])
    made.boot(keeper)


def test_what_its_owner_cannot_take_yet_does_not_keep_it_from_the_others() -> None:
    """The first two pages are newer than its clock may believe; what stands behind them is not."""
    made = Cluster("ab", bucket("default", "quorum", n=2, sloppy=True), **QUIET)
    cut_off(made, "b")
    early = [Record("default", b"a%03d" % n, Tag(1_100_000 << 16, "a", 1), b"v" * 1000) for n in range(130)]
    late = Record("default", b"b", Tag(1_000 << 16, "a", 1), b"v")
    for record in (*early, late):
        put_hint(made, "a", "b", record)
    heal(made)
    made.idle(10_000)
    assert held(made, "b", b"b") == late
    assert held(made, "b", early[0].key) is None
    assert len(hints_for(made, "b")) == len(early)
    made.idle(120_000)
    assert all(held(made, "b", record.key) == record for record in early)
    assert hints_for(made, "b") == []


def without(made: Cluster, name: str, present: str) -> None:
    """These have a ring of which that node is no member any more, as it does not know itself."""
    document = made.node(present[0]).view.document
    document = document_left(document, name, 2)
    while document.change is not None:
        document = advanced(document, range(PARTITIONS + 1), [])
    for each in present:
        made.step(each, Deliver(present[0], RingOffer(0, packed(document), [])))
    made.idle(1_000)


def test_what_a_removed_member_has_kept_for_longer_than_a_deletion_is_remembered_is_not_taken() -> None:
    """No purge waits for its hints: the deleted value would be back."""
    made = Cluster("abc", bucket("default", "quorum", n=2), tombstone_grace_ms=60_000.0, **QUIET)
    cut_off(made, "c")
    old = Record("default", b"old", Tag(1_000_000 << 16, "c", 1), b"1")
    without(made, "c", "ab")
    made.idle(100_000)
    new = Record("default", b"new", Tag((1_000_000 + int(made.now_ms)) << 16, "c", 1), b"2")
    for record in (old, new):
        put_hint(made, "c", "a", record)
    heal(made)
    made.idle(10_000)
    assert held(made, "a", b"new") == new
    assert held(made, "a", b"old") is None


def test_who_does_not_own_it_any_more_leaves_it_to_its_keeper_until_that_has_heard_of_the_new_ring() -> None:
    """It may be all there is of an acknowledged write, and who owns the key does not ask who owned it."""
    made = Cluster("abcd", bucket("default", "quorum", n=2, sloppy=True), **QUIET)
    cut_off(made, "d")
    without(made, "c", "abc")
    rings = made.node("d").view.preferences(2), made.node("a").view.preferences(2)
    numbers = (b"%d" % number for number in range(1_000))
    key = next(k for k in numbers if "c" in rings[0][partition_of(k)])
    record = Record("default", key, Tag((1_000_000 + int(made.now_ms)) << 16, "d", 1), b"1")
    put_hint(made, "d", "c", record)
    heal(made)
    made.step("c", Deliver("d", Handoff(7, (record,))))
    made.idle(10_000)
    assert made.node("d").view.epoch == made.node("a").view.epoch
    assert all(held(made, owner, key) == record for owner in rings[1][partition_of(key)])
    assert held(made, "c", key) is None
