"""Durability per bucket: what is refused, what a crash may undo, and what it may not."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.admin import Metrics
from kvstore.commit_queue import CommitQueue
from kvstore.config import ConfigError, bucket, from_toml
from kvstore.durability import READABLE_MS, durability_of
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Deliver, Failure, Record, Tag, Write
from kvstore.group_commit import GroupCommit
from kvstore.messages import Store, StoreReply
from kvstore.messages_repair import Handoff, HandoffReply
from tests.kvstore.cluster import Cluster, fields

KEY = b"x"  # replicas e, a, b of the five nodes
REPLICAS = "eab"
WAITS = ("always", "group:20")
DOES_NOT_WAIT = ("interval:1", "never")


class NothingKept(Random):
    """A crash that loses all it may."""

    def randint(self, low: int, high: int) -> int:
        return low


def power_cut(made: Cluster, names: str) -> None:
    for name in names:
        machine = made.machines[name]
        machine.node = None
        machine.disk.crash(NothingKept())
    for name in names:
        made.boot(name)


def cluster(durability: str, mode: str = "quorum", **options: Any) -> Cluster:
    made = Cluster("abcde", bucket("default", mode, durability=durability), **options)
    if not made.by_hand:
        made.run(for_ms=600.0)
    return made


# ---- the border ----


@pytest.mark.parametrize("mode", ["register", "cas"])
@pytest.mark.parametrize("words", DOES_NOT_WAIT)
def test_linearizable_modes_refuse_to_acknowledge_what_a_crash_may_undo(mode: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"mode {mode} promises that none is lost: choose always or group"):
        bucket("b", mode, durability=words)
    made = cluster("always")
    answer = made.ask("c", "KV.BUCKET", "CREATE", "b", "MODE", mode, "DURABILITY", words)
    assert isinstance(answer, Failure)
    assert (answer.code, "choose always or group" in answer.text) == ("BADARG", True)
    assert made.ask("c", "KV.BUCKET", "LIST") == [b"default"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("sometimes", "choose always, group:<ms>, interval:<s> or never"),
        ("group", "choose always, group"),
        ("group:0", "more than 0 and at most 100 ms"),
        ("group:101", "at most 100 ms"),
        ("interval:-1", "choose always"),
        ("interval:3601", "at most 3600 s"),
        ("interval:nan", "choose always"),
        (5, "choose always"),
    ],
)
def test_words_without_a_meaning_are_refused(words: object, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        bucket("b", "quorum", durability=cast(str, words))
    assert f'In bucket "b", durability = "{words}"' in str(caught.value)


def test_a_bucket_says_its_durability() -> None:
    text = 'name = "n1"\n[bucket]\nn = 1\ndurability = "group:2.5"\n[buckets.log]\nmode = "eventual"\ndurability = "interval:2"\n'
    config = from_toml(text)
    assert config.default.lasting == (2.5, True)
    assert config.buckets[0].lasting == (2000.0, False)
    made = cluster("always")
    made.ask("a", "KV.BUCKET", "CREATE", "log", "MODE", "eventual", "DURABILITY", "never")
    shown = made.ask("d", "KV.BUCKET", "SHOW", "log")
    assert isinstance(shown, dict)
    assert shown["durability"] == b"never"


# ---- what a crash undoes ----


@pytest.mark.parametrize("words", [*WAITS, *DOES_NOT_WAIT])
def test_only_what_waits_for_no_fsync_is_answered_before_it_is_durable(words: str) -> None:
    made = cluster(words, by_hand=True)
    made.send("c", "SET", KEY, "1")
    made.commit("c")
    for name in REPLICAS:
        flight = next(f for f in made.flights if f.dst == name and type(f.message) is Store)
        made.flights.remove(flight)
        made.step(name, Deliver(flight.src, flight.message))
    acks = [f for f in made.flights if type(f.message) is StoreReply]
    assert len(acks) == (3 if words in DOES_NOT_WAIT else 0)
    for name in REPLICAS:
        made.commit(name)
    assert len([f for f in made.flights if type(f.message) is StoreReply]) == 3


@pytest.mark.parametrize("mode", ["quorum", "siblings"])
@pytest.mark.parametrize("words", [*WAITS, *DOES_NOT_WAIT])
def test_an_acknowledged_write_survives_a_power_cut_only_where_it_was_waited_for(
    mode: str, words: str
) -> None:
    made = cluster(words, mode)
    made.ask("c", "SET", KEY, "1")
    made.idle(100.0)  # readable everywhere; an interval is not over yet
    assert made.ask("d", "GET", KEY) == b"1"
    power_cut(made, REPLICAS)
    made.idle(600.0)
    assert made.ask("d", "GET", KEY) == (b"1" if words in WAITS else None)


@pytest.mark.parametrize(("words", "left"), [("interval:1", b"1"), ("never", None)])
def test_what_is_older_than_its_interval_survives(words: str, left: bytes | None) -> None:
    made = cluster(words)
    made.ask("c", "SET", KEY, "1")
    made.idle(1_100.0)
    power_cut(made, REPLICAS)
    made.idle(600.0)
    assert made.ask("d", "GET", KEY) == left


@pytest.mark.parametrize("words", ["always", "interval:1", "never"])
def test_replicas_that_agree_agree_on_what_is_durable(words: str) -> None:
    """Rule 2 of anti-entropy: before a node speaks of its tree, all that the tree counts is on disk."""
    made = cluster(words)
    made.ask("c", "SET", KEY, "1")
    made.idle(50.0)
    for name in REPLICAS:
        made.ask(name, "KV.NODE", "REPAIR")
    made.idle(500.0)
    power_cut(made, REPLICAS)
    made.idle(600.0)
    assert made.ask("d", "GET", KEY) == b"1"


@pytest.mark.parametrize("words", DOES_NOT_WAIT)
def test_a_record_that_is_handed_over_is_durable_before_that_is_told_though_it_was_here_already(
    words: str,
) -> None:
    made = cluster(words, by_hand=True)
    made.send("c", "SET", KEY, "1")
    made.commit("c")
    made.deliver("c", "e", Store)
    disk, (record, _) = made.machines["e"].disk, made.node("e").overlay.get("default", KEY)
    assert record is not None
    made.step("e", Deliver("a", Handoff(7, (record,))))
    assert not [f for f in made.flights if type(f.message) is HandoffReply]
    made.commit("e")
    assert [f.dst for f in made.flights if type(f.message) is HandoffReply] == ["a"]
    disk.crash(NothingKept())
    assert disk.get("default", KEY) == record


@pytest.mark.parametrize("words", ["always", *DOES_NOT_WAIT])
def test_no_dot_is_given_out_twice_though_its_maker_has_forgotten_it(words: str) -> None:
    made = cluster(words, "siblings")
    made.ask("a", "SET", KEY, "1")
    made.ask("a", "KV.NODE", "REPAIR")  # so the first is on a's disk
    made.idle(500.0)
    made.ask("a", "SET", KEY, "2")
    made.idle(50.0)
    made.network.cut = {(src, "a") for src in "be"}  # nobody tells a what it has forgotten
    power_cut(made, "a")
    made.send("a", "SET", KEY, "3")
    made.idle(600.0)
    made.network.cut = set()
    made.idle(2_000.0)
    answer = made.ask("b", "KV.GET", KEY)
    assert sorted(fields(answer)["values"]) == [b"1", b"2", b"3"]


# ---- when what is committed ----

DURABILITIES = ("always", "group:5", "group:50", "interval:0.03", "interval:1", "never")
ARRIVALS = st.lists(st.tuples(st.floats(0, 30), st.sampled_from(DURABILITIES)), max_size=30)


@given(ARRIVALS, st.floats(0.1, 8.0))
def test_every_write_is_readable_and_durable_in_its_time(
    arrivals: list[tuple[float, str]], commit_ms: float
) -> None:
    queue, now_ms, free_ms = CommitQueue(), 0.0, 0.0
    came: list[tuple[float, str]] = []
    readable: dict[int, float] = {}
    durable: dict[int, float] = {}

    def take_until(end_ms: float) -> None:
        nonlocal free_ms
        while (begin_ms := max(queue.due_ms, free_ms)) <= end_ms:
            batch = queue.take(begin_ms)
            free_ms = begin_ms + commit_ms
            assert [write.ticket for write in batch.writes] == list(
                range(len(readable) + 1, batch.ticket + 1)
            )
            for write in batch.writes:
                readable[write.ticket] = begin_ms
            if not batch.loose:
                for ticket in readable:
                    durable.setdefault(ticket, begin_ms)

    for pause_ms, words in arrivals:
        now_ms += pause_ms
        take_until(now_ms)
        came.append((now_ms, words))
        queue.add(Write(len(came), (), *durability_of(words)), now_ms)
    take_until(now_ms + 5_000.0)
    for ticket, (at_ms, words) in enumerate(came, 1):
        within_ms, awaited = durability_of(words)
        assert readable[ticket] <= at_ms + (within_ms if awaited else READABLE_MS) + commit_ms
        if within_ms < 1e9:
            assert durable[ticket] <= at_ms + within_ms + commit_ms
        if awaited:
            assert durable[ticket] == readable[ticket]
    queue.hurry()
    assert (queue.due_ms == float("-inf")) == (len(durable) < len(came))


def test_writes_that_may_wait_share_an_fsync_and_those_nobody_waits_for_need_none() -> None:
    def batches(words: str) -> tuple[int, int]:
        queue, taken = CommitQueue(), []
        for ticket in range(1, 101):
            queue.add(Write(ticket, (), *durability_of(words)), float(ticket))
            if queue.due_ms <= ticket:
                taken.append(queue.take(float(ticket)))
        return len(taken), sum(not batch.loose for batch in taken)

    assert batches("always") == (100, 100)
    assert batches("group:20") == (4, 4)
    assert batches("never") == (9, 0)
    assert batches("interval:0.05") == (9, 1)


class Noted(MemoryEngine):
    """An engine that remembers how it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[int, bool]] = []

    def stage(self, rows: Any, *, loose: bool = False) -> None:
        rows = tuple(rows)
        self.asked.append((len(rows), loose))
        super().stage(rows, loose=loose)


def test_the_server_commits_without_an_fsync_and_keeps_the_interval_and_stops_with_all_durable() -> None:
    async def story() -> list[tuple[int, bool]]:
        engine, done = Noted(), asyncio.Queue[int]()

        def failed(error: BaseException) -> None:
            raise error

        group = GroupCommit(engine, Metrics(), committed=done.put_nowait, failed=failed)

        def write(ticket: int, words: str) -> None:
            made = Record("b", b"%d" % ticket, Tag(ticket, "n", 1), b"v")
            group.add(Write(ticket, (made,), *durability_of(words)))
            group.begin()

        write(1, "interval:0.05")
        assert [await done.get() for _ in range(2)] == [1, 1]  # readable, then durable
        engine.crash(NothingKept())
        assert engine.get("b", b"1") is not None
        write(2, "never")
        assert await done.get() == 2
        assert engine.get("b", b"2") is not None
        await group.idle()
        group.close()
        engine.crash(NothingKept())
        assert engine.get("b", b"2") is not None
        return engine.asked

    assert asyncio.run(story()) == [(1, True), (0, False), (1, True), (0, False)]
