"""Clusters that are watched: what each step of a node reads of its disk, and whether each message fits in a frame."""

from __future__ import annotations

from kvstore.engine_memory import MemoryEngine
from kvstore.events import ANY_SIZE, Damaged, Event, Meta, Record, size_of
from kvstore.messages_ring import Page
from kvstore.slices import BYTES_EACH, cost
from kvstore.wire import encode_batch
from tests.kvstore.cluster import Cluster, Flight, _Sync


class Counting(MemoryEngine):
    """A disk that counts what is read of it, page by page, as `kvstore.slices` does."""

    read = 0
    got = 0  # keys read one by one, and 4 KiB of their values each

    def get(self, bucket: str, key: bytes) -> Record | None:
        found = super().get(bucket, key)
        self.got += 1 + (0 if found is None else size_of([found]) // BYTES_EACH)
        return found

    def scan(
        self, bucket: str, partition: int, after: bytes | None, limit: int, bytes_max: int = ANY_SIZE
    ) -> list[Record | Damaged]:
        found = super().scan(bucket, partition, after, limit, bytes_max)
        self.read += cost(found)
        return found


class Watched(Cluster):
    """A cluster of nodes with such disks; `worst` is the most that one step of a node has read."""

    worst = 0
    worst_got = 0

    def begin_with(self, rows: list[Record]) -> None:
        """All nodes anew, with these records."""
        for name in self.machines:
            disk = Counting()
            disk.commit([Meta("incarnation", b"0"), *rows])
            self.machines[name].disk = disk
            self.boot(name)
        self.worst = self.worst_got = 0

    def step(self, name: str, event: Event | _Sync) -> None:
        disk = self.machines[name].disk
        assert isinstance(disk, Counting | MemoryEngine)
        read, got = (disk.read, disk.got) if isinstance(disk, Counting) else (0, 0)
        super().step(name, event)
        if isinstance(disk, Counting):
            self.worst = max(self.worst, disk.read - read)
            self.worst_got = max(self.worst_got, disk.got - got)


class Framed(Cluster):
    """A cluster whose network loses what does not fit in a frame, as the real one does; and counts it."""

    lost = 0
    largest = 0  # bytes of a page of records

    def _send(self, flight: Flight) -> None:
        data, lost = encode_batch([flight.message])
        if isinstance(flight.message, Page):
            self.largest = max(self.largest, len(data))
        if lost:
            self.lost += 1
        else:
            super()._send(flight)
