"""Sentences must be true: each that points at operations is read back and held against the history; what dead ends tell, on results made by hand."""

from __future__ import annotations

import random
import re
from itertools import permutations

import pytest

from checkers import MISSING, History, Type, check, invoke
from checkers.dead_ends import OPEN_MAX, WAYS_MAX, dead_ends, named
from checkers.explain import DRAWN_MAX, LABEL_MAX, draw_core, explain, pointed, sentence
from checkers.op import Op
from checkers.verdict import Certificate, Result, Verdict


def random_register(rng: random.Random) -> History:
    """Reads and writes of one key by four clients, unique values, equal instants, calls that fail or never return."""
    records, free, process, value = [], [0] * 4, [*range(4)], 0
    for _ in range(rng.randint(3, 8)):
        client = rng.randrange(4)
        start = free[client] + rng.randint(0, 3)
        end = start + rng.randint(1, 6)
        free[client] = end + 1
        if rng.random() < 0.5:
            value += 1
            call, back = invoke(process[client], "write", "x", value, time_ns=start * 1_000_000), value
        else:
            call = invoke(process[client], "read", "x", time_ns=start * 1_000_000)
            back = rng.choice([None, *range(1, 5)])
        kind = rng.choices((Type.OK, Type.FAIL, Type.INFO, None), (8, 1, 1, 1))[0]
        records.append((start, 0, call))
        if kind is not None:
            given = back if kind is Type.OK else call.value
            records.append((end, 1, Op(-1, end * 1_000_000, call.process, kind, call.f, "x", given)))
        if kind in (Type.INFO, None):
            process[client] += 4
    return History.from_ops(op for *_, op in sorted(records, key=lambda each: each[:2]))


def ok(history: History, index: int) -> Op | None:
    end = history.completion(index)
    return end if end is not None and end.type is Type.OK else None


def stale_pairs(history: History, core: list[int]) -> set[tuple[int, int]]:
    """(read, write): the write had been acknowledged before the read began, and called after the write of what it returned had been."""
    writes = [at for at in core if history.op(at).f == "write"]
    found = set()
    for read in core:
        back = ok(history, read) if history.op(read).f == "read" else None
        if back is None:
            continue
        own = [at for at in writes if history.op(at).value == back.value]
        for newer in writes:
            done = ok(history, newer)
            after = back.value is None or any((end := ok(history, at)) and end.time_ns < history.op(newer).time_ns for at in own)  # fmt: skip
            if after and done is not None and done.time_ns < history.op(read).time_ns:
                found.add((read, newer))
    return found


def turned_pairs(history: History, core: list[int]) -> set[tuple[int, int]]:
    """(first, second): ok reads one after the other, of which the second returned what is surely older."""
    reads = [at for at in core if history.op(at).f == "read" and ok(history, at)]
    writes = {history.op(at).value: at for at in core if history.op(at).f == "write"}
    found = set()
    for first, second in permutations(reads, 2):
        seen, back = ok(history, first), ok(history, second)
        assert seen is not None
        assert back is not None
        if seen.time_ns >= history.op(second).time_ns or seen.value == back.value:
            continue
        older, newer = writes.get(back.value), writes.get(seen.value)
        done = None if older is None else ok(history, older)
        ordered = newer is not None and (back.value is None or (done is not None and done.time_ns < history.op(newer).time_ns))  # fmt: skip
        again = any(
            (third := ok(history, at)) and third.value == seen.value and back.time_ns < history.op(at).time_ns
            for at in reads
        )
        if ordered or again:
            found.add((first, second))
    return found


def test_sentences_are_true_and_said_whenever_they_can_be():
    rng, said = random.Random(11), {"stale": 0, "turned": 0, "order": 0, "again": 0}
    for _ in range(6000):
        history = random_register(rng)
        calls = [op.index for op in history if op.type is Type.INVOKE]
        core = sorted(rng.sample(calls, rng.randint(1, len(calls))))
        told = sentence(history, "x", core)
        stale, turned = stale_pairs(history, core), turned_pairs(history, core)
        if stale:
            said["stale"] += 1
            found = re.match(r"x: read #(\d+) of key 'x' by process (\d+) returned (\S+) although write (\d+) \(#(\d+), process (\d+)\) had been acknowledged (\S+) ms before", told)  # fmt: skip
            assert found, told
            read, newer = int(found[1]), int(found[5])
            assert (read, newer) in stale
            end, done = ok(history, read), ok(history, newer)
            assert end is not None
            assert done is not None
            assert (found[3], found[4]) == (repr(end.value), repr(history.op(newer).value))
            assert (int(found[2]), int(found[6])) == (history.op(read).process, history.op(newer).process)
            assert float(found[7]) == (history.op(read).time_ns - done.time_ns) / 1e6
        elif turned:
            said["turned"] += 1
            found = re.match(r"x: read #(\d+) of key 'x' by process \d+ returned (\S+) although read #(\d+) \(process \d+\) had returned (\S+) before it began, and (.*)", told)  # fmt: skip
            assert found, told
            first, second = int(found[3]), int(found[1])
            assert (first, second) in turned
            said["again" if "again" in found[5] else "order"] += 1
            if again := re.match(r"read #(\d+) returned (\S+) again", found[5]):
                third, back = ok(history, int(again[1])), ok(history, second)
                assert third is not None
                assert back is not None
                assert repr(third.value) == again[2] == found[4]
                assert back.time_ns < history.op(int(again[1])).time_ns
            else:
                assert found[5] == f"{found[4]} was written after {found[2]}"
        else:
            assert told.startswith("x: no order that respects real time explains these together: ")
        expected = told.removeprefix("x: ") if stale or turned else None
        assert pointed(history, core) == expected
    assert min(said.values()) > 30, said


