"""Laws of generators, over generators put together by Hypothesis."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.op import Op, Type
from harness.generator import (
    Completion,
    Generator,
    any_of,
    clients,
    crashing,
    cycle,
    delay,
    each_thread,
    failing,
    invocations,
    limit,
    mix,
    op,
    perfect,
    phases,
    repeat,
    sequence,
    simulate,
    stagger,
    time_limit,
    until_ok,
)

leaves = st.sampled_from("abc").map(op)


def grow(inner: st.SearchStrategy[Generator]) -> st.SearchStrategy[Generator]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        several.map(lambda gens: sequence(*gens)),
        several.map(lambda gens: mix(*gens)),
        several.map(lambda gens: any_of(*gens)),
        several.map(lambda gens: phases(*gens)),
        st.tuples(inner, st.integers(0, 3)).map(lambda pair: repeat(*pair)),
        st.tuples(inner, st.integers(0, 3)).map(lambda pair: cycle(*pair)),
        st.tuples(st.integers(0, 5), inner).map(lambda pair: limit(*pair)),
        st.tuples(st.sampled_from([0.0, 1e-8, 1e-7]), inner).map(lambda pair: stagger(*pair)),
        st.tuples(st.sampled_from([0.0, 1e-8, 1e-7]), inner).map(lambda pair: delay(*pair)),
        inner.map(each_thread),
        inner.map(until_ok),
    )


generators = st.recursive(leaves, grow, max_leaves=6)
models: st.SearchStrategy[Completion] = st.sampled_from([perfect(), perfect(0), failing(7), crashing(13)])
seeds = st.integers(0, 2**32)


def well_formed(ops: list[Op], concurrency: int) -> None:
    """What is true of every history, whatever made it."""
    assert [each.index for each in ops] == list(range(len(ops)))
    assert all(early.time_ns <= late.time_ns for early, late in pairwise(ops))
    busy: dict[object, Op] = {}
    retired = set()
    for each in ops:
        thread = each.process % concurrency if isinstance(each.process, int) else each.process
        if each.type is Type.INVOKE:
            assert thread not in busy
            assert each.process not in retired
            busy[thread] = each
        else:
            begun = busy.pop(thread)
            assert (begun.process, begun.f, begun.key) == (each.process, each.f, each.key)
            if each.type is Type.INFO:
                retired.add(each.process)


@given(generators, models, seeds, st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_every_history_is_well_formed_and_repeats(
    gen: Generator, model: Completion, seed: int, concurrency: int
) -> None:
    ops = simulate(clients(gen), concurrency=concurrency, complete=model, seed=seed, limit=300)
    well_formed(ops, concurrency)
    assert ops == simulate(clients(gen), concurrency=concurrency, complete=model, seed=seed, limit=300)


@given(st.integers(0, 30), generators, models, seeds)
@settings(max_examples=80, deadline=None)
def test_limit_is_never_exceeded(count: int, gen: Generator, model: Completion, seed: int) -> None:
    free = len(invocations(simulate(repeat(gen, 50), concurrency=3, complete=model, seed=seed)))
    held = len(invocations(simulate(limit(count, repeat(gen, 50)), concurrency=3, complete=model, seed=seed)))
    assert held == min(count, free)


@given(st.integers(1, 1000), st.integers(0, 200), models, seeds)
@settings(max_examples=80, deadline=None)
def test_time_limit_is_never_exceeded(length_ns: int, gap_ns: int, model: Completion, seed: int) -> None:
    gen = time_limit(length_ns * 1e-9, limit(200, stagger(gap_ns * 1e-9, repeat(op("a")))))
    called = invocations(simulate(gen, concurrency=3, complete=model, seed=seed))
    assert called
    assert all(each.time_ns < called[0].time_ns + length_ns for each in called)


@given(st.integers(1, 3), st.lists(st.integers(0, 6), min_size=1, max_size=4), models, seeds)
@settings(max_examples=80, deadline=None)
def test_phases_never_overlap(concurrency: int, sizes: list[int], model: Completion, seed: int) -> None:
    gen = phases(*(repeat(op(str(number)), size) for number, size in enumerate(sizes)))
    ops = simulate(gen, concurrency=concurrency, complete=model, seed=seed)
    assert [each.f for each in ops] == sorted(each.f for each in ops)
    assert len(invocations(ops)) == sum(sizes)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_stagger_has_its_mean(seed: int) -> None:
    called = invocations(simulate(limit(2000, stagger(1e-3, repeat(op("a")))), concurrency=5, seed=seed))
    mean_s = (called[-1].time_ns - called[0].time_ns) / (len(called) - 1) / 1e9
    assert 0.9e-3 < mean_s < 1.1e-3  # 5 standard deviations of the mean of 2000 even gaps are 6.5 %
    assert all(late.time_ns - early.time_ns <= 2e6 for early, late in pairwise(called))


@given(seeds, st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_mix_draws_all_alike(seed: int, parts: int) -> None:
    called = invocations(
        simulate(limit(1000, mix(*(repeat(op(str(part))) for part in range(parts)))), seed=seed)
    )
    counts = [sum(each.f == str(part) for each in called) for part in range(parts)]
    assert min(counts) > 0.6 * 1000 / parts


@given(seeds, st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_no_process_starves(seed: int, concurrency: int) -> None:
    called = invocations(
        simulate(clients(repeat(op("a"), 100 * concurrency)), concurrency=concurrency, seed=seed)
    )
    counts = [sum(each.process == process for each in called) for process in range(concurrency)]
    assert min(counts) > 50
