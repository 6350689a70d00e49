"""A claim about updates is not VALID where none was acknowledged or seen; and what a core leaves out does not explain it away."""

from __future__ import annotations

import pytest
from histories import NONE, one_by_one, rows

from checkers import History, Op, Verdict, check
from checkers.jsonl import HistoryError
from tests.checkers.random_calls import ACTS, random_history

VALID, INVALID, UNKNOWN = Verdict.VALID, Verdict.INVALID, Verdict.UNKNOWN
NIL = [["r", 1, None], ["r", 2, None]]
BESPOKE = (
    "append-log", "bank", "convergence", "counter", "g-counter", "long-fork", "lww", "mutex-fencing", "mv-register", "mv-register-session",
    "or-set", "pn-counter", "queue", "set", "set-full", "set-full-linearizable", "total-queue", "total-queue-at-least-once", "unique-ids",
)  # fmt: skip

UNTOUCHED = {
    "or-set": one_by_one(("final-read", None, [])),
    "or-set, the add failed": one_by_one(("add", 1, NONE, "fail"), ("final-read", None, [])),
    "set, the add failed": one_by_one(("add", 1, NONE, "fail"), ("read", None, [])),
    "set, the add is in doubt": one_by_one(("add", 1, NONE, "info"), ("read", None, [])),
    "g-counter": one_by_one(("final-read", None, 0)),
    "pn-counter, the add failed": one_by_one(("add", 1, NONE, "fail"), ("final-read", None, 0)),
    "mv-register": one_by_one(("final-read", None, [])),
    "mv-register-session": one_by_one(("final-read", None, [])),
    "lww": one_by_one(("final-read", None, None)),
    "convergence": one_by_one(("digest", None, {"a": "0", "b": "0"})),
    "convergence, the add failed": one_by_one(("add", 1, NONE, "fail"), ("digest", None, {"a": "0", "b": "0"})),
    "bank": one_by_one(("read", None, {}), ("read", None, {})),
    "bank, the transfer failed": one_by_one(
        ("transfer", {"from": "a", "to": "b", "amount": 1}, NONE, "fail"), ("read", None, {"a": 1}), ("read", None, {"a": 1})
    ),
    "long-fork": one_by_one(("txn", NIL), ("txn", NIL)),
    "append-log": one_by_one(("append", 1, [0, 1]), ("poll", None, [])),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOUCHED)
def test_where_no_update_was_made_or_seen_nothing_was_tested(name):
    result = check(UNTOUCHED[name], name.split(",")[0])
    assert result.verdict is UNKNOWN
    assert "was not tested" in result.reason or "nothing was tested" in result.reason


TOO_LATE = {
    "set": (("read", None, []), ("add", 1)),
    "or-set": (("final-read", None, []), ("add", 1)),
    "g-counter": (("final-read", None, 0), ("add", 1)),
    "pn-counter": (("final-read", None, 0), ("add", 1)),
    "mv-register": (("final-read", None, []), ("write", {"value": 1, "seen": []})),
    "mv-register-session": (("final-read", None, []), ("write", {"value": 1, "seen": []})),
    "lww": (("final-read", None, None), ("write", 1, {"value": 1, "version": [1, "n"]})),
    "convergence": (("digest", None, {"a": "0", "b": "0"}), ("add", 1)),
    "bank": (("read", None, {"a": 1, "b": 1}), ("read", None, {"a": 1, "b": 1}), ("transfer", {"from": "a", "to": "b", "amount": 1})),
}  # fmt: skip


@pytest.mark.parametrize("model", TOO_LATE)
def test_where_the_updates_came_after_the_last_read_nothing_was_tested(model):
    *reads, update = TOO_LATE[model]
    result = check(one_by_one(*reads, update), model)
    assert result.verdict is UNKNOWN
    assert "nothing was tested; read after the updates" in result.reason
    if model == "bank":
        assert check(one_by_one(reads[0], update, reads[1]), model).verdict is VALID
    during = rows([(*reads[0], "ok", 10, 20), (*update, *update[1:][:1], "ok", 15, 30)] if len(update) == 2 else [(*reads[0], "ok", 10, 20), (*update, "ok", 15, 30)])  # fmt: skip
    assert check(during, model).verdict is UNKNOWN


def test_a_key_that_was_updated_too_late_spoils_the_others():
    """Unlike one that nothing was done to."""
    kept = one_by_one(("add", 1), ("final-read", None, [1]))
    late = one_by_one(*TOO_LATE["or-set"])
    assert check(of_keys(a=kept, b=late), "or-set").verdict is UNKNOWN


@pytest.mark.parametrize("engine", ["auto", "search"])
def test_of_a_set_only_what_was_read_is_tested(engine):
    blind = one_by_one(("add", 1), ("remove", 1), ("contains", 1, NONE, "fail"))
    assert check(blind, "linearizable-set", engine=engine).verdict is UNKNOWN
    seen = one_by_one(("add", 1), ("contains", 1, [1, True]))
    assert check(seen, "linearizable-set", engine=engine).verdict is VALID


def of_keys(**histories: History) -> History:
    """The histories one after the other, each of a key of its own."""
    return History.from_ops(
        Op(-1, 1000 * n + op.time_ns, 100 * n + op.process, op.type, op.f, key, op.value)
        for n, (key, history) in enumerate(histories.items())
        for op in history
    )


