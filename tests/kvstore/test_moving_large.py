"""Large values: what does not fit in a frame is lost, so nothing that travels may be as large."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.document import BOTH_OLD, META, moving, newcomers
from kvstore.events import Record, Tag
from kvstore.messages_ring import Scan
from kvstore.ring import PARTITIONS, partition_of
from kvstore.transfer import BYTES_PER_MS, STANDSTILL_MS
from tests.kvstore.cluster import Flight, failed
from tests.kvstore.watched import Framed, Watched

LARGE = b"v" * (1 << 20)
KEYS = [b"{big}%d" % number for number in range(20)]  # in one partition, and more than a frame may have
ROWS = [Record("default", b"{big}%04d" % number, Tag(1, "a", 1), LARGE) for number in range(550)]


@pytest.mark.slow
def test_a_partition_of_large_values_gets_a_new_home() -> None:
    made = Framed("abc", bucket("default", "quorum"))
    for key in KEYS:
        assert failed(made.ask("a", "SET", key, LARGE)) is None
    made.add("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    streamed_ms, at_once = 0, 0
    for _ in range(600):
        made.idle(100.0)
        view = made.node("d").view
        if view.joined and view.document.change is None:
            break
        fresh = [p for p in moving(view.document) if p != META and "d" in newcomers(view.document, p, 3)]
        streaming = [p for p in fresh if view.document.step(p) == BOTH_OLD]
        at_once = max(at_once, len(streaming))
        streamed_ms += 100 * (partition_of(KEYS[0]) in streaming)
    assert view.document.change is None, "the join does not end"
    homes = view.preferences(3)[partition_of(KEYS[0])]
    assert len(view.preferences(3)) == PARTITIONS
    assert all(made.machines[name].disk.get("default", key) is not None for name in homes for key in KEYS)
    assert made.lost == 0
    assert streamed_ms >= len(KEYS) / 8 * 1000, "a node takes 8 MiB/s at most"
    assert at_once == 2, "and two partitions at a time"


class Streaming(Watched):
    """A cluster that counts how often somebody asks for the first page of the large partition."""

    begun = 0

    def _send(self, flight: Flight) -> None:
        message = flight.message
        if isinstance(message, Scan) and message.bucket == "default" and message.after is None:
            self.begun += message.partition == partition_of(ROWS[0].key)
        super()._send(flight)

    def has(self, name: str) -> int:
        """How many of the large records a node has."""
        return sum(self.machines[name].disk.get("default", row.key) == row for row in ROWS)


def joining(rows: int) -> Streaming:
    """Three nodes with so many large records in one partition, and a fourth that is being taken in."""
    made = Streaming("abc", bucket("default", "quorum"), anti_entropy_ms=0.0, scrub_ms=0.0)
    made.begin_with(ROWS[:rows])
    made.run(for_ms=1_000)
    made.add("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    return made


def ends(made: Streaming, for_ms: float) -> bool:
    """Whether the join does."""
    until_ms = made.now_ms + for_ms
    while made.now_ms < until_ms:
        made.run(for_ms=500.0)
        view = made.node("d").view
        if view.joined and view.document.change is None:
            return True
    return False


@pytest.mark.slow
def test_a_stream_that_moves_may_take_longer_than_one_that_stands_still() -> None:
    """It was begun anew after a minute, for ever."""
    made = joining(len(ROWS))
    assert len(ROWS) * len(LARGE) / BYTES_PER_MS > STANDSTILL_MS
    assert ends(made, 300_000), "the join does not end"
    assert made.node("d").coordinator.timeouts == 0
    assert made.has("d") == len(ROWS), "the large partition did not move, or not all of it"


@pytest.mark.slow
def test_a_stream_that_stands_still_is_given_up_and_begun_anew() -> None:
    made = joining(200)
    ways = {(each, "d") for each in "abc"}
    while made.has("d") < 10:
        made.run(for_ms=100.0)
    begun, there = made.begun, made.has("d")
    made.network.cut = ways
    made.run(for_ms=STANDSTILL_MS / 2)
    made.network.cut = set()
    made.run(for_ms=2_000.0)
    assert made.begun == begun, "it should go on where it was"
    assert made.has("d") > there
    made.network.cut = ways
    made.run(for_ms=STANDSTILL_MS + 2_000)
    made.network.cut = set()
    assert ends(made, 100_000), "the join does not end"
    assert made.begun > begun
    assert made.has("d") == 200


@pytest.mark.slow
def test_the_largest_value_fits_in_a_page_behind_small_ones() -> None:
    made = Framed("abc", bucket("default", "quorum"), max_value_bytes=15 << 20)
    for key, size in zip(KEYS, ((1 << 20) - 20, 15 << 20, (512 << 10) - 20, 15 << 20), strict=False):
        assert failed(made.ask("a", "SET", key, b"v" * size)) is None
    made.add("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    made.idle(60_000)
    view = made.node("d").view
    assert view.joined
    assert view.document.change is None, "the join does not end"
    assert made.lost == 0
