"""Keys judged beside each other: the answer is the same with any number of threads, and an interrupt still ends it."""

import random
import signal
import subprocess
import sys
import textwrap

import pytest

from checkers import Budget, History, Verdict, check
from checkers.integrity import check_integrity
from checkers.models import MODELS
from checkers.register import check_linearizable
from checkers.regular import check_regular, check_safe
from checkers.search import check_model
from checkers.sessions import MASKS, check_guarantee
from checkers.staleness import atomicity, staleness

THREADS = (1, 2, 7)


def busy(keys, ops, seed, unique=True):
    """Keys of very different size; some reads are wrong, so that both verdicts occur."""
    rng = random.Random(seed)
    values, lines, fresh = [[None] for _ in range(keys)], [], 0
    for at in range(ops):
        key = min(rng.randrange(keys), rng.randrange(keys))
        seen = values[key]
        if rng.random() < 0.5:
            fresh += 1
            seen.append(fresh if unique else fresh % 5)
            f, value = "write", seen[-1]
        else:
            f, value = "read", rng.choice(seen) if rng.random() < 0.0005 else seen[-1]
        shown = "null" if value is None else value
        head = f'{{"process":{at % 10},"f":"{f}","key":{key},"type":'
        given = shown if f == "write" else "null"
        lines.append(f'{head}"invoke","value":{given},"time":{2 * at}}}\n')
        lines.append(f'{head}"ok","value":{shown},"time":{2 * at + 1}}}\n')
    return History.parse("".join(lines).encode())


@pytest.mark.parametrize(
    "judge", [check_linearizable, check_regular, check_safe, check_integrity, atomicity, staleness]
)
def test_threads_change_no_answer(judge):
    history = busy(keys=60, ops=20_000, seed=1)
    first, *others = [judge(history, threads=threads) for threads in THREADS]
    assert all(other == first for other in others)
    assert judge(history) == first
    if judge is check_linearizable:
        assert 0 < first.stats["keys_bad"] < 60


@pytest.mark.parametrize("name", MASKS)
def test_threads_change_no_answer_of_the_guarantees(name):
    history = busy(keys=60, ops=20_000, seed=4)
    first, *others = [check_guarantee(name, history, threads=threads) for threads in THREADS]
    assert all(other == first for other in others)
    assert first.stats["reads_tested"] > 100


def test_threads_change_no_answer_of_the_search():
    history = busy(keys=40, ops=12_000, seed=2, unique=False)
    first, *others = [check(history, "register", budget=Budget(threads=threads)) for threads in THREADS]
    assert all(other == first for other in others)
    assert 0 < first.stats["keys_bad"] < 40
    assert first.stats["states"] > 0


def test_a_share_of_the_memory_that_is_too_small_is_no_verdict():
    history = busy(keys=3, ops=12_000, seed=3, unique=False)
    whole = check_model(history, "register", budget=Budget(threads=1)).stats["search_bytes"] / 1e6
    for threads in THREADS:
        result = check_model(history, "register", budget=Budget(threads=threads, memory_mb=whole * 1.01))
        assert result.verdict is not Verdict.UNKNOWN
        assert result.stats["search_bytes"] / 1e6 == whole


def test_an_interrupt_ends_a_search_on_many_threads():
    script = """
        from checkers import Budget, History
        from checkers.search import check_model
        rows = []
        for key in range(4):
            for n in range(3000):
                rows.append(f'{{"process":{key * 3000 + n},"f":"write","key":{key},"value":{n % 20},"type":"invoke","time":0}}\\n')
        for key in range(4):
            for n in range(3000):
                rows.append(f'{{"process":{key * 3000 + n},"f":"write","key":{key},"value":{n % 20},"type":"ok","time":1}}\\n')
            for kind, value, time in (("invoke", "null", 2), ("ok", "99", 3)):
                rows.append(f'{{"process":{99999 + key},"f":"read","key":{key},"value":{value},"type":"{kind}","time":{time}}}\\n')
        rows.sort(key=lambda row: int(row.rsplit(":", 1)[1].rstrip("}\\n")))
        history = History.parse("".join(rows).encode())
        print("ready", flush=True)
        check_model(history, "register", rules=0, budget=Budget(threads=2, deadline_ms=300_000, memory_mb=500))
        print("ended")
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a job in the background ignores it
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert "KeyboardInterrupt" in err
    assert "ended" not in out


def test_a_budget_for_a_model_that_takes_none_is_refused():
    bespoke = next(name for name, model in MODELS.items() if not model.is_object)
    with pytest.raises(ValueError, match="needs no budget"):
        check(History.from_ops([]), bespoke, budget=Budget())
