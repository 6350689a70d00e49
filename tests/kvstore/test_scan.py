"""SCAN: Redis' promise, its patterns, and what is refused."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.commands_scan import glob
from kvstore.config import bucket
from tests.kvstore.cluster import Cluster, failed
from tests.kvstore.watched import Framed

LARGE = b"v" * (1 << 20)


def scanned(made: Cluster, *options: str, nodes: str = "abc", start: str = "0") -> list[bytes]:
    """A whole scan, each call at another node."""
    keys: list[bytes] = []
    cursor, calls = start, 0
    while True:
        answer: Any = made.ask(nodes[calls % len(nodes)], "SCAN", cursor, *options)
        assert isinstance(answer, list), answer
        keys += answer[1]
        cursor, calls = answer[0].decode(), calls + 1
        if cursor == "0":
            return keys
        assert calls <= 256


def isolate(made: Cluster, *names: str) -> None:
    made.network.cut |= {
        pair for name in names for other in "abc" for pair in ((name, other), (other, name)) if name != other
    }


KEYS = [f"k{number}" for number in range(60)]


@pytest.mark.parametrize("mode", ["eventual", "quorum", "monotonic", "register", "cas", "siblings"])
def test_every_key_once_and_no_deleted_one(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode))
    for key in KEYS:
        made.ask("a", "SET", key, "1")
    for key in KEYS[::7]:
        made.ask("b", "DEL", key)
    made.idle(1_000.0)  # one replica may be behind
    assert sorted(scanned(made)) == sorted(key.encode() for key in KEYS if key not in KEYS[::7])
    assert made.logs == []


def test_sets_and_maps_are_there_while_they_have_elements() -> None:
    made = Cluster("abc", bucket("default", "crdt", type="or-set"))
    for key in ("x", "y"):
        made.ask("a", "SADD", key, "m")
    made.ask("b", "SREM", "x", "m")
    assert scanned(made) == [b"y"]
    assert scanned(made, "TYPE", "set") == [b"y"]
    assert scanned(made, "TYPE", "string") == []


def test_count_and_match() -> None:
    made = Cluster("abc")
    for key in KEYS:
        made.ask("a", "SET", key, "1")
    first: Any = made.ask("a", "SCAN", "0", "COUNT", "5")
    assert 5 <= len(first[1]) < 15
    assert sorted(scanned(made, "MATCH", "k1?", "COUNT", "1000")) == [
        b"k%d" % number for number in range(10, 20)
    ]
    assert scanned(made, "match", "none*") == []


def test_a_key_that_one_replica_lacks_is_told_when_a_read_would_find_it() -> None:
    made = Cluster("abc", bucket("default", "quorum"))
    isolate(made, "c")
    made.ask("a", "SET", "x", "1")
    made.network.cut.clear()
    assert made.machines["c"].disk.get("default", b"x") is None
    assert scanned(made, nodes="c") == [b"x"]


def test_a_partition_whose_replicas_are_away_is_no_empty_one() -> None:
    made = Cluster("abc", bucket("default", "quorum"))
    made.ask("a", "SET", "x", "1")
    isolate(made, "b", "c")
    assert failed(made.ask("a", "SCAN", "0")) in ("TIMEOUT", "NOQUORUM", "UNAVAILABLE")


@pytest.mark.parametrize(
    ("words", "code"),
    [(["x"], "BADARG"), (["256"], "BADARG"), (["-1"], "BADARG"), (["0", "COUNT"], "BADARG"), (["0", "COUNT", "0"], "BADARG"),
     (["0", "FOO", "1"], "BADARG"), (["0", "TYPE", "stream"], "BADARG"),
     (["0", "MATCH", "x" * 1025], "BADARG")],
)  # fmt: skip
def test_refusals(words: list[str], code: str) -> None:
    assert failed(Cluster("abc").ask("a", "SCAN", *words)) == code


@given(st.text("ab*?-[^]\\", max_size=8), st.text("ab-]^[", max_size=5))
def test_patterns_never_break_and_plain_ones_mean_what_a_shell_means(pattern: str, name: str) -> None:
    matched = glob(pattern.encode()).fullmatch(name.encode())
    if not set(pattern) & set("[]\\^"):
        assert matched == fnmatchcase(name, pattern)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [("h[ae]llo", "hello", "hillo"), ("h[^e]llo", "hallo", "hello"), ("h[a-b]llo", "hbllo", "hcllo"), ("h[b-a]llo", "hallo", "hello"),
     (r"a\*", "a*", "ab"), ("[ab", "b", "[ab"), ("a\nb*", "a\nbc", "ab"), ("[^]", "a", ""), (r"[\]]", "]", "a")],
)  # fmt: skip
def test_patterns_as_redis_has_them(pattern: str, good: str, bad: str) -> None:
    assert glob(pattern.encode()).fullmatch(good.encode())
    assert not glob(pattern.encode()).fullmatch(bad.encode())


def test_no_pattern_takes_longer_than_to_read_the_key_for_each_of_its_letters() -> None:
    """As one regular expression this takes longer than anybody lives."""
    assert not glob(b"*a" * 30 + b"*b").fullmatch(b"a" * 5_000)
    assert glob(b"*a" * 30 + b"*b").fullmatch(b"a" * 5_000 + b"b")


@pytest.mark.parametrize("mode", ["quorum", "register", "cas"])
def test_keys_of_large_values_are_told_without_them(mode: str) -> None:
    """Twenty values of a mebibyte in one partition: what a replica answers must fit in a frame, and need not be large at all."""
    made = Framed("abc", bucket("default", mode))
    keys = [b"{big}%d" % number for number in range(20)]
    for key in keys:
        assert failed(made.ask("a", "SET", key, LARGE)) is None
    assert made.ask("a", "DEL", keys[0]) == 1
    made.idle(1_000)
    assert scanned(made) == sorted(keys[1:])
    assert made.lost == 0
    assert 0 < made.largest < 4_096
