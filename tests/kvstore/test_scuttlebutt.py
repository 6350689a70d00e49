"""Reconciliation: everybody learns everything, in few rounds, from messages of bounded size."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.scuttlebutt import Delta, Digest, Entry, Knowledge

NO_LIMIT = 1 << 20


def exchange(a: Knowledge, b: Knowledge, bytes_max: int = NO_LIMIT) -> None:
    """Syn, Ack, Ack2."""
    syn = a.digests()
    news, wanted = b.deltas(syn, complete=True, bytes_max=bytes_max), b.lacking(syn)
    a.learn(news)
    b.learn(a.deltas(wanted, complete=False, bytes_max=bytes_max))


def everything(view: Knowledge) -> dict[str, dict[str, str]]:
    return {
        node: {name: entry.value for name, entry in endpoint.entries.items()}
        for node, endpoint in view.endpoints.items()
    }


def test_two_nodes_agree_after_one_exchange() -> None:
    a, b = Knowledge("a", 1), Knowledge("b", 1)
    a.say("EPOCH", "3")
    b.say("LOAD", "0.5")
    exchange(a, b)
    assert everything(a) == everything(b) == {"a": {"EPOCH": "3"}, "b": {"LOAD": "0.5"}}


@pytest.mark.parametrize(("nodes", "rounds"), [(3, 4), (10, 8), (20, 12)])
def test_all_nodes_agree_within_the_rounds_promised(nodes: int, rounds: int) -> None:
    """Design: within 12 rounds at 20 nodes, push and pull, two partners a round; the median of seeds is far below."""
    for seed in range(20):
        rng = random.Random(seed)
        views = [Knowledge(f"n{i:02}", 1) for i in range(nodes)]
        for view in views:
            view.say("EPOCH", str(seed))
        for _ in range(rounds):
            for view in views:
                for partner in rng.sample([v for v in views if v is not view], 2):
                    exchange(view, partner)
        assert all(view.digests() == views[0].digests() for view in views)


def test_nothing_old_comes_back() -> None:
    a, b = Knowledge("a", 1), Knowledge("b", 1)
    a.say("LOAD", "1")
    old = a.deltas((), complete=True, bytes_max=NO_LIMIT)
    a.say("LOAD", "2")
    exchange(a, b)
    assert b.learn(old) == set()
    assert b.told("a", "LOAD") == "2"


def test_a_new_incarnation_replaces_all_that_the_old_one_said() -> None:
    first, b = Knowledge("a", 1), Knowledge("b", 1)
    first.say("LOAD", "1")
    first.say("RACK", "r1")
    exchange(first, b)
    second = Knowledge("a", 2)
    second.say("LOAD", "9")
    exchange(second, b)
    assert everything(b)["a"] == {"LOAD": "9"}
    late = Delta("a", 1, (Entry("LOAD", "7", 99),))
    assert b.learn([late]) == set()
    assert b.told("a", "LOAD") == "9"


def test_nobody_else_speaks_for_us() -> None:
    a = Knowledge("a", 1)
    a.say("STATE", "up")
    assert (
        a.learn([Delta("a", 1, (Entry("STATE", "down", 99),)), Delta("a", 5, (Entry("STATE", "down", 1),))])
        == set()
    )
    assert a.told("a", "STATE") == "up"


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.text(max_size=8)), max_size=20), st.integers(20, 60))
def test_a_cut_delta_is_a_prefix_and_the_next_rounds_continue_it(
    said: list[tuple[str, str]], budget: int
) -> None:
    a, b = Knowledge("a", 1), Knowledge("b", 1)
    for name, value in said:
        a.say(name, value)
    seen = [0]
    for _ in range(60):
        for delta in a.deltas(b.digests(), complete=True, bytes_max=budget):
            assert [entry.version for entry in delta.entries] == sorted(
                entry.version for entry in delta.entries
            )
        exchange(b, a, budget)
        version = b.endpoints["a"].version if "a" in b.endpoints else 0
        assert version >= seen[-1]
        seen.append(version)
    fits = all(len(name) + len(value.encode()) + 16 <= budget for name, value in said)
    if fits:
        assert everything(b).get("a", {}) == everything(a)["a"]


def test_what_is_asked_for_is_what_is_lacking() -> None:
    a = Knowledge("a", 1)
    a.learn([Delta("b", 1, (Entry("LOAD", "1", 4),))])
    digests = (Digest("a", 1, 0), Digest("b", 1, 4), Digest("b", 1, 6), Digest("b", 2, 1), Digest("c", 1, 1))
    assert a.lacking(digests) == (Digest("b", 1, 4), Digest("b", 2, 0), Digest("c", 1, 0))
