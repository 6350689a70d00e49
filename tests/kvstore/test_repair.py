"""Anti-entropy, scrubbing and handing over on whole nodes: what was missed arrives, what is damaged is mended."""

from __future__ import annotations

import pytest

from kvstore.config import bucket
from kvstore.events import Deliver, Failure, Record, Tag
from kvstore.messages_repair import Handoff, TreeRoots
from tests.kvstore.apart import QUIET, contents, cut_off, heal, held, suspected
from tests.kvstore.cluster import Cluster, failed, fields

# ---- anti-entropy --------------------------------------------------------------------------------------------------


def diverged(**options: object) -> Cluster:
    """c misses writes and a deletion, and nobody keeps hints."""
    made = Cluster(
        "abc", bucket("default", "quorum", read_repair="none"), hint_bytes_max=1, scrub_ms=0.0, **options
    )
    for key in range(40):
        made.ask("a", "SET", f"k{key}", "old")
    made.idle(2_000)
    cut_off(made, "c")
    suspected(made, "c")
    for key in range(0, 40, 4):
        made.ask("b", "SET", f"k{key}", "new")
    made.ask("b", "DEL", "k1")
    made.idle(100)
    heal(made)
    return made


def test_replicas_become_alike() -> None:
    made = diverged(anti_entropy_ms=2_000.0)
    assert contents(made, "c") != contents(made, "b")
    made.idle(15_000)
    assert contents(made, "a") == contents(made, "b") == contents(made, "c")
    deleted = held(made, "c", b"k1")
    assert deleted is not None
    assert deleted.value is None


def test_without_anti_entropy_they_stay_apart() -> None:
    made = diverged(anti_entropy_ms=0.0)
    made.idle(15_000)
    assert contents(made, "c") != contents(made, "b")


def test_the_seeded_bug_leaves_a_deleted_key_alive() -> None:
    made = diverged(anti_entropy_ms=2_000.0, bugs=["merkle.ignores_tombstones"])
    made.idle(15_000)
    survivor = held(made, "c", b"k1")
    assert survivor is not None
    assert survivor.value == b"old"


def test_only_what_differs_is_handed_over() -> None:
    made = diverged(anti_entropy_ms=2_000.0)
    made.idle(15_000)
    handed = sum(made.node(name).upkeep.antientropy.handed for name in "abc")
    assert (
        11 <= handed <= 3 * 11
    )  # 11 keys differ; two peers may each hand them over, and old ones may go the other way


def test_writes_during_a_comparison_do_no_harm() -> None:
    made = diverged(anti_entropy_ms=1_000.0)
    made.network.loss = 0.2
    for round_ in range(30):
        made.ask("abc"[round_ % 3], "SET", f"k{round_ % 7}", f"w{round_}")
        made.idle(300)
    made.network.loss = 0.0
    made.idle(15_000)
    assert contents(made, "a") == contents(made, "b") == contents(made, "c")


def test_another_epoch_is_not_compared() -> None:
    made = Cluster("abc", bucket("default", "quorum"), by_hand=True, **QUIET)
    node = made.node("a")
    node.upkeep.antientropy.roots("b", TreeRoots(node.ring.epoch + 1, "default", 0.0, {0: 1}))
    assert made.flights == []


# ---- damaged records -----------------------------------------------------------------------------------------------


def damaged(made: Cluster, name: str, key: bytes) -> bool:
    return ("default", key) in made.machines[name].disk._corrupt


@pytest.mark.parametrize("mode", ["quorum", "register"])
def test_a_damaged_record_is_mended_when_a_read_meets_it(mode: str) -> None:
    made = Cluster("abc", bucket("default", mode), **QUIET)
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.machines["b"].disk.corrupt("default", b"x")
    assert made.ask("a", "GET", "x") == b"1"
    made.idle(2_000)
    assert not damaged(made, "b", b"x")
    assert held(made, "b", b"x") == held(made, "a", b"x")


