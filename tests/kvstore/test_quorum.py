from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvstore.quorum import Quorum

EVENTS = st.lists(st.tuples(st.sampled_from("abcdx"), st.booleans()), max_size=20)


@given(EVENTS, st.integers(1, 4))
def test_it_counts_members_of_the_set_once(events: list[tuple[str, bool]], need: int) -> None:
    quorum, first = Quorum(tuple("abcd"), need), {}
    for replica, answers in events:
        changed = quorum.answer(replica, 1) if answers else quorum.refuse(replica, 1)
        assert changed == (replica in "abcd" and replica not in first)
        if changed:
            first[replica] = answers
    good, bad = sum(first.values()), len(first) - sum(first.values())
    assert quorum.satisfied == (good >= need)
    assert quorum.hopeless == (4 - bad < need)
    assert quorum.complete == (len(first) == 4)
