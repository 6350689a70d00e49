"""Cores of the search: small, refuted by brute force, and never of a history that was good."""

import os
import random
from itertools import count

import pytest

from checkers import MISSING, Verdict
from checkers.search import NATIVE, Budget, check_model
from checkers.shrink import Core, Shrinker, _after, observes_in
from tests.checkers.object_oracle import explainable
from tests.checkers.test_fuzz_search import Mirror, random_history, recorded
from tests.checkers.test_search import read, write

HISTORIES = int(os.environ.get("QUORATE_FUZZ", "0")) // 100 or 150


def frozen():
    """A clock that never moves: time is never up, and the same core comes back."""
    return 0.0


def events_of(history, ops, until_ns=None):
    events = []
    for index in ops:
        call, end = history.op(index), history.completion(index)
        word = "info" if end is None else end.type.word
        if word == "ok" and until_ns is not None and end.time_ns > until_ns:
            word = "open"
        if word == "info" and call.f in ("read", "get", "contains"):
            continue
        result = end.value if word in ("ok", "open") else MISSING
        events.append((call.f, call.value, result, word, call.time_ns, end.time_ns if end else 0))
    return events


@pytest.mark.parametrize("model", NATIVE)
def test_a_core_is_refuted_by_brute_force_and_so_is_what_it_came_from(model):
    rng = random.Random(f"shrink {model}")
    bad = 0
    for _ in range(HISTORIES):
        ops = random_history(rng, model)
        history = recorded([ops])
        result = check_model(history, model, clock=frozen)
        assert (result.verdict is Verdict.INVALID) == (not explainable(model, ops))
        if result.verdict is not Verdict.INVALID:
            continue
        bad += 1
        (part,) = result.parts.values()
        assert part.stats["core_minimal"]
        assert part.stats["core_confirmed"]
        assert not explainable(model, events_of(history, result.certificate.ops))
        assert not explainable(model, events_of(history, result.certificate.ops, part.stats["core_until_ns"]))
        assert len(result.certificate.ops) <= part.stats["prefix_ops"]
    assert bad >= HISTORIES // 20


@pytest.mark.parametrize("model", NATIVE)
def test_no_rule_makes_a_good_history_bad(model):
    """The rules are applied to good histories with brute force as the test: nothing they leave may be bad."""
    rng = random.Random(f"rules {model}")
    left = 0
    for _ in range(HISTORIES):
        ops = random_history(rng, model)
        history = recorded([ops])
        if not explainable(model, ops):
            continue
        calls = [op.index for op in history if op.type.word == "invoke"]
        ends = [end.time_ns for at in calls if (end := history.completion(at)) and end.type.word == "ok"]
        if not ends:
            continue
        shrinker = Shrinker(history, model, observes_in(model, False), False, lambda h, ms: None, frozen, 1.0)
        until = rng.choice(ends)
        kept = tuple(at for at in calls if history.op(at).time_ns <= until)
        core = Core(kept, until, {}, False, 0)
        for _ in range(6):
            assert explainable(model, events_of(history, core.ops, until)), (ops, core)
            if model in ("register", "cas-register") and rng.random() < 0.2:
                known = [shrinker.operation(at) for at in core.ops]
                starts = [
                    one for one in known if one.call.f == "write" and one.ok and one.end.time_ns <= until
                ]
                after = _after(rng.choice(starts), known) if starts else None
                core = Core(tuple(sorted(after)) if after is not None else core.ops, until, {}, False, 0)
                continue
            units = [*shrinker._clusters(core), *shrinker._unseen(core), *shrinker._observed(core)]
            if not units:
                break
            left += 1
            gone = rng.choice(units)
            core = Core(tuple(at for at in core.ops if at not in gone), until, {}, False, 0)
        assert explainable(model, events_of(history, core.ops, until)), (ops, core)
    assert left > 0 or model == "mutex"


def test_a_long_history_with_repeated_values_has_a_small_core():
    rng, at, ops = random.Random(5), count(0, 10), []
    for n in range(2000):
        call = next(at)
        value = n % 5
        ops += [write(value, call, call + 3), read(value, call + 4, call + 6)]
        if rng.random() < 0.3:
            ops.append(write(value, call, call + 4))
    stale = next(at)
    ops.append(read(2, stale, stale + 1))
    history = recorded([ops])
    result = check_model(history, "register", clock=frozen, budget=Budget(deadline_ms=None))
    assert result.verdict is Verdict.INVALID
    assert len(result.certificate.ops) <= 3
    (part,) = result.parts.values()
    assert part.stats["prefix_ops"] == len(ops)
    assert part.stats["core_confirmed"]


def test_time_that_is_up_leaves_the_prefix():
    ticks = count(0, 100)
    history = recorded([[write(1, 0, 1), write(2, 2, 3), read(9, 4, 5)]])
    result = check_model(history, "register", clock=lambda: float(next(ticks)))
    assert result.verdict is Verdict.INVALID
    (part,) = result.parts.values()
    assert not part.stats["core_minimal"]
    assert len(result.certificate.ops) == 3


class Readable(Mirror):
    """It says which of its operations change nothing."""

    def readonly(self, call):
        return call.f == "read"


def test_an_object_of_ones_own_is_shrunk_by_its_readonly_operations():
    ops = [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7), read(1, 8, 9)]
    result = check_model(recorded([ops]), Readable("register"), clock=frozen)
    assert [result.verdict, len(result.certificate.ops)] == [Verdict.INVALID, 3]
    (part,) = result.parts.values()
    assert part.stats["core_confirmed"]


def test_without_a_clock_the_core_is_the_bad_prefix():
    ops = [write(1, 0, 1), read(1, 2, 3), write(2, 4, 5), read(2, 6, 7), read(1, 8, 9)]
    assert len(check_model(recorded([ops]), "register").certificate.ops) == 5