def test_only_registers_whose_values_are_unique_are_pointed_at():
    def made(*ops: tuple[str, object]) -> History:
        events = []
        for n, (f, value) in enumerate(ops):
            call = invoke(n, f, "x", value if f != "read" else MISSING, time_ns=10 * n)
            events += [call, Op(-1, 10 * n + 5, n, Type.OK, f, "x", value)]
        return History.from_ops(events)

    stale = made(("write", 1), ("write", 2), ("read", 1))
    assert pointed(stale, [0, 2, 4]) is not None
    assert pointed(made(("write", 1), ("write", 2), ("write", 2), ("read", 1)), [0, 2, 4, 6]) is None
    assert pointed(made(("write", 1), ("cas", [1, 2]), ("write", 3), ("read", 1)), [0, 2, 4, 6]) is None


def ended(f: str, number: int, call: object, kind: Type, back: object, begin: int, end: int) -> list[Op]:
    return [invoke(number, f, "x", call, time_ns=begin), Op(-1, end, number, kind, f, "x", back)]


@pytest.mark.parametrize("last", [("write", 2, Type.OK, None), ("read", MISSING, Type.FAIL, None)])
def test_what_is_no_read_that_returned_is_not_pointed_at(last):
    """A write that is acknowledged with null, and a read that failed with null, have not read null."""
    f, call, kind, back = last
    records = [*ended("write", 0, 1, Type.OK, 1, 0, 1), *ended(f, 1, call, kind, back, 2, 3)]
    assert pointed(History.from_ops(records), [0, 2]) is None


def test_a_read_is_nobodys_write_of_the_null_it_was_called_with():
    records = [
        invoke(0, "write", "x", 5, time_ns=0), *ended("read", 1, None, Type.OK, None, 1, 2),
        *ended("read", 2, None, Type.OK, 5, 3, 4), Op(-1, 6, 0, Type.OK, "write", "x", 5),
        *ended("read", 3, None, Type.OK, 5, 10, 11),
    ]  # fmt: skip
    history = History.from_ops(records)
    assert pointed(history, [op.index for op in history if op.type is Type.INVOKE]) is None


def test_a_read_that_is_open_is_drawn_without_a_value():
    history = History.from_ops([invoke(0, "read", "x", MISSING, time_ns=0)])
    drawn = draw_core(history, Result("x", Verdict.INVALID, "why", certificate=Certificate("core", (0,))))
    assert "read #0" in drawn


def linear(count: int) -> History:
    """So many writes, one after the other."""
    events = []
    for n in range(count):
        call = invoke(0, "write", "x", n, time_ns=10 * n)
        events += [call, Op(-1, 10 * n + 5, 0, Type.OK, "write", "x", n)]
    return History.from_ops(events)


@pytest.mark.parametrize(("count", "more"), [(DRAWN_MAX, False), (DRAWN_MAX + 1, True)])
def test_a_core_is_told_and_drawn_up_to_its_length(count, more):
    history = linear(count)
    core = Result("x", Verdict.INVALID, "why", certificate=Certificate("core", tuple(range(0, 2 * count, 2))))
    assert ("and 1 more operations" in explain(history, core)) is more
    assert ("too many to draw" in draw_core(history, core)) is more


def test_values_are_cut_where_they_are_too_long():
    def label(length: int) -> str:
        text = "y" * (length - 3)  # a blank and two quotes
        history = History.from_ops([invoke(0, "write", "x", text, time_ns=0)])
        return draw_core(history, Result("x", Verdict.INVALID, "why", certificate=Certificate("core", (0,))))

    assert "…" not in label(LABEL_MAX)
    assert "…" in label(LABEL_MAX + 1)


@pytest.mark.parametrize(
    ("f", "argument", "kind", "returned", "told"),
    [
        ("read", MISSING, Type.OK, 1, "#0 read -> 1"),
        ("read", None, Type.OK, 1, "#0 read -> 1"),
        ("read", None, Type.OK, None, "#0 read"),
        ("write", 1, Type.OK, 1, "#0 write 1"),
        ("write", 1, Type.OK, MISSING, "#0 write 1"),
        ("write", 1, Type.OK, 2, "#0 write 1 -> 2"),
        ("write", 1, Type.FAIL, 2, "#0 write 1"),
        ("write", 1, Type.INFO, 2, "#0 write 1"),
        ("write", 1, None, None, "#0 write 1"),
        ("acquire", MISSING, Type.OK, MISSING, "#0 acquire"),
    ],
)
def test_an_operation_in_a_few_words(f, argument, kind, returned, told):
    ops = [invoke(0, f, "x", argument, time_ns=0)]
    if kind is not None:
        ops.append(Op(-1, 5, 0, kind, f, "x", returned))
    assert named(History.from_ops(ops), 0) == told


