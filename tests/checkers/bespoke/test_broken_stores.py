"""Each checker convicts a store that is broken in one named way, passes a good one, and says UNKNOWN where nothing was tested."""

from pathlib import Path

import pytest
from histories import NONE, one_by_one
from msgspec.structs import replace

from checkers import History, UnknownModel, Verdict, check
from checkers.bespoke.table import BESPOKE
from checkers.models import MODELS

R = NONE  # a call without an argument
W = {"value": "a", "seen": []}
BY_A = {"value": "b", "seen": ["a"]}
AT = [1, "n1"], [2, "n1"], [3, "n2"]


def version(value, at):
    return {"value": value, "version": at}


GOOD = {
    "set": [("add", 1), ("add", 2, NONE, "info"), ("read", R, [2, 1])],
    "set-full": [("read", R, []), ("add", 1), ("read", R, [1])],
    "set-full-linearizable": [("read", R, []), ("add", 1), ("read", R, [1])],
    "queue": [("enqueue", 1), ("enqueue", 1), ("dequeue", R, 1), ("dequeue", R, 1)],
    "total-queue": [("enqueue", 1), ("enqueue", 2), ("dequeue", R, 1), ("drain", R, [2])],
    "total-queue-at-least-once": [("enqueue", 1), ("dequeue", R, 1), ("drain", R, [1])],
    "unique-ids": [("generate", R, 1), ("generate", R, "1")],
    "counter": [("add", 2), ("add", -1), ("add", 5, NONE, "info"), ("read", R, 6), ("read", R, 1)],
    "counter-exact": [("add", 1), ("add", 1, NONE, "info"), ("read", R, 1), ("read", R, 2)],
    "g-counter": [("add", 3), ("add", 4, NONE, "info"), ("read", R, 0), ("final-read", R, 7)],
    "pn-counter": [("add", 3), ("add", -1), ("read", R, -1), ("final-read", R, 2)],
    "bank": [("read", R, {"a": 9, "b": 0}), ("transfer", {"from": "a", "to": "b", "amount": 2}), ("read", R, {"a": 7, "b": 2})],
    "long-fork": [
        ("txn", [["w", "x", 1]]),
        ("txn", [["r", "x", None], ["r", "y", None]], [["r", "x", 1], ["r", "y", None]]),
        ("txn", [["w", "y", 2]]),
        ("txn", [["r", "x", None], ["r", "y", None]], [["r", "x", 1], ["r", "y", 2]]),
    ],
    "mutex-fencing": [("acquire", R, 1), ("write", [1, "v"]), ("release", R), ("acquire", R, 2), ("write", [2, "w"])],
    "append-log": [("append", "a", [0, "a"]), ("append", "b", [2, "b"]), ("poll", R, [[2, "b"]]), ("read", R, [[0, "a"], [2, "b"]])],
    "mv-register": [("write", W), ("write", BY_A), ("read", R, ["a"]), ("final-read", R, ["b"])],
    "mv-register-session": [("write", W), ("write", BY_A), ("read", R, ["a"], "ok", 9), ("final-read", R, ["b"], "ok", 9)],
    "or-set": [("add", 1), ("remove", 1), ("add", 2), ("final-read", R, [2])],
    "lww": [("write", "a", version("a", AT[1])), ("write", "b", version("b", AT[0])), ("final-read", R, version("a", AT[1]))],
    "convergence": [("add", 1), ("digest", R, {"n1": "x", "n2": "y"}), ("digest", R, {"n1": "z", "n2": "z"})],
}  # fmt: skip

