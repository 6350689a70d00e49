"""The public Hypothesis strategies: what they make is what they say, and shrinks to what matters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from checkers import MISSING, History, Op, Type, Verdict
from checkers.models import check
from harness.plan import Plan, dump_plan, load_plan, parse_plan
from harness.results import INFRASTRUCTURE
from harness.simulate import simulate_run
from harness.strategies import histories, ops, plans

BASE = replace(load_plan(Path(__file__).parents[2] / "examples" / "register.toml"), time_limit_s=2.0)


@given(histories(processes=4))
def test_histories_are_linearizable_by_construction(history: History) -> None:
    tested = any(op.type is Type.OK and op.f == "read" for op in history)
    found = check(history)
    assert found.verdict is (Verdict.VALID if tested else Verdict.UNKNOWN), found.reason


@pytest.mark.parametrize("kind", [Type.INVOKE, Type.OK, Type.INFO])
def test_every_kind_of_record_is_drawn(kind: Type) -> None:
    found = find(histories(), lambda history: any(op.type is kind for op in history), random=Random(7))
    assert len(found) <= 2


def test_other_histories_break_and_shrink_to_one_read() -> None:
    found = find(
        histories(linearizable=False),
        lambda history: check(history).verdict is Verdict.INVALID,
        random=Random(7),
    )
    assert [(op.type, op.f) for op in found] == [(Type.INVOKE, "read"), (Type.OK, "read")]


def test_writes_that_nobody_heard_of_may_be_seen() -> None:
    """An `info` write whose value is read: what makes checkers go wrong most often."""

    def seen(history: History) -> bool:
        lost = {op.value for op in history if op.type is Type.INFO and op.f == "write"}
        return any(op.type is Type.OK and op.f == "read" and op.value in lost for op in history)

    assert check(find(histories(), seen, random=Random(7))).verdict is Verdict.VALID


@given(ops(processes=2, keys=("a",), functions=("read", "write"), values=st.just("v")))
def test_ops_are_calls(op: Op) -> None:
    assert op.process in (0, 1)
    assert (op.type, op.key, op.f, op.value) in [(Type.INVOKE, "a", "write", "v"), (Type.INVOKE, "a", "read", MISSING)]  # fmt: skip


@given(plans(BASE, nodes=(3, 7), concurrency=(2, 4)))
def test_plans_are_plans(plan: Plan) -> None:
    assert parse_plan(dump_plan(plan), "drawn") == plan
    assert 3 <= plan.nodes <= 7
    assert 2 <= plan.concurrency <= 4


@pytest.mark.slow
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(plans(BASE))
def test_no_plan_breaks_the_store(plan: Plan) -> None:
    run = simulate_run(plan)
    assert run.verdict is not Verdict.INVALID, run.results["reason"]
    assert run.results["class"] != INFRASTRUCTURE
