"""The checkers of ends, of queues and of tokens against slow, literal definitions: every assignment, every pair."""

from __future__ import annotations

from itertools import combinations

from histories import NONE, rows
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import Verdict, check

INFINITY = 10**9
VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
spans = st.tuples(st.integers(0, 25), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
statuses = st.sampled_from(("ok", "ok", "ok", "info", "fail"))


def end(row):
    return row[5] if row[3] == "ok" else INFINITY


def subsets(some):
    return (set(each) for size in range(len(some) + 1) for each in combinations(range(len(some)), size))


def fewest_untaken(takes, adds, wanted):
    """Try every assignment of takes to the adds of their value that were called before the take returned; how few of the wanted stay inside."""
    if not takes:
        return len(wanted)
    value, ret = takes[0]
    fits = [n for n, add in adds.items() if add[1] == value and add[4] <= ret]
    tried = [
        fewest_untaken(takes[1:], {m: add for m, add in adds.items() if m != n}, wanted - {n}) for n in fits
    ]
    return min(
        [*tried, fewest_untaken(takes[1:], adds, wanted)]
    )  # one that has no source is told of by itself


@st.composite
def queued(draw):
    found = [
        ("enqueue", draw(st.integers(0, 1)), NONE, draw(statuses), *draw(spans))
        for _ in range(draw(st.integers(1, 4)))
    ]
    for _ in range(draw(st.integers(0, 3))):
        found.append(("dequeue", NONE, draw(st.sampled_from((0, 1, None))), draw(statuses), *draw(spans)))
    return [*found, ("drain", NONE, draw(st.lists(st.integers(0, 1), max_size=2)), "ok", *draw(spans))]


@settings(max_examples=500)
@given(queued())
def test_what_no_assignment_takes_out_of_a_queue_is_lost(found):
    """Of one value at most one enqueue can be meant by one that came out, and none that was called later."""
    takes = [
        (row[2], row[5]) for row in found if row[0] == "dequeue" and row[3] == "ok" and row[2] is not None
    ]
    takes += [(value, row[5]) for row in found if row[0] == "drain" for value in row[2]]
    adds = {n: row for n, row in enumerate(found) if row[0] == "enqueue" and row[3] != "fail"}
    empty = max(
        row[4]
        for row in found
        if row[0] == "drain" or (row[0] == "dequeue" and row[3] == "ok" and row[2] is None)
    )
    crashed = sum(row[0] == "dequeue" and row[3] == "info" for row in found)
    acked = {n for n, row in adds.items() if row[3] == "ok"}
    gone = fewest_untaken(takes, adds, {n for n in acked if adds[n][5] < empty})
    result = check(rows(found), "total-queue")
    assert (result.anomaly == "lost") is (gone > crashed)
    if result.verdict is VALID:
        assert fewest_untaken(takes, adds, acked) == 0


@given(st.lists(st.tuples(st.integers(-3, 3), statuses, spans), max_size=5), st.integers(-6, 6), spans)
def test_a_read_of_a_counter_is_within_what_some_adds_make(adds, value, span):
    found = [("add", n, n, status, *at) for n, status, at in adds]
    may = [row for row in found if row[3] != "fail" and row[4] <= span[1]]
    must = {n for n, row in enumerate(may) if end(row) < span[0]}
    sums = [sum(may[n][1] for n in some) for some in subsets(may) if must <= some]
    result = check(rows([*found, ("read", NONE, value, "ok", *span)]), "counter")
    assert result.verdict is (VALID if min(sums) <= value <= max(sums) else INVALID)


@st.composite
def locked(draw):
    found = [
        ("acquire", NONE, draw(st.integers(1, 5)), draw(statuses), *draw(spans))
        for _ in range(draw(st.integers(2, 4)))
    ]
    for _ in range(draw(st.integers(0, 4))):
        found.append(("write", [draw(st.integers(1, 5)), 0], NONE, draw(statuses), *draw(spans)))
    return found


@settings(max_examples=300)
@given(locked())
def test_fencing_is_every_pair_in_order(found):
    grants = [row for row in found if row[0] == "acquire" and row[3] == "ok"]
    writes = [row for row in found if row[0] == "write" and row[3] == "ok"]
    numbers = [row[2] for row in grants]
    unknown = any(row[0] == "acquire" and row[3] == "info" for row in found)
    bad = len(set(numbers)) < len(numbers)
    bad |= any(a[5] < b[4] and a[2] > b[2] for a in grants for b in grants)
    bad |= any(a[5] < b[4] and a[1][0] > b[1][0] for a in writes for b in writes)
    for write in writes:
        sources = [row for row in grants if row[2] == write[1][0]]
        bad |= not sources and not unknown
        bad |= bool(sources) and all(write[5] < row[4] for row in sources)
    assert (check(rows(found), "mutex-fencing").verdict is INVALID) is bad


@st.composite
def added_and_removed(draw):
    found = [
        (draw(st.sampled_from(("add", "add", "remove"))), 1, 1, draw(statuses), *draw(spans))
        for _ in range(draw(st.integers(1, 4)))
    ]
    return found, draw(st.booleans()), draw(spans)


@settings(max_examples=300)
@given(added_and_removed())
def test_an_element_of_an_or_set_goes_only_by_a_remove_that_may_have_seen_every_add(drawn):
    """Which adds a remove has seen nobody knows: try every choice among those that were called before it returned."""
    found, there, span = drawn
    adds = [row for row in found if row[0] == "add" and row[3] != "fail" and row[4] <= span[1]]
    removes = [row for row in found if row[0] == "remove" and row[3] != "fail" and row[4] <= span[1]]
    must = {n for n, add in enumerate(adds) if end(add) < span[0]}
    seeable = {n for n, add in enumerate(adds) if any(add[4] <= end(remove) for remove in removes)}
    possible = {
        bool(some - gone)
        for some in subsets(adds)
        if must <= some
        for gone in subsets(adds)
        if gone <= seeable & some
    }
    result = check(rows([*found, ("final-read", NONE, [1] if there else [], "ok", *span)]), "or-set")
    assert (result.verdict is INVALID) is (there not in possible)
