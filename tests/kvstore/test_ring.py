from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.ring import PARTITIONS, Ring, hashtag, partition_of, slot_of

NAMES = st.lists(st.text("abcdefgh", min_size=1, max_size=3), min_size=1, max_size=9, unique=True)


def test_slots_are_redis_clusters() -> None:
    # CLUSTER KEYSLOT foo / somekey, from the Redis Cluster specification
    assert slot_of(b"foo") == 12182
    assert slot_of(b"somekey") == 11058
    assert slot_of(b"123456789") == 0x31C3


@pytest.mark.parametrize(
    ("key", "tag"),
    [(b"{u}.a", b"u"), (b"x{}y", b"x{}y"), (b"a{{b}}c", b"{b"), (b"a{b}{c}", b"b"), (b"a{b", b"a{b")],
)
def test_hashtags(key: bytes, tag: bytes) -> None:
    assert hashtag(key) == tag


@given(NAMES, st.integers(1, 5))
def test_preference_lists_are_distinct_and_start_at_the_owner(names: list[str], n: int) -> None:
    ring = Ring.striped(names)
    for partition, replicas in enumerate(ring.preferences(n)):
        assert len(set(replicas)) == len(replicas) == min(n, len(names))
        assert replicas[0] == ring.owners[partition]


@given(NAMES)
def test_striped_ownership_differs_by_one_at_most(names: list[str]) -> None:
    counts = Ring.striped(names).counts().values()
    assert max(counts) - min(counts) <= 1
    assert sum(counts) == PARTITIONS


@given(st.binary(max_size=40))
def test_every_key_has_a_partition(key: bytes) -> None:
    assert partition_of(key) == slot_of(key) * PARTITIONS // 16384


def test_same_members_in_any_order_make_the_same_ring() -> None:
    assert Ring.striped(["c", "a", "b"]).owners == Ring.striped(["a", "b", "c"]).owners


def test_the_module_draws_a_ring() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "kvstore.ring", "x", "y"], capture_output=True, text=True, check=True
    ).stdout
    assert "a = x: owns 128" in shown
