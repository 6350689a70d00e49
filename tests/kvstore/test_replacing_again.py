"""A replacement loses its own disk while it takes over: it is replaced, by itself or another, and never begins anew without that."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest

from kvstore.birth import LIFE_SHIFT
from kvstore.config import bucket, majority
from kvstore.document import (
    BOTH_NEW,
    BOTH_OLD,
    META,
    NEW,
    Document,
    Member,
    advanced,
    first,
    replaced,
    taken_over,
)
from kvstore.events import Deliver, Failure
from kvstore.messages_ring import RingOffer
from tests.kvstore.cluster import Cluster, failed
from tests.kvstore.test_membership import KEYS, filled, settle, unharmed, wiped


def begun(mode: str = "register") -> Cluster:
    """c is dead, and d has begun to take its place; e is a spare."""
    made = filled(mode, first_start=True)
    for name in "de":
        made.add(name)
        made.idle(1_000.0)
    made.crash("c")
    assert isinstance(made.ask("a", "KV.CLUSTER", "REPLACE", "c", "d", "d:7100"), dict)
    return made


def until(made: Cluster, so: Callable[[Document], bool]) -> None:
    """Let time pass until the ring is so."""
    for _ in range(4_000):
        if so(made.node("a").view.document):
            return
        made.idle(5.0)
    raise AssertionError("it never was so")


def counted(document: Document) -> bool:
    """Some majority may have met the newcomer's disk alone."""
    return any(step > BOTH_OLD for step in document.steps)


def rewritten(made: Cluster, at: str) -> None:
    """Each key anew, acknowledged by those who count now, and then as it was."""
    for key in KEYS[1:]:
        for value in (b"x", b"v-" + key):
            assert failed(made.ask(at, "SET", key, value)) is None


@pytest.mark.parametrize("mode", ["register", "cas", "quorum"])
def test_by_itself_once_more(mode: str) -> None:
    made = begun(mode)
    until(made, counted)
    rewritten(made, "b")
    wiped(made, "d")
    assert isinstance(made.ask("b", "KV.CLUSTER", "REPLACE", "d"), dict)  # any member takes it
    rewritten(made, "a")
    settle(made, "abd")
    assert made.node("d").incarnation > 1 << LIFE_SHIFT
    made.crash("a")
    unharmed(made, "bd")


@pytest.mark.parametrize("mode", ["register", "cas"])
def test_by_another_node(mode: str) -> None:
    made = begun(mode)
    until(made, counted)
    made.crash("d")
    assert isinstance(made.ask("a", "KV.CLUSTER", "REPLACE", "d", "e", "e:7100"), dict)
    settle(made, "abe")
    assert made.node("a").view.document.gone == ("c", "d")
    made.crash("b")
    unharmed(made, "ae")


def test_before_it_had_got_anything() -> None:
    made = begun()
    until(made, lambda document: any(step == BOTH_OLD for step in document.steps))
    wiped(made, "d")
    made.ask("a", "KV.CLUSTER", "REPLACE", "d")
    settle(made, "abd")
    unharmed(made, "abd")


def test_whoever_drives_may_crash_meanwhile() -> None:
    made = begun()
    until(made, counted)
    wiped(made, "d")
    made.ask("a", "KV.CLUSTER", "REPLACE", "d")
    for name in "abad":
        made.idle(300.0)
        made.crash(name)
        made.idle(100.0)
        made.boot(name)
    settle(made, "abd")
    unharmed(made, "abd")


def test_a_node_that_fills_its_own_empty_disk_and_loses_that_too() -> None:
    """The document that replaces it is still in force, and must not be taken for a word about the second disk."""
    made = filled("cas", first_start=True)
    wiped(made, "c")
    made.ask("a", "KV.CLUSTER", "REPLACE", "c")
    until(made, counted)
    rewritten(made, "c")
    wiped(made, "c")
    made.idle(5_000.0)
    assert not made.node("c").ready
    assert any("c has lost its data again" in line for line in made.logs)
    assert isinstance(made.ask("a", "KV.CLUSTER", "REPLACE", "c"), dict)
    settle(made, "abc")
    assert made.node("c").incarnation > 2 << LIFE_SHIFT
    made.crash("b")
    unharmed(made, "ac")


def test_a_node_that_was_replaced_as_it_lived_and_then_lost_its_disk() -> None:
    """Its old disk was filled anew and counted; so the new one is not what the document speaks of."""
    made = filled(first_start=True)
    made.ask("a", "KV.CLUSTER", "REPLACE", "c")
    until(made, counted)
    wiped(made, "c")
    made.idle(5_000.0)
    assert not made.node("c").ready


