"""Buckets of siblings: contexts, concurrent writes, actors that forget, doubles of a forwarded change."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.causal import Context
from kvstore.config import bucket
from kvstore.contexts import BYTES_MAX, TokenError, seal, seal_context, unseal_context
from kvstore.document import advanced, packed, still
from kvstore.document import left as begun_to_leave
from kvstore.events import Deliver, Failure
from kvstore.messages import Store
from kvstore.messages_causal import Applied, Apply, OtherLife
from kvstore.messages_ring import RingOffer
from kvstore.updates import REMEMBERED, Seen
from tests.kvstore.cluster import Cluster, failed

KEY = b"x"  # replicas e, a, b of the five nodes


def cluster(mode: str = "siblings", **options: Any) -> Cluster:
    made = Cluster("abcde", bucket("default", mode), **options)
    made.run(for_ms=600.0)
    assert made.ring.replicas(KEY, 3) == ("e", "a", "b")
    return made


def values(made: Cluster, node: str, *more: str) -> list[bytes]:
    answer = made.ask(node, "KV.GET", KEY, *more)
    assert isinstance(answer, dict)
    return sorted(answer["values"])  # type: ignore[arg-type]


def context(made: Cluster, node: str, *more: str) -> bytes:
    answer = made.ask(node, "KV.GET", KEY, *more)
    assert isinstance(answer, dict)
    assert isinstance(answer["ctx"], bytes)
    return answer["ctx"]


def test_a_write_with_the_context_of_a_read_replaces_what_was_read() -> None:
    made = cluster()
    made.ask("a", "SET", KEY, "1")
    seen = context(made, "c")
    made.ask("d", "KV.PUT", KEY, "2", "CTX", seen)
    assert values(made, "b") == [b"2"]
    assert made.ask("c", "GET", KEY) == b"2"
    made.ask("b", "KV.PUT", KEY, "3", "CTX", seen)  # had not seen 2
    assert values(made, "e") == [b"2", b"3"]
    assert failed(made.ask("c", "GET", KEY)) == "SIBLINGS"
    made.ask("e", "KV.PUT", KEY, "4", "CTX", context(made, "e"))
    assert made.ask("c", "GET", KEY) == b"4"


def test_a_blind_write_becomes_a_sibling_where_lww_would_drop_one() -> None:
    for mode, left in (("siblings", [b"1", b"2"]), ("quorum", [b"2"])):
        made = cluster(mode)
        made.ask("a", "SET", KEY, "1")
        made.ask("b", "SET", KEY, "2")
        made.idle(200.0)
        assert values(made, "c") == left


def test_the_context_of_a_write_covers_no_sibling_its_client_has_not_seen() -> None:
    made = cluster()
    first = made.ask("a", "KV.PUT", KEY, "1")
    assert isinstance(first, dict)
    made.ask("a", "SET", KEY, "other")
    made.ask("a", "KV.PUT", KEY, "2", "CTX", first["ctx"])  # type: ignore[arg-type]
    assert values(made, "b") == [b"2", b"other"]


def test_a_delete_removes_what_its_context_covers() -> None:
    made = cluster()
    made.ask("a", "SET", KEY, "1")
    seen = context(made, "a")
    made.ask("b", "SET", KEY, "2")
    made.ask("c", "KV.DEL", KEY, "CTX", seen)
    assert values(made, "d") == [b"2"]
    assert made.ask("d", "DEL", KEY) == 1
    assert made.ask("e", "DEL", KEY) == 0
    assert values(made, "a") == []
    assert made.ask("a", "EXISTS", KEY) == 0


def test_a_key_that_was_deleted_and_forgotten_comes_back_with_its_new_value_only() -> None:
    made = cluster()
    made.ask("a", "SET", KEY, "old")
    made.ask("a", "DEL", KEY)
    made.ask("b", "SET", KEY, "new")
    made.idle(300.0)
    assert values(made, "c", "CL", "all") == [b"new"]


@pytest.mark.parametrize("bugs", [(), ("dot.per_key_counter_reuse",)])
def test_an_empty_disk_takes_a_new_actor(bugs: tuple[str, ...]) -> None:
    """e makes dot 1, which a and b see replaced. e forgets, and makes a dot for a value that nobody has replaced."""
    made = cluster(bugs=bugs)
    made.ask("e", "KV.PUT", KEY, "1", "CL", "all")
    made.ask("a", "KV.PUT", KEY, "2", "CTX", context(made, "a"), "CL", "all")
    made.crash("e")
    made.machines["e"].disk.wipe()
    made.boot("e")
    made.run(for_ms=100.0)
    assert failed(made.ask("e", "KV.PUT", KEY, "3", "CL", "all")) is None
    made.idle(500.0)
    kept = values(made, "c", "CL", "all")
    assert (b"3" in kept) is not bugs, "the acknowledged write was lost exactly if the actor was reused"
    assert b"2" in kept


def test_a_context_ahead_of_the_replica_ends_its_epoch() -> None:
    """e's record is restored from an old copy: its own dots come back to it in a context."""
    made = cluster()
    made.ask("e", "KV.PUT", KEY, "1", "CL", "all")
    old = made.machines["e"].disk.get("default", KEY)
    assert old is not None
    made.ask("e", "KV.PUT", KEY, "2", "CTX", context(made, "e"), "CL", "all")
    seen = context(made, "a")
    made.machines["e"].disk._records["default", KEY] = old
    made.ask("e", "KV.PUT", KEY, "3", "CTX", seen, "CL", "all")
    made.idle(300.0)
    assert values(made, "b", "CL", "all") == [b"3"]
    now = made.machines["e"].disk.get("default", KEY)
    assert now is not None
    assert now.tag.incarnation != old.tag.incarnation


