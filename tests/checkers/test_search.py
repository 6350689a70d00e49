"""The search's limits and its words: budgets, many open operations, models that raise, and traps by name."""

import pytest

from checkers import MISSING, Verdict
from checkers.search import ALL, INCONSISTENT, R3, R4, R5, Budget, check_model
from checkers.validate import CertificateError, validate_order
from tests.checkers.test_fuzz_search import Mirror, recorded


def write(value, call, ret, status="ok"):
    return ("write", value, value, status, call, ret)


def read(value, call, ret):
    return ("read", MISSING, value, "ok", call, ret)


STORM = [
    write(1, 0, 1),
    *[write(n, 2, 20) for n in range(2, 16)],
    *[write(n, 2, 20) for n in range(2, 16)],
    read(99, 30, 31),
]


def test_the_budget_of_states_is_kept():
    result = check_model(recorded([STORM]), "register", budget=Budget(states_max=500), rules=0)
    assert (result.verdict, result.stats["states"]) == (Verdict.UNKNOWN, 500)
    assert "budget of states" in result.reason
    assert "29 of 30 operations" in result.reason


def test_the_memory_budget_is_kept():
    result = check_model(recorded([STORM]), "register", budget=Budget(memory_mb=2), rules=0)
    assert result.verdict is Verdict.UNKNOWN
    assert "memory budget" in result.reason
    assert 1e6 < result.stats["search_bytes"] <= 2e6


@pytest.mark.parametrize("model", ["register", Mirror("register")])
def test_a_deadline_that_has_passed_leaves_no_verdict(model):
    result = check_model(recorded([STORM]), model, budget=Budget(deadline_ms=0))
    assert result.verdict is Verdict.UNKNOWN
    assert "deadline" in result.reason


@pytest.mark.parametrize("many", [60, 100, 200, 1000])
@pytest.mark.parametrize("rules", [ALL, ALL & ~R5, ALL & ~(R3 | R4 | R5)])
def test_many_operations_may_be_open(many, rules):
    lost = [write(n, 0, 0, "info") for n in range(many)]
    good = [*lost, *[read(n, 10 + 2 * n, 11 + 2 * n) for n in range(many)]]
    result = check_model(recorded([good]), "register", rules=rules)
    assert result.verdict is Verdict.VALID
    validate_order(recorded([good]), "register", result)
    bad = [*good, read(0, 10_000, 10_001)]
    assert check_model(recorded([bad]), "register").verdict is Verdict.INVALID


@pytest.mark.parametrize(
    ("model", "ops", "verdict"),
    [
        (
            "mutex",
            [("acquire", MISSING, MISSING, "ok", 0, 1), ("acquire", MISSING, MISSING, "ok", 2, 3)],
            "invalid",
        ),
        ("register", [read(1, 0, 5), write(1, 5, 6)], "valid"),
        ("register", [read(1, 0, 4), write(1, 5, 6)], "invalid"),
        ("register", [write(1, 0, 1), write(1, 2, 9), write(2, 3, 4), read(1, 10, 11)], "valid"),
        ("queue", [("enqueue", 1, 1, "ok", 0, 1), ("dequeue", MISSING, None, "ok", 2, 3)], "invalid"),
        ("grow-set", [("add", 1, 1, "ok", 0, 1), ("read", MISSING, [1, 1], "ok", 2, 3)], "invalid"),
        ("kv", [("append", '"', '"', "ok", 0, 1), ("get", MISSING, '"', "ok", 2, 3)], "valid"),
    ],
)
def test_traps(model, ops, verdict):
    assert check_model(recorded([ops]), model).verdict.value == verdict


def test_a_failed_cas_says_something_only_if_asked():
    ops = [write(1, 0, 1), ("cas", [1, 2], [1, 2], "fail", 2, 3), read(1, 4, 5)]
    assert check_model(recorded([ops]), "cas-register").verdict is Verdict.VALID
    assert check_model(recorded([ops]), "cas-register", failed_cas=True).verdict is Verdict.INVALID
    ops[1:1] = [write(7, 0, 0, "info")]
    ops[3] = read(7, 4, 5)
    assert check_model(recorded([ops]), "cas-register", failed_cas=True).verdict is Verdict.VALID