def test_a_document_that_comes_before_any_witness_has_answered_begins_nothing() -> None:
    made = begun()
    until(made, counted)
    made.crash("d")
    made.wipe("d")
    made.boot("d", replace=True)
    made.step("d", Deliver("a", RingOffer(0, *made.node("a").membership.offer_body())))
    made.idle(5_000.0)
    assert not made.node("d").ready


@pytest.mark.parametrize("replaced_too", [False, True])
def test_an_empty_disk_is_not_taken_for_new_when_the_disks_of_all_witnesses_were_replaced(
    replaced_too: bool,
) -> None:
    """One disk after the other: nobody is left who has seen the first births. Who is new still comes in."""
    made = filled(first_start=True)
    for name in ["a", "b", "c"] if replaced_too else ["b", "c"]:
        wiped(made, name)
        assert isinstance(made.ask("c" if name == "a" else "a", "KV.CLUSTER", "REPLACE", name), dict)
        settle(made, "abc")
    made.crash("a")
    made.wipe("a")
    made.boot("a")
    made.idle(5_000.0)
    assert not made.node("a").ready
    assert (
        any("whose disk is empty, has been here before; if a has been" in line for line in made.logs)
        != replaced_too
    )
    made.crash("a")
    made.boot("a", replace=True)
    made.idle(1_000.0)
    assert isinstance(made.ask("b", "KV.CLUSTER", "REPLACE", "a"), dict)
    settle(made, "abc")
    unharmed(made, "abc")
    made.add("d")
    made.idle(1_000.0)
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "d", "d:7100"), dict)
    settle(made, "abcd")
    assert isinstance(made.ask("a", "KV.CLUSTER", "JOIN", "e", "e:7100"), dict)  # before its first start
    made.add("e")
    settle(made, "abcde")
    unharmed(made, "abcde")


def test_what_is_refused_says_what_to_do() -> None:
    made = begun()
    until(made, counted)
    for words, text in (
        (("ABORT",), "or replace d if that is lost too"),
        (("REPLACE", "c", "e", "e:7100"), "a change is under way (replace d)"),
        (("REPLACE", "d", "b", "b:7100"), "b is, or was, a member"),
    ):
        answer = made.ask("a", "KV.CLUSTER", *words)
        assert isinstance(answer, Failure)
        assert text in answer.text


# ---- the document --------------------------------------------------------------------------------------------------


def walked(document: Document, rounds: int) -> Document:
    """So many steps of every partition."""
    for _ in range(rounds):
        started = [p for p, step in enumerate(document.steps) if step < NEW]
        document = advanced(document, started, ())
    return document


def quorums(document: Document, partition: int, n: int) -> list[set[str]]:
    """The smallest sets of nodes that may answer a read, and so a part of those that may acknowledge a write."""
    asked = document.sets(partition, n)[document.step(partition) >= BOTH_NEW]
    there = [node for node in asked if not document.blank(node, partition)]
    return [set(nodes) for nodes in combinations(there, majority(len(asked)))]


@pytest.mark.parametrize("rounds", [0, 1, 2])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_every_quorum_of_before_meets_every_quorum_of_after(rounds: int, n: int) -> None:
    """Of keys and of the register of the document, and in a node whose disk is whole. `x` takes the place of c, then y that of x."""
    names = "abcdef"[: n + 1]
    old = first({name: f"{name}:1" for name in names})
    before = walked(replaced(old, "c", Member("x", "x:1"), n), rounds)
    after = replaced(before, "x", Member("y", "y:1"), n)
    assert set(after.since) == {after.epoch}  # requests of before are refused
    for partition in (0, 7, 200, META):
        assert not any("x" in nodes for nodes in quorums(after, partition, n))
        for earlier in quorums(before, partition, n):
            assert all(earlier & later for later in quorums(after, partition, n))
    assert any(quorums(after, partition, n) for partition in (0, 7, 200))


def test_only_a_replacement_is_taken_over() -> None:
    old = first({name: f"{name}:1" for name in "abcde"})
    moving = replaced(old, "c", Member("x", "x:1"), 3)
    assert taken_over(old, "a") is old
    assert taken_over(moving, "a") is moving
    over = taken_over(moving, "x")
    assert over.change is None
    assert over.gone == ("c",)
    assert over.acceptors == ("a", "b", "d", "e", "x")
    assert "c" not in over.owners


def test_each_disk_that_is_filled_begins_a_life_of_its_own() -> None:
    made = Cluster("abc", bucket("default"), seed=3, first_start=True)
    made.idle(1_000.0)
    lives = []
    for _ in range(3):
        wiped(made, "b")
        made.ask("a", "KV.CLUSTER", "REPLACE", "b")
        settle(made, "abc")
        lives.append(made.node("b").incarnation >> LIFE_SHIFT)
    assert lives == [1, 2, 3]