def test_a_state_with_more_of_its_own_dots_ends_the_epoch_of_a_replica_that_only_listens() -> None:
    made = cluster()
    made.ask("e", "KV.PUT", KEY, "1", "CL", "all")
    old = made.machines["e"].disk.get("default", KEY)
    assert old is not None
    made.ask("e", "KV.PUT", KEY, "2", "CL", "all")
    made.machines["e"].disk._records["default", KEY] = old
    made.ask("a", "KV.PUT", KEY, "3", "CL", "all")
    record = made.machines["e"].disk.get("default", KEY)
    assert record is not None
    assert record.tag.node == ""


def by_hand() -> Cluster:
    return Cluster("abcde", bucket("default", "siblings"), by_hand=True)


def forward(made: Cluster) -> Apply:
    """c holds no replica: it forwards to e, which tells its life first."""
    made.send("c", "SET", KEY, "1")
    (flight,) = [f for f in made.flights if isinstance(f.message, Apply)]
    made.deliver("c", flight.dst, Apply)
    made.deliver(flight.dst, "c", OtherLife)
    (again,) = [f for f in made.flights if isinstance(f.message, Apply)]
    assert isinstance(again.message, Apply)
    return again.message


def test_a_double_of_a_forwarded_change_changes_nothing() -> None:
    made = by_hand()
    forward(made)
    dst = next(f.dst for f in made.flights if isinstance(f.message, Apply))
    made.deliver("c", dst, Apply, keep=True)
    made.deliver("c", dst, Apply)
    assert sum(isinstance(f.message, Applied) for f in made.flights) == 1
    record = made.machines[dst].disk.get("default", KEY)
    assert record is not None
    assert record.tag.hlc == 1


def test_a_change_that_comes_before_its_actor_has_the_ring_is_made_once_it_has() -> None:
    """It waits there, and must not be taken for its own double afterwards."""
    made = cluster(anti_entropy_ms=0.0)
    assert failed(made.ask("c", "SET", KEY, "1")) is None  # c knows the actor's life
    document = begun_to_leave(made.node("c").view.document, "d", 3)
    document = advanced(document, (), still(document))
    made.step("c", Deliver("d", RingOffer(0, packed(document), [], [])))
    made.commit("c")
    assert made.node("c").view.epoch == document.epoch > made.node("e").view.epoch
    assert failed(made.ask("c", "SET", KEY, "2")) is None
    assert values(made, "c") == [b"1", b"2"]


