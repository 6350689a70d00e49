"""Deadlines as clients see them: when a value ends, how that is changed, and which buckets have none."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.config import bucket
from tests.kvstore.apart import QUIET
from tests.kvstore.cluster import Cluster, failed, fields, integer, items

WALL_MS = 1_000_000  # what the clocks of a Cluster show at its beginning
TTL_COMMANDS = (
    ("SET", "x", "1", "EX", "10"), ("SET", "x", "1", "PXAT", "5000000"), ("SETEX", "x", "10", "1"), ("PSETEX", "x", "10", "1"),
    ("EXPIRE", "x", "10"), ("PEXPIRE", "x", "10"), ("EXPIREAT", "x", "9999"), ("PEXPIREAT", "x", "9999999"), ("PERSIST", "x"),
    ("KV.PUT", "x", "1", "PX", "10"), ("TTL", "x"), ("PTTL", "x"), ("EXPIRETIME", "x"), ("PEXPIRETIME", "x"),
    ("SET", "x", "1", "KEEPTTL"), ("GETEX", "x"), ("GETEX", "x", "EX", "10"), ("GETEX", "x", "PERSIST"),
)  # fmt: skip


def cluster(mode: str = "quorum", **options: Any) -> Cluster:
    return Cluster("abc", bucket("default", mode), **{**QUIET, **options})


# ---- what the commands say -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "session"])
def test_a_value_is_there_until_its_deadline(mode: str) -> None:
    made = cluster(mode)
    assert failed(made.ask("a", "SET", "x", "1", "PX", "5000")) is None
    made.run(for_ms=50.0)
    assert made.ask("b", "GET", "x") == b"1"
    assert 4_000 < integer(made.ask("b", "PTTL", "x")) <= 5_000
    made.idle(5_000)
    for name in "abc":
        assert made.ask(name, "GET", "x") is None
        assert made.ask(name, "EXISTS", "x") == 0
        assert made.ask(name, "TYPE", "x") == b"none"
        assert made.ask(name, "MGET", "x", "y") == [None, None]
        assert fields(made.ask(name, "KV.GET", "x"))["values"] == []
        assert made.ask(name, "TTL", "x") == -2
        assert made.ask(name, "DBSIZE") == 0
        assert items(made.ask(name, "SCAN", "0", "COUNT", "10"))[1] == []
        assert made.ask(name, "EXPIRE", "x", "10") == 0
        assert made.ask(name, "PERSIST", "x") == 0
    assert made.ask("a", "DEL", "x") == 0


def test_the_four_ways_to_say_when() -> None:
    made = cluster()
    for option, number in (
        ("EX", 7),
        ("PX", 7_000),
        ("EXAT", WALL_MS // 1000 + 7),
        ("PXAT", WALL_MS + 7_000),
    ):
        assert failed(made.ask("a", "SET", option, "v", option, number)) is None
        made.ask("a", "SET", f"late{option}", "v")
    for command, number in (
        ("EXPIRE", 7),
        ("PEXPIRE", 7_000),
        ("EXPIREAT", WALL_MS // 1000 + 7),
        ("PEXPIREAT", WALL_MS + 7_000),
    ):
        made.ask("a", "SET", command, "v")
        assert made.ask("b", command, command, number) == 1
    assert made.now_ms < 1_000
    for key in ("EX", "PX", "EXAT", "PXAT", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"):
        assert 6 <= integer(made.ask("c", "TTL", key)) <= 7, key
        assert abs(integer(made.ask("c", "PEXPIRETIME", key)) - WALL_MS - 7_000) < 1_000
        assert abs(integer(made.ask("c", "EXPIRETIME", key)) - WALL_MS // 1000 - 7) <= 1
    made.idle(8_000)
    assert (
        made.ask("c", "EXISTS", "EX", "PX", "EXAT", "PXAT", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT") == 0
    )


def test_kv_put_takes_a_lifetime() -> None:
    made = cluster()
    tag = fields(made.ask("a", "KV.PUT", "x", "1", "EX", "10", "CL", "all"))["tag"]
    assert tag.endswith(b":%d" % integer(made.ask("b", "PEXPIRETIME", "x")))
    assert 9 <= integer(made.ask("b", "TTL", "x")) <= 10
    made.ask("a", "KV.PUT", "x", "2", "PX", "500")
    assert 0 < integer(made.ask("b", "PTTL", "x")) <= 500
    assert failed(made.ask("a", "KV.PUT", "x", "3", "EX", "1", "PX", "1")) == "BADARG"
    assert failed(made.ask("a", "KV.PUT", "x", "3", "EX", "0")) == "ERR"
    assert failed(made.ask("a", "KV.GET", "x", "EX", "1")) == "BADARG"
    assert made.ask("b", "GET", "x") == b"2"


def test_a_deadline_is_changed_and_taken_away_and_a_write_has_none() -> None:
    made = cluster()
    made.ask("a", "SET", "x", "1", "EX", "10")
    assert made.ask("b", "EXPIRE", "x", "1000") == 1
    assert 999 <= integer(made.ask("c", "TTL", "x")) <= 1_000
    assert made.ask("b", "EXPIRE", "x", "20") == 1  # and shorter again
    assert 19 <= integer(made.ask("c", "TTL", "x")) <= 20
    assert made.ask("c", "PERSIST", "x") == 1
    assert made.ask("a", "PERSIST", "x") == 0
    assert made.ask("a", "TTL", "x") == -1
    made.ask("a", "EXPIRE", "x", "20")
    made.ask("a", "SET", "x", "2")
    assert made.ask("b", "TTL", "x") == -1
    made.idle(60_000)
    assert made.ask("b", "GET", "x") == b"2"


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "session"])
def test_a_write_may_keep_the_deadline_and_a_read_may_set_it(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode, r=3, w=3), **QUIET)
    made.ask("a", "SET", "x", "1", "EX", "100")
    assert failed(made.ask("b", "SET", "x", "2", "KEEPTTL")) is None
    assert made.ask("c", "GET", "x") == b"2"
    assert 99 <= integer(made.ask("c", "TTL", "x")) <= 100
    assert made.ask("b", "GETEX", "x") == b"2"
    assert 99 <= integer(made.ask("c", "TTL", "x")) <= 100
    assert made.ask("b", "GETEX", "x", "PX", "5000") == b"2"
    assert 4 <= integer(made.ask("c", "TTL", "x")) <= 5
    assert made.ask("b", "GETEX", "x", "PERSIST") == b"2"
    assert made.ask("c", "TTL", "x") == -1
    assert made.ask("b", "GETEX", "x", "PERSIST") == b"2"
    made.ask("a", "SET", "x", "3", "KEEPTTL")
    assert made.ask("c", "TTL", "x") == -1
    assert made.ask("c", "GETEX", "x", "PXAT", WALL_MS + int(made.now_ms) + 2_000) == b"3"
    made.idle(3_000)
    assert made.ask("b", "GETEX", "x", "EX", "10") is None
    assert made.ask("b", "EXISTS", "x") == 0, "what has ended does not come back"
    made.ask("a", "SET", "x", "4", "KEEPTTL")
    assert made.ask("c", "TTL", "x") == -1, "a deadline that has passed is not kept"


def test_getex_gives_the_value_no_new_version() -> None:
    """The same write with another deadline: one that came meanwhile is newer."""
    made = cluster()
    made.ask("a", "SET", "x", "1")
    before = fields(made.ask("a", "KV.GET", "x"))["tag"]
    made.ask("b", "GETEX", "x", "EX", "10")
    assert fields(made.ask("a", "KV.GET", "x"))["tag"].startswith(before + b"+")


def test_values_of_a_bucket_with_a_lifetime_end_unless_told_otherwise() -> None:
    made = Cluster("abc", bucket("default", "quorum", ttl_s=20), **QUIET)
    for command in (
        ("SET", "x", "1"),
        ("MSET", "y", "1", "z", "1"),
        ("KV.PUT", "u", "1"),
        ("SET", "v", "1", "KEEPTTL"),
    ):
        assert failed(made.ask("a", *command)) is None
    made.ask("a", "SET", "long", "1", "EX", "100")
    made.ask("a", "SET", "kept", "1")
    assert made.ask("a", "PERSIST", "kept") == 1
    for key in "xyzuv":
        assert 19 <= integer(made.ask("b", "TTL", key)) <= 20
    made.run(for_ms=10_000)
    made.ask("b", "SET", "x", "2", "KEEPTTL")
    made.ask("b", "SET", "y", "2")
    made.ask("b", "SET", "kept", "2", "KEEPTTL")
    made.run(for_ms=11_000)
    found = made.ask("c", "MGET", "x", "y", "z", "u", "v", "long", "kept")
    assert found == [None, b"2", None, None, None, b"1", b"2"]
    made.ask("a", "DEL", "long")
    assert fields(made.ask("b", "KV.GET", "long"))["values"] == []


def test_a_lifetime_is_a_setting_of_the_bucket() -> None:
    made = cluster()
    create = ("KV.BUCKET", "CREATE", "cart", "MODE")
    assert failed(made.ask("a", *create, "quorum", "TTL", "20")) is None
    assert fields(made.ask("b", "KV.BUCKET", "SHOW", "cart"))["ttl_s"] == 20
    assert failed(made.ask("a", *create, "quorum", "TTL", "30")) == "BADARG", "it is defined with another"
    for mode, lifetime in (
        ("register", "20"),
        ("cas", "20"),
        ("siblings", "20"),
        ("quorum", "0"),
        ("quorum", "-1"),
    ):
        assert (
            failed(made.ask("a", "KV.BUCKET", "CREATE", "other", "MODE", mode, "TTL", lifetime)) == "BADARG"
        )
    made.crash("b")
    made.boot("b")
    assert fields(made.ask("b", "KV.BUCKET", "SHOW", "cart"))["ttl_s"] == 20


def test_a_deadline_in_the_past_is_the_end() -> None:
    made = cluster()
    for time in ("0", "-1", "-1000000"):
        made.ask("a", "SET", "x", "1")
        assert made.ask("b", "EXPIRE", "x", time) == 1
        assert made.ask("c", "GET", "x") is None
    assert failed(made.ask("a", "SET", "x", "1", "PXAT", "5")) is None
    assert made.ask("b", "GET", "x") is None


@pytest.mark.parametrize("mode", ["register", "cas", "siblings"])
def test_classes_that_cannot_keep_it_refuse(mode: str) -> None:
    made = cluster(mode)
    made.ask("a", "SET", "x", "1")
    for command in TTL_COMMANDS:
        assert failed(made.ask("a", *command)) == "WRONGCLASS", command
    assert made.ask("a", "GET", "x") == b"1"


def test_conditions_need_another_class() -> None:
    made = cluster()
    made.ask("a", "SET", "x", "1")
    for command in (
        ("SET", "x", "2", "EX", "10", "NX"), ("SET", "x", "2", "XX"), ("SET", "x", "2", "KEEPTTL", "NX"), ("SET", "x", "2", "GET"),
        ("EXPIRE", "x", "10", "NX"), ("PEXPIREAT", "x", "99", "GT"),
    ):  # fmt: skip
        assert failed(made.ask("a", *command)) == "WRONGCLASS", command
    for command in (
        ("SET", "x", "2", "EX"), ("SET", "x", "2", "EX", "ten"), ("SET", "x", "2", "EX", "0"), ("SET", "x", "2", "PX", "-1"),
        ("SET", "x", "2", "EX", "1", "PX", "1"), ("SET", "x", "2", "KEEPTTL", "1"), ("SET", "x", "2", "EX", "1", "KEEPTTL"),
        ("GETEX", "x", "EX"), ("GETEX", "x", "PERSIST", "1"), ("GETEX", "x", "KEEPTTL"), ("GETEX", "x", "PX", "0"), ("EXPIRE", "x", "1e3"), ("EXPIRE", "x", "9" * 19), ("PSETEX", "x", "0", "2"),
    ):  # fmt: skip
        assert failed(made.ask("a", *command)) == "ERR", command
    assert failed(made.ask("a", "SET", "x", "2", "SOON", "1")) == "BADARG"
    assert made.ask("b", "GET", "x") == b"1"
    assert made.ask("b", "TTL", "x") == -1
