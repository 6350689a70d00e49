"""Snapshots: a cluster begins anew from what was written, never with a name it had before, and never with half of it."""

from __future__ import annotations

from typing import Any

import pytest

from kvstore.birth import LIFE_SHIFT
from kvstore.config import bucket
from kvstore.document import Change, unpacked
from kvstore.engine_memory import MemoryEngine
from kvstore.events import Failure, Meta
from kvstore.membership import DOCUMENT
from tests.kvstore.cluster import Cluster, failed, fields

NAMES = "abc"


def cluster(mode: str = "register", **options: Any) -> Cluster:
    made = Cluster(NAMES, bucket("default", mode, **({"type": "pn-counter"} if mode == "crdt" else {})), first_start=True, **options)  # fmt: skip
    made.idle(1_000.0)
    return made


def snapshot(made: Cluster, name: str = "monday") -> dict[str, Any]:
    answer = made.ask("a", "KV.CLUSTER", "SNAPSHOT", name)
    assert isinstance(answer, dict), answer
    return answer


def put_back(made: Cluster, names: str, number: int = -1) -> None:
    """The disk of each node is one made of its snapshot; the nodes stay down."""
    for name in names:
        machine = made.machines[name]
        machine.node = None
        machine.life += 1  # what is on its way to the old one gets lost
        machine.disk = MemoryEngine()
        source = machine.snapshots[number]
        machine.disk.commit([*source.records(), *(Meta(each, value) for each, value in source._meta.items())])


def boot(made: Cluster, names: str, **how: bool) -> None:
    for name in names:
        made.boot(name, **how)
    made.idle(1_000.0)


# ---- a whole cluster begins anew ----


@pytest.mark.parametrize("mode", ["register", "cas", "quorum", "siblings"])
def test_all_nodes_begin_anew_from_what_was_written(mode: str) -> None:
    made = cluster(mode)
    for number in range(20):
        made.ask(NAMES[number % 3], "SET", f"k{number}", f"old-{number}")
    told = snapshot(made)
    assert sorted(told["nodes"]) == ["a", "b", "c"]
    before = {name: made.node(name).incarnation for name in NAMES}
    made.ask("a", "SET", "later", "x")
    put_back(made, NAMES)
    boot(made, NAMES)
    for number in range(20):
        assert made.ask(NAMES[(number + 1) % 3], "GET", f"k{number}") == b"old-%d" % number
    assert made.ask("a", "GET", "later") is None
    made.ask("b", "SET", "new", "y")
    assert made.ask("c", "GET", "new") == b"y"
    for name in NAMES:
        assert made.node(name).incarnation >> LIFE_SHIFT > before[name] >> LIFE_SHIFT
        made.crash(name)
        made.boot(name)
    made.idle(1_000.0)
    assert made.ask("a", "GET", "new") == b"y"
    assert made.node("a").incarnation == (1 << LIFE_SHIFT) + 2  # an ordinary start


def test_a_single_node_begins_anew_too() -> None:
    made = Cluster("a", bucket("default", n=1))
    made.idle(500.0)
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, "a")
    boot(made, "a")
    assert made.ask("a", "GET", "k") == b"1"
    assert made.node("a").incarnation == (1 << LIFE_SHIFT) + 1


def test_no_dot_or_ballot_of_the_lost_time_is_used_again() -> None:
    """After the snapshot the node goes on as before, and others see it; then all of it is undone on the node's own disk."""
    made = cluster("siblings")
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    lost = _dots(made, "a", "SET", "k", "2")
    put_back(made, NAMES)
    boot(made, NAMES)
    again = _dots(made, "a", "SET", "k", "3")
    assert not lost & again
    assert {dot[0] for dot in lost} == {dot[0] for dot in again} == {b"a"}


def _dots(made: Cluster, node: str, *words: str) -> set[tuple[bytes, int, int]]:
    """The dots that a command adds to what a read sees."""

    def seen() -> set[tuple[bytes, int, int]]:
        answer = fields(made.ask(node, "KV.GET", "k"))
        told = fields(made.ask(node, "KV.CTX", "k", answer["ctx"]))
        return {tuple(dot) for dot in [*told["vector"], *told["cloud"]]}

    before = seen()
    made.ask(node, *words)
    return seen() - before


