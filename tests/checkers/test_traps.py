"""What register checkers get wrong, drawn. Every certificate is gone over again by the validator."""

import pytest

from checkers import History, HistoryError, Type, Verdict, invoke
from checkers.levels import judge
from checkers.notation import parse_drawing
from checkers.register import check_linearizable
from checkers.validate import validate_core, validate_witness

TRAPS = {
    "read before its write's call": (
        "future-read",
        """A:          |--w 1--|
           B: |-r 1-|""",
    ),
    "read returns before its write, concurrent": (
        "",
        """A:   |----w 1-----|
           B: |-r 1-|""",
    ),
    "read returns at the instant its write is called": (
        "",
        """A:       |--w 1--|
           B: |-r 1-|""",
    ),
    "info write never read": (
        "",
        """A: |--w 1- - - - - - -
           B:     |-w 2-| |-r 2-| |-r 2-|""",
    ),
    "info write read once must stay": (
        "new-old-inversion",
        """A: |--w 1- - - - - - -
           B: |-w 2-| |-r 1-| |-r 2-|""",
    ),
    "info write takes effect late": (
        "",
        """A: |--w 1- - - - - - -
           B: |-w 2-| |-r 2-| |-r 1-|""",
    ),
    "info write read, overwritten, read again": (
        "new-old-inversion",
        """A: |--w 1- - - - - - - - - - -
           B: |-r 1-| |-w 2-| |-r 2-| |-r 1-|""",
    ),
    "info read says nothing": (
        "",
        """A: |--r ?- - -
           B: |-w 1-| |-r 1-|""",
    ),
    "failed write read": (
        "aborted-read",
        """A: |--w 1--x
           B: |-r 1-|""",
    ),
    "failed write must not constrain": (
        "",
        """A: |-w 1-| |-w 2-x |-r 1-|""",
    ),
    "thin air": ("thin-air", "A: |-r 9-|"),
    "info cas needs the info write that it expects": (
        "new-old-inversion",
        """A: |-w 5-| |-r 2-| |-r 1-|
           B: |--w 1- - -
           C: |--cas 1 2- - -""",
    ),
    "info cas from an info write": (
        "",
        """A: |-w 5-| |-r 1-| |-r 2-|
           B: |--w 1- - -
           C: |--cas 1 2- - -""",
    ),
    "two info cas from one value, one observed": (
        "",
        """A: |-w 1-| |-r 2-|
           B:    |--cas 1 2- - -
           C:    |--cas 1 3- - -""",
    ),
    "two info cas from one value, both observed": (
        "double-cas",
        """A: |-w 1-|      |-r 2-| |-r 3-|
           B:    |--cas 1 2- - -
           C:    |--cas 1 3- - -""",
    ),
    "cas in a circle": (
        "cas-cycle",
        """A: |--cas 1 2--|
           B: |--cas 2 1--|
           C:   |--r 2--|""",
    ),
    "info cas in a circle, one value read": (
        "cas-cycle",
        """A: |--cas 1 2- - -
           B: |--cas 3 1- - -
           C: |--cas 2 3- - -
           D:   |--r 2--|""",
    ),
    "cas from a value nobody wrote": (
        "thin-air-cas",
        """A: |--cas 7 2--|
           B:   |--r 2--|""",
    ),
    "cas before what it expects": (
        "future-read",
        """A:             |-w 1-|
           B: |-cas 1 2-| |-r 2-|""",
    ),
    "nil read after the first acknowledged write": (
        "stale-read",
        """A: |-w 1-| |-r 1-| |-r nil-|""",
    ),
    "nil read after a write returned at that instant": (
        "",
        """A: |-w 1-|
           B:       |-r nil-|""",
    ),
    "nil read concurrent with the first write": (
        "",
        """A: |----w 1-----|
           B:  |-r nil-|""",
    ),
    "nil read after another saw the write": (
        "new-old-inversion",
        """A: |----------w 1-----------|
           B:  |-r 1-| |-r nil-|""",
    ),
    "only nil reads": ("", "A: |-r nil-| |-r nil-|"),
    "acknowledged write lies inside another value's time": (
        "lost-write",
        """A: |-w 1-|          |-r 1-|
           B:         |-w 2-|""",
    ),
    "unread write touches the beginning of that time": (
        "",
        """A: |-w 1-|          |-r 1-|
           B:       |-w 2-|""",
    ),
    "unread write touches the end of that time": (
        "",
        """A: |-w 1-|       |-r 1-|
           B:        |----w 2--|""",
    ),
    "unread write just inside": (
        "lost-write",
        """A: |-w 1-|       |-r 1-|
           B:        |-w 2-|""",
    ),
    "forward zones touch": (
        "",
        """A: |-w 1-|     |-r 1-|
           B:         |-w 2-|     |-r 2-|""",
    ),
    "forward zones cross": (
        "new-old-inversion",
        """A: |-w 1-|            |-r 1-|
           B:     |---w 2----|      |-r 2-|
           C:     |-r 2-|""",
    ),
    "definitely stale": (
        "stale-read",
        """A: |-w 1-| |-w 2-| |-r 2-| |-r 1-|""",
    ),
    "stale, and nobody saw the newer write": (
        "lost-write",
        """A: |-w 1-| |-w 2-| |-r 1-|""",
    ),
    "nil read, and nobody saw the write": (
        "lost-write",
        """A: |-w 1-| |-r nil-|""",
    ),
    "everything at one instant": (
        "",
        """A: |-w 1-|
           B: |-w 2-|
           C: |-r 1-|
           D: |-r 2-|
           E: |-r nil-|""",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_trap(name):
    anomaly, drawing = TRAPS[name]
    history = parse_drawing(aligned(drawing))
    result = check_linearizable(history)
    assert (result.verdict, result.anomaly) == (
        Verdict.INVALID if anomaly else Verdict.VALID,
        anomaly or None,
    ), result.reason
    (validate_core if anomaly else validate_witness)(history, result)


def aligned(drawing):
    return "\n".join(line.strip() for line in drawing.splitlines())


@pytest.mark.parametrize(
    ("drawing", "why"),
    [
        ("A: |-w 1-| |-w 1-| |-r 1-|", "write the same value"),
        ("A: |-w 1-| |-w nil-| |-r nil-|", "writes null"),
        ("A: |-w 1-| |-cas 1 1-| |-r 1-|", "replaces a value by itself"),
        ("A: |-w 1-| |-cas 2 3-x |-r 1-|", "needs the general search"),
    ],
)
def test_what_zones_cannot_judge_is_unknown(drawing, why):
    result = check_linearizable(parse_drawing(drawing))
    assert result.verdict is Verdict.UNKNOWN
    assert why in result.reason


def test_only_writes_test_nothing():
    judgement = judge(parse_drawing("A: |-w 1-| |-w 2-|"), ["regular"])
    assert {result.verdict for result in judgement.results.values()} == {Verdict.UNKNOWN}
    assert (judgement.strongest, judgement.weakest_refuted) == ([], [])


def test_an_operation_of_no_length_is_an_operation():
    ops = [
        op
        for t in (1, 1)
        for op in (invoke(t, "write", "x", 1, time_ns=5), invoke(t, "write", "x", 1, time_ns=5).ok())
    ][:2]
    read = invoke(2, "read", "x", time_ns=6)
    history = History.from_ops([*ops, read, invoke(2, "read", "x", 1, time_ns=6).ok()])
    result = check_linearizable(history)
    assert result.verdict is Verdict.VALID
    validate_witness(history, result)


def test_an_operation_that_ends_before_it_begins_is_refused():
    with pytest.raises(HistoryError, match="back in time"):
        History.from_ops([invoke(1, "write", "x", 1, time_ns=5), invoke(1, "write", "x", 1, time_ns=4).ok()])


def test_one_bad_key_spoils_all_and_is_named():
    result = check_linearizable(
        parse_drawing("A: |-w x 1-| |-r x 1-|\nB: |-w y 1-| |-w y 2-| |-r y 1-|\nC: |-w z 1-|")
    )
    assert (result.verdict, result.key, result.anomaly) == (Verdict.INVALID, "y", "lost-write")
    assert {name: part.verdict for name, part in result.parts.items()} == {
        "'x'": Verdict.VALID,
        "'y'": Verdict.INVALID,
    }
    assert (result.stats["keys_bad"], result.stats["keys_untested"]) == (1, 1)


def test_a_drawing_is_read_as_drawn():
    history = parse_drawing("# note\n\nA: |--w 1--|  |--r y ?--x\nB:  |--w b- - -   |--cas nil 2--|")
    told = [(op.time_ns // 10**6, op.process, op.type, op.f, op.key) for op in history]
    assert told == [
        (3, 1, Type.INVOKE, "write", "x"),
        (4, 2, Type.INVOKE, "write", "x"),
        (11, 1, Type.OK, "write", "x"),
        (14, 1, Type.INVOKE, "read", "y"),
        (18, 3, Type.INVOKE, "cas", "x"),
        (24, 1, Type.FAIL, "read", "y"),
        (32, 3, Type.OK, "cas", "x"),
    ]
    assert history.op(4).value == [None, 2]


@pytest.mark.parametrize(
    "drawing", ["A |-w 1-|", "A: |-w 1", "A: |-w 1-| junk |-r 1-|", "A: |-w 1 2 3-|", "A: |-q 1-|"]
)
def test_a_drawing_that_cannot_be_read_is_refused(drawing):
    with pytest.raises(HistoryError, match="line 1"):
        parse_drawing(drawing)
