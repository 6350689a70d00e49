"""A copy of a data directory beside its node, or an old one in its place, is met by its own name and ends."""

from __future__ import annotations

from copy import deepcopy

import pytest

from kvstore.config import bucket
from kvstore.twins import NO_LIFE, Twins
from tests.kvstore.cluster import Cluster, failed


def halted(made: Cluster) -> list[str]:
    return [line for line in made.logs if "this data directory is a copy" in line]


def restarted(made: Cluster, name: str, times: int = 1) -> None:
    for _ in range(times):
        made.crash(name)
        made.boot(name)
        made.idle(2_000.0)


def test_an_old_directory_that_is_put_back_is_noticed() -> None:
    made = Cluster("abc", bucket("default", "register"))
    made.idle(2_000.0)
    copy = deepcopy(made.machines["b"].disk)
    restarted(made, "b", 2)
    assert failed(made.ask("a", "SET", "x", "1")) is None
    assert halted(made) == []
    made.crash("b")
    made.machines["b"].disk = copy
    made.boot("b")
    made.idle(2_000.0)
    assert "b is in its life 2, and" in halted(made)[0]
    assert "has met another b in life 3" in halted(made)[0]
    assert "KV.CLUSTER REPLACE b" in halted(made)[0]


def test_a_second_start_of_one_copy_is_noticed() -> None:
    made = Cluster("abc", bucket("default", "register"))
    made.idle(2_000.0)
    made.crash("b")
    copy = deepcopy(made.machines["b"].disk)
    made.boot("b")
    made.idle(2_000.0)
    made.crash("b")
    made.machines["b"].disk = copy
    made.boot("b")  # the same incarnation, at another time
    made.idle(2_000.0)
    assert "b is in its life 2, and" in halted(made)[0]
    assert "has met another b in life 2" in halted(made)[0]


def test_who_was_replaced_and_comes_back_on_its_old_disk_is_noticed() -> None:
    made = Cluster("abcd", bucket("default", "register"), first_start=True)
    made.idle(2_000.0)
    old = deepcopy(made.machines["b"].disk)
    made.crash("b")
    made.wipe("b")
    made.boot("b", replace=True)
    made.idle(1_000.0)
    made.ask("a", "KV.CLUSTER", "REPLACE", "b")
    made.idle(20_000.0)
    assert made.node("b").incarnation > 1 << 20
    assert halted(made) == []
    made.crash("b")
    made.machines["b"].disk = old
    made.boot("b")
    made.idle(2_000.0)
    assert halted(made) != []


@pytest.mark.parametrize("seed", range(3))
def test_restarts_under_late_and_doubled_messages_are_no_twins(seed: int) -> None:
    made = Cluster("abc", bucket("default", "register"), seed=seed)
    made.network.double, made.network.delay_ms = 0.5, 1_500.0
    for name in "abcab":
        made.machines[name].offset_ms -= 700.0
        restarted(made, name)
    assert halted(made) == []


def test_what_a_peer_may_tell() -> None:
    twins = Twins("b")
    assert (
        twins.betrayed("a", (9, 9)) == ""
    )  # a word to the life before, which came late: this one has not begun
    assert twins.met("c", (3, 70)) == (3, 70)
    assert twins.met("c", (2, 90)) == (3, 70)
    assert twins.met("c", (3, 80)) == (3, 70)
    assert twins.met("c", (4, 10)) == (4, 10)
    twins.begin(3, 70.9)
    assert twins.life == (3, 70)
    for life in (NO_LIFE, (2, 99), (3, 70)):
        assert twins.betrayed("a", life) == ""
    for life in ((3, 71), (4, 70)):
        assert "b is in its life 3, and a has met another b" in twins.betrayed("a", life)