def stuck(history: History, core: tuple[int, ...], blocking: int, **more: object) -> Result:
    """A result as the search gives it: the read `blocking` finds no place after nothing was done."""
    stats = {"stuck": [{"ops": [], "state": "None"}], "blocking": blocking, "model": "register", **more}
    return Result("linearizable", Verdict.INVALID, "why", certificate=Certificate("core", core), stats=stats)


def crowd(count: int) -> tuple[History, tuple[int, ...], int]:
    """`count` writes that are open while a read returns what nobody wrote, and one that is called after it."""
    ops = [invoke(n, "write", "x", n + 1, time_ns=n) for n in range(count)]
    ops.append(invoke(90, "read", "x", time_ns=count))
    ops.append(Op(-1, count + 1, 90, Type.OK, "read", "x", 99))
    ops.append(invoke(91, "write", "x", 98, time_ns=count + 2))
    history = History.from_ops(ops)
    return history, (*range(count), count, count + 2), count


@pytest.mark.parametrize("count", [2, OPEN_MAX - 1, OPEN_MAX])
def test_dead_ends_tell_of_what_was_open_and_of_no_more(count):
    history, core, blocking = crowd(count)
    first, way = dead_ends(history, stuck(history, core, blocking))
    assert first == f"#{blocking} read -> 99 returned at {count + 1} ns and must have happened by then, but no order has a place for it"  # fmt: skip
    assert way.startswith("after nothing the state is None; ")
    assert "write 98" not in way  # it was called later
    told = min(count, OPEN_MAX)
    assert way.count("is open, but leads to") == told
    assert f"#{blocking} read -> 99 cannot happen there" in way or told == OPEN_MAX
    assert ("more open operations do not help either" in way) is (count + 1 > OPEN_MAX)
    assert way.count(f", where #{blocking} read -> 99 cannot happen either") == told


def test_dead_ends_of_one_key_are_those_of_the_result_itself():
    history, core, blocking = crowd(2)
    bad = stuck(history, core, blocking)
    whole = Result("linearizable", Verdict.INVALID, "why", parts={"'x'": bad})
    assert dead_ends(history, whole) == dead_ends(history, bad) != []
    assert dead_ends(history, Result("linearizable", Verdict.INVALID, "why", stats=bad.stats)) == []
    assert dead_ends(history, Result("linearizable", Verdict.VALID, "why")) == []


def test_where_the_model_has_no_plain_meaning_it_is_only_said_that_nothing_helps():
    history, core, blocking = crowd(2)
    for more in ({"model": "a model of one's own"}, {"initial": 5}):
        _, way = dead_ends(history, stuck(history, core, blocking, **more))
        assert way.count("does not help") == 3, way


def test_so_many_ways_are_told():
    history, core, blocking = crowd(2)
    ways = [{"ops": [], "state": "None"}] * (WAYS_MAX + 2)
    told = dead_ends(history, stuck(history, core, blocking, stuck=ways))
    assert len(told) == 1 + WAYS_MAX + 1
    assert told[-1] == "and 2 more orders that end in the same way"


def test_an_order_that_fails_half_way_is_not_told_of():
    """What is in doubt has no result: a compare-and-set that never returned is placed without one."""
    ops = [invoke(0, "cas", "x", [None, 1], time_ns=0), Op(-1, 1, 0, Type.INFO, "cas", "x", [7, 8])]
    ops += [invoke(1, "read", "x", time_ns=2), Op(-1, 3, 1, Type.OK, "read", "x", 9)]
    history = History.from_ops(ops)
    _, way = dead_ends(history, stuck(history, (0, 2), 2, model="cas-register"))
    assert "#0 cas [None, 1] is open, but leads to 1, where #2 read -> 9 cannot happen either" in way


def test_what_a_call_in_doubt_would_have_returned_is_not_asked():
    ops = [invoke(0, "read", "x", time_ns=0), Op(-1, 1, 0, Type.INFO, "read", "x", 9)]
    ops += [invoke(1, "read", "x", time_ns=2), Op(-1, 3, 1, Type.OK, "read", "x", 8)]
    history = History.from_ops(ops)
    _, way = dead_ends(history, stuck(history, (0, 2), 2))
    assert "#0 read is open and changes nothing there" in way


def test_after_an_order_that_cannot_be_nothing_is_said_of_what_is_open():
    history, core, blocking = crowd(2)
    ways = [{"ops": [blocking], "state": "None"}]
    _, way = dead_ends(history, stuck(history, core, blocking, stuck=ways))
    assert way == f"after #{blocking} read -> 99 the state is None"


def test_check_tells_the_same_of_a_real_history():
    history, _, _ = crowd(3)
    result = check(history, "register")
    assert result.verdict is Verdict.INVALID
    assert explain(history, result)[0] == result.reason
