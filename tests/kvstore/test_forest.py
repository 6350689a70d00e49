"""Trees that are built while writes go on: the same as if nobody had written meanwhile, and nobody waits for them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.antientropy import READING, SLICE
from kvstore.config import bucket
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Damaged, Erase, Event, Meta, Record, Tag
from kvstore.forest import Forest
from kvstore.overlay import Overlay
from kvstore.ring import PARTITIONS, partition_of
from tests.kvstore.cluster import Cluster, _Sync

KEYS = [b"{0}%d" % n for n in range(6)]  # all in one partition
PARTITION = partition_of(b"0")

# a key to write, one to erase, a commit, or a page of the tree
STEPS = st.lists(
    st.tuples(st.sampled_from(["write", "write", "erase"]), st.sampled_from(KEYS))
    | st.sampled_from(["commit", "page"]),
    max_size=25,
)


def made(engine: MemoryEngine) -> Overlay:
    return Overlay(engine, Forest(b"c", lambda name: "lww"))


@settings(max_examples=400, deadline=None)
@given(STEPS, st.integers(1, 3))
def test_a_tree_that_grows_under_writes_is_the_tree_of_what_is_there_in_the_end(
    steps: list[str | tuple[str, bytes]], page: int
) -> None:
    engine = MemoryEngine()
    overlay = made(engine)
    for hlc, step in enumerate([*steps, "commit"], 1):
        if step == "commit":
            engine.sync()
            overlay.commit(overlay.ticket)
        elif step == "page":
            if overlay.forest.get("b", PARTITION) is None:
                overlay.grow("b", PARTITION, page)
        else:
            what, key = step
            row = (
                Erase("b", key, Tag(hlc, "n", 1))
                if what == "erase"
                else Record("b", key, Tag(hlc, "n", 1), b"v")
            )
            engine.stage(overlay.write_rows([row]).rows)
    while overlay.forest.get("b", PARTITION) is None:
        overlay.grow("b", PARTITION, page)
    grown, again = overlay.forest.get("b", PARTITION), made(engine)
    assert again.grow("b", PARTITION, len(KEYS) + 1) == len(list(engine.records()))
    anew = again.forest.get("b", PARTITION)
    assert grown is not None
    assert anew is not None
    assert grown.entries == anew.entries
    assert (grown.tree.root, grown.tree.branches()) == (anew.tree.root, anew.tree.branches())


class Counting(MemoryEngine):
    """A disk that counts what is read of it, page by page."""

    read = 0

    def scan(self, bucket: str, partition: int, after: bytes | None, limit: int) -> list[Record | Damaged]:
        found = super().scan(bucket, partition, after, limit)
        self.read += READING + len(found)
        return found


class Watched(Cluster):
    """A cluster of nodes with such disks; `worst` is the most that one step of a node has read."""

    worst = 0

    def step(self, name: str, event: Event | _Sync) -> None:
        disk = self.machines[name].disk
        assert isinstance(disk, Counting)
        before = disk.read
        super().step(name, event)
        self.worst = max(self.worst, disk.read - before)


def test_no_step_of_a_node_reads_more_than_a_slice_to_compare_itself() -> None:
    """Whoever is compared with for the first time, all its partitions asked for at once, must go on serving too."""
    cluster = Watched("ab", bucket("default", "quorum", n=2), anti_entropy_ms=1_000.0, scrub_ms=0.0)
    rows = [Record("default", b"%d" % n, Tag(1, "a", 1), b"v") for n in range(3_000)]
    crowded = [Record("default", b"{0}%d" % n, Tag(1, "a", 1), b"v") for n in range(2 * SLICE)]
    for name in "ab":
        disk = Counting()
        disk.commit([Meta("incarnation", b"0"), *rows, *crowded])
        cluster.machines[name].disk = disk
        cluster.boot(name)
    cluster.worst = 0
    cluster.idle(9_000)
    cluster.crash("b")  # a builds nothing more; b must build all when a's next comparison comes
    cluster.boot("b")
    cluster.idle(9_000)
    for name in "ab":
        antientropy = cluster.node(name).upkeep.antientropy
        assert all(antientropy.agreed_since("default", partition) > 0 for partition in range(PARTITIONS))
    assert SLICE < cluster.worst <= 2 * SLICE + READING
