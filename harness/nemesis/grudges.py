"""Grudges: who drops whose packets. Pure: nodes and a random stream in, `{dst: {src, …}}` out.

    halves             isolate           majorities-ring           bridge            one-way
    n1─n2 ╳ n3─n4─n5   n1 ╳ n2─n3─n4─n5  each node sees a          n1─n2─┐           n1─n2 ──► n3─n4─n5
                                         majority, no two the      n3 ───┤ sees all        ◄╳─
                                         same one                  n4─n5─┘

    to_clients(n1, "answers"): clients ──► n1, and nothing comes back

"halves" splits near the middle, the majority on one side. Real switches fail one way more often than both.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

CLIENTS: Final = "clients"
"""In a grudge, in place of a node: all clients of the nodes."""
BOTH, REQUESTS, ANSWERS = "both", "requests", "answers"
WAYS: Final = (BOTH, REQUESTS, ANSWERS)
"""What goes between clients and a node."""

Grudge = Mapping[str, frozenset[str]]
"""Who drops whose packets: `{dst: {src, …}}`. One-way cuts are grudges that are not symmetric."""


def complete(groups: Iterable[Iterable[str]]) -> Grudge:
    """Every node drops what comes from outside its group."""
    sets = [frozenset(group) for group in groups]
    everyone = frozenset().union(*sets)
    return {node: everyone - group for group in sets for node in sorted(group)}


def halves(nodes: Sequence[str], rng: random.Random) -> Grudge:
    """n1 n2 ╳ n3 n4 n5: a drawn minority of just under half against the rest."""
    order = rng.sample(list(nodes), len(nodes))
    middle = len(order) // 2
    return complete([order[:middle], order[middle:]])


def isolate(nodes: Sequence[str], rng: random.Random) -> Grudge:
    """n1 ╳ n2 n3 n4 n5: one drawn node alone."""
    alone = rng.choice(list(nodes))
    return complete([[alone], [node for node in nodes if node != alone]])


def majorities_ring(nodes: Sequence[str], rng: random.Random) -> Grudge:
    """Each node sees itself and its nearest on a drawn ring, a bare majority; each a different one."""
    order = rng.sample(list(nodes), len(nodes))
    count = len(order)
    majority = count // 2 + 1
    left, right = (majority - 1) // 2, majority - 1 - (majority - 1) // 2
    grudge = {}
    for place, node in enumerate(order):
        seen = {order[(place + step) % count] for step in range(-left, right + 1)}
        grudge[node] = frozenset(order) - seen
    return {node: grudge[node] for node in nodes}


def bridge(nodes: Sequence[str], rng: random.Random) -> Grudge:
    """n1 n2 ╳ n4 n5, and n3 sees everybody: who may reach whom is not transitive."""
    order = rng.sample(list(nodes), len(nodes))
    middle = order[0]
    rest = order[1:]
    cut = complete([rest[: len(rest) // 2], rest[len(rest) // 2 :]])
    return {node: cut.get(node, frozenset()) for node in nodes if node != middle}


def one_way(nodes: Sequence[str], rng: random.Random) -> Grudge:
    """A drawn minority is heard but hears nothing of the rest, or the other way about."""
    order = rng.sample(list(nodes), len(nodes))
    count = rng.randint(1, max(1, (len(order) - 1) // 2))
    few, many = order[:count], order[count:]
    deaf, heard = (few, many) if rng.random() < 0.5 else (many, few)
    return {node: frozenset(heard) for node in deaf}


def around(targets: Iterable[str], nodes: Sequence[str]) -> Grudge:
    """The links of the targets, to them and from them."""
    chosen = frozenset(targets)
    everyone = frozenset(nodes)
    return {node: (everyone if node in chosen else chosen) - {node} for node in nodes}


def to_clients(targets: Iterable[str], way: str) -> Grudge:
    """The links of the targets with their clients: what these ask, what they are answered, or both."""
    chosen = frozenset(targets)
    asked: Grudge = {node: frozenset({CLIENTS}) for node in sorted(chosen)}
    answered: Grudge = {CLIENTS: chosen}
    return {REQUESTS: asked, ANSWERS: answered, BOTH: {**asked, **answered}}[way]


def struck(grudge: Mapping[str, Iterable[str]]) -> list[str]:
    """The nodes that a grudge is about: those that drop, and those whose answers clients do not hear."""
    return [node for node in dict.fromkeys([*grudge, *grudge.get(CLIENTS, ())]) if node != CLIENTS]


SHAPES: Final[Mapping[str, Callable[[Sequence[str], random.Random], Grudge]]] = {
    "halves": halves,
    "isolate": isolate,
    "majorities-ring": majorities_ring,
    "bridge": bridge,
    "one-way": one_way,
}


def names(grudge: Grudge) -> list[str]:
    """The links as `src->dst`, sorted."""
    return sorted(f"{src}->{dst}" for dst, sources in grudge.items() for src in sources)