def test_a_violation_names_the_operation_and_the_states():
    history = recorded([[write(1, 0, 1), write(2, 2, 3), read(1, 4, 5), read(2, 6, 7)]])
    result = check_model(history, "register")
    assert "read -> 1 (#4, process 3)" in result.reason
    assert "without it end in 2 " in result.reason
    assert list(result.certificate.ops) == [0, 2, 4]
    assert result.parts["0"].stats["stuck"] == [{"state": "2", "ops": [0, 2]}]


def test_nothing_observed_is_unknown():
    assert check_model(recorded([[write(1, 0, 1)]]), "register").verdict is Verdict.UNKNOWN


def test_a_step_that_raises_is_named():
    class Broken(Mirror):
        def step(self, state, call):
            raise KeyError("shelf")

    result = check_model(recorded([[write(1, 0, 1), read(1, 2, 3)]]), Broken("register"))
    assert result.verdict is Verdict.UNKNOWN
    assert "#0" in result.reason
    assert "step of Broken raised KeyError: 'shelf'" in result.reason


def forever():
    while True:
        pass


def stubborn():
    while True:
        try:
            forever()
        except BaseException:
            stubborn.caught += 1
            if stubborn.caught == 3:
                raise


@pytest.mark.parametrize("loop", [forever, stubborn])
def test_a_step_that_never_returns_is_ended_and_named(loop):
    class Endless(Mirror):
        def step(self, state, call):
            return loop() if call.value == 2 else super().step(state, call)

    stubborn.caught = 0
    histories = [[write(1, 0, 1), write(2, 2, 3), read(2, 4, 5)], [write(1, 0, 1), read(1, 2, 3)]]
    history = recorded(histories)
    result = check_model(history, Endless("register"), budget=Budget(deadline_ms=100))
    assert result.verdict is Verdict.UNKNOWN
    blocking = result.parts["0"].stats["blocking"]
    assert history.op(blocking).value == 2
    assert f"#{blocking}" in result.reason
    assert "step of Endless" in result.reason
    assert "deadline" in result.parts["1"].reason
    assert sum(range(10_000)) == 49_995_000  # nothing is raised late


@pytest.mark.parametrize("where", ["init", "readonly", "__hash__"])
def test_no_other_method_of_a_model_may_hang(where):
    class State:
        def __hash__(self):
            return forever() if where == "__hash__" else 1

    class Endless(Mirror):
        def init(self):
            return forever() if where == "init" else super().init()

        def readonly(self, call):
            return where == "readonly" and forever()

        def step(self, state, call):
            return State()

    history = recorded([[write(1, 0, 1), read(1, 2, 3)]])
    result = check_model(history, Endless("register"), budget=Budget(deadline_ms=100))
    assert result.verdict is Verdict.UNKNOWN
    assert "Endless" in result.reason


def test_an_interrupt_passes_through():
    class Interrupted(Mirror):
        def step(self, state, call):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check_model(recorded([[write(1, 0, 1)]]), Interrupted("register"))


def test_a_readonly_that_lies_is_named():
    class Liar(Mirror):
        def readonly(self, call):
            return True

    result = check_model(recorded([[write(1, 0, 1), read(1, 2, 3)]]), Liar("register"))
    assert result.verdict is Verdict.UNKNOWN
    assert "readonly" in result.reason


def test_python_is_asked_once_per_state_and_call():
    asked = []

    class Counted(Mirror):
        def step(self, state, call):
            asked.append((state, call.f, repr(call.value), repr(call.result)))
            return INCONSISTENT if call.f == "read" and call.result != state else super().step(state, call)

    ops = [
        op for n in range(200) for op in (write(n % 2, 4 * n, 4 * n + 1), read(n % 2, 4 * n + 2, 4 * n + 3))
    ]
    assert check_model(recorded([ops]), Counted("register")).verdict is Verdict.VALID
    assert len(asked) == len(set(asked)) <= 12


def test_the_validator_refuses_an_order_that_does_not_replay():
    history = recorded([[write(1, 0, 1), read(1, 2, 3)]])
    with pytest.raises(CertificateError, match="cannot happen"):
        validate_order(history, "register", [2, 0])


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="abacus"):
        check_model(recorded([[write(1, 0, 1)]]), "abacus")
