"""Which operations a violation names, drawn: below each history its core, to the operation. None is missing, none too many.

Ties decide as closed intervals demand: what touches is concurrent. Where two operations serve equally, the writer is named before its
reads, and of reads the first called.
"""

import pytest

from checkers import MISSING, History, Op, Verdict
from checkers.notation import parse_drawing
from checkers.register import check_linearizable
from checkers.regular import check_regular
from checkers.staleness import staleness
from checkers.validate import validate_core
from tests.checkers.random_calls import random_history

CORES = {
    "writes touch, so the older value may have come second": (
        "new-old-inversion",
        """A: |-w 1-|                |-r 1-|
           B:       |-w 2-| |-r 2-|""",
        """A: |-w 1-|                |-r 1-|
           B:       |-w 2-| |-r 2-|""",
    ),
    "a write that returns as the read begins is not missed": (
        "new-old-inversion",
        """A: |-w 1-|         |-r 1-|
           B:         |--w 2--|
           C:         |-r 2-|      |-r 2-|""",
        """A: |-w 1-|         |-r 1-|
           B:         |--w 2--|
           C:         |-r 2-|""",
    ),
    "write and read return at one instant: the write alone is named": (
        "lost-write",
        """A: |-w 1-|          |-r 1-|
           B:         |-w 2-|
           C: |-r 1-|""",
        """A: |-w 1-|          |-r 1-|
           B:         |-w 2-|""",
    ),
    "write and read are called at one instant: the write alone is named": (
        "stale-read",
        """A: |-w 1-|             |-r 1-|
           B:         |-w 2-|
           C:         |-r 2--|""",
        """A: |-w 1-|             |-r 1-|
           B:         |-w 2-|""",
    ),
    "reads return at one instant: the first called is named": (
        "lost-write",
        """A: |--w 1- - -
           B: |--r 1--|         |-r 1-|
           C:   |-r 1-|
           D:           |-w 2-|""",
        """A: |--w 1- - -
           B: |--r 1--|         |-r 1-|
           D:           |-w 2-|""",
    ),
    "a read brings the compare-and-set that wrote its value, and that the write that it expects": (
        "new-old-inversion",
        """A: |-w 1-|  |-r 3-|         |-r 2-|
           B: |-----cas 1 2-----|
           C:    |---w 3---|                |-r 3-|""",
        """A: |-w 1-|                  |-r 2-|
           B: |-----cas 1 2-----|
           C:    |---w 3---|                |-r 3-|""",
    ),
    "a compare-and-set brings the write that it expects": (
        "double-cas",
        """A: |-w 1-| |-cas 1 2-| |-cas 1 3-|""",
        """A: |-w 1-| |-cas 1 2-| |-cas 1 3-|""",
    ),
    "a failed compare-and-set brings nothing: its value was read": (
        "aborted-read",
        """A: |-w 1-| |-cas 1 2-x |-r 2-|""",
        """A:         |-cas 1 2-x |-r 2-|""",
    ),
    "a compare-and-set from a failed write": (
        "aborted-read",
        """A: |-w 1-x |-cas 1 2-|""",
        """A: |-w 1-x |-cas 1 2-|""",
    ),
    "two compare-and-sets are caught before it is known why the write behind them happened": (
        "double-cas",
        """A: |--w 5- - -
           B: |--cas 5 1- - -
           C: |--r 1--|
           D:            |--cas 1 2--|
           E:            |--cas 1 3--|""",
        """A: |--w 5- - -
           B: |--cas 5 1- - -
           D:            |--cas 1 2--|
           E:            |--cas 1 3--|""",
    ),
}  # fmt: skip

MISSED = {
    "the newer write begins as the older returns": (
        0,
        """A: |-w 1-|         |-r 1-|
           B:       |-w 2-|""",
        "",
    ),
    "the newer write returns as the read begins": (
        0,
        """A: |-w 1-|       |-r 1-|
           B:         |-w 2-|""",
        "",
    ),
    "the read returns as its write begins": (
        0,
        """A:       |-w 1-|
           B: |-r 1-|""",
        "",
    ),
    "the newer write is not acknowledged": (
        0,
        """A: |-w 1-|                 |-r 1-|
           B:         |-w 2- - -""",
        "",
    ),
    "of all that was missed the latest called is named": (
        3,
        """A: |-w 1-|                        |-r 1-|
           B:         |-------w 2-------|
           C:           |-----w 3-----|
           D:         |-w 4-|""",
        """A: |-w 1-|                        |-r 1-|
           C:           |-----w 3-----|""",
    ),
    "nothing was written before": (
        1,
        """A: |-w 1-| |-r nil-|""",
        """A: |-w 1-| |-r nil-|""",
    ),
}  # fmt: skip


def aligned(drawing):
    return "\n".join(line.strip() for line in drawing.splitlines())


def drawn(history, calls):
    """The operations as a drawing shows them: when, what, which value, and how it ended."""
    found = []
    for call in map(history.op, calls):
        end = history.completion(call.index)
        value = call.value if end is None or call.value is not MISSING else end.value
        found.append((call.time_ns, call.f, str(value), end and (end.type, end.time_ns)))
    return sorted(found, key=repr)


def calls(history):
    return [op.index for op in history if op.type == 0]


@pytest.mark.parametrize("name", CORES)
def test_core(name):
    anomaly, drawing, core = CORES[name]
    history, wanted = parse_drawing(aligned(drawing)), parse_drawing(aligned(core))
    result = check_linearizable(history)
    assert (result.verdict, result.anomaly) == (Verdict.INVALID, anomaly)
    validate_core(history, result)
    assert drawn(history, result.certificate.ops) == drawn(wanted, calls(wanted))


@pytest.mark.parametrize("name", MISSED)
def test_what_a_read_missed(name):
    versions, drawing, core = MISSED[name]
    history, wanted = parse_drawing(aligned(drawing)), parse_drawing(aligned(core))
    result = check_regular(history)
    assert (result.verdict, result.anomaly) == (
        (Verdict.INVALID, "stale-read") if versions else (Verdict.VALID, None)
    )
    named = result.certificate.ops if versions else ()
    assert drawn(history, named) == drawn(wanted, calls(wanted))
    assert staleness(history).stats["worst_staleness_versions"] == versions


def without(history: History, core: list[int], left_out: int) -> str | None:
    """The anomaly of the rest of a core."""
    pairs = [(history.op(at), history.completion(at)) for at in core if at != left_out]
    records = sorted((op for pair in pairs for op in pair if op is not None), key=lambda op: op.index)
    alone = [Op(-1, op.time_ns, op.process, op.type, op.f, op.key, op.value, op.error) for op in records]
    return check_linearizable(History.from_ops(alone)).anomaly


def test_no_read_of_a_core_can_be_left_out() -> None:
    """The rest is possible, or impossible in another way: a stale read is a lost write if no read shows the newer value."""
    found, turned = 0, 0
    for seed in range(400):
        history = random_history("register", seed)
        for part in check_linearizable(history).parts.values():
            if part.verdict is Verdict.INVALID and part.certificate is not None:
                core = list(part.certificate.ops)
                for read in (at for at in core if history.op(at).f == "read"):
                    anomaly = without(history, core, read)
                    assert anomaly != part.anomaly, f"seed {seed}, key {part.key!r}: #{read} of {core}"
                    found, turned = found + 1, turned + (part.anomaly, anomaly).count("lost-write")
    assert found > 100
    assert turned > 0
