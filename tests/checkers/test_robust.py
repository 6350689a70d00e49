"""Whatever comes in, `quorate check` and `compare` end in a verdict or in a sentence: no trace, no panic, no end without an answer.

Two kinds of input: good files of every format, damaged (`damaged`), and records that no recorder would write but that the reader may have to take
(`wild`): equal and extreme times, returns before calls, processes that go on after their info, completions that never come, huge and deep values.
"""

import json
import os
import random
import re

import pytest

from checkers import History, HistoryError
from checkers.models import MODELS
from harness.cli import status_of

ROUNDS = max(1, int(os.environ.get("QUORATE_FUZZ", "50000")) // 500)
BAD_INPUT = 254
GOOD = (
    '{"index":0,"time":0,"process":0,"type":"invoke","f":"write","key":"x","value":1}\n'
    '{"index":1,"time":5,"process":1,"type":"invoke","f":"read","key":"x","value":null}\n'
    '{"index":2,"time":6,"process":1,"type":"ok","f":"read","key":"x","value":1}\n'
    '{"index":3,"time":7,"process":0,"type":"info","f":"write","key":"x","value":1,"error":"timed out"}\n',
    '{"time":0,"process":0,"type":"invoke","f":"cas","value":[null,{"$bytes":"AAE="}]}\n'
    '{"time":0,"process":0,"type":"fail","f":"cas","value":[null,{"$bytes":"AAE="}]}\n'
    '{"time":1,"process":0,"type":"invoke","f":"txn","value":[["w","x",1],["r","x",null]]}\n',
    "{:process 0, :type :invoke, :f :enqueue, :value 1, :time 3, :index 0}\n"
    "{:process 0, :type :ok, :f :enqueue, :value 1, :time 4, :index 1}\n"
    "{:process :nemesis, :type :info, :f :start, :value #{:n1 :n2}}\n"
    "#jepsen.history.Op{:process 1, :type :invoke, :f :dequeue, :value nil}\n",
    '[{:process 0 :type :invoke :f :read :value [1 nil]} {:process 0 :type :ok :f :read :value [1 #inst "2020"]}]',
    '[{"type":"invoke","f":"add","value":1,"process":0,"time":11,"index":0},\n'
    ' {"type":"ok","f":"add","value":1,"process":0,"time":12,"index":1},\n'
    ' {"type":"invoke","f":"read","value":null,"process":0,"time":13,"index":2},\n'
    ' {"type":"ok","f":"read","value":[1],"process":0,"time":14,"index":3}]',
    "INFO  jepsen.util - 3     :invoke  :cas  [1 2]\nINFO  jepsen.util - 3     :info    :cas  :timed-out\n"
    "INFO  jepsen.util - 4     :invoke  :read  nil\nINFO  jepsen.util - 4     :ok    :read  1\n",
)
TEXTS = (
        "9" * 25, "9" * 5000, "-9223372036854775808", "9223372036854775807", "1e400", "-0", "0x1", "NaN", "##NaN",
        "[" * 700, "{" * 700, '{"a":' * 300, "#a " * 200, "#_", "\\u", "\\ud800", "\ud800", "\0", "\n", "\r", "\ufeff",
        '"', "'", "]", "}", ",", ":", "null", "nil", "true", "[]", "{}", '{"$int":"0x1"}', '{"$map":[[[],1]]}',
        '{"$float":"nan"}', '"nemesis"', ":nemesis", "#{1 1}", "{1}", ";", "é", "\x1c", "1N", "1.5M", "a" * 70_000,
)  # fmt: skip
BITS = (*(text.encode("utf-8", "surrogatepass") for text in TEXTS), b"\xff", b"\xc3", b"\x80abc")


def damaged(rng):
    text = bytearray(rng.choice(GOOD).encode())
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(text) + 1)
        to = min(len(text), at + rng.choice((0, 1, 3, 20, 200)))
        match rng.randrange(6):
            case 0:
                del text[at:to]
            case 1:
                text[at:to] = rng.choice(BITS)
            case 2:
                numbers = list(re.finditer(rb"\d+|:\w+|\"\w*\"|\[[^]]*\]|null|nil", text))
                if numbers:
                    found = rng.choice(numbers)
                    text[found.start() : found.end()] = rng.choice(BITS)
            case 3:
                text[at:at] = text[at:to]
            case 4 if text:
                text[rng.randrange(len(text))] = rng.randrange(256)
            case _:
                del text[at:]
    return bytes(text)


TIMES = (0, 0, 1, 5, 5, 10, 10**9, -1, -5, 2**63 - 1, 2**62, -(2**63))
FUNCTIONS = (
    "read", "write", "cas", "add", "remove", "contains", "enqueue", "dequeue", "drain", "push", "pop", "insert", "poll",
    "append", "get", "put", "acquire", "release", "transfer", "generate", "inc", "dec", "txn", "digest", "send", "",
)  # fmt: skip