BROKEN = [
    ("set", "lost", [("add", 1), ("add", 2), ("read", R, [2])]),
    ("set", "unexpected", [("add", 1), ("read", R, [1, 2])]),
    ("set", "aborted-read", [("add", 1, NONE, "fail"), ("read", R, [1])]),
    ("set", "duplicate-element", [("add", 1), ("read", R, [1, 1])]),
    ("set-full", "lost", [("add", 1), ("read", R, [1]), ("read", R, [])]),
    ("set-full", "duplicate-element", [("add", 1), ("read", R, [1, 1])]),
    ("set-full", "unexpected", [("add", 1), ("read", R, [1, 5])]),
    ("set-full", "future-read", [("read", R, [1]), ("add", 1), ("read", R, [1])]),
    ("set-full-linearizable", "stale-read", [("add", 1), ("read", R, []), ("read", R, [1])]),
    ("queue", "duplicated", [("enqueue", 1), ("dequeue", R, 1), ("dequeue", R, 1)]),
    ("queue", "unexpected", [("enqueue", 1), ("dequeue", R, 2)]),
    ("queue", "aborted-read", [("enqueue", 1, NONE, "fail"), ("dequeue", R, 1)]),
    ("total-queue", "lost", [("enqueue", 1), ("drain", R, [])]),
    ("total-queue", "lost", [("enqueue", 1), ("enqueue", 2), ("dequeue", R, NONE, "info"), ("dequeue", R, None)]),
    ("total-queue", "duplicated", [("enqueue", 1), ("dequeue", R, 1), ("drain", R, [1])]),
    ("total-queue-at-least-once", "lost", [("enqueue", 1), ("drain", R, [])]),
    ("unique-ids", "duplicate-id", [("generate", R, 1), ("generate", R, 1)]),
    ("counter", "below-lower-bound", [("add", 2), ("add", 2), ("read", R, 3)]),
    ("counter", "above-upper-bound", [("add", 2), ("add", 2, NONE, "fail"), ("read", R, 3)]),
    ("counter-exact", "went-back", [("add", 1, NONE, "info"), ("read", R, 1), ("read", R, 0)]),
    ("counter-exact", "below-lower-bound", [("add", 1), ("read", R, 0)]),
    ("g-counter", "wrong-sum", [("add", 3), ("add", 4, NONE, "info"), ("final-read", R, 5)]),
    ("pn-counter", "wrong-sum", [("add", 3), ("add", -1), ("final-read", R, 3)]),
    ("pn-counter", "out-of-range", [("add", 3), ("read", R, 4), ("final-read", R, 3)]),
    ("bank", "wrong-total", [("read", R, {"a": 9, "b": 0}), ("read", R, {"a": 7, "b": 0})]),
    ("bank", "negative-value", [("read", R, {"a": 9, "b": 0}), ("read", R, {"a": 10, "b": -1})]),
    ("bank", "nil-balance", [("read", R, {"a": 9, "b": 0}), ("read", R, {"a": 9, "b": None})]),
    ("bank", "unexpected-key", [("read", R, {"a": 9, "b": 0}), ("read", R, {"a": 9, "c": 0})]),
    ("long-fork", "long-fork", [
        ("txn", [["w", "x", 1]]), ("txn", [["w", "y", 1]]),
        ("txn", [["r", "x", None], ["r", "y", None]], [["r", "x", 1], ["r", "y", None]]),
        ("txn", [["r", "y", None], ["r", "x", None]], [["r", "y", 1], ["r", "x", None]]),
    ]),
    ("mutex-fencing", "duplicate-token", [("acquire", R, 1), ("acquire", R, 1)]),
    ("mutex-fencing", "nonmonotonic-token", [("acquire", R, 2), ("acquire", R, 1)]),
    ("mutex-fencing", "stale-token", [("acquire", R, 1), ("acquire", R, 2), ("write", [2, "w"]), ("write", [1, "v"])]),
    ("mutex-fencing", "unexpected", [("acquire", R, 1), ("acquire", R, 2), ("write", [7, "w"])]),
    ("append-log", "lost", [("append", "a", [0, "a"]), ("append", "b", [1, "b"]), ("read", R, [[0, "a"]])]),
    ("append-log", "gap", [("append", "a", [0, "a"]), ("append", "b", [1, "b"]), ("append", "c", [2, "c"]), ("poll", R, [[0, "a"], [2, "c"]])]),
    ("append-log", "duplicate", [("append", "a", [0, "a"]), ("poll", R, [[0, "a"], [1, "a"]])]),
    ("append-log", "inconsistent-offset", [("append", "a", [0, "a"]), ("append", "b", [0, "b"]), ("poll", R, [[0, "a"]])]),
    ("append-log", "nonmonotonic-poll", [("append", "a", [0, "a"]), ("append", "b", [1, "b"]), ("poll", R, [[1, "b"], [0, "a"]])]),
    ("append-log", "nonmonotonic-append", [("append", "a", [1, "a"]), ("append", "b", [0, "b"]), ("poll", R, [[0, "b"], [1, "a"]])]),
    ("mv-register", "lost-update", [("write", W), ("write", {"value": "c", "seen": []}), ("final-read", R, ["c"])]),
    ("mv-register", "obsolete-sibling", [("write", W), ("write", BY_A), ("final-read", R, ["a", "b"])]),
    ("mv-register", "unexpected", [("write", W), ("final-read", R, ["a", "z"])]),
    ("mv-register-session", "resurrection", [("write", W), ("write", BY_A), ("read", R, ["b"], "ok", 9), ("read", R, ["a"], "ok", 9), ("final-read", R, ["b"])]),
    ("or-set", "lost", [("remove", 1), ("add", 1), ("final-read", R, [])]),
    ("or-set", "lost", [("add", {"value": 1, "tag": "t"}), ("add", {"value": 1, "tag": "u"}), ("remove", {"value": 1, "seen": ["t"]}), ("final-read", R, [])]),
    ("or-set", "resurrected", [("add", {"value": 1, "tag": "t"}), ("remove", {"value": 1, "seen": ["t"]}), ("final-read", R, [1])]),
    ("or-set", "unexpected", [("add", 1), ("final-read", R, [1, 2])]),
    ("lww", "lost-write", [("write", "a", version("a", AT[2])), ("write", "b", version("b", AT[0])), ("final-read", R, version("b", AT[0]))]),
    ("g-counter", "diverged", [("add", 3, NONE, "info"), ("final-read", R, 3), ("final-read", R, 0)]),
    ("pn-counter", "diverged", [("add", 3, NONE, "info"), ("add", -3, NONE, "info"), ("final-read", R, 3), ("final-read", R, -3), ("final-read", R, 3)]),
    ("or-set", "diverged", [("add", 1, NONE, "info"), ("final-read", R, [1]), ("final-read", R, [])]),
    ("mv-register", "diverged", [("write", W, NONE, "info"), ("final-read", R, ["a"]), ("final-read", R, [])]),
    ("mv-register-session", "diverged", [("write", W, NONE, "info"), ("final-read", R, ["a"]), ("final-read", R, [])]),
    ("lww", "diverged", [("write", "a", NONE, "info"), ("final-read", R, version("a", AT[0])), ("final-read", R, None)]),
    ("convergence", "diverged", [("add", 1), ("digest", R, {"n1": "x", "n2": "y"})]),
    ("convergence", "sec-violation", [("snapshot", R, {"n1": {"digest": "x", "delivered": [1]}}), ("digest", R, {"n1": {"digest": "y", "delivered": [1]}, "n2": "y"})]),
    ("convergence", "missing-update", [("add", 1), ("digest", R, {"n1": {"digest": "x", "delivered": []}, "n2": {"digest": "x", "delivered": []}})]),
]  # fmt: skip

