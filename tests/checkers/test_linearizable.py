"""The door to all objects: which way each key goes, and that both ways agree."""

from __future__ import annotations

import random

import pytest

from checkers import History, Op, Type, check
from checkers.linearizable import POLYNOMIAL, EngineError, check_object
from checkers.notation import parse_drawing
from checkers.op import MISSING
from checkers.search import NATIVE, Budget
from checkers.special import UNSEARCHED
from checkers.verdict import Verdict


def told(*calls: tuple[object, str, object, object]) -> History:
    """(key, f, value, result) one after the other, by one process."""
    records = []
    for at, (key, f, value, result) in enumerate(calls):
        records.append(Op(-1, 2 * at + 1, 0, Type.INVOKE, f, key, value))
        records.append(Op(-1, 2 * at + 2, 0, Type.OK, f, key, result))
    return History.from_ops(records)


UNIQUE = [(1, "write", 1, 1), (1, "read", MISSING, 1)]
REPEATED = [(2, "write", 5, 5), (2, "write", 5, 5), (2, "read", MISSING, 5)]


def test_a_key_that_the_polynomial_case_cannot_judge_goes_to_the_search() -> None:
    result = check(told(*UNIQUE, *REPEATED), "register")
    assert (result.verdict, result.stats["path"]) == (Verdict.VALID, "both")
    assert {name: part.stats["path"] for name, part in result.parts.items()} == {
        "1": "polynomial",
        "2": "search",
    }
    assert result.certificate is not None
    assert sorted(result.certificate.ops) == [0, 2, 4, 6, 8]


def test_the_searched_key_may_be_the_bad_one() -> None:
    result = check(told(*UNIQUE, *REPEATED, (2, "write", 7, 7), (2, "read", MISSING, 5)), "register")
    assert (result.verdict, result.key, result.anomaly) == (Verdict.INVALID, 2, "not-linearizable")
    assert result.stats["keys_bad"] == 1


def test_unique_values_need_no_search() -> None:
    assert check(told(*UNIQUE), "cas-register").stats["path"] == "polynomial"
    assert check_object(told(*UNIQUE), "register", "search").stats["path"] == "search"
    assert check_object(told(*REPEATED), "register", "polynomial").verdict is Verdict.UNKNOWN


def test_a_search_without_room_is_unknown_and_says_so() -> None:
    result = check_object(told(*REPEATED), "register", "search", Budget(states_max=0))
    assert result.verdict is Verdict.UNKNOWN
    assert "the budget of states is used up" in result.reason


@pytest.mark.parametrize(
    ("model", "engine", "said"),
    [
        (
            "register",
            "fast",
            "there is no engine 'fast'; use one of auto, zones, polynomial, search, knossos",
        ),
        ("mutex", "polynomial", "no polynomial case for 'mutex'"),
        ("bank", "auto", "'bank' is no object"),
    ],
)
def test_what_cannot_be_is_refused(model: str, engine: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        check_object(told(*UNIQUE), model, engine)


def test_every_polynomial_case_has_a_search_behind_it() -> None:
    assert set(POLYNOMIAL) - set(UNSEARCHED) <= set(NATIVE)
    assert set(UNSEARCHED) <= set(POLYNOMIAL)


@pytest.mark.parametrize("model", ["register", "queue", "stack"])
def test_both_ways_give_the_same_verdict(model: str) -> None:
    rng = random.Random(model)
    put, take = {"register": ("write", "read"), "queue": ("enqueue", "dequeue"), "stack": ("push", "pop")}[
        model
    ]
    seen = set()
    for _ in range(300):
        records, now, held = [], 0, [1, 2, 3]
        for process in range(3):
            now = rng.randrange(3)
            for step in range(2):
                value = 3 * step + process + 1
                begin, end = now + rng.randrange(1, 4), 0
                end = now = begin + rng.randrange(1, 6)
                if rng.random() < 0.5:
                    held.append(value)
                    records += [
                        Op(-1, begin, process, Type.INVOKE, put, 1, value),
                        Op(-1, end, process, Type.OK, put, 1, value),
                    ]
                else:
                    records += [
                        Op(-1, begin, process, Type.INVOKE, take, 1),
                        Op(-1, end, process, Type.OK, take, 1, rng.choice([None, value, 1, 2])),
                    ]
        records.sort(key=lambda op: (op.time_ns, op.type is Type.INVOKE))
        history = History.from_ops(records)
        one, other = check_object(history, model), check_object(history, model, "search")
        assert one.verdict is other.verdict, [str(op) for op in history]
        seen.add(one.verdict)
    assert {Verdict.VALID, Verdict.INVALID} <= seen


@pytest.mark.parametrize(
    ("drawing", "verdict", "said"),
    [
        ("A: |--cas nil 1--|", Verdict.VALID, "fit the claim"),
        ("A: |--r nil--|", Verdict.VALID, "fit the claim"),
        ("A: |--w 1--|", Verdict.UNKNOWN, "no read and no compare-and-set succeeded"),
        ("A: |--cas nil 1--x", Verdict.UNKNOWN, "no read and no compare-and-set succeeded"),
        ("", Verdict.UNKNOWN, "no client did anything"),
    ],
)
def test_only_what_saw_a_value_was_a_test(drawing: str, verdict: Verdict, said: str) -> None:
    result = check_object(parse_drawing(drawing), "cas-register")
    assert result.verdict is verdict
    assert said in result.reason


def test_vacuous_is_valid_only_if_nothing_succeeded_and_only_if_asked_for() -> None:
    failed = History.from_ops([Op(0, 0, 0, Type.INVOKE, "read", 1), Op(1, 1, 0, Type.FAIL, "read", 1)])
    written = parse_drawing("A: |--w 1--|")
    refuted = parse_drawing("A: |--w 1--| |--r 2--|")
    verdicts = [
        (check(each).verdict, check(each, vacuous="valid").verdict) for each in (failed, written, refuted)
    ]
    assert verdicts == [
        (Verdict.UNKNOWN, Verdict.VALID),
        (Verdict.UNKNOWN, Verdict.UNKNOWN),
        (Verdict.INVALID, Verdict.INVALID),
    ]
    with pytest.raises(EngineError, match="vacuous is 'ok'"):
        check(failed, vacuous="ok")
