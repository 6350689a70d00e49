"""Commands as clients send them: what they answer and what they refuse."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.events import Close, Closed, Command, Deliver, Failure, Fired, Reply, Simple
from kvstore.messages import BucketOffer, BucketOpen
from kvstore.session import QUEUE_MAX
from tests.kvstore.cluster import Cluster, failed

OK = Simple("OK")


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "register", "cas"])
def test_data_commands(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode, r=2, w=2))
    assert made.ask("a", "GET", "x") is None
    assert made.ask("a", "set", "x", b"\x00\r\n") == OK
    assert made.ask("b", "GET", "x") == b"\x00\r\n"
    assert made.ask("b", "MSET", "y", "1", "z", "", "y", "2") == OK
    assert made.ask("c", "MGET", "x", "y", "z", "none") == [b"\x00\r\n", b"2", b"", None]
    assert made.ask("c", "EXISTS", "y", "y", "none") == 2
    assert made.ask("a", "DEL", "y", "y", "none") == 1
    assert made.ask("a", "UNLINK", "z") == 1
    assert made.ask("b", "MGET", "y", "z") == [None, None]
    assert made.logs == []


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["SET", "x", "1", "NX"], "WRONGCLASS"),
        (["SET", "x", "1", "EX", "10"], "WRONGCLASS"),
        (["SET", "x", "1", "GET"], "WRONGCLASS"),
        (["SET", "x", "1", "WHAT"], "BADARG"),
        (["SET", "x"], "ERR"),
        (["MSET", "x", "1", "y"], "ERR"),
        (["INCR", "x"], "WRONGCLASS"),
        (["KV.CAS", "x", "ABSENT", "1"], "WRONGCLASS"),
        (["KV.PUT", "x", "1", "RID", "me:1"], "WRONGCLASS"),
        (["KV.GET", "x", "R", "4"], "BADARG"),
        (["KV.GET", "x", "R", "0"], "BADARG"),
        (["KV.GET", "x", "R", "1"], "WRONGCLASS"),
        (["KV.PUT", "x", "1", "CL", "one"], "WRONGCLASS"),
        (["KV.GET", "x", "CL", "two"], "BADARG"),
        (["KV.GET", "x", "CL", "all", "R", "2"], "BADARG"),
        (["KV.GET", "x", "W", "2"], "BADARG"),
        (["KV.GET", "x", "TIMEOUT", "no"], "BADARG"),
        (["KV.GET", "x", "R"], "BADARG"),
        (["KV.USE", "none"], "BADARG"),
        (["SELECT", "7"], "BADARG"),
        (["KV.BUCKET", "CREATE", "b", "R", "9"], "BADARG"),
        (["HELLO", "4"], "NOPROTO"),
        (["CONFIG", "SET", "save", "1"], "ERR"),
        (["CLIENT", "MAINT_NOTIFICATIONS", "ON"], "ERR"),
    ],
)
def test_refusals(args: list[str], code: str) -> None:
    made = Cluster("abc")
    assert failed(made.ask("a", *args)) == code
    assert made.stored == []


def test_per_request_quorums_and_raw() -> None:
    made = Cluster("abcd", bucket("default", "eventual"))
    put = made.ask("a", "KV.PUT", "x", "1", "W", "3")
    assert isinstance(put, dict)
    assert put["acks"] == 3
    got = made.ask("a", "KV.GET", "x", "CL", "all", "TIMEOUT", "500")
    assert got == {"values": [b"1"], "tag": put["tag"]}
    raw = made.ask("a", "KV.RAW", "x")
    assert isinstance(raw, dict)
    assert raw == dict.fromkeys(made.ring.replicas(b"x", 3), got)
    assert made.ask("a", "KV.DEL", "x", "CL", "all")["existed"] == 1  # type: ignore[index,call-overload]


def test_more_replicas_than_nodes_is_unavailable() -> None:
    made = Cluster("ab", bucket("default", "quorum", n=5))
    assert failed(made.ask("a", "SET", "x", "1")) == "UNAVAILABLE"


def test_a_connection_runs_its_commands_in_order() -> None:
    made = Cluster("abc")
    made.run(for_ms=50.0)
    made.step("a", Command(99, 0, (b"SET", b"x", b"1")))
    effects = []
    for number, args in enumerate([(b"GET", b"x"), (b"PING",)], start=1):
        effects += made.node("a").step(made._clock("a"), Command(99, number, args))
    assert not any(isinstance(effect, Reply) for effect in effects)  # they wait for the SET


@pytest.mark.parametrize("words", [(b"MGET", b"x"), (b"MSET", b"x", b"1"), (b"GET", b"x"), (b"WHAT",)])
def test_a_long_queue_of_commands_that_fail_at_once_is_answered_in_order(words: tuple[bytes, ...]) -> None:
    """Each answer begins the next command: not inside of the one before, or Python's stack ends."""
    made = Cluster("ab", bucket("default", "quorum", n=5))
    made.run(for_ms=50.0)
    made.step("a", Command(99, 0, (b"KV.RAW", b"x")))  # the others wait for it
    for number in range(1, QUEUE_MAX + 1):
        assert made.node("a").step(made._clock("a"), Command(99, number, words)) == []
    made.crash("b")
    made.now_ms += made.configs["a"].request_timeout_ms
    node = made.node("a")
    effects = node.step(made._clock("a"), Fired(node._timer))
    answers = [each for each in effects if isinstance(each, Reply)]
    assert [each.request for each in answers] == list(range(QUEUE_MAX + 1))
    assert all(isinstance(each.value, Failure) for each in answers[1:])