def test_members_can_change_after_a_restoration() -> None:
    made = cluster()
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, NAMES)
    boot(made, NAMES)
    made.add("d")
    made.idle(500.0)
    assert isinstance(made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    made.idle(20_000.0)
    for name in "abcd":
        document = made.node(name).view.document
        assert (document.change, document.names) == (None, ("a", "b", "c", "d"))
    assert made.ask("d", "GET", "k") == b"1"


def test_who_begins_anew_are_the_members_of_that_time_and_not_those_of_the_configuration() -> None:
    made = cluster()
    made.add("d")
    made.idle(500.0)
    made.ask("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    made.idle(20_000.0)
    made.ask("b", "KV.CLUSTER", "LEAVE", "a")
    made.idle(20_000.0)
    assert made.node("d").view.document.names == ("b", "c", "d")
    made.ask("c", "SET", "k", "1")
    made.ask("d", "KV.CLUSTER", "SNAPSHOT", "monday")
    made.crash("a")
    put_back(made, "bcd")
    boot(made, "bcd")
    assert [made.node(name).ready for name in "bcd"] == [True, True, True]
    assert made.ask("d", "GET", "k") == b"1"


# ---- what does not begin together ----


def changed(made: Cluster, at: str, value: int) -> None:
    """Key k, to this value; the counter by that much."""
    words = ("INCRBY", "k") if made.node(at).config.default.mode == "crdt" else ("SET", "k")
    assert failed(made.ask(at, *words, value)) is None


EVERY_MODE = ("eventual", "quorum", "monotonic", "register", "cas", "session", "siblings", "crdt")


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("mode", EVERY_MODE)
def test_one_restored_node_does_not_take_part_in_a_cluster_that_lives(mode: str, replace: bool) -> None:
    made = cluster(mode)
    snapshot(made)
    changed(made, "a", 1)
    put_back(made, "a")
    boot(made, "a", replace=replace)
    assert any("a is restored from snapshot monday-" in line and "is not, or has seen" in line for line in made.logs)  # fmt: skip
    assert not made.node("a").ready
    assert made.ask("b", "GET", "k") == b"1"


@pytest.mark.parametrize("mode", EVERY_MODE)
def test_one_lost_disk_is_filled_by_the_others_and_not_from_a_snapshot(mode: str) -> None:
    """What the refusal says to do: it then knows all, what came after the snapshot too."""
    made = cluster(mode)
    changed(made, "a", 1)
    snapshot(made)
    changed(made, "b", 2)
    put_back(made, "a")
    boot(made, "a", replace=True)
    assert any("begin with an empty disk and KV.CLUSTER REPLACE" in line for line in made.logs)
    made.crash("a")
    made.wipe("a")
    boot(made, "a", replace=True)
    made.ask("b", "KV.CLUSTER", "REPLACE", "a")
    made.idle(30_000.0)
    assert not made.node("a").view.changing
    made.crash("b")
    answer = made.ask("a", "GET", "k")
    told = answer.code if isinstance(answer, Failure) else answer
    assert told == {"crdt": b"3", "siblings": "SIBLINGS"}.get(
        mode, b"2"
    )  # the second saw the first in no context


def test_a_restored_node_is_not_replaced_by_itself() -> None:
    """Its disk would have to be empty: what it holds is older than deletions that the others have forgotten."""
    made = cluster()
    snapshot(made)
    put_back(made, "a")
    made.network.cut = {("a", "b"), ("a", "c")}  # it hears, and nobody can tell it that it was here before
    made.boot("a", replace=True)
    made.ask("b", "KV.CLUSTER", "REPLACE", "a")
    made.idle(3_000.0)
    assert made.node("b").view.document.change == Change("replace", "a", "a")
    assert not made.node("a").ready


def test_a_node_with_an_empty_disk_does_not_take_part_in_a_restored_cluster() -> None:
    made = cluster()
    snapshot(made)
    put_back(made, NAMES)
    made.wipe("c")
    boot(made, NAMES)
    assert any("c has an empty disk" in line for line in made.logs)
    assert not made.node("c").ready


def test_nodes_of_two_snapshots_do_not_begin_together() -> None:
    made = cluster()
    snapshot(made)
    made.ask("a", "SET", "k", "1")
    snapshot(made)
    put_back(made, "ab")
    put_back(made, "c", 0)
    boot(made, NAMES)
    assert any("restore every node, each once" in line for line in made.logs)
    assert not made.node("c").ready


def test_a_second_disk_made_of_the_same_copy_is_refused() -> None:
    made = cluster()
    snapshot(made)
    put_back(made, NAMES)
    boot(made, NAMES)
    made.ask("a", "SET", "k", "1")
    assert all(made.node(name).ready for name in NAMES)
    put_back(made, "c")
    boot(made, "c")
    assert any("c is restored from snapshot" in line and "another disk" in line for line in made.logs)
    assert not made.node("c").ready


def test_a_restored_cluster_is_another_than_the_one_it_was() -> None:
    made = cluster()
    made.ask("b", "KV.CLUSTER", "REPLACE", "c")  # so that there is a register of the document
    made.idle(20_000.0)
    snapshot(made)
    old = made.node("a").view.document
    new = {unpacked(made.machines[name].snapshots[-1].meta(DOCUMENT) or b"") for name in NAMES}
    (document,) = new  # alike on all nodes
    assert document.cluster != old.cluster
    assert [member.lives for member in document.members] == [1, 1, 2]
    for name in NAMES:
        disk = made.machines[name].snapshots[-1]
        assert [row for row in disk.records() if "!ring" in row.bucket] == []
        assert [disk.meta(fact) for fact in ("incarnation", "birth", "actors")] == [None, None, None]


def test_there_is_no_snapshot_while_members_change() -> None:
    made = cluster()
    made.add("d")
    made.idle(500.0)
    made.send("b", "KV.CLUSTER", "JOIN", "d", "d:7100")
    while made.node("a").view.document.change is None and made.now_ms < 10_000.0:
        made.idle(1.0)
    assert made.node("a").view.document.change == Change("join", "d")
    answer = made.ask("a", "KV.CLUSTER", "SNAPSHOT", "monday")
    assert isinstance(answer, Failure)
    assert "the members are changing" in answer.text


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a.partial", "a b"])
def test_a_name_that_could_be_another_path_is_refused(name: str) -> None:
    answer = cluster().ask("a", "KV.CLUSTER", "SNAPSHOT", name)
    assert isinstance(answer, Failure)
    assert answer.code == "BADARG"
