"""The shape of a violation: what stays of a core, and that nothing accidental is left in its text."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers import History, Op, Type, Verdict
from checkers.notation import parse_drawing
from harness.campaign.canonical import Call, canonical, pattern
from harness.campaign.shape import Shape, relations, shape_of
from harness.results import judge_claims

TURNED = "a before b, b before a"
STALE = "write a, write b after 1, read a after 2"


def shape(drawing: str, claim: str = "linearizable") -> str:
    return whole_shape(drawing, claim).text


def whole_shape(drawing: str, claim: str = "linearizable") -> Shape:
    """Of a whole drawn history that breaks the claim."""
    history = parse_drawing(drawing)
    found = judge_claims(history, [claim])[1][claim]
    assert found.verdict is Verdict.INVALID, found.reason

    def breaks(tried: History) -> bool:
        again = judge_claims(tried, [claim])[1][claim]
        return again.verdict is Verdict.INVALID and again.anomaly == found.anomaly

    return shape_of(history, [op.index for op in history if op.type is Type.INVOKE], breaks)


@pytest.mark.parametrize(
    "drawing",
    [
        "A: |-w 1-| |-w 2-| |-r 1-|",
        "A: |-w 1-|\nB:            |-w 2-|\nC:                      |-r 1-|",
        "A: |-w 9-|           |-r 9-|\nB:        |-w 7-|",
        "A: |-w 5-|   |-w 1-|           |-r 5-|\nB:                      |--w 4--|",  # what is left out does not matter
    ],
)
def test_one_bug_has_one_shape(drawing: str) -> None:
    assert shape(drawing) == STALE


def test_what_is_in_the_core_by_chance_is_left_out() -> None:
    noisy = "A: |-w 1-| |-r 1-| |-w 2-|         |-r 1-|\nB:   |---r 1---|                |-r 1-|"
    assert shape(noisy) == STALE


def test_other_bugs_have_other_shapes() -> None:
    assert shape("A: |-r 1-|") == "read a"
    assert (
        shape("A: |----w 1----|\nB: |----w 2----|\nC:                  |-r 2-| |-r 1-|")
        == "write a, write b, read b after 1, read a after 3"
    )


def test_who_called_stays_only_where_it_matters() -> None:
    """Two sessions may see writes in any order; one may not turn back. Real time says nothing here, the order of a session does."""
    turned = shape("A: |-w 1-| |-w 2-|\nB:     |-r 2-|  |-r 1-|", "causal")
    assert turned == "P0 write a, P1 read b, P0 write b after 1, P1 read a after 2"
    other = shape("C: |-w 8-|     |-w 3-|\nA:                         |-r 3-|   |-r 8-|", "causal")
    assert other == turned


def test_a_violation_that_its_core_does_not_show_by_itself_is_told_as_it_is() -> None:
    history = parse_drawing("A: |-w 1-| |-w 2-| |-r 1-|")
    assert shape_of(history, [0, 2], lambda tried: False) == ("P0 write a, P0 write b after 1", "a before b")
    assert shape_of(history, [], lambda tried: True) == ("", "")


def test_a_large_core_is_counted_and_not_tried_for_ever() -> None:
    reads = [Op(-1, place, place, kind, "read", None, 1) for place in range(40) for kind in (Type.INVOKE, Type.OK)]  # fmt: skip
    history, asked = History.from_ops(reads), 0

    def whole(tried: History) -> bool:
        nonlocal asked
        asked += 1
        return len(tried) == len(history)

    assert shape_of(history, range(0, 80, 2), whole) == ("40 read", "40 read")
    assert asked <= 400


@pytest.mark.parametrize(
    ("drawing", "expected"),
    [
        ("A: |-w 1-| |-w 2-| |-r 1-|", TURNED),
        ("A: |----w 1----|\nB: |----w 2----|\nC:                  |-r 2-| |-r 1-|", TURNED),
        ("A: |-w 1-| |-r 1-| |-r 2-| |-r 1-|\nB:    |---w 2---|", TURNED),
        ("A: |-r 1-|", "read a"),  # no value is before another
        ("A: |-w 1-| |-r nil-|", "write a, read nothing after 1"),
    ],
)
def test_many_shapes_have_one_pattern(drawing: str, expected: str) -> None:
    assert whole_shape(drawing).pattern == expected


CALLS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 6), st.sampled_from(["read", "write"]), st.integers(1, 3), st.integers(0, 1)),
    min_size=1, max_size=6,
)  # fmt: skip


def call(begin: int, length: int, f: str, value: object, process: int) -> Call:
    op = Op(0, 0, process, Type.INVOKE, f, None, value)
    return Call(process, op, op.ok(), 2 * begin, 2 * (begin + length) + 1)


@given(CALLS, st.randoms(use_true_random=False), st.booleans())
def test_names_and_order_do_not_change_the_text(
    drawn: list[tuple[int, int, str, int, int]], rng: random.Random, processes: bool
) -> None:
    calls = [call(*each) for each in drawn]
    names = {1: "x", 2: 70, 3: "a"}
    others = [call(begin, length, f, names[value], 9 - process) for begin, length, f, value, process in drawn]
    others = [each._replace(begin=each.begin * 5, end=(each.end or 0) * 5) for each in others]
    assert relations(others) == relations(calls)
    rng.shuffle(others)
    texts = [canonical(each, relations(each), processes=processes) for each in (calls, others)]
    assert texts[0] == texts[1]
    assert pattern(calls, relations(calls)) == pattern(others, relations(others))


@pytest.mark.parametrize(
    "change",
    [
        lambda calls: [calls[0], calls[1]._replace(begin=0), calls[2]],
        lambda calls: [calls[0], calls[1], calls[2]._replace(process=0)],
        lambda calls: [calls[0], calls[1]._replace(end=None, done=None), calls[2]],
        lambda calls: [calls[0], call(2, 0, "write", 1, 1), calls[2]],
    ],
)
def test_each_relation_is_in_the_text(change: Callable[[list[Call]], list[Call]]) -> None:
    calls = [call(0, 0, "write", 1, 0), call(2, 0, "write", 2, 1), call(4, 0, "read", 1, 2)]
    texts = [canonical(each, relations(each), processes=True) for each in (calls, change(calls))]
    assert texts[0] != texts[1]