UNTESTED = [
    ("set", [("add", 1)], "never read"),
    ("set-full", [("add", 1), ("read", R, NONE, "info")], "ever seen"),
    ("queue", [("enqueue", 1)], "nothing came out"),
    ("total-queue", [("enqueue", 1), ("enqueue", 2), ("dequeue", R, 1)], "drain it"),
    ("total-queue", [("enqueue", 1), ("dequeue", R, NONE, "info"), ("dequeue", R, None)], "unknown outcome"),
    ("unique-ids", [("generate", R, 1)], "two at least"),
    ("counter", [("add", 1)], "no read"),
    ("counter-exact", [("add", 2), ("read", R, 2)], "increments of 1"),
    ("g-counter", [("add", 1), ("read", R, 1)], "no final-read"),
    ("g-counter", [("add", -1), ("final-read", R, -1)], "only grows"),
    ("bank", [("read", R, {"a": 1})], "nothing to compare"),
    ("long-fork", [("txn", [["w", "x", 1]]), ("txn", [["w", "x", 2]])], "written twice"),
    ("mutex-fencing", [("acquire", R, 1)], "two at least"),
    ("mutex-fencing", [("acquire", R, 1), ("acquire", R, 2)], "no write was accepted"),
    ("mutex-fencing", [("acquire", R, 1), ("acquire", R, 2), ("write", [1, "v"], NONE, "fail"), ("write", [2, "v"], NONE, "info")], "no write was accepted"),
    ("mutex-fencing", [("acquire", R, 1), ("acquire", R, 2), ("write", [2, "v"]), ("write", [1, "v"], NONE, "info")], "only one write"),
    ("or-set", [("add", 1), ("add", 2, NONE, "info"), ("final-read", R, [1]), ("final-read", R, [1, 2])], "may have come between"),
    ("append-log", [("append", "a", [0, "a"])], "no record"),
    ("mv-register", [("write", W)], "no final-read"),
    ("or-set", [("add", 1), ("read", R, [1])], "no final-read"),
    ("lww", [("write", "a", "a"), ("final-read", R, "a")], "version"),
    ("convergence", [("add", 1)], "no digest"),
    ("convergence", [("digest", R, {"n1": "x", "n2": "x", "n3": None})], "did not answer: n3"),
    ("set", [("add", 1), ("remove", 1), ("read", R, [])], "no 'remove'"),
]  # fmt: skip


