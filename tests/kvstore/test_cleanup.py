"""What a node erases once it is another's: all of it, damaged or not, a slice at a time."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.document import NEW, Member, advanced, joined, leavers, packed
from kvstore.events import Deliver, Record, Tag
from kvstore.messages_ring import RingOffer
from kvstore.ring import partition_of
from kvstore.slices import READING, SLICE
from tests.kvstore.watched import Watched

ROWS = [Record("default", b"{moved}%04d" % number, Tag(1, "a", 1), b"v" * 16_384) for number in range(600)]
PARTITION = partition_of(ROWS[0].key)


@pytest.mark.parametrize("damaged", [0, 256, 600])
def test_who_loses_a_partition_erases_all_of_it_though_some_is_damaged(damaged: int) -> None:
    made = Watched("abc", bucket("default", "register"), anti_entropy_ms=0.0, scrub_ms=0.0)
    made.begin_with(ROWS)
    made.idle(1_000.0)
    document = joined(made.node("a").view.document, Member("d", "d:7100"), 3)
    (loser,) = leavers(document, PARTITION, 3)
    while document.step(PARTITION) != NEW:
        document = advanced(document, [PARTITION], [])
    for row in ROWS[:damaged]:
        made.machines[loser].disk.corrupt(row.bucket, row.key)
    made.network.loss = 1.0  # the others have no part in it
    made.worst = 0
    made.step(loser, Deliver("a", RingOffer(0, packed(document), [])))
    made.idle(1_000.0)
    assert made.node(loser).view.epoch == document.epoch
    assert not made.machines[loser].disk.look()
    assert made.worst <= SLICE + READING
