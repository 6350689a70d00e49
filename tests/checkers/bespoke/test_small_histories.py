"""Sets, ids, banks and logs against judges that try everything: every instant, every choice of what took effect, every order."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import NONE, Did, exactly, history_of, in_order, oks, one_of, seen_at, small, subsets

from checkers import Verdict, check

pytestmark = pytest.mark.slow
VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
MANY = settings(max_examples=500, deadline=None)
ELEMENTS = one_of(0, 1, True, None, "0")


def adding(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.booleans()):
        value = draw(ELEMENTS)
        return "add", value, value
    return "read", NONE, draw(st.lists(ELEMENTS, max_size=3))


@st.composite
def sets(draw: st.DrawFn) -> list[Did]:
    """Two reads of three show what a store may hold, so that not everything is wrong."""
    calls = draw(small(adding))
    adds = [one for one in calls if one.f == "add"]
    fit = [one.f == "read" and draw(st.integers(0, 4)) > 0 for one in calls]
    seen = [distinct(seen_at(draw, one, adds)) if fits else None for one, fits in zip(calls, fit, strict=True)]  # fmt: skip
    return [one if at is None else replace(one, result=at) for one, at in zip(calls, seen, strict=True)]


def same_bag(one: list[Any], other: list[Any]) -> bool:
    """As lists in any order, without taking 1 for True."""
    left = list(other)
    for value in one:
        at = next((at for at, each in enumerate(left) if exactly(value, each)), None)
        if at is None:
            return False
        del left[at]
    return not left


def distinct(adds: list[Did]) -> list[Any]:
    found: list[Any] = []
    for add in adds:
        if not any(exactly(add.value, each) for each in found):
            found.append(add.value)
    return found


def shown_by_some_set(read: Did, calls: list[Did]) -> bool:
    """Try every instant of the read, and every choice of the adds that may have taken effect by then."""
    adds = [one for one in calls if one.f == "add" and one.may]
    for instant in range(read.call, read.end + 1):
        sure = [add for add in adds if add.ret < instant]
        maybe = [add for add in adds if add.call <= instant <= add.ret]
        if any(same_bag(read.result, distinct([*sure, *some])) for some in subsets(maybe)):
            return True
    return False


@MANY
@given(sets())
def test_the_last_read_of_a_set_is_one_that_some_choice_of_adds_gives(calls):
    result = check(history_of(calls), "set")
    reads = oks(calls, "read")
    if not reads:
        assert result.verdict is UNKNOWN
        return
    last = max(reads, key=lambda read: (read.ret, read.call, read.number))
    if not shown_by_some_set(last, calls):
        assert result.verdict is INVALID
        return
    tested = last.result or any(add.before(last) for add in oks(calls, "add"))
    assert result.verdict is (VALID if tested else UNKNOWN)


def linearizable_element(value: Any, calls: list[Did]) -> bool:
    """One element alone: try every instant at which it came, or that it never did."""
    adds = [one for one in calls if one.f == "add" and one.may and exactly(one.value, value)]
    reads = [(read, any(exactly(value, each) for each in read.result)) for read in oks(calls, "read")]
    acked = [add.ret for add in adds if add.ok]
    if not acked and not any(there for _, there in reads):
        return True
    for instant in {add.call for add in adds} | {read.call for read, _ in reads}:
        came = any(add.call <= instant <= add.ret for add in adds) and all(instant <= ret for ret in acked)
        if came and all(read.ret >= instant if there else read.call <= instant for read, there in reads):
            return True
    return False


@MANY
@given(sets())
def test_set_full_linearizable_is_each_element_at_an_instant(calls):
    history = history_of(calls)
    result = check(history, "set-full-linearizable")
    values = distinct([Did(0, 0, "add", each, None, "ok", 0, 0) for one in calls for each in ([one.value] if one.f == "add" else one.result)])  # fmt: skip
    twice = any(len(read.result) > len(distinct([Did(0, 0, "add", each, None, "ok", 0, 0) for each in read.result])) for read in oks(calls, "read"))  # fmt: skip
    good = not twice and all(linearizable_element(value, calls) for value in values)
    assert (result.verdict is INVALID) is not good
    plain = check(history, "set-full")
    if plain.verdict is INVALID:
        assert not good
    lost = [value for value in values if lost_element(value, calls)]
    assert same_bag(plain.stats["lost"], lost)
    if good:
        assert plain.verdict is result.verdict
        assert (result.verdict is VALID) is any(read.result for read in oks(calls, "read"))


def lost_element(value: Any, calls: list[Did]) -> bool:
    """A read lacks it that was called after it was known, and after every read that shows it was over."""
    shows = [read for read in oks(calls, "read") if any(exactly(value, each) for each in read.result)]
    lacks = [read for read in oks(calls, "read") if read not in shows]
    adds = [one for one in calls if one.f == "add" and one.may and exactly(one.value, value)]
    known = [add for add in adds if add.ok] + shows
    return bool(adds) and any(
        any(proof.before(read) for proof in known) and all(show.before(read) for show in shows)
        for read in lacks
    )


def generating(draw: st.DrawFn) -> tuple[str, Any, Any]:
    return "generate", NONE, draw(one_of(0, 1, 1.0, True, "1", -0.0, 0.0, float("nan"), [1], [True]))


@MANY
@given(small(generating))
def test_ids_are_different_two_by_two(calls):
    """By their text and type: 1, 1.0 and true are three, and a value that is no number is itself."""
    ids = [(type(one.result).__name__, repr(one.result)) for one in oks(calls, "generate")]
    twice = any(one == other for one, other in combinations(ids, 2))
    verdict = check(history_of(calls), "unique-ids").verdict
    assert verdict is (INVALID if twice else VALID if len(ids) > 1 else UNKNOWN)


def banking(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.integers(0, 3)) == 0:
        pair = draw(one_of(("a", "b"), ("b", "a"), ("a", "c")))
        moved = {"from": pair[0], "to": pair[1], "amount": draw(st.integers(0, 3))}
        return "transfer", moved, moved
    low = draw(st.integers(-1, 3))
    usual: dict[str, Any] = {"a": low, "b": 3 - low}
    return "read", NONE, draw(one_of(usual, usual, usual, {"a": low, "b": low}, {"a": 3}, {"a": None, "b": 3}, {**usual, "c": 0}))  # fmt: skip


@MANY
@given(small(banking))
def test_reads_of_a_bank_have_one_total_two_by_two(calls):
    reads = oks(calls, "read")
    whole = [read for read in reads if None not in read.result.values()]
    named = {name for one in calls if one.f == "transfer" for name in (one.value["from"], one.value["to"])}
    named |= set((whole or reads)[0].result) if reads else set()
    bad = any(sum(one.result.values()) != sum(other.result.values()) for one, other in combinations(whole, 2))
    bad |= any(balance is None or balance < 0 for read in reads for balance in read.result.values())
    bad |= any(name not in named for read in reads for name in read.result)
    result = check(history_of(calls), "bank")
    assert (result.verdict is INVALID) is bad
    if not bad:
        moved = any(one.before(read) for one in oks(calls, "transfer") for read in reads)
        differ = any(read.result != reads[0].result for read in reads)
        assert (result.verdict is VALID) is (len(reads) > 1 and (moved or differ))


def logging(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.booleans()):
        return "append", None, draw(st.integers(0, 3))
    record = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(list)
    return draw(one_of("poll", "read")), NONE, draw(st.lists(record, max_size=3))


def appended(calls: list[Did]) -> list[Did]:
    """Each append has a value of its own."""
    found, n = [], 0
    for one in calls:
        if one.f == "append":
            found.append(Did(one.number, one.process, one.f, n, [one.result, n], one.kind, one.call, one.end))  # fmt: skip
            n += 1
        else:
            found.append(one)
    return found


def kept_by_some_log(calls: list[Did]) -> bool:
    """Try every order of the appends that may have taken effect. Their offsets grow; a read is a beginning of the log, a poll a piece."""
    appends = [one for one in calls if one.f == "append" and one.may]
    reads = oks(calls, "read", "poll")
    last = next((read for read in reversed(reads) if read.f == "read"), None)
    shown = {value: offset for read in reads for offset, value in read.result}
    own = {add.value: add.result[0] for add in appends if add.ok}
    at = {**shown, **own}
    must = [add for add in appends if add.ok or add.value in shown]
    for order in permutations(must):
        log = [[at[add.value], add.value] for add in order]
        if any(one[0] >= other[0] for one, other in pairwise(log)) or not timely(order, reads):
            continue
        pieces = [log[begin:end] for begin in range(len(log) + 1) for end in range(begin, len(log) + 1)]
        beginnings = [log[:end] for end in range(len(log) + 1)]
        if not all(read.result in (beginnings if read.f == "read" else pieces) for read in reads):
            continue
        if last is None or all(
            add.value in dict(map(reversed, last.result)) for add in must if add.before(last)
        ):
            return True
    return False


def timely(order: tuple[Did, ...], reads: list[Did]) -> bool:
    """Can they take effect one after the other? Each as early as it can, and in time for its own end and for whoever shows it."""
    now = -1
    for add in order:
        now = max(now, add.call)
        shows = [read.end for read in reads if any(value == add.value for _, value in read.result)]
        if now > min([add.ret, *shows]):
            return False
    return True


@st.composite
def logs(draw: st.DrawFn) -> list[Did]:
    """As above; offsets in the order of the calls, with a hole now and then."""
    calls = appended(draw(small(logging)))
    appends = [one for one in in_order(calls) if one.f == "append"]
    places = {one.number: [at + (at > 2), one.value] for at, one in enumerate(appends)}
    found = []
    for one in calls:
        if draw(st.integers(0, 8)) == 0:
            found.append(one)
        elif one.f == "append":
            found.append(replace(one, result=places[one.number]))
        else:
            whole = sorted(places[each.number] for each in seen_at(draw, one, appends))
            found.append(replace(one, result=whole[draw(st.integers(0, 1)) if one.f == "poll" else 0 :]))
    return found


@MANY
@given(logs())
def test_a_log_is_one_order_of_its_appends(calls):
    result = check(history_of(calls), "append-log")
    good = kept_by_some_log(calls)
    assert (result.verdict is INVALID) is not good, result.reason
    if good:
        assert (result.verdict is VALID) is any(read.result for read in oks(calls, "read", "poll"))