def test_a_scrub_finds_what_nobody_reads() -> None:
    made = Cluster("abc", bucket("default", "quorum"), anti_entropy_ms=0.0, scrub_ms=0.0)
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.machines["c"].disk.corrupt("default", b"x")
    begun = fields(made.ask("c", "KV.NODE", "REPAIR"))
    assert begun["peers"] == 2
    assert begun["scrub_left"] > 0
    made.idle(2_000)
    assert held(made, "c", b"x") == held(made, "a", b"x")
    status = fields(made.ask("c", "KV.NODE", "STATUS"))
    assert [status[each] for each in ("scrub_left", "damaged_found", "damaged_mended")] == [0, 1, 1]


def test_a_record_that_cannot_be_mended_rests_between_two_attempts() -> None:
    """Two of three lost it: each read meets both, and must not send them on to each other every time."""
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    for name in "bc":
        made.machines[name].disk.corrupt("default", b"x")
    for _ in range(20):
        assert isinstance(made.ask("a", "GET", "x"), Failure)
    assert made.now_ms < 1_000
    assert [made.machines[name].node.upkeep.scrub.found for name in "bc"] == [1, 1]
    made.idle(1_500)
    made.ask("a", "GET", "x")
    assert [made.machines[name].node.upkeep.scrub.found for name in "bc"] == [2, 2]


def test_a_damaged_record_is_not_mended_from_too_few() -> None:
    """c alone cannot vouch: an acknowledged write may be at a and b only, and b is the damaged one."""
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    made.ask("a", "SET", "x", "1")
    made.idle(100)
    made.machines["b"].disk.corrupt("default", b"x")
    cut_off(made, "a")
    made.ask("b", "KV.NODE", "REPAIR")
    made.idle(3_000)
    assert damaged(made, "b", b"x")
    heal(made)
    made.ask("b", "KV.NODE", "REPAIR")
    made.idle(3_000)
    assert not damaged(made, "b", b"x")


def test_a_handoff_for_an_unknown_bucket_is_passed_over() -> None:
    made = Cluster("abc", bucket("default", "quorum"), **QUIET)
    stranger = Record("nowhere", b"x", Tag(1, "a", 1), b"1")
    made.step("a", Deliver("b", Handoff(1, (stranger,))))
    made.idle(100)
    assert made.machines["a"].disk.get("nowhere", b"x") is None


# ---- what a careless node would do -----------------------------------------------------------------------------------


def lost_reads(*bugs: str) -> int:
    """How often of 30 runs a written key reads as if it had never been, when the disks of two of its three replicas rot."""
    lost = 0
    for seed in range(30):
        made = Cluster("abcde", bucket("default", "register"), seed=seed, bugs=list(bugs), **QUIET)
        replicas = made.ring.replicas(b"x", 3)
        reader = next(name for name in made.machines if name not in replicas)
        assert failed(made.ask(reader, "SET", "x", "1")) is None
        made.idle(100)
        for name in replicas[:2]:
            made.machines[name].disk.corrupt("default", b"x")
        lost += made.ask(reader, "GET", "x") is None
    return lost


def test_the_seeded_bug_reads_damage_as_absence() -> None:
    assert lost_reads() == 0
    assert lost_reads("read_error_as_notfound") > 0


def notices_a_death(*bugs: str) -> bool:
    """Whether a node whose wall clock was set back a minute notices within ten seconds that another one died."""
    made = Cluster("abc", bucket("default", "quorum"), bugs=list(bugs), **QUIET)
    made.idle(5_000)
    made.machines["a"].offset_ms = -60_000.0
    made.idle(2_000)
    made.crash("c")
    made.idle(10_000)
    return not made.node("a").upkeep.alive("c")


def test_the_seeded_bug_keeps_the_dead_alive_when_a_clock_is_set_back() -> None:
    assert notices_a_death()
    assert not notices_a_death("phi.wall_clock")
