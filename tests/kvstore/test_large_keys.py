"""Long keys: what a comparison of trees names them in fits in a frame, however many differ."""

from __future__ import annotations

from kvstore.config import bucket
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Meta, Record, Tag
from kvstore.launching import KEY_MAX
from tests.kvstore.watched import Framed

COUNT = 600  # keys as long as they may be, in one partition: half of them are more than a frame may have
ROWS = [
    Record("default", (b"{big}%04d" % number).ljust(KEY_MAX, b"k"), Tag(1, "a", 1), b"v") for number in range(COUNT)
]  # fmt: skip


def test_replicas_that_differ_in_many_long_keys_become_alike() -> None:
    """Two have every second of them: each lacks more than a frame, and the third lacks all."""
    made = Framed("abc", bucket("default", "quorum"), anti_entropy_ms=500.0, scrub_ms=0.0)
    for name, rows in (("a", ROWS[::2]), ("b", ROWS[1::2]), ("c", [])):
        disk = MemoryEngine()
        disk.commit([Meta("incarnation", b"0"), *rows])
        made.machines[name].disk = disk
        made.boot(name)
    made.idle(15_000)
    missing = {
        name: sum(made.machines[name].disk.get("default", row.key) != row for row in ROWS) for name in "abc"
    }
    assert (missing, made.lost) == (dict.fromkeys("abc", 0), 0)
