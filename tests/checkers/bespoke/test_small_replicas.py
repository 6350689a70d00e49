"""Registers and digests of replicas against judges that try every order: final reads see all that came before them, other reads any part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import NONE, Did, history_of, in_order, oks, one_of, seen_at, small, subsets

from checkers import Verdict, check

pytestmark = pytest.mark.slow
VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
MANY = settings(max_examples=500, deadline=None)
FINAL = "final-read"


def orders(calls: list[Did], shows: Callable[[Did, list[Did]], bool]) -> bool:
    """Is there an order in which each final read shows the writes before it? What need not have happened may be left out.

    A final read is after all that was over when it was called. Of two writes the later may be seen first: a replica has the one, and waits for the other.
    """
    dead: set[frozenset[int]] = set()

    def search(done: frozenset[int]) -> bool:
        left = [one for one in calls if one.number not in done]
        if not any(one.ok for one in left):
            return True
        if done in dead:
            return False
        for one in left:
            if any(other.before(one) and FINAL in (one.f, other.f) for other in left):
                continue
            if one.f == FINAL and not shows(one, [each for each in calls if each.f == "write" and each.number in done]):  # fmt: skip
                continue
            if search(done | {one.number}):
                return True
        dead.add(done)
        return False

    return search(frozenset())


def explained(calls: list[Did], shows: Callable[[Did, list[Did]], bool], part: Callable[[Did, list[Did]], bool]) -> bool:  # fmt: skip
    """Final reads show all writes that came before them, in one order of all; every other read some writes that were called before it was over."""
    writes = [one for one in calls if one.f == "write" and one.may]
    if not all(part(read, [write for write in writes if write.call <= read.end]) for read in oks(calls, "read")):  # fmt: skip
        return False
    return orders([*writes, *oks(calls, FINAL)], shows)


def between_only_by_doubt(calls: list[Did]) -> bool:
    """Must a write of unknown outcome have come between two final reads?"""
    return any(one.f == "write" and one.kind in ("info", "open") for one in calls)


def writing(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.booleans()):
        return "write", None, None
    return draw(one_of("read", FINAL, FINAL)), NONE, draw(st.lists(st.integers(0, 4), max_size=2))


def replaced_by(write: Did, writes: list[Did]) -> frozenset[int]:
    """What the value replaces: what its writer had seen, what that had, and so on."""
    found: set[int] = set()
    more = set(write.value["seen"])
    while more - found:
        found |= more
        more = {value for other in writes if other.value["value"] in found for value in other.value["seen"]}
    return frozenset(found)


def left_of(values: list[Did], writes: list[Did]) -> set[int]:
    """The siblings of a replica that has taken these writes."""
    gone = frozenset().union(*(replaced_by(write, writes) for write in values))
    return {write.value["value"] for write in values} - gone


@st.composite
def siblings(draw: st.DrawFn) -> list[Did]:
    """Writers have seen values of writes called before; most reads show what a replica may hold."""
    found: list[Did] = []
    calls = in_order(draw(small(writing)))
    writes: list[Did] = []
    for one in calls:
        if one.f == "write":
            earlier = [write.value["value"] for write in writes]
            seen = [value for value in earlier if draw(st.booleans())]
            writes.append(replace(one, value={"value": len(writes), "seen": seen}))
    numbers = {one.number: one for one in writes}
    for one in calls:
        if one.f != "write" and draw(st.integers(0, 5)):
            taken = seen_at(draw, one, writes)
            taken = taken if one.f == FINAL else draw(one_of(*subsets(taken)))
            found.append(replace(one, result=sorted(left_of(taken, writes))))
        else:
            found.append(numbers.get(one.number, one))
    return found


@MANY
@given(siblings())
def test_siblings_are_what_some_order_of_the_writes_leaves(calls):
    writes = [one for one in calls if one.f == "write"]

    def shows(read: Did, values: list[Did]) -> bool:
        return len(read.result) == len(set(read.result)) and set(read.result) == left_of(values, writes)

    def part(read: Did, values: list[Did]) -> bool:
        return any(shows(read, some) for some in subsets(values))

    judge(calls, "mv-register", explained(calls, shows, part), [read.result for read in oks(calls, FINAL)])
    plain, session = (check(history_of(calls), model) for model in ("mv-register", "mv-register-session"))
    assert (session.verdict is INVALID) is (plain.verdict is INVALID or goes_back(calls, writes))
    if session.verdict is not INVALID:
        assert session.verdict is plain.verdict


def goes_back(calls: list[Did], writes: list[Did]) -> bool:
    """Of two reads of a process, does the later lack something of the earlier that nothing it shows has replaced?"""
    reads = sorted(oks(calls, "read", FINAL), key=lambda read: read.number)
    for first, later in combinations(reads, 2):
        shown = [write for write in writes if write.value["value"] in later.result]
        has = set(later.result).union(*(replaced_by(write, writes) for write in shown))
        if first.process == later.process and not has.issuperset(first.result):
            return True
    return False


def judge(calls: list[Did], model: str, good: bool, shown: list[Any]) -> None:
    result = check(history_of(calls), model)
    assert (result.verdict is INVALID) is not good, result.reason
    if result.verdict is UNKNOWN and "may have come between" in result.reason:
        assert len({str(each) for each in shown}) > 1
        assert between_only_by_doubt(calls)
    elif good:
        acked = any(one.before(read) for one in oks(calls, "write") for read in oks(calls, FINAL))
        seen = any(read.result not in ([], None) for read in oks(calls, FINAL, "read"))
        assert (result.verdict is VALID) is (bool(shown) and (acked or seen)), result.reason


@st.composite
def versions(draw: st.DrawFn) -> list[Did]:
    """Versions grow with the calls, most of the time; most reads show the highest of what a replica has taken."""
    calls = in_order(draw(small(writing)))
    writes: list[Did] = []
    for one in calls:
        if one.f == "write":
            version = [
                len(writes) + draw(one_of(0, 0, 0, -1, -2, 1)),
                f"{draw(one_of('a', 'b'))}{len(writes)}",
            ]
            writes.append(replace(one, value=len(writes), result={"value": len(writes), "version": version}))
    numbers = {one.number: one for one in writes}
    found = []
    for one in calls:
        if one.f == "write":
            found.append(numbers[one.number])
        else:
            taken = seen_at(draw, one, writes)
            taken = taken if one.f == FINAL else draw(one_of(*subsets(taken)))
            odd = draw(st.integers(0, 6)) == 0
            best = max(taken, key=lambda write: write.result["version"], default=None)
            wrong = {"value": draw(st.integers(0, 3)), "version": [draw(st.integers(0, 3)), "a1"]}
            found.append(replace(one, result=wrong if odd else None if best is None else best.result))
    return found


@MANY
@given(versions())
def test_the_last_writer_is_the_highest_of_some_order(calls):
    """A write of unknown outcome has whatever version a final read shows it with; if none, the lowest. Versions of other reads are not judged.

    A version is of one write.
    """
    shown = {read.result["value"]: read.result["version"] for read in oks(calls, FINAL) if read.result}

    def version(write: Did) -> list[Any]:
        return write.result["version"] if write.ok else shown.get(write.value, [-9, ""])

    def shows(read: Did, values: list[Did]) -> bool:
        best = max(map(version, values), default=None)
        if read.result is None:
            return best is None
        return best == read.result["version"] and any(
            write.value == read.result["value"] and version(write) == best for write in values
        )

    def part(read: Did, values: list[Did]) -> bool:
        return read.result is None or any(write.value == read.result["value"] for write in values)

    finals = [read.result for read in oks(calls, FINAL)]
    twice = any(one["version"] == other["version"] and one["value"] != other["value"] for one, other in combinations(filter(None, finals), 2))  # fmt: skip
    judge(calls, "lww", not twice and explained(calls, shows, part), finals)


def digesting(draw: st.DrawFn) -> tuple[str, Any, Any]:
    if draw(st.booleans()):
        return "add", draw(st.integers(0, 2)), NONE
    f = draw(one_of("digest", "digest", "snapshot", "read"))
    nodes = {node: draw(one_of("x", "x", "y", None)) for node in ("n1", "n2", "n3")[: draw(st.integers(1, 3))]}  # fmt: skip
    return f, NONE, nodes if f != "read" else []


@MANY
@given(small(digesting))
def test_nodes_have_diverged_if_no_update_can_have_come_between(calls):
    """Nodes that differ hold what they have taken. Try every instant at which each is asked, and every update that comes to some of them first."""
    digests = oks(calls, "digest")
    result = check(history_of(calls), "convergence")
    if not digests:
        assert result.verdict is UNKNOWN
        return
    last = digests[-1]
    held = {node: digest for node, digest in last.result.items() if digest is not None}
    updates = [one for one in calls if one.f == "add" and one.may]
    moving = [one for one in updates if one.call <= last.end and last.call <= one.ret]
    before = next((digest for digest in reversed(digests) if digest.before(last)), None)
    kept = {node for node in held if before is not None and before.result.get(node) == held[node]}
    stuck = len({held[node] for node in kept}) > 1
    differ = len(set(held.values())) > 1
    diverged = differ and (not moving or (stuck and not any(one.ok for one in moving)))
    assert (result.verdict is INVALID) is diverged, result.reason
    done = any(one.before(last) for one in oks(calls, "add"))
    if not diverged:
        whole = len(held) > 1 and len(held) == len(last.result)
        assert (result.verdict is VALID) is (whole and not differ and done)


@st.composite
def deliveries(draw: st.DrawFn) -> list[Did]:
    """Three nodes that take updates, each at its own time, and hold what they have taken; now and then one lies."""
    calls = in_order(draw(small(digesting)))
    adds = [one for one in calls if one.f == "add"]
    found = []
    for one in calls:
        if one.f not in ("digest", "snapshot"):
            found.append(one)
            continue
        view = {}
        for node in ("n1", "n2", "n3"):
            taken = [add for add in seen_at(draw, one, adds) if one.f == "digest" or draw(st.booleans())]
            values = sorted({add.value for add in taken if draw(st.integers(0, 15))})
            lies = draw(st.integers(0, 20)) == 0
            view[node] = {"digest": "?" if lies else f"{values}", "delivered": values}
        found.append(replace(one, result=view))
    return found


@MANY
@given(deliveries())
def test_who_has_taken_the_same_holds_the_same(calls):
    views = [view for one in oks(calls, "digest", "snapshot") for view in one.result.values()]
    digests = oks(calls, "digest")
    unlike = any(one["delivered"] == other["delivered"] and one["digest"] != other["digest"] for one, other in combinations(views, 2))  # fmt: skip
    result = check(history_of(calls), "convergence")
    if not digests:
        assert result.verdict is (INVALID if unlike else UNKNOWN)
        return
    last = digests[-1].result
    lacking = any(add.value not in view["delivered"] for add in oks(calls, "add") if add.before(digests[-1]) for view in last.values())  # fmt: skip
    if unlike or lacking:
        assert result.verdict is INVALID
    elif result.verdict is INVALID:
        assert result.anomaly == "diverged"
        assert len({view["digest"] for view in last.values()}) > 1