def test_a_double_that_meets_another_life_is_refused() -> None:
    made = by_hand()
    forward(made)
    dst = next(f.dst for f in made.flights if isinstance(f.message, Apply))
    made.deliver("c", dst, Apply, keep=True)
    made.crash(dst)
    made.boot(dst)
    made.deliver("c", dst, Apply)
    record = made.machines[dst].disk.get("default", KEY)
    assert record is not None
    assert record.tag.hlc == 1


def test_no_dot_is_shown_before_it_is_durable() -> None:
    made = by_hand()
    made.send("a", "SET", KEY, "1")
    made.commit("a")  # the lease of the epochs
    assert not [f for f in made.flights if isinstance(f.message, Store)]
    made.commit("a")
    assert [f.dst for f in made.flights if isinstance(f.message, Store)] == ["e", "b"]


def test_what_fell_out_of_the_window_is_taken_for_a_double() -> None:
    seen = Seen()
    assert all(seen.first_time(n) for n in range(1, REMEMBERED + 3))
    assert not seen.first_time(5)
    assert not seen.first_time(1)
    assert seen.first_time(REMEMBERED + 10)


# ---- contexts ----


def test_of_several_values_no_length_is_told_as_if_there_were_one() -> None:
    made = cluster()
    assert made.ask("a", "STRLEN", KEY) == 0
    made.ask("a", "SET", KEY, "one")
    assert made.ask("b", "STRLEN", KEY) == 3
    made.ask("b", "SET", KEY, "longer")
    assert failed(made.ask("a", "STRLEN", KEY)) == failed(made.ask("a", "GET", KEY)) == "SIBLINGS"


def test_foreign_contexts_are_refused_before_anything_is_done() -> None:
    made = cluster()
    made.ask("a", "SET", KEY, "1")
    made.ask("a", "SET", "y", "1")
    seen = context(made, "a")
    sent = len(made.stored)
    for token in (seen[:-4] + b"AAAA", b"nonsense", b"", b"A" * (BYTES_MAX + 4), b"\xff\xfe"):
        assert failed(made.ask("b", "KV.PUT", KEY, "2", "CTX", token)) == "BADARG"
    assert failed(made.ask("b", "KV.PUT", "y", "2", "CTX", seen)) == "BADARG"  # another key's
    assert len(made.stored) == sent
    for mode in ("quorum", "register"):
        assert failed(cluster(mode).ask("a", "KV.PUT", KEY, "2", "CTX", seen)) == "WRONGCLASS"


@pytest.mark.parametrize(
    "content", [5, None, [5], [[["a", 1, 2, 3]], []], [[["a", 1, -2]], []], [[[[], 1, 3]], []]]
)
def test_a_context_that_was_made_by_somebody_else_cannot_end_a_node(content: object) -> None:
    made = cluster()  # without a secret anybody can make one
    token = seal("", (b"context", b"default", KEY), content)
    assert failed(made.ask("a", "KV.PUT", KEY, "1", "CTX", token)) == "BADARG"
    assert failed(made.ask("a", "KV.CTX", KEY, token)) == "BADARG"


def test_another_cluster_has_another_secret() -> None:
    one, other = cluster(secret="s1"), cluster(secret="s2")
    one.ask("a", "SET", KEY, "1")
    assert failed(other.ask("a", "KV.PUT", KEY, "2", "CTX", context(one, "a"))) == "BADARG"


def test_a_context_that_does_not_fit_is_no_context() -> None:
    big = Context({(f"node-{n}", n): 1 for n in range(400)})
    with pytest.raises(TokenError, match="at most 4096"):
        seal_context("", "b", KEY, big)
    small = Context({("n1", 1 << 60): 3}, [("n2", 5, 9)])
    assert unseal_context("s", "b", KEY, seal_context("s", "b", KEY, small)) == small


def test_a_value_and_its_history_stay_within_the_limit() -> None:
    made = cluster(max_value_bytes=200)
    answers = [made.ask("a", "SET", KEY, "v" * 60) for _ in range(4)]
    assert failed(answers[0]) is None
    assert isinstance(answers[-1], Failure)
    assert answers[-1].code == "BADARG"
