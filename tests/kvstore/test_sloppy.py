"""Sloppy quorums: what is gained while owners are away, what is given up, and that hints go home."""

from __future__ import annotations

import pytest

from kvstore.config import MODES, SLOPPY_MODES, ConfigError, bucket, from_toml
from kvstore.events import Deliver, Tag
from kvstore.hints import PREFIX
from kvstore.messages_repair import StandIn
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


# ---- who gets what was kept, once the ring has changed ---------------------------------------------------------------

MANY = [f"key-{number}".encode() for number in range(40)]


def kept_for(away: str, keeper: str) -> Cluster:
    """Four nodes; `keeper` has the newest version of every key as a hint for `away`, which it does not reach, and nobody else has it."""
    made = Cluster("abcd", bucket("default", "quorum", n=3, sloppy=True), anti_entropy_ms=0.0, scrub_ms=0.0)
    made.idle(3_000.0)
    for key in MANY:
        made.ask("b", "SET", key, "old")
    made.network.cut = {(away, keeper), (keeper, away)}
    for key in MANY:
        tag = Tag((1_000_000 + int(made.now_ms)) << 16, keeper, 1)
        asked = StandIn(1, "default", key, partition_of(key), made.ring.epoch, 9e9, tag, b"new", away)
        made.step(keeper, Deliver("b", asked))
    made.idle(500.0)
    assert made.node(keeper).upkeep.hints.kept == len(MANY)
    return made


def changed(made: Cluster, *command: str) -> None:
    """Have the ring changed, to its end."""
    epoch = made.node("a").view.epoch
    assert isinstance(made.ask("a", "KV.CLUSTER", *command), dict)
    for _ in range(300):
        made.run(for_ms=200.0)
        if not made.node("a").view.changing and made.node("a").view.epoch > epoch:
            break
    made.run(for_ms=3_000.0)


def new_at(made: Cluster, key: bytes) -> set[str]:
    found = {
        name: each.disk.get("default", key) for name, each in made.machines.items() if each.node is not None
    }
    return {name for name, record in found.items() if record is not None and record.value == b"new"}


def test_what_was_kept_for_a_node_that_is_gone_goes_to_those_who_own_it_now() -> None:
    made = kept_for("d", "a")
    made.crash("d")
    made.add("e")
    changed(made, "REPLACE", "d", "e", "e:7100")
    for key in MANY:
        assert new_at(made, key) == set(made.node("a").view.plan(partition_of(key), 3).replicas), key
    hints = made.node("a").upkeep.hints
    assert hints.rerouted > 0
    assert hints.oldest_ms == float("inf")  # nothing keeps tombstones from their end
    assert not any(record.bucket == PREFIX + "d" for record in made.machines["a"].disk.records())


def test_what_was_kept_for_a_node_that_no_longer_owns_it_goes_to_those_who_do() -> None:
    made = kept_for("d", "a")
    made.add("e")
    changed(made, "JOIN", "e", "e:7100")
    plans = {key: set(made.node("a").view.plan(partition_of(key), 3).replicas) for key in MANY}
    lost = [key for key in MANY if "d" not in plans[key]]
    assert lost
    assert len(lost) < len(MANY)
    for key in MANY:
        assert new_at(made, key) == (plans[key] if key in lost else set()), key
    made.network.cut.clear()
    made.idle(3_000.0)
    assert all("d" in new_at(made, key) for key in MANY if key not in lost)  # its own are for it as ever


def test_who_leaves_first_hands_over_what_it_keeps() -> None:
    """All its promises for others are kept elsewhere before it is no member any more, for then it may be stopped."""
    made = Cluster("abcde", bucket("default", "quorum", n=3, sloppy=True), seed=3, hint_bytes_per_s=100)
    made.idle(5_000.0)
    keys = [b"{k}%d" % number for number in range(30)]
    first, *rest = owners(made)
    cut(made, set("abcde") - set(rest))
    leaver, other = (name for name in "abcde" if name not in (first, *rest))
    for key in keys:
        assert failed(made.ask(first, "SET", key, b"v" * 50)) is None
    assert made.node(leaver).upkeep.stood_in > 0
    made.network.cut = set()
    made.idle(1_000.0)
    assert made.node(leaver).upkeep.hints.pending_bytes > 0
    made.ask(other, "KV.CLUSTER", "LEAVE", leaver)
    for _ in range(100):
        made.run(for_ms=2_000.0)
        if leaver not in made.node(other).view.members:
            break
    assert leaver not in made.node(other).view.members
    assert made.node(leaver).upkeep.hints.pending_bytes == 0
    assert any(f"{leaver} still hands over what it keeps for others" in line for line in made.logs)


def test_who_is_to_leave_stands_in_for_nobody() -> None:
    made, here, _ = divided(sloppy=True)
    leaver = next(name for name in "abcde" if name not in owners(made))
    stood_in = made.node(leaver).upkeep.stood_in
    made.ask(here, "KV.CLUSTER", "LEAVE", leaver)
    made.idle(2_000.0)
    assert made.node(leaver).view.departing == leaver
    for number in range(20):
        made.ask(here, "SET", b"{k}%d" % number, "new")
    assert made.node(leaver).upkeep.stood_in == stood_in
