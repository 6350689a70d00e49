"""Sloppy quorums: what is gained while owners are away, what is given up, and that hints go home."""

from __future__ import annotations

import pytest

from kvstore.config import MODES, SLOPPY_MODES, ConfigError, bucket, from_toml
from kvstore.ring import partition_of
from tests.kvstore.cluster import Cluster, failed

KEY = b"k"


def cluster(*, sloppy: bool, mode: str = "quorum", seed: int = 3) -> Cluster:
    """Five nodes that have heard each other, three owners a key."""
    made = Cluster("abcde", bucket("default", mode, n=3, sloppy=sloppy), seed=seed)
    made.idle(5_000.0)
    return made


def owners(made: Cluster) -> tuple[str, ...]:
    return made.node("a").view.plan(partition_of(KEY), 3).replicas


def cut(made: Cluster, one: set[str]) -> None:
    """Nothing passes between these nodes and the others, and everybody has noticed."""
    made.network.cut = {(a, b) for a in "abcde" for b in "abcde" if (a in one) != (b in one)}
    made.idle(10_000.0)


def divided(*, sloppy: bool, mode: str = "quorum") -> tuple[Cluster, str, str]:
    """One owner and both others on one side, two owners on the other; a node of each side."""
    made = cluster(sloppy=sloppy, mode=mode)
    first, *rest = owners(made)
    assert failed(made.ask(first, "SET", KEY, "old")) is None
    made.idle(2_000.0)
    cut(made, set("abcde") - set(rest))
    return made, first, rest[0]


def test_a_write_is_accepted_where_a_strict_one_is_not() -> None:
    made, here, _ = divided(sloppy=True)
    told = made.ask(here, "KV.PUT", KEY, "new")
    assert isinstance(told, dict)
    assert told["acks"] == 2
    assert told["stand_ins"] in (1, 2)  # of three that could be reached the first two
    made, here, _ = divided(sloppy=False)
    assert failed(made.ask(here, "KV.PUT", KEY, "new")) == "TIMEOUT"


def test_readers_of_the_owners_do_not_see_what_was_acknowledged() -> None:
    """What is given up, in its smallest form: R + W > N, and yet the two did not meet."""
    made, here, there = divided(sloppy=True)
    assert failed(made.ask(here, "SET", KEY, "new")) is None
    assert made.ask(there, "GET", KEY) == b"old"
    assert failed(made.ask(here, "GET", KEY)) == "TIMEOUT"  # reads are strict: they ask owners


def test_what_was_kept_goes_home_when_the_owner_is_back() -> None:
    made, here, there = divided(sloppy=True)
    assert failed(made.ask(here, "SET", KEY, "new")) is None
    assert sum(made.node(name).upkeep.stood_in for name in "abcde") == 2  # one for each owner that is away
    made.network.cut = set()
    made.idle(3_000.0)
    assert made.ask(there, "GET", KEY) == b"new"
    for owner in owners(made):
        record = made.machines[owner].disk.get("default", KEY)
        assert record is not None
        assert record.value == b"new"
    assert sum(made.node(name).upkeep.hints.pending_bytes for name in "abcde") == 0


def test_a_stand_in_has_it_on_disk_before_it_counts() -> None:
    made, here, there = divided(sloppy=True)
    assert failed(made.ask(here, "SET", KEY, "new")) is None
    for name in "abcde":
        made.crash(name)
    made.network.cut = set()
    for name in set("abcde") - {here}:  # whoever coordinated does not come back
        made.boot(name)
    made.idle(10_000.0)
    assert made.ask(there, "GET", KEY) == b"new"


def test_a_node_that_owns_nothing_of_it_can_coordinate_and_stand_in_at_once() -> None:
    made = cluster(sloppy=True)
    stranger = next(name for name in "abcde" if name not in owners(made))
    cut(made, set("abcde") - set(owners(made)))
    told = made.ask(stranger, "KV.PUT", KEY, "new")
    assert isinstance(told, dict)
    assert (told["acks"], told["stand_ins"]) == (2, 2)


def test_with_nobody_suspected_nothing_is_different() -> None:
    made = cluster(sloppy=True)
    told = made.ask("a", "KV.PUT", KEY, "new")
    assert isinstance(told, dict)
    assert told["stand_ins"] == 0
    assert all(made.node(name).upkeep.stood_in == 0 for name in "abcde")


def test_only_w_different_nodes_make_a_quorum() -> None:
    """Stand-ins are no way around W: alone on its side, a node acknowledges nothing."""
    made = cluster(sloppy=True)
    cut(made, {"a"})
    assert failed(made.ask("a", "SET", KEY, "new")) in ("TIMEOUT", "INDEFINITE")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in SLOPPY_MODES])
def test_modes_whose_quorums_must_meet_refuse_it_by_name(mode: str) -> None:
    kind = "or-set" if mode == "crdt" else None
    with pytest.raises(ConfigError, match=f"mode {mode} cannot be sloppy"):
        bucket("default", mode, sloppy=True, type=kind)
    made = cluster(sloppy=False)
    words = [
        "KV.BUCKET",
        "CREATE",
        "loose",
        "MODE",
        mode,
        "SLOPPY",
        "on",
        *(["TYPE", "or-set"] if kind else []),
    ]
    told = made.ask("a", *words)
    assert failed(told) == "BADARG"
    assert f"mode {mode} cannot be sloppy" in str(told)


def test_it_is_said_where_buckets_are_shown() -> None:
    made = cluster(sloppy=False)
    assert failed(made.ask("a", "KV.BUCKET", "CREATE", "loose", "MODE", "eventual", "SLOPPY", "on")) is None
    shown = made.ask("b", "KV.BUCKET", "SHOW", "loose")
    assert isinstance(shown, dict)
    assert (shown["sloppy"], shown["mode"]) == (1, b"eventual")
    config = from_toml('name = "a"\n[bucket]\nmode = "quorum"\nn = 1\nsloppy = true\n')
    assert config.default.sloppy
    with pytest.raises(ConfigError, match="sloppy"):
        from_toml('name = "a"\n[bucket]\nmode = "quorum"\nn = 1\nsloppy = 1\n')
