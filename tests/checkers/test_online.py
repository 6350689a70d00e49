"""The watch says nothing that is not so: at its word the records seen until then are not linearizable; and it sees most of what there is to see."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from checkers import MISSING, History, Type, invoke
from checkers.online import RegisterWatch
from checkers.op import Op
from checkers.register import check_linearizable
from checkers.verdict import Verdict


def random_records(rng: random.Random) -> list[Op]:
    """A store that is sometimes stale: reads of two keys return what is there, or what was there some writes ago."""
    records, was = [], {0: [None], 1: [None]}
    processes, ends, value, now = [*range(4)], {}, 0, 0
    for _ in range(rng.randint(4, 40)):
        now += rng.randint(0, 2)
        client = rng.randrange(4)
        if client in ends:
            call, kind, back = ends.pop(client)
            if kind is not None:
                given = back if kind is Type.OK else call.value
                records.append(Op(-1, now, call.process, kind, call.f, call.key, given))
            if kind in (Type.INFO, None):
                processes[client] += 4
            continue
        key = rng.randrange(2)
        kind = rng.choices((Type.OK, Type.FAIL, Type.INFO, None), (16, 1, 1, 1))[0]
        if rng.random() < 0.5:
            value += 1
            call, back = invoke(processes[client], "write", key, value, time_ns=now), value
            if kind is not Type.FAIL or rng.random() < 0.1:
                was[key].append(value)
        else:
            call = invoke(processes[client], "read", key, time_ns=now)
            back = was[key][-1 if rng.random() < 0.85 else rng.randrange(len(was[key]))]
            back = 99 if rng.random() < 0.02 else back
        records.append(call)
        ends[client] = (call, kind, back)
    return [replace(op, index=index) for index, op in enumerate(records)]


def test_its_word_is_true_and_comes_early():
    rng, heard, bad = random.Random(5), dict[str, int](), 0
    for _ in range(4000):
        records = random_records(rng)
        watch, said = RegisterWatch(), None
        for place, op in enumerate(records):
            said = watch.see(op)
            if said is not None:
                prefix = check_linearizable(History.from_ops(records[: place + 1]))
                assert prefix.verdict is Verdict.INVALID, said
                assert watch.found == said
                break
        if said is not None:
            assert all(watch.see(op) is None for op in records[place + 1 :])  # once is enough
            heard[said.split(":")[0]] = heard.get(said.split(":")[0], 0) + 1
        bad += check_linearizable(History.from_ops(records)).verdict is Verdict.INVALID
    assert min(heard[name] for name in ("thin-air", "aborted-read", "stale-read")) > 20, heard
    assert sum(heard.values()) > 0.8 * bad > 400, (heard, bad)


def at(process: int, f: str, value: object, start: int, end: int, kind: Type = Type.OK, key: object = 0) -> list[tuple[int, Op]]:  # fmt: skip
    call = invoke(process, f, key, value if f != "read" else MISSING, time_ns=start)
    return [(start, call), (end, Op(-1, end, process, kind, f, key, value))]


def watched(*calls: list[tuple[int, Op]]) -> str | None:
    watch = RegisterWatch()
    events = sorted((event for call in calls for event in call), key=lambda event: event[0])
    for index, (_, op) in enumerate(events):
        watch.see(replace(op, index=index))
    return watch.found


ONE, TWO = at(0, "write", 1, 0, 10), at(0, "write", 2, 20, 30)


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ([ONE, TWO, at(1, "read", 1, 40, 50)], "stale-read: read #4 of key 0 by process 1 returned 1, although write #2 was known"),
        ([ONE, TWO, at(1, "read", None, 40, 50)], "stale-read"),
        ([ONE, TWO, at(1, "read", 1, 30, 50)], None),  # began at the instant of the acknowledgement
        ([ONE, at(0, "write", 2, 10, 30), at(1, "read", 1, 40, 50)], None),  # 2 was called at the instant at which 1 ended
        ([ONE, at(0, "write", 2, 20, 90), at(1, "read", 2, 30, 40), at(2, "read", 1, 50, 60)], "stale-read"),  # known by a read
        ([ONE, at(0, "write", 2, 20, 90), at(1, "read", 2, 30, 40), at(2, "read", 1, 40, 60)], None),
        ([at(0, "write", 1, 0, 90, Type.INFO), at(1, "read", 1, 5, 6), at(2, "read", None, 7, 8)], "stale-read"),
        ([ONE, at(1, "read", 7, 20, 30)], "thin-air: read #2 of key 0 by process 1 returned 7, which nobody"),
        ([at(0, "write", 1, 0, 10, Type.FAIL), at(1, "read", 1, 20, 30)], "aborted-read"),
        ([at(0, "write", 1, 0, 10, Type.INFO), at(1, "read", 1, 20, 30)], None),
        ([ONE, TWO, at(1, "read", 1, 40, 50, Type.FAIL)], None),
        ([ONE, TWO, at(1, "read", 1, 40, 50, key=1)], "thin-air"),
        ([ONE, TWO, at(1, "write", 1, 32, 34), at(1, "read", 1, 40, 50)], None),  # written twice: not watched
        ([ONE, TWO, at(2, "cas", [2, 1], 32, 34), at(1, "read", 1, 40, 50)], None),  # may have been written so
        ([ONE, at(1, "write", 1, 2, 11, Type.FAIL), at(2, "read", 1, 12, 13)], None),  # of which of the two is it?
        ([at(0, "write", MISSING, 0, 10), at(1, "read", 7, 20, 30)], None),  # nobody knows what was written
        ([ONE, at(0, "write", None, 20, 30), at(1, "read", None, 40, 50)], None),  # nothing was written, on purpose
        ([ONE, at(1, "read", MISSING, 20, 30)], None),  # nobody knows what was read
        ([at(0, "write", [1], 0, 10), at(0, "write", [2], 20, 30), at(1, "read", [1], 40, 50)], "stale-read"),
        ([at(0, "write", 1, 0, 10), at(1, "read", True, 40, 50)], "thin-air"),  # 1 and true are two
    ],
)  # fmt: skip
def test_what_it_says(calls, said):
    found = watched(*calls)
    assert (found or "").startswith(said or "")
    assert (found is None) is (said is None), found


def test_what_the_nemesis_does_and_an_end_without_a_call_change_nothing():
    watch = RegisterWatch()
    assert watch.see(Op(0, 0, 3, Type.OK, "read", None, 5)) is None
    kill = invoke("nemesis", "kill", time_ns=1)
    for op in (kill, kill.ok()):
        assert watch.see(op) is None
    call = invoke(0, "read", time_ns=2)  # of the key None, as the nemesis' operations are
    assert watch.see(call) is None
    assert (watch.see(Op(4, 5, 0, Type.OK, "read", None, 7)) or "").startswith("thin-air")


@pytest.mark.parametrize(
    ("key", "other"), [(None, "null"), (True, "true"), (1.5, "1.5"), (1, "1"), ([1], "[1]")]
)
def test_a_key_is_not_the_text_that_looks_like_it(key, other):
    """The one was written, the other was not."""
    write, read = invoke(0, "write", key, 1, time_ns=0), invoke(0, "read", other, time_ns=10)
    ended = (replace(write, type=Type.OK, time_ns=5), replace(read, type=Type.OK, time_ns=15, value=None))
    watch = RegisterWatch()
    assert [watch.see(op) for op in (write, ended[0], read, ended[1])] == [None] * 4
