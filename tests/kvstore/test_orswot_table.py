"""The table of the or-set's joins: three replicas, adds, removals and merges; the laws and an observed-remove oracle.

    broken in 20,000         commutativity   associativity   value
    correct                              0               0       0
    union if both                        0           2,013       8
    dominance shortcut                 716             423   1,410

QUORATE_FUZZ sets the number of schedules; `make nightly` takes 20,000.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from kvstore.causal import Causal, removal
from kvstore.crdt import NO_BUGS, TYPES, Change

SCHEDULES = min(int(os.environ.get("QUORATE_FUZZ", "1500")), 20_000)
SET = TYPES["or-set"]
ELEMENTS = (b"x", b"y")


@dataclass
class Counts:
    commutativity: int = 0
    associativity: int = 0
    value: int = 0


class Oracle:
    """What a replica was told: adds by number, and what each update replaced or removed."""

    def __init__(self) -> None:
        self.adds: dict[int, bytes] = {}
        self.gone: set[int] = set()

    def take(self, other: Oracle) -> None:
        self.adds |= other.adds
        self.gone |= other.gone

    def alive(self, element: bytes) -> set[int]:
        return {n for n, what in self.adds.items() if what == element} - self.gone

    def values(self) -> list[bytes]:
        return sorted(element for element in ELEMENTS if self.alive(element))


def schedule(seed: int, bugs: frozenset[str], counts: Counts) -> None:
    rng = random.Random(seed)
    states = {node: SET.empty() for node in "abc"}
    oracles = {node: Oracle() for node in "abc"}
    for step in range(20):
        node, other = rng.sample("abc", 2)
        element, dice = rng.choice(ELEMENTS), rng.random()
        mine, oracle = states[node], oracles[node]
        if dice < 0.35:
            delta = SET.update(mine, Change("add", (element,)), (node, 1))
            oracle.gone |= oracle.alive(element)
            oracle.adds[step] = element
            states[node] = mine.join(delta)
        elif dice < 0.5:
            states[node] = mine.join(removal(mine.store.get(element, {})))
            oracle.gone |= oracle.alive(element)
        else:
            states[node] = SET.join(mine, states[other], bugs)
            oracle.take(oracles[other])
    a, b, c = states.values()

    def join(one: Causal, two: Causal) -> Causal:
        return SET.join(one, two, bugs)  # type: ignore[no-any-return]

    whole = Oracle()
    for each in oracles.values():
        whole.take(each)
    counts.commutativity += join(a, b) != join(b, a)
    counts.associativity += join(join(a, b), c) != join(a, join(b, c))
    counts.value += SET.values(join(join(a, b), c)) != whole.values()


def table(bug: str) -> Counts:
    counts = Counts()
    for seed in range(SCHEDULES):
        schedule(seed, frozenset([bug]) if bug else NO_BUGS, counts)
    return counts


@pytest.mark.slow
def test_the_join_keeps_its_laws_and_its_value() -> None:
    assert table("") == Counts(0, 0, 0)


@pytest.mark.slow
def test_union_if_both_is_not_associative() -> None:
    counts = table("orswot.union_if_both")
    assert counts.commutativity == 0
    assert counts.associativity > 0
    assert counts.value < counts.associativity  # why laws are tested, and not values only


@pytest.mark.slow
def test_dominance_shortcut_breaks_everything() -> None:
    counts = table("orswot.dominance_shortcut")
    assert counts.commutativity > 0
    assert counts.associativity > 0
    assert counts.value > 0