@pytest.mark.parametrize("model", list(BESPOKE))
def test_a_good_store_passes(model):
    result = check(one_by_one(*GOOD[model]), model)
    assert result.verdict is Verdict.VALID, result.reason
    assert result.certificate is None or result.certificate.kind == "witness"


@pytest.mark.parametrize(("model", "anomaly", "ops"), BROKEN)
def test_a_broken_store_is_convicted(model, anomaly, ops):
    history = one_by_one(*ops)
    result = check(history, model)
    assert (result.verdict, result.anomaly) == (Verdict.INVALID, anomaly), result.reason
    assert result.reason.startswith(f"{anomaly}: ")
    assert result.certificate is not None
    assert all(
        history.completion(at) or history.op(at).type.word == "invoke" for at in result.certificate.ops
    )
    core = set(result.certificate.ops)
    kept = [op for op in history if op.index in core or (op.type.word != "invoke" and history.invocation(op.index).index in core)]  # fmt: skip
    alone = History.from_ops(replace(op, index=-1) for op in kept)
    assert check(alone, model).verdict is Verdict.INVALID


@pytest.mark.parametrize(("model", "ops", "why"), UNTESTED)
def test_what_was_not_tested_is_unknown(model, ops, why):
    result = check(one_by_one(*ops), model)
    assert (result.verdict, result.anomaly) == (Verdict.UNKNOWN, None)
    assert why in result.reason


def test_every_model_has_a_broken_store_and_an_empty_history_tests_nothing():
    assert {model for model, _, _ in BROKEN} == set(BESPOKE)
    for model in MODELS:
        assert check(History.from_ops([]), model).verdict is Verdict.UNKNOWN


def test_the_docs_have_a_row_for_every_model_and_its_anomalies():
    text = (Path(__file__).parents[3] / "docs" / "checkers.md").read_text()
    table = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert list(table) == list(MODELS)
    assert [(model, anomaly) for model, anomaly, _ in BROKEN if f"`{anomaly}`" not in table[model]] == []
    assert all(model.shape in table[name] and model.meaning in table[name] for name, model in MODELS.items())


def test_an_unknown_model_lists_those_there_are():
    with pytest.raises(UnknownModel, match=r"did you mean 'set-full'.*total-queue.*convergence"):
        check(History.from_ops([]), "set-ful")


def test_losses_of_lww_are_counted_and_no_violation():
    stats = check(one_by_one(*GOOD["lww"]), "lww").stats
    assert (stats["skew-loss-count"], stats["worst-skew-loss-ms"]) == (1, 5 / 1e6)
