"""Long work is done in slices: whatever a node has to look through, it goes on serving."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from kvstore.commands import LAUNCHED_MAX
from kvstore.config import bucket
from kvstore.events import Clock, Deliver, Effect, Record, Send, Tag, size_of
from kvstore.hints import PREFIX, Hint
from kvstore.hlc import to_ms
from kvstore.messages import Query
from kvstore.messages_repair import Handoff
from kvstore.replica import Moment
from kvstore.ring import PARTITIONS
from kvstore.slices import BYTES_EACH, PROMPT_MS, READING, SLICE, SLICE_MS, Job, Slices
from tests.kvstore.cluster import Cluster, failed, fields, integer
from tests.kvstore.watched import Counting, Watched

ROWS = [Record("default", b"%d" % n, Tag(1, "a", 1), b"v") for n in range(3_000)]
CROWDED = [Record("default", b"{0}%d" % n, Tag(1, "a", 1), b"v") for n in range(2 * SLICE)]
LARGE = [Record("default", b"{1}%d" % n, Tag(1, "a", 1), b"v" * 50_000) for n in range(100)]
ALONE = {"anti_entropy_ms": 0.0, "scrub_ms": 0.0}


def test_no_step_of_a_node_reads_more_than_a_slice_to_compare_itself() -> None:
    """Whoever is compared with for the first time, all its partitions asked for at once, must go on serving too."""
    cluster = Watched("ab", bucket("default", "quorum", n=2), anti_entropy_ms=1_000.0, scrub_ms=0.0)
    cluster.begin_with([*ROWS, *CROWDED])
    cluster.idle(9_000)
    cluster.crash("b")  # a builds nothing more; b must build all when a's next comparison comes
    cluster.boot("b")
    cluster.idle(9_000)
    for name in "ab":
        antientropy = cluster.node(name).upkeep.antientropy
        assert all(antientropy.agreed_since("default", partition) > 0 for partition in range(PARTITIONS))
    assert SLICE <= cluster.worst <= SLICE + READING


def test_no_step_of_a_node_reads_more_than_a_slice_to_give_a_replica_all_that_it_lacks() -> None:
    """Who missed that all keys were made, or changed: to name what differs, and to hand it over, keys are read one by one."""
    old = [Record(row.bucket, row.key, row.tag, b"old") for row in [*ROWS, *LARGE]]
    new = [Record(row.bucket, row.key, Tag(2, "a", 1), row.value) for row in old]
    for there in ([], old):
        cluster = Watched("ab", bucket("default", "quorum", n=2), anti_entropy_ms=1_000.0, scrub_ms=0.0)
        cluster.begin_with(there)
        cluster.idle(9_000)  # both have their trees
        cluster.network.cut = {("a", "b"), ("b", "a")}
        cluster.step("a", Deliver("b", Handoff(0, tuple(new))))
        cluster.idle(3_000)
        cluster.worst_got = 0
        cluster.network.cut.clear()
        cluster.idle(9_000)
        assert all(cluster.machines["b"].disk.get(row.bucket, row.key) == row for row in new)
        assert SLICE // 2 <= cluster.worst_got <= 2 * SLICE  # what is taken in reads too


def test_no_step_of_a_node_reads_more_than_a_slice_whatever_it_is_asked_for() -> None:
    """A repair, two counts, a plan and a look through tombstones and hints, all at once, and with large values."""
    cluster = Watched("ab", bucket("default", "quorum", n=2), anti_entropy_ms=400.0, scrub_ms=100.0)
    hints = [Record(PREFIX + "z", b"{hint}%d" % n, Tag(1, "a", 1), None) for n in range(2 * SLICE)]
    cluster.begin_with([*ROWS, *CROWDED, *LARGE])
    cluster.idle(1_000)
    cluster.machines["a"].disk.commit(hints)
    cluster.node("a").upkeep.hints._bytes["z"] = 1
    cluster.worst = 0
    repair = fields(cluster.ask("a", "KV.NODE", "REPAIR"))
    assert repair == {"peers": 1, "scrub_left": repair["scrub_left"]}
    assert repair["scrub_left"] > PARTITIONS // 2
    cluster.node("a").upkeep.purger.sweep()
    cluster.node("a").upkeep.hints.reroute()
    asked = [
        cluster.send("a", *words)
        for words in (["DBSIZE"], ["DBSIZE"], ["KV.CLUSTER", "PLAN", "JOIN", "c", "c:1"])
    ]
    assert cluster.ask("a", "GET", "7") == b"v"
    assert asked[0] not in cluster.replies  # it waits for others, and nobody for it
    cluster.idle(4_000)
    size = len(ROWS) + len(CROWDED) + len(LARGE)
    assert [integer(cluster.replies[each]) for each in asked[:2]] == [size, size]
    assert fields(cluster.replies[asked[2]])["bytes_estimated"] > 0
    assert fields(cluster.ask("a", "KV.NODE", "STATUS"))["scrub_left"] == 0
    assert SLICE <= cluster.worst <= SLICE + READING + size_of(LARGE[:1]) // BYTES_EACH + 1


def test_no_step_of_a_node_reads_more_than_a_slice_to_find_the_hints_of_its_life_before() -> None:
    """While it looks for them there may be one as old as any, for whoever purges."""
    cluster = Watched("ab", bucket("default", "quorum", n=2), anti_entropy_ms=0.0, scrub_ms=0.0)
    hint = msgspec.msgpack.encode(Hint("default", b"k", Tag(1 << 40, "a", 1), b"v"))
    rows = [Record(PREFIX + "z", b"{hint}%d" % n, Tag(1 << 40, "a", 1), hint) for n in range(5 * SLICE)]
    cluster.begin_with(rows)
    cluster.idle(15)
    hints = cluster.node("a").upkeep.hints
    assert hints.oldest_ms == float("-inf")
    cluster.idle(200)
    assert hints.oldest_ms == to_ms(1 << 40)
    assert hints.pending_bytes == len(rows) * len(hint)
    assert SLICE <= cluster.worst <= SLICE + READING


def test_a_scrub_that_has_to_wait_reads_the_partition_whose_turn_it_was() -> None:
    made = Watched("a", bucket("default", "quorum", n=1), anti_entropy_ms=0.0, scrub_ms=2.0)
    made.begin_with(ROWS)
    made.idle(20)
    for row in ROWS[:50]:  # no other replica can mend them
        made.machines["a"].disk.corrupt("default", row.key)
    for _ in range(20):
        made.send("a", "DBSIZE")
    made.idle(2 * PARTITIONS + 200)
    assert made.node("a").upkeep.scrub.found >= 50


def test_a_count_ends_with_its_client() -> None:
    cluster = Watched("a", bucket("default", "quorum", n=1), **ALONE)
    cluster.begin_with(ROWS)
    cluster.idle(100)
    cluster.send("a", "DBSIZE")
    disk = cluster.machines["a"].disk
    assert isinstance(disk, Counting)
    cluster.node("a").sessions[cluster._conn].closed = True
    before = disk.read
    cluster.idle(1_000)
    assert disk.read - before < SLICE


@given(st.lists(st.integers(1, 3 * SLICE), max_size=12), st.lists(st.integers(1, 3 * SLICE), max_size=12))
def test_jobs_take_turns_and_each_is_done_once(first: list[int], later: list[int]) -> None:
    """No instant has more than a slice; what was begun is done to its end, and called no more then."""
    moment, calls = Moment(), list[tuple[float, Callable[[], None]]]()
    slices = Slices(moment, lambda at, what: calls.append((at, what)))
    spent, done = dict[float, int](), list[int]()

    def job(number: int, size: int) -> Job:
        left = size

        def work(most: int) -> int:
            nonlocal left
            assert number not in done
            used = min(left, most)
            left -= used
            spent[moment.clock.mono_ms] = spent.get(moment.clock.mono_ms, 0) + used
            if most > used:
                done.append(number)
            return most - used

        return work

    for number, size in enumerate(first):
        slices.begin(job(number, size), PROMPT_MS if number % 2 else SLICE_MS)
    began = False
    while calls:
        at, what = calls.pop(0)
        moment.clock = Clock(at, at)
        if not began:
            began = True
            for number, size in enumerate(later, len(first)):
                slices.begin(job(number, size))
        what()
        assert len(calls) <= 1
    assert sorted(done) == list(range(len(first) + (len(later) if began else 0)))
    assert all(used <= SLICE for used in spent.values())
    assert len(spent) <= 1 + moment.clock.mono_ms / PROMPT_MS


class Counted(Cluster):
    """`worst` is how many questions a node sent in one step to one other."""

    worst = 0

    def _perform(self, name: str, effects: list[Effect]) -> None:
        asked = [each.dst for each in effects if isinstance(each, Send) and isinstance(each.message, Query)]
        self.worst = max([self.worst, *map(asked.count, asked)])
        super()._perform(name, effects)


def test_many_keys_at_once_are_asked_for_in_several_steps() -> None:
    made = Counted("abc", bucket("default", "quorum"), **ALONE)
    keys = [b"%d" % n for n in range(5 * LAUNCHED_MAX + 1)]
    assert failed(made.ask("a", "MSET", *[word for key in keys for word in (key, key)])) is None
    assert made.ask("b", "MGET", *keys) == keys
    assert made.ask("c", "EXISTS", *keys) == len(keys)
    assert made.worst == LAUNCHED_MAX
    assert made.ask("c", "DEL", *keys) == len(keys)


def test_more_keys_than_requests_may_be_in_progress_are_refused_before_any_is_written() -> None:
    made = Cluster("abc", bucket("default", "quorum"), max_requests=10, **ALONE)
    for words in (
        ["MSET", *map(str, range(22))],
        ["DEL", *map(str, range(11))],
        ["MGET", *map(str, range(11))],
    ):
        assert failed(made.ask("a", *words)) == "OVERLOADED"
    made.idle(1_000)
    assert made.stored == []
    assert failed(made.ask("a", "MSET", *map(str, range(20)))) is None
