"""Each combinator against the whole list of what it does: no cluster, no clock, no thread."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from checkers.op import MISSING, Op, Type, invoke
from harness.generator import (
    PENDING,
    Completion,
    Context,
    Generator,
    GeneratorError,
    GeneratorLike,
    any_of,
    clients,
    crashing,
    cycle,
    delay,
    each_process,
    each_thread,
    failing,
    filter_ops,
    keyed,
    limit,
    map_ops,
    mix,
    nemesis,
    next_op,
    numbered,
    on_update,
    op,
    perfect,
    phases,
    repeat,
    reserve,
    sequence,
    simulate,
    sleep,
    stagger,
    synchronize,
    then,
    time_limit,
    until_ok,
    update,
)
from harness.generator.context import Waits

A, B, C = op("a"), op("b"), op("c")


def calls(
    gen: GeneratorLike,
    *,
    concurrency: int = 1,
    complete: Completion | None = None,
    nemesis: bool = False,
    most: int = 20,
) -> list[tuple[int, str]]:
    """(time, f) of each invocation; by default one client and no nemesis."""
    ops = simulate(gen, concurrency=concurrency, complete=complete, limit=most, with_nemesis=nemesis)
    return [(each.time_ns, each.f) for each in ops if each.type is Type.INVOKE]


def names(gen: GeneratorLike, **options: object) -> str:
    """Only the names of the invocations, as one word."""
    return "".join(f for _, f in calls(gen, **options))  # type: ignore[arg-type]


def test_an_op_happens_once_and_every_field_is_set() -> None:
    assert simulate(op("write", 3, 0), concurrency=1, with_nemesis=False) == [
        Op(0, 0, 0, Type.INVOKE, "write", 3, 0),
        Op(1, 10, 0, Type.OK, "write", 3, 0),
    ]


@pytest.mark.parametrize("value", [0, "", False, None, []])
def test_falsy_values_are_values(value: object) -> None:
    first = simulate(op("write", 0, value), limit=1)[0]
    assert (first.key, first.value) == (0, value)
    assert simulate(op("read", 0), limit=1)[0].value is MISSING


@pytest.mark.parametrize(
    "plain",
    [invoke(-1, "a"), {"f": "a"}, [A], (None, A), limit(1, lambda ctx: A)],
    ids=["op", "dict", "list", "tuple", "function"],
)
def test_plain_values_are_generators(plain: GeneratorLike) -> None:
    assert calls(plain) == [(0, "a")]


def test_none_gives_nothing() -> None:
    assert simulate(None) == []


def test_what_is_no_generator_is_refused() -> None:
    with pytest.raises(GeneratorError, match="3 is no generator"):
        simulate(sequence(A, 3))  # type: ignore[arg-type]
    with pytest.raises(GeneratorError, match="an operation has f"):
        simulate({"f": "a", "vlaue": 1})
    with pytest.raises(
        GeneratorError, match=r"mix takes generators as arguments, not a list of them: write mix\(\*gens\)"
    ):
        mix([A, B])


def test_an_op_for_a_named_process_waits_for_it() -> None:
    ops = simulate(sequence(op("a", process=1), op("b", process=1), op("c", process=0)), concurrency=2)
    assert [(each.time_ns, each.process, each.f) for each in ops if each.type is Type.INVOKE] == [
        (0, 1, "a"),
        (10, 1, "b"),
        (10, 0, "c"),
    ]


def test_an_op_for_a_retired_process_never_happens() -> None:
    assert names(phases(A, op("b", process=0), C), complete=crashing()) == "ac"


def test_numbered_counts_what_was_given_and_not_what_was_asked() -> None:
    def write(number: int, ctx: Context) -> Generator:
        return op("write", 1, number)

    ops = simulate(limit(5, stagger(1, numbered(write))), concurrency=2)
    assert [each.value for each in ops if each.type is Type.INVOKE] == [0, 1, 2, 3, 4]


def test_sequence_repeat_cycle() -> None:
    assert names(sequence(A, B, limit(2, repeat(C)), A)) == "abcca"
    assert names(repeat(sequence(A, B), 3)) == "aaa"
    assert names(cycle(sequence(A, B), 2)) == "abab"
    assert names(limit(5, cycle(sequence(A, B)))) == "ababa"
    assert names(cycle(sequence())) == ""
    assert names(repeat(A, 0)) == names(cycle(A, 0)) == ""


def test_limit_counts_over_all_threads() -> None:
    assert calls(limit(3, repeat(A)), concurrency=2) == [(0, "a"), (0, "a"), (10, "a")]


def test_time_limit_counts_from_the_first_op_and_admits_none_at_the_end() -> None:
    late = sequence(sleep(1), time_limit(30e-9, repeat(A)))
    assert calls(late) == [(10**9, "a"), (10**9 + 10, "a"), (10**9 + 20, "a")]
    assert calls(time_limit(0, repeat(A))) == []


def test_delay_keeps_the_rhythm_and_never_catches_up() -> None:
    assert calls(limit(3, delay(25e-9, repeat(A)))) == [(0, "a"), (25, "a"), (50, "a")]
    assert calls(limit(3, delay(4e-9, repeat(A)))) == [(0, "a"), (10, "a"), (20, "a")]


def test_sleep_holds_one_thread_and_leaves_no_trace() -> None:
    gen = sequence(A, sleep(5e-9), B)
    assert calls(gen, concurrency=1) == [(0, "a"), (15, "b")]
    assert calls(sequence(sleep(5e-6), A, A), concurrency=2) == [(0, "a"), (10, "a")]
    assert {each.f for each in simulate(gen)} == {"a", "b"}


def test_phases_wait_for_the_slowest() -> None:
    def slow_p0(call: Op, rng: object) -> Op:
        return replace(call.ok(), time_ns=call.time_ns + (100 if call.process == 0 else 10))

    gen = phases(limit(3, repeat(A)), B)
    ops = simulate(gen, concurrency=2, complete=slow_p0, with_nemesis=False)
    last_a = max(each.time_ns for each in ops if each.f == "a")
    assert [each.time_ns for each in ops if each.f == "b" and each.type is Type.INVOKE] == [last_a]
    assert last_a >= 100


def test_then_and_synchronize() -> None:
    assert calls(then(limit(2, repeat(A)), B), concurrency=2) == [(0, "a"), (0, "a"), (10, "b")]
    assert calls(sequence(A, synchronize(B)), concurrency=2) == [(0, "a"), (10, "b")]


def test_any_of_takes_the_soonest() -> None:
    gen = any_of(limit(3, delay(20e-9, repeat(A))), sequence(sleep(5e-9), limit(2, delay(30e-9, repeat(B)))))
    assert calls(gen, concurrency=2) == [(0, "a"), (5, "b"), (20, "a"), (35, "b"), (40, "a")]


def test_mix_uses_each_and_drops_the_exhausted() -> None:
    assert sorted(names(mix(A, B, limit(2, repeat(C))))) == ["a", "b", "c", "c"]
    assert names(mix()) == ""


def test_mix_goes_on_while_one_part_waits() -> None:
    assert names(mix(synchronize(repeat(A, 1)), repeat(B, 4)), concurrency=2).count("b") == 4


def test_clients_and_nemesis_keep_to_their_threads() -> None:
    ops = simulate(clients(limit(4, repeat(A)), limit(2, repeat(B))), concurrency=2)
    assert {each.process for each in ops if each.f == "a"} == {0, 1}
    assert {each.process for each in ops if each.f == "b"} == {"nemesis"}
    assert len(ops) == 12
    assert simulate(nemesis(limit(2, repeat(B)), limit(4, repeat(A))), concurrency=2, seed=3)


def test_a_run_without_nemesis_says_so() -> None:
    with pytest.raises(GeneratorError, match="for the nemesis, but this run has none"):
        simulate(nemesis(A), with_nemesis=False)


def test_each_thread_and_each_process() -> None:
    gen = clients(each_thread(sequence(A, B)))
    by_thread = [(each.process, each.f) for each in simulate(gen, concurrency=3) if each.type is Type.INVOKE]
    assert sorted(by_thread) == [(0, "a"), (0, "b"), (1, "a"), (1, "b"), (2, "a"), (2, "b")]
    crashed = [
        (each.process, each.f)
        for each in simulate(gen, concurrency=2, complete=crashing())
        if each.type is Type.INVOKE
    ]
    assert sorted(crashed) == [(0, "a"), (1, "a"), (2, "b"), (3, "b")]
    anew = clients(limit(4, each_process(sequence(A, B))))
    fresh = [
        (each.process, each.f)
        for each in simulate(anew, concurrency=1, complete=crashing())
        if each.type is Type.INVOKE
    ]
    assert fresh == [(0, "a"), (1, "a"), (2, "a"), (3, "a")]


def test_reserve_divides_the_threads() -> None:
    gen = clients(limit(40, reserve(2, repeat(A), 1, repeat(B), repeat(C))))
    ops = simulate(gen, concurrency=5)
    used = {f: {each.process for each in ops if each.f == f} for f in "abc"}
    assert used == {"a": {0, 1}, "b": {2}, "c": {3, 4}}
    with pytest.raises(
        GeneratorError, match="reserve wants 3 threads, but there are 2; raise the concurrency"
    ):
        simulate(clients(reserve(3, repeat(A), repeat(B))), concurrency=2)
    with pytest.raises(GeneratorError, match="reserve takes count"):
        reserve(A, B)


def test_until_ok_stops_at_the_first_success() -> None:
    def third_time(call: Op, rng: object) -> Op:
        return replace(call.ok() if call.time_ns >= 20 else call.fail("no"), time_ns=call.time_ns + 10)

    assert names(until_ok(repeat(A)), complete=third_time) == "aaa"
    assert names(limit(4, until_ok(repeat(A))), complete=failing()) == "aaaa"
    assert names(until_ok(repeat(A, 2)), complete=crashing()) == "aa"


def test_until_ok_ignores_the_success_of_others() -> None:
    gen = reserve(1, until_ok(repeat(A, 3)), repeat(B, 3))

    def only_b(call: Op, rng: object) -> Op:
        return replace(call.ok() if call.f == "b" else call.fail("no"), time_ns=call.time_ns + 10)

    assert names(clients(gen), concurrency=2, complete=only_b).count("a") == 3


def test_filter_map_on_update() -> None:
    def write(number: int, ctx: Context) -> Generator:
        return op("w", 1, number)

    even = simulate(limit(3, filter_ops(lambda each: each.value % 2 == 0, numbered(write))), concurrency=1)
    assert [each.value for each in even if each.type is Type.INVOKE] == [0, 2, 4]
    put = simulate(
        map_ops(lambda each: replace(each, f="put", process=9), A), concurrency=1, with_nemesis=False
    )
    assert [(each.f, each.process) for each in put] == [("put", 0), ("put", 0)]
    with pytest.raises(GeneratorError, match="never true"):
        simulate(filter_ops(lambda each: False, repeat(A)))

    def stop_after_ok(gen: Generator, ctx: Context, event: Op) -> GeneratorLike:
        return B if event.type is Type.OK and event.f == "a" else gen

    assert names(on_update(stop_after_ok, repeat(A))) == "ab"


def test_keyed_works_on_one_key_a_group_and_takes_the_next() -> None:
    gen = clients(keyed(2, range(10, 15), lambda key: limit(3, repeat(A))))
    ops = simulate(gen, concurrency=4)
    invoked = [each for each in ops if each.type is Type.INVOKE]
    assert sorted(each.key for each in invoked) == sorted([10, 11, 12, 13, 14] * 3)
    for key in range(10, 15):
        assert len({each.process // 2 for each in invoked if each.key == key}) == 1  # type: ignore[operator]


def test_keyed_with_endless_keys_and_bad_division() -> None:
    from itertools import count

    ops = simulate(clients(limit(6, keyed(1, count(), lambda key: op("a", None, key)))), concurrency=2)
    assert sorted(each.key for each in ops if each.type is Type.INVOKE) == [0, 1, 2, 3, 4, 5]
    with pytest.raises(GeneratorError, match="3 threads cannot be divided"):
        simulate(clients(keyed(2, [1], lambda key: A)), concurrency=3)


def test_info_retires_the_process() -> None:
    ops = simulate(clients(limit(3, repeat(A))), concurrency=2, complete=crashing(), seed=1)
    assert sorted(each.process for each in ops if each.type is Type.INVOKE)[2] in (2, 3)
    assert len({each.process for each in ops}) == 3


def test_asking_decides_nothing() -> None:
    import random

    ctx = Context(0, 0b11, 0b11, (0, 1), 2, random.Random(4), Waits())
    gen = sequence(A, B)
    assert [next_op(gen, ctx)[0].f for _ in range(3)] == ["a", "a", "a"]  # type: ignore[index]
    busy = Context(0, 0, 0b11, (0, 1), 2, random.Random(4), Waits())
    assert next_op(gen, busy) is PENDING
    assert update(gen, ctx, invoke(0, "a")) is gen


def test_a_generator_that_can_never_go_on_is_an_error() -> None:
    class Stuck(Generator, frozen=True):
        def next_op(self, ctx: Context) -> object:  # type: ignore[override]
            return PENDING

    with pytest.raises(GeneratorError, match="no operation is under way that could wake it"):
        simulate(Stuck())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: limit(-1, A), "limit cannot be -1"),
        (lambda: time_limit(-1, A), "time_limit cannot be -1 s"),
        (lambda: stagger(-1, A), "stagger cannot take -1 s"),
        (lambda: delay(float("nan"), A), "delay cannot take nan s"),
        (lambda: repeat(A, -2), "repeat cannot happen -2 times"),
        (lambda: cycle(A, -2), "cycle cannot happen -2 times"),
        (lambda: keyed(0, [], lambda key: A), "at least one process a key"),
    ],
)
def test_nonsense_is_refused_at_once(make: object, message: str) -> None:
    with pytest.raises(GeneratorError, match=message):
        make()  # type: ignore[operator]


def test_perfect_is_the_default() -> None:
    assert simulate(A) == simulate(A, complete=perfect(10))