def test_an_untouched_key_spoils_nothing():
    kept = one_by_one(("add", 1), ("final-read", None, [1]))
    result = check(of_keys(a=UNTOUCHED["or-set"], b=kept), "or-set")
    assert result.verdict is VALID
    assert (result.stats["keys"], result.stats["keys_unknown"], result.stats["keys_untested"]) == (2, 0, 1)
    unread = one_by_one(("add", 1))
    assert check(of_keys(a=kept, b=unread), "or-set").verdict is UNKNOWN
    both = check(of_keys(a=UNTOUCHED["or-set"], b=UNTOUCHED["or-set"]), "or-set")
    assert both.verdict is UNKNOWN
    assert "nothing was tested" in both.reason


def test_an_id_that_is_null_is_none():
    assert (
        check(one_by_one(("generate", None, None), ("generate", None, None)), "unique-ids").verdict is UNKNOWN
    )


def test_what_a_failed_transaction_wrote_is_not_there():
    read = ("txn", [["r", 1, None], ["r", 2, None]], [["r", 1, 5], ["r", 2, None]])
    result = check(one_by_one(("txn", [["w", 1, 5]], NONE, "fail"), read, read), "long-fork")
    assert (result.verdict, result.anomaly) == (INVALID, "unexpected")
    assert "had failed" in result.reason
    again = one_by_one(("txn", [["w", 1, 4]], NONE, "fail"), ("txn", [["w", 1, 5]]), read, read)
    assert check(again, "long-fork").verdict is VALID


def test_a_write_that_saw_itself_is_no_history():
    ring = [("write", {"value": a, "seen": [b]}) for a, b in ((1, 2), (2, 1))]
    result = check(one_by_one(*ring, ("final-read", None, [2])), "mv-register")
    assert result.verdict is UNKNOWN
    assert "saw itself" in result.reason


def test_an_old_value_may_not_come_back_with_a_new_version():
    def write(value, time):
        return ("write", value, {"value": value, "version": [time, "n"]})

    def final(value, time):
        return ("final-read", None, {"value": value, "version": [time, "n"]})

    result = check(one_by_one(write(1, 1), write(2, 5), final(1, 9)), "lww")
    assert (result.verdict, result.anomaly) == (INVALID, "new-version")
    assert check(one_by_one(write(1, 1), write(2, 5), final(2, 5)), "lww").verdict is VALID
    other = one_by_one(("write", 1, {"value": 7, "version": [1, "n"]}), final(1, 1))
    assert check(other, "lww").verdict is UNKNOWN


def alone(history: History, calls: tuple[int, ...]) -> History:
    """These calls and how they ended, as a history."""
    kept = set(calls)
    kept |= {end.index for call in calls if (end := history.completion(call)) is not None}
    return History.from_ops(
        Op(-1, op.time_ns, op.process, op.type, op.f, op.key, op.value) for op in history if op.index in kept
    )


CORES = {
    "counter: a subtraction that the read missed": rows(
        [("add", -1, -1, "ok", 0, 5), ("add", 2, 2, "fail", 0, 6), ("read", None, 0, "ok", 10, 15)]
    ),
    "counter: what may be added explains nothing": rows([
        ("add", 1, 1, "info", 0, 5), ("add", -1, -1, "ok", 1, 5), ("add", -3, -3, "ok", 2, 5), ("read", None, -2, "ok", 10, 15),
    ]),
    "counter: more than there is": rows([("add", 1, 1, "ok", 0, 5), ("read", None, 2, "ok", 10, 15)]),
    "long-fork: nobody wrote it": one_by_one(
        ("txn", [["w", 1, 1]]), ("txn", NIL, [["r", 1, 1], ["r", 2, 7]]), ("txn", NIL, [["r", 1, 1], ["r", 2, None]])
    ),
    "mv-register: replaced by a write between": one_by_one(
        *(("write", {"value": n, "seen": [n - 1]}) for n in (1, 2, 3)), ("final-read", None, [1, 3])
    ),
    "mv-register-session: replaced by a write between": one_by_one(
        *(("write", {"value": n, "seen": [n - 1] if n > 1 else []}) for n in (1, 2, 3)),
        ("read", None, [3], "ok", 50), ("read", None, [1], "ok", 50), ("final-read", None, [3]),
    ),
}  # fmt: skip
SIZES = (2, 4, 1, 2, 4, 4)


@pytest.mark.parametrize(("name", "size"), list(zip(CORES, SIZES, strict=True)))
def test_a_core_is_impossible_by_itself(name, size):
    history, model = CORES[name], name.split(":")[0]
    result = check(history, model)
    assert result.verdict is INVALID
    again = check(alone(history, result.certificate.ops), model)
    assert (again.verdict, again.anomaly) == (INVALID, result.anomaly)
    assert len(result.certificate.ops) == size


@pytest.mark.parametrize("model", BESPOKE)
def test_every_core_is_impossible_by_itself(model):
    found = 0
    for act in (name for name in ACTS if name.split()[0] == model):
        for seed in range(1000, 1200):
            try:
                history = random_history(act, seed)
            except HistoryError:
                continue
            result = check(history, model)
            if result.verdict is INVALID:
                found += 1
                assert check(alone(history, result.certificate.ops), model).verdict is INVALID, result.reason
    assert found
