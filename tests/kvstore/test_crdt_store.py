"""Buckets of CRDTs: commands by type, removals without an actor, request ids, repair, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.config import ConfigError, bucket
from kvstore.crdt import TYPES
from kvstore.document import advanced, packed, still
from kvstore.document import left as begun_to_leave
from kvstore.events import Deliver, Failure, Simple
from kvstore.messages_ring import RingOffer
from kvstore.ring import partition_of
from tests.kvstore.cluster import Cluster, failed

OK = Simple("OK")
KEY = b"x"  # replicas e, a, b of the five nodes


def cluster(kind: str, **options: Any) -> Cluster:
    made = Cluster("abcde", bucket("default", "crdt", type=kind), **options)
    made.run(for_ms=600.0)
    return made


def test_sets() -> None:
    made = cluster("or-set")
    assert made.ask("a", "SADD", KEY, "1", "2", "2") == 2
    assert made.ask("c", "SADD", KEY, "3") == 1
    assert made.ask("d", "SMEMBERS", KEY) == [b"1", b"2", b"3"]
    assert made.ask("e", "SREM", KEY, "1", "9") == 1
    assert made.ask("e", "SREM", KEY, "9") == 0
    assert made.ask("b", "SCARD", KEY) == 2
    assert [made.ask("b", "SISMEMBER", KEY, m) for m in "12"] == [0, 1]
    assert made.ask("b", "DEL", KEY) == 1
    assert made.ask("b", "SMEMBERS", KEY) == []


def test_an_element_may_have_the_name_of_an_option() -> None:
    made = cluster("or-set")
    assert isinstance(made.ask("a", "KV.SET.ADD", KEY, "TIMEOUT"), dict)
    assert isinstance(made.ask("a", "KV.SET.REM", "CTX", "no context"), dict)
    assert made.ask("b", "SMEMBERS", KEY) == [b"TIMEOUT"]


def test_an_add_wins_over_a_removal_that_has_not_seen_it() -> None:
    made = cluster("or-set")
    first = made.ask("a", "KV.SET.ADD", KEY, "m")
    assert isinstance(first, dict)
    seen = made.ask("b", "KV.GET", KEY)
    assert isinstance(seen, dict)
    made.ask("c", "KV.SET.ADD", KEY, "m")
    made.ask("d", "KV.SET.REM", KEY, "m", "CTX", seen["ctx"])  # type: ignore[arg-type]
    assert made.ask("e", "SMEMBERS", KEY) == [b"m"]
    made.ask("d", "KV.SET.REM", KEY, "m", "CL", "all")
    assert made.ask("e", "SMEMBERS", KEY) == []


def test_a_removal_by_a_context_that_no_replica_knows_is_refused_definitely() -> None:
    made = cluster("or-set")
    seen = made.ask("a", "KV.SET.ADD", KEY, "m")
    assert isinstance(seen, dict)
    for node in "eab":
        made.crash(node)
        made.machines[node].disk.wipe()
        made.boot(node)
    made.run(for_ms=100.0)
    before = len(made.stored)
    assert failed(made.ask("c", "KV.SET.REM", KEY, "m", "CTX", seen["ctx"])) == "CTXUNSEEN"  # type: ignore[arg-type]
    assert len(made.stored) == before


def test_a_removal_reaches_a_replica_that_lacks_the_add() -> None:
    """The delta waits there for the dot: nothing is deferred, nothing comes back."""
    made = cluster("or-set")
    made.network.cut = {(one, "b") for one in "acde"}
    assert made.ask("a", "SADD", KEY, "m") == 1
    made.network.cut = {(one, "a") for one in "bcde"}
    assert made.ask("e", "SREM", KEY, "m") == 1
    made.network.cut.clear()
    made.idle(100.0)
    for node in "abcde":
        assert made.ask(node, "SMEMBERS", KEY) == []


def test_counters_count_through_any_node() -> None:
    made = cluster("pn-counter")
    for n, node in enumerate("abcde"):
        made.ask(node, "INCRBY", KEY, n)
    assert made.ask("a", "DECR", KEY) == 9
    assert made.ask("d", "GET", KEY) == b"9"
    assert failed(made.ask("d", "DEL", KEY)) == "WRONGCLASS"
    assert failed(cluster("g-counter").ask("a", "DECR", KEY)) == "BADARG"


@pytest.mark.parametrize("rid", ["r1", "r2", "r3", "r4"])
def test_a_request_id_counts_once_through_every_node(rid: str) -> None:
    made = cluster("pn-counter")
    for node in "abcde":
        assert failed(made.ask(node, "KV.COUNTER.ADD", KEY, 5, "RID", rid)) is None
    assert made.ask("c", "GET", KEY) == b"5"


def test_an_actor_that_forgot_asks_all_others_before_it_believes_a_request_id() -> None:
    for down in (False, True):
        made = cluster("pn-counter")
        made.ask("c", "KV.COUNTER.ADD", KEY, 5, "RID", "r1")
        made.idle(200.0)
        actor = next(n for n in "eab" if made.machines[n].disk.get("default", KEY).tag.node == n)  # type: ignore[union-attr]
        made.crash(actor)
        made.machines[actor].disk.wipe()
        made.boot(actor)
        made.run(for_ms=100.0)
        if down:
            made.crash(next(n for n in "eab" if n != actor))
            answer = made.ask("c", "KV.COUNTER.ADD", KEY, 5, "RID", "r1")
            assert isinstance(answer, Failure)  # rather than count twice
        else:
            assert made.ask("c", "KV.COUNTER.ADD", KEY, 5, "RID", "r1") == 5
            assert made.ask("d", "GET", KEY) == b"5"


def test_an_actor_that_has_counted_since_it_forgot_does_not_believe_a_request_id_either() -> None:
    made = cluster("pn-counter", anti_entropy_ms=0.0)
    made.ask("c", "KV.COUNTER.ADD", KEY, 5, "RID", "r1")
    made.idle(200.0)
    actor = next(n for n in "eab" if made.machines[n].disk.get("default", KEY).tag.node == n)  # type: ignore[union-attr]
    made.crash(actor)
    made.machines[actor].disk.wipe()
    made.boot(actor)
    made.run(for_ms=100.0)
    assert failed(made.ask(actor, "KV.COUNTER.ADD", KEY, 1)) is None
    assert made.ask("c", "KV.COUNTER.ADD", KEY, 5, "RID", "r1") == 6
    assert made.ask("d", "GET", KEY) == b"6"


def test_a_request_id_counts_once_when_its_repetition_comes_while_the_members_change() -> None:
    """Its first try was made by one replica, and no word of it came to anybody."""
    made = cluster("pn-counter", anti_entropy_ms=0.0)
    view = made.node("c").view
    keys = [
        key
        for key in map(str, range(1_000))
        if set(view.plan(partition_of(key.encode()), 3).replicas) == set("eab")
    ][:8]
    for key in keys:
        for node in "eab":  # each has an actor of its own
            assert failed(made.ask(node, "KV.COUNTER.ADD", key, 1)) is None
        for number in range(6):  # c knows their lives
            assert failed(made.ask("c", "KV.COUNTER.ADD", key, 0, "RID", f"first:{number}")) is None
    made.network.cut = {(replica, other) for replica in "eab" for other in "abcde"}
    asked = [made.send("c", "KV.COUNTER.ADD", key, 1, "RID", f"again:{key}") for key in keys]
    made.idle(6_000)
    assert [failed(made.replies[each]) for each in asked] == ["TIMEOUT"] * len(keys)
    made.network.cut = set()
    document = begun_to_leave(view.document, "e", 3)
    document = advanced(document, (), still(document))
    for node in "abcde":
        made.step(node, Deliver("d", RingOffer(0, packed(document), [], [])))
        made.commit(node)
    assert all(view.plan(partition_of(key.encode()), 3).moving for key in keys)
    for key in keys:
        assert made.ask("c", "KV.COUNTER.ADD", key, 1, "RID", f"again:{key}") == 4
    made.idle(1_000)
    assert [made.ask("d", "GET", key) for key in keys] == [b"4"] * len(keys)


def test_flags() -> None:
    for kind, marks in (("ew-flag", "ON"), ("dw-flag", "OFF")):
        made = cluster(kind)
        assert made.ask("c", "KV.FLAG", KEY, "ON") == OK
        assert made.ask("c", "KV.FLAG", KEY, marks) == OK
        assert made.ask("a", "GET", KEY) == (b"1" if marks == "ON" else b"0")
        assert made.ask("d", "KV.FLAG", KEY, {"ON": "OFF", "OFF": "ON"}[marks]) == OK
        assert made.ask("a", "GET", KEY) == (b"0" if marks == "ON" else b"1")
        assert failed(made.ask("d", "KV.FLAG", KEY, "MAYBE")) == "BADARG"


def test_maps() -> None:
    made = cluster("or-map")
    assert made.ask("a", "KV.MAP.SET", KEY, "name", "Ann") == OK
    assert made.ask("b", "KV.MAP.ADD", KEY, "tags", "x", "y") == OK
    assert made.ask("c", "KV.MAP.ON", KEY, "paid") == OK
    assert made.ask("d", "KV.MAP.GET", KEY) == {"f:paid": [b"1"], "r:name": [b"Ann"], "s:tags": [b"x", b"y"]}
    assert made.ask("e", "KV.MAP.SET", KEY, "name", "Anne") == OK
    assert made.ask("a", "KV.MAP.REM", KEY, "tags", "x") == 1
    assert made.ask("a", "KV.MAP.DEL", KEY, "f:paid", "s:none") == 1
    assert made.ask("d", "KV.MAP.GET", KEY) == {"r:name": [b"Anne"], "s:tags": [b"y"]}


def test_registers() -> None:
    made = cluster("lww-register")
    assert made.ask("a", "SET", KEY, "1") == OK
    assert made.ask("b", "SET", KEY, "2") == OK
    assert made.ask("c", "GET", KEY) == b"2"
    assert made.ask("d", "DEL", KEY) == 1
    assert made.ask("e", "GET", KEY) is None


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("or-set", ("SET", KEY, "1")),
        ("or-set", ("GET", KEY)),
        ("or-set", ("INCR", KEY)),
        ("or-set", ("KV.MAP.GET", KEY)),
        ("pn-counter", ("SADD", KEY, "1")),
        ("pn-counter", ("SET", KEY, "1")),
        ("or-map", ("GET", KEY)),
        ("ew-flag", ("SMEMBERS", KEY)),
        ("mv-register", ("KV.FLAG", KEY, "ON")),
        ("pn-counter", ("KV.PUT", KEY, "1", "RID", "r")),
    ],
)
def test_what_a_type_cannot_do_is_refused_and_nothing_is_sent(kind: str, args: tuple[Any, ...]) -> None:
    made = cluster(kind)
    assert failed(made.ask("a", *args)) == "WRONGCLASS"
    assert made.stored == []


@pytest.mark.parametrize("kind", list(TYPES))
def test_a_read_repairs_replicas_until_their_digests_are_equal(kind: str) -> None:
    updates = {
        "or-set": ("SADD", KEY, "1"),
        "or-map": ("KV.MAP.SET", KEY, "f", "v"),
        "ew-flag": ("KV.FLAG", KEY, "ON"),
        "dw-flag": ("KV.FLAG", KEY, "OFF"),
        "mv-register": ("SET", KEY, "1"),
        "lww-register": ("SET", KEY, "1"),
    }
    made = cluster(kind)
    made.network.cut = {(one, "b") for one in "acde"}
    assert failed(made.ask("a", *updates.get(kind, ("INCR", KEY)))) is None
    made.network.cut.clear()
    assert len(digests(made)) == 2
    made.ask("c", "KV.GET", KEY)
    made.idle(1_500.0)
    assert len(digests(made)) == 1


def digests(made: Cluster) -> set[Any]:
    shown = made.ask("d", "KV.RAW", KEY)
    assert isinstance(shown, dict)
    return {view["digest"] for view in shown.values()}  # type: ignore[index,call-overload]


def test_a_crdt_bucket_names_its_type() -> None:
    with pytest.raises(ConfigError, match="needs a type; choose from g-counter"):
        bucket("b", "crdt")
    with pytest.raises(ConfigError, match='"heap" is not known'):
        bucket("b", "crdt", type="heap")
    with pytest.raises(ConfigError, match="in mode crdt only"):
        bucket("b", "quorum", type="or-set")
    made = cluster("or-set")
    assert made.ask("a", "KV.BUCKET", "CREATE", "tally", "MODE", "crdt", "TYPE", "g-counter") == OK
    shown = made.ask("b", "KV.BUCKET", "SHOW", "tally")
    assert isinstance(shown, dict)
    assert shown["type"] == b"g-counter"


def test_a_register_of_a_node_whose_clock_is_far_ahead_does_not_spread_by_repairs() -> None:
    """Else every later write is acknowledged and lost, until the other clocks have come so far."""
    made = cluster("lww-register")
    made.machines["a"].offset_ms = 60_000.0
    assert failed(made.ask("a", "SET", KEY, "early")) == "INDEFINITE"  # its own copy has it
    for _ in range(5):
        made.ask("c", "GET", KEY)
    made.idle(5_000.0)
    made.crash("a")
    assert failed(made.ask("c", "SET", KEY, "now")) is None
    assert made.ask("d", "GET", KEY) == b"now"


@pytest.mark.parametrize("node", ["b", "c"])  # a replica, and one that is none
def test_a_register_written_after_what_was_read_replaces_it_whoever_has_the_faster_clock(node: str) -> None:
    made = cluster("lww-register")
    made.machines["a"].offset_ms = 5_000.0
    assert failed(made.ask("a", "SET", KEY, "1")) is None
    assert made.ask(node, "GET", KEY) == b"1"
    assert failed(made.ask(node, "SET", KEY, "2")) is None
    assert made.ask("a", "GET", KEY) == b"2"
