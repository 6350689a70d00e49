"""The claim: equal shares, little movement, distinct neighbours; racks as far as they go."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.claim import Share, claim, loads, moved, quotas, rack_violations
from kvstore.ring import PARTITIONS, Ring, walk

NAMES = [f"n{number:02}" for number in range(1, 21)]
N = 3


def even(names: list[str]) -> dict[str, Share]:
    return {name: Share() for name in names}


def replicas_moved(before: tuple[str, ...], after: tuple[str, ...]) -> int:
    return sum(map(len, moved(before, after, N).values()))


def test_nodes_that_join_one_after_the_other_stay_even_and_move_little() -> None:
    owners = Ring.striped(NAMES[:3]).owners
    for size in range(4, 21):
        after = claim(owners, even(NAMES[:size]), N)
        mean = N * PARTITIONS / size
        assert max(loads(after, N).values()) <= 1.15 * mean
        assert replicas_moved(owners, after) <= 1.2 * mean
        owners = after


def test_nodes_that_leave_one_after_the_other_stay_even_and_move_little() -> None:
    owners = claim(Ring.striped(NAMES[:10]).owners, even(NAMES[:10]), N)
    for size in range(9, 3, -1):
        carried = loads(owners, N)[NAMES[size]]
        after = claim(owners, even(NAMES[:size]), N)
        assert max(loads(after, N).values()) <= 1.15 * N * PARTITIONS / size
        assert replicas_moved(owners, after) <= 1.5 * carried
        owners = after


def test_a_balanced_ring_is_left_alone() -> None:
    owners = claim(Ring.striped(NAMES[:5]).owners, even(NAMES[:5]), N)
    assert claim(owners, even(NAMES[:5]), N) == owners


def test_a_node_of_twice_the_weight_gets_twice_the_share() -> None:
    shares = {**even(NAMES[:4]), NAMES[4]: Share(weight=2.0)}
    owners = claim(Ring.striped(NAMES[:4]).owners, shares, N)
    quota = quotas(shares)
    assert all(abs(owners.count(name) - quota[name]) <= 1 for name in shares)


def test_racks_are_kept_apart_where_that_can_be_had() -> None:
    shares = {name: Share(rack="abc"[place % 3]) for place, name in enumerate(NAMES[:6])}
    owners = claim(Ring.striped(NAMES[:3]).owners, shares, N)
    assert rack_violations(owners, shares, N) <= 3  # 256 is no multiple of 3: the seam
    alone = {name: Share(rack="a") for name in NAMES[:4]}
    assert rack_violations(claim(owners, alone, N), alone, N) == PARTITIONS  # and it is told when it cannot


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 11)), min_size=1, max_size=6))
def test_whoever_comes_and_goes(changes: list[tuple[bool, int]]) -> None:
    members = set(NAMES[:4])
    owners = Ring.striped(NAMES[:4]).owners
    for joins, which in changes:
        members = members | {NAMES[which]} if joins else members - {NAMES[which]} or members
        shares = even(sorted(members))
        owners = claim(owners, shares, N)
        assert owners == claim(owners, shares, N)
        assert set(owners) == members
        counts = [owners.count(member) for member in members]
        assert max(counts) - min(counts) <= 2
        for p in range(PARTITIONS):
            assert len(set(walk(owners, p, N))) == min(N, len(members))