def value(rng, depth=0):
    scalars = (
        None, 0, 1, 1, 2, 3, -1, 2**63 - 1, -(2**63), 2**63, 10**30, 2**9000, 1.5, float("nan"), float("inf"), -0.0, True,
        False, "", "a", "x" * 3000, "\ud800", "\0", "nemesis",
    )  # fmt: skip
    roll = rng.random()
    if depth > 3 or roll < 0.55:
        return rng.choice(scalars)
    items = [value(rng, depth + 1) for _ in range(rng.choice((0, 1, 2, 2, 3)))]
    if roll < 0.7:
        return items
    if roll < 0.8:
        return [[rng.choice(("r", "w", "read", "write", "append")), *items] for _ in range(2)]
    if roll < 0.9:
        names = (
            "tokens",
            "offset",
            "total",
            "values",
            "context",
            "a",
            "1",
            "version",
            "node",
            "state",
            "$int",
        )
        return {rng.choice(names): item for item in items}
    deep = rng.choice(items or [1])
    for _ in range(rng.choice((5, 190, 210))):
        deep = [deep]
    return deep


def wild(rng):
    """JSON lines: half of the time such as must be taken, half of the time with whatever comes."""
    tidy, times, functions = (
        rng.random() < 0.7,
        rng.choice((TIMES, (0,), (1, 2, 3))),
        rng.sample(FUNCTIONS, 4),
    )
    lines, open_, clock, fresh = [], {}, 0, 0
    for _ in range(rng.randrange(25)):
        clock = max(clock, rng.choice(times)) if tidy else rng.choice(times)
        plain = rng.random() < 0.7
        argument = rng.choice((None, 1, 2, 3, [1, 2], [[1, 2], 3])) if plain else value(rng)
        record = {"time": clock, "value": argument, "key": rng.choice((None, 1, "x", [1]))}
        if open_ and rng.random() < 0.5:
            process, (f, key) = open_.popitem()
            record |= {
                "process": process,
                "type": rng.choice(("ok", "ok", "ok", "fail", "info")),
                "f": f,
                "key": key,
            }
        else:
            fresh += 1
            process = fresh if tidy else rng.choice((0, 1, -1, 2**70, "nemesis", "", 1.5, None, [1]))
            record |= {"process": process, "type": "invoke", "f": rng.choice(functions)}
            open_[json.dumps(process) if not tidy else process] = record["f"], record["key"]
        if not tidy and rng.random() < 0.2:
            record[rng.choice((*record, "index", "error", "extra"))] = value(rng)
        if rng.random() < 0.1:
            record.pop("value", None)
        lines.append(json.dumps(record))
    return ("\n".join(lines) + rng.choice(("\n", ""))).encode()


def judged(arguments, capsys):
    """Run the command; returns its status, having seen that it ended well."""
    status = status_of(arguments)
    shown = capsys.readouterr()
    assert status in (0, 1, 2, BAD_INPUT), (status, shown.err)
    assert "Traceback" not in shown.err
    assert "itself failed" not in shown.err
    if status == BAD_INPUT:
        assert shown.err.strip()
    elif arguments[0] == "check":
        verdict = json.loads(shown.out)["verdict"]
        assert {"valid": 0, "invalid": 1, "unknown": 2}[verdict] == status
    return status


@pytest.mark.slow
@pytest.mark.parametrize("make", [damaged, wild])
def test_every_input_ends_in_a_verdict_or_a_sentence(make, tmp_path, capsys):
    rng, seen = random.Random(make.__name__), set()
    path = tmp_path / "history"
    limits = ["--timeout", "2", "--memory", "50"]
    for _ in range(ROUNDS):
        path.write_bytes(make(rng))
        model = rng.choice(list(MODELS))
        budget = limits if MODELS[model].is_object else []
        seen.add(judged(["check", "--json", "--model", model, *budget, str(path)], capsys))
        if rng.random() < 0.2:
            seen.add(judged(["compare", "--json", str(path)], capsys))
    assert seen >= {2, BAD_INPUT}


@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}"), ('{"$map":[[1,', "]]}")])
def test_what_the_reader_takes_can_be_decoded(left, right):
    """A value as deep as the core reads was once too deep for Python."""

    def nested(depth):
        levels = depth // (3 if "map" in left else 1)
        text = f'{{"process":0,"type":"invoke","f":"write","value":{left * levels}1{right * levels}}}\n'
        return History.parse(text.encode())

    assert next(iter(nested(300))).value
    with pytest.raises(HistoryError, match="nested too deep"):
        nested(306)
