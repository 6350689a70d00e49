"""A history judged key by key in a pool gets the Result it gets when judged at once, to the last number."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
import pytest

from checkers.history import History
from checkers.models import MODELS, judging
from checkers.op import Op, Type
from checkers.verdict import Result, Verdict
from harness.cli import status_of
from harness.keyed_pool import KeyedColumns, by_key, spread
from harness.pool import AHEAD, Pool
from tests.checkers.random_calls import ACTS, random_history

THREADS = Pool(2, partial(ThreadPoolExecutor, 2))
KEYED = sorted(name for name in ACTS if name in MODELS and by_key(name, "auto"))


def joined(name: str, seed: int, keys: int) -> History:
    """Random histories of a model beside each other, each under keys and processes of its own."""
    events = list[tuple[int, Op]]()
    for part in range(keys):
        for op in random_history(name, seed * keys + part):
            process = op.process + 1000 * part if isinstance(op.process, int) else op.process
            own = part != 1 and isinstance(op.process, int)  # of one part, the key that the nemesis has too
            events.append(
                (
                    op.time_ns,
                    msgspec.structs.replace(
                        op, index=-1, process=process, key=[part, op.key] if own else None
                    ),
                )
            )
    return History.from_ops(op for _, op in sorted(events, key=lambda each: each[0]))


def told(result: Result) -> Any:
    """All of it, the certificate's numbers too."""
    ops = None if result.certificate is None else list(result.certificate.ops)
    return result.as_json(), ops, {name: told(part) for name, part in result.parts.items()}


@pytest.mark.parametrize("model", KEYED)
def test_the_result_is_the_same(model: str) -> None:
    judge, verdicts = judging(model), set[Verdict]()
    for seed in range(40):
        history = joined(model, seed, 5)
        expected = judge(history)
        verdicts.add(expected.verdict)
        assert told(spread(judge, THREADS)(history)) == told(expected), seed
    assert Verdict.INVALID in verdicts


def test_a_group_has_whole_keys_and_no_record_is_forgotten() -> None:
    """One key has half of the records; four groups are asked for."""
    keys = [0 if n % 2 else n for n in range(2, 42)]
    calls = [(n, key, kind) for n, key in enumerate(keys) for kind in (Type.INVOKE, Type.OK)]
    history = History.from_ops(Op(-1, n, 1, kind, "write", key, n) for n, key, kind in calls)
    groups = [group.tolist() for group in KeyedColumns(history.columns, Pool(1, THREADS.open))._groups()]
    assert sorted(record for group in groups for record in group) == list(range(80))
    held = [{history.op(record).key for record in group} for group in groups]
    assert sum(map(len, held)) == len(set(keys)) == 21
    assert 3 <= len(groups) <= AHEAD
    assert all(group == sorted(group) for group in groups)


@pytest.mark.parametrize("more", [["--model", "sequential"], ["--model", "bank"]])
def test_what_is_judged_whole_is_not_sent_to_a_cluster(
    more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["check", "none.jsonl", *more, "--ray", "127.0.0.2:1"]) == 254
    assert "is not judged key by key; leave it out" in capsys.readouterr().err
    assert not by_key("register", "knossos")  # a JVM of its own judges it
