"""Drawings: a column is a millisecond, from the left edge of the text, however rows are named and indented."""

import pytest

from checkers import MISSING
from checkers.jsonl import HistoryError
from checkers.notation import parse_drawing


def times(text):
    return [(op.time_ns // 1_000_000, op.process, op.type.name, op.value) for op in parse_drawing(text)]


def test_a_column_is_an_instant():
    drawn = """
# two clients
A: |-w 1-|
  Bob:   |--r 1--|
"""
    assert times(drawn) == [
        (3, 1, "INVOKE", 1),
        (9, 2, "INVOKE", MISSING),
        (9, 1, "OK", 1),
        (17, 2, "OK", 1),
    ]


def test_an_open_end_makes_way_for_a_fresh_process():
    drawn = "A: |-w 1- - -  |-r nil-|\nB: |-w y 2-x"
    assert times(drawn) == [
        (3, 1, "INVOKE", 1),
        (3, 3, "INVOKE", 2),
        (11, 3, "FAIL", 2),
        (15, 2, "INVOKE", MISSING),
        (23, 2, "OK", None),
    ]
    assert [op.key for op in parse_drawing(drawn)] == ["x", "y", "y", "x", "x"]


@pytest.mark.parametrize(
    ("drawn", "why"),
    [
        ("no row", "line 1 is no row"),
        ("\nA: |--w 1 2 3--|", "line 2: a write takes 1 value"),
        ("A: |--cas 1--|", "a cas takes 2 value"),
        ("A: |--w 1--| what", "line 1 cannot be read from 'what' on"),
    ],
)
def test_what_cannot_be_read_is_named(drawn, why):
    with pytest.raises(HistoryError) as caught:
        parse_drawing(drawn)
    assert why in str(caught.value)