def test_auth_and_sessions() -> None:
    made = Cluster("a", bucket("default", n=1), password="secret")
    made.run(for_ms=50.0)

    def say(*args: bytes) -> object:
        effects = made.node("a").step(made._clock("a"), Command(7, 1, args))
        return next(effect.value for effect in effects if isinstance(effect, Reply))

    assert isinstance(say(b"PING"), Simple)
    assert isinstance(say(b"GET", b"x"), Failure)
    assert say(b"AUTH", b"wrong") == Failure("WRONGPASS", "invalid user name or password")
    hello = say(b"HELLO", b"3", b"AUTH", b"default", b"secret", b"SETNAME", b"me")
    assert isinstance(hello, dict)
    assert hello["proto"] == 3
    assert say(b"CLIENT", b"GETNAME") == b"me"
    assert say(b"ECHO", b"hi") == b"hi"
    made.step("a", Closed(7))
    assert isinstance(say(b"ECHO", b"hi"), Failure)  # a new connection


def test_what_redis_tools_ask_for() -> None:
    made = Cluster("a", bucket("default", n=1))
    assert made.ask("a", "CONFIG", "GET", "save") == {"save": b""}
    assert made.ask("a", "COMMAND", "DOCS") == {}
    assert made.ask("a", "CLIENT", "SETINFO", "LIB-NAME", "x") == OK
    info = made.ask("a", "INFO")
    assert isinstance(info, bytes)
    assert b"redis_version" in info
    effects = made.node("a").step(made._clock("a"), Command(500, 1, (b"QUIT",)))
    assert [type(effect) for effect in effects] == [Close, Reply]


def test_buckets_are_created_everywhere_or_not_claimed() -> None:
    made = Cluster("abc")
    assert made.ask("a", "KV.BUCKET", "CREATE", "q", "MODE", "quorum", "N", "3", "R", "1") == OK
    for name in "abc":
        shown = made.ask(name, "KV.BUCKET", "SHOW", "q")
        assert isinstance(shown, dict)
        assert (shown["mode"], shown["r"]) == (b"quorum", 1)
    taken = made.ask("b", "KV.BUCKET", "CREATE", "q", "MODE", "eventual")
    assert isinstance(taken, Failure)
    assert taken.code == "BADARG"
    assert "with mode quorum, n 3, r 1, w 2, read_repair async, durability always; choose" in taken.text
    made.crash("b")
    assert failed(made.ask("a", "KV.BUCKET", "CREATE", "late")) == "TIMEOUT"
    assert failed(made.ask("a", "KV.USE", "late")) == "BADARG"
    made.boot("b")
    assert made.ask("b", "KV.BUCKET", "SHOW", "q") == made.ask("a", "KV.BUCKET", "SHOW", "q")
    assert made.ask("a", "KV.BUCKET", "CREATE", "late") == OK  # again, now that all are up


def test_two_definitions_of_one_name_are_never_both_open() -> None:
    for seed in range(30):
        made = Cluster("abc", seed=seed)
        made.run(for_ms=50.0)
        made.send("a", "KV.BUCKET", "CREATE", "q", "MODE", "quorum")
        made.send("b", "KV.BUCKET", "CREATE", "q", "MODE", "eventual")
        made.run(for_ms=3_000.0)
        opened = {made.node(name).buckets.opened.get("q") for name in "abc"} - {None}
        assert len(opened) <= 1


def test_nor_does_a_change_of_the_ring_open_them() -> None:
    """Each is promised somewhere. Whoever is offered a ring with a bucket that is only promised must not take it for open."""
    made = Cluster("abc")
    made.run(for_ms=50.0)
    for name, mode in (("a", "quorum"), ("b", "cas")):
        made.step(name, Deliver(name, BucketOffer(0, bucket("q", mode))))
    made.add("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    made.run(for_ms=10_000.0)
    view = made.node("b").view
    assert (view.members, view.changing) == (("a", "b", "c", "d"), False)
    assert not any("q" in made.node(name).buckets.opened for name in "abcd")
    assert failed(made.ask("d", "KV.BUCKET", "CREATE", "q", "MODE", "siblings")) == "BADARG"


def test_who_missed_that_a_bucket_is_open_opens_it_for_the_first_record() -> None:
    made = Cluster("abc", anti_entropy_ms=0.0)
    made.run(for_ms=50.0)
    for name in "abc":
        made.step(name, Deliver(name, BucketOffer(0, bucket("q", "quorum"))))
    for name in "ab":
        made.step(name, Deliver(name, BucketOpen(0, bucket("q", "quorum"))))
    effects = made.node("a").step(made._clock("a"), Command(500, 1, (b"KV.USE", b"q")))
    assert [effect.value for effect in effects if isinstance(effect, Reply)] == [OK]
    made.step("a", Command(500, 2, (b"SET", b"x", b"1")))
    made.run(for_ms=100.0)
    record = made.machines["c"].disk.get("q", b"x")
    assert record is not None
    assert record.value == b"1"
    made.crash("c")
    made.boot("c")
    assert "q" in made.node("c").buckets.opened


def test_cluster_status_sees_who_answers() -> None:
    made = Cluster("abc")
    made.run(for_ms=100.0)
    assert made.ask("a", "KV.CLUSTER", "STATUS")["ready"] == 1  # type: ignore[index,call-overload]
    made.crash("b")
    made.crash("c")
    made.idle(3_000.0)
    status = made.ask("a", "KV.CLUSTER", "STATUS")
    assert isinstance(status, dict)
    assert (status["ready"], status["reachable"]) == (0, 1)
