"""Operations survive the file exactly; a file that no recorder could have written is refused with its line."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import MISSING, History, HistoryError, Op, Type, check, decode_line, encode_op, invoke
from checkers.formats import load
from checkers.huge import Huge
from checkers.jsonl import MAX_DEPTH, decode_value, encode_value
from checkers.verdict import Verdict

SCALARS = st.one_of(
    st.sampled_from(
        [0, "", False, None, True, "0", 0.0, -0.0, 10**4000, -(2**64), "\ud800", "$x", float("inf"), "é\0\n"]
    ),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)
NAMES = st.one_of(st.text(), st.sampled_from(["$bytes", "$dict", "$", "$float", "$int", "$map"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner) | st.dictionaries(st.integers(), inner),
    max_leaves=8,
)


def exact(value):
    """A form in which 0, 0.0, -0.0, False and "0" differ, at any depth."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {(type(name), repr(name)): exact(item) for name, item in value.items()}
    kind = int if isinstance(value, Huge) else type(value)  # an integer all the same, told in hexadecimal
    return kind, value if isinstance(value, int) else repr(value)


@given(VALUES | st.just(MISSING), VALUES, st.text() | st.none())
def test_what_goes_in_comes_out(value, key, error):
    call = Op(0, 5, 3, Type.INVOKE, "write", key, value)
    end = Op(1, 7, 3, Type.INFO, "write", key, value, error)
    for op, loaded in zip((call, end), History.from_ops([call, end]), strict=True):
        line = encode_op(op)
        assert line.count(b"\n") == 1
        for back in (decode_line(line), loaded):
            assert (exact(back.value), exact(back.key), back.error) == (exact(value), exact(key), op.error)
            assert (back.index, back.time_ns, back.process, back.type, back.f) == (
                op.index,
                op.time_ns,
                3,
                op.type,
                "write",
            )


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j])
def test_a_value_without_a_form_is_refused(value):
    with pytest.raises(HistoryError, match="has no JSON form"):
        encode_op(invoke(1, "write", "x", value))


@given(VALUES, VALUES)
def test_values_get_one_number_exactly_if_they_are_the_same(a, b):
    history = History.from_ops([invoke(1, "write", "x", a, time_ns=0), invoke(2, "write", "x", b, time_ns=1)])
    ids = [history.columns.record(at)[5] for at in (0, 1)]
    assert (ids[0] == ids[1]) == (exact(a) == exact(b))


def lines(*ops):
    return [encode_op(Op(at, at, *op)) for at, op in enumerate(ops)]


GOOD = lines(
    (1, Type.INVOKE, "write", "x", 1),
    ("nemesis", Type.INVOKE, "kill-start"),
    (1, Type.OK, "write", "x", 1),
    ("nemesis", Type.INFO, "kill-start"),
    (2, Type.INVOKE, "read", "x"),
    (2, Type.OK, "read", "x", None),
)


def test_loading_a_file_equals_from_ops(tmp_path):
    ops = [decode_line(line) for line in GOOD]
    (tmp_path / "a.jsonl").write_bytes(b"".join(GOOD))
    loaded, made = History.load(tmp_path / "a.jsonl"), History.from_ops(ops)
    assert list(loaded) == list(made) == ops
    made.dump(tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == b"".join(GOOD)
    assert loaded.completion(0) == ops[2]
    assert loaded.invocation(2) == ops[0]
    assert loaded.completion(1) == ops[3]


@pytest.mark.parametrize("cut", range(1, len(GOOD[-1]) - 1))
def test_a_cut_last_line_is_dropped_with_a_warning(cut):
    history = History.parse(b"".join(GOOD[:-1]) + GOOD[-1][:cut])
    assert list(history) == [decode_line(line) for line in GOOD[:-1]]
    assert "line 6" in history.warnings[0]
    assert history.completion(4) is None


def test_a_whole_last_line_without_newline_counts():
    history = History.parse(b"".join(GOOD).rstrip(b"\n"))
    assert (len(history), history.warnings) == (6, ())


@pytest.mark.parametrize(
    "bad", [GOOD[2].replace(b"ok", b"OK"), GOOD[2].replace(b'"f"', b'"g"'), b'{"a":"\\"}"} x']
)
def test_a_last_line_that_is_whole_and_wrong_was_not_cut_off(bad):
    with pytest.raises(HistoryError, match="line 3 "):
        History.parse(b"".join(GOOD[:2]) + bad.rstrip())


def test_the_mark_of_an_editor_is_passed_over_at_the_beginning_only():
    assert list(History.parse(b"\xef\xbb\xbf" + b"".join(GOOD))) == list(History.parse(b"".join(GOOD)))
    with pytest.raises(HistoryError, match="line 2 is not a JSON object"):
        History.parse(GOOD[0] + b"\xef\xbb\xbf" + b"".join(GOOD[1:]))


def test_a_client_that_has_a_name_is_not_passed_over():
    named = GOOD[0].replace(b'"process":1', b'"process":"c1"')
    assert named != GOOD[0]
    with pytest.raises(HistoryError, match=r'line 1 has the process "c1"; give each client a number'):
        History.parse(named)
    with pytest.raises(HistoryError, match='has the process "1"'):
        History.from_ops([Op(0, 0, "1", Type.INVOKE, "read")])
    assert len(History.parse(GOOD[0].replace(b'"process":1', b'"process":"nemesis"'))) == 1


@pytest.mark.parametrize(
    "bad",
    [b"{", b"", b"[]", b"17", b'{"index":2}', GOOD[2].replace(b"ok", b"OK"), GOOD[2].replace(b'"f"', b'"g"'), b"\xff",
     GOOD[2].rstrip() + b"x"],
)  # fmt: skip
def test_any_other_bad_line_is_refused_with_its_number(tmp_path, bad):
    path = tmp_path / "h.jsonl"
    path.write_bytes(b"".join([*GOOD[:2], bad.rstrip() + b"\n", *GOOD[3:]]))
    with pytest.raises(HistoryError, match=r"h\.jsonl: line 3 "):
        History.load(path)


@pytest.mark.parametrize(
    ("ops", "fault"),
    [
        ([(1, Type.OK, "read", "x", 1)], "line 1 completes nothing"),
        ([(1, Type.INVOKE, "read", "x"), (1, Type.INVOKE, "read", "x")], "line 2 is a call .* still open"),
        ([(1, Type.INVOKE, "read", "x"), (1, Type.OK, "read", "y", 1)], "line 2 completes call #0 with another"),
        ([(1, Type.INVOKE, "read", "x"), (1, Type.OK, "write", "x", 1)], "line 2 completes call #0 with another"),
        ([(1, Type.INVOKE, "read", "x"), (1, Type.INFO, "read", "x"), (1, Type.INVOKE, "read", "x")], "fresh process"),
        ([(1, Type.INVOKE, "read", "x"), (1, Type.FAIL, "read", "x"), (1, Type.OK, "read", "x", 1)], "completes nothing"),
    ],
)  # fmt: skip
def test_what_no_recorder_could_have_written_is_refused(ops, fault):
    with pytest.raises(HistoryError, match=fault):
        History.parse(b"".join(lines(*ops)))


BIG = hex(1 << 13_000)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('{"$bytes":5}', r"the tag \$bytes that cannot be read: 5; write values with encode_value"),
        ('{"$bytes":"?"}', r'\$bytes that cannot be read: "\?"'),
        ('{"$bytes":"AA"}', r"\$bytes"),
        ('{"$bytes":"AAAA="}', r"\$bytes"),
        ('{"$bytes":"AA=="," b":1}', r"other fields; a tag stands alone"),
        ('{"$bytes":"AB=="}', r"\$bytes"),
        ('{"$float":"one"}', r"\$float"),
        ('{"$int":"0x5"}', r"\$int"),
        ('{"$int":"' + BIG.upper() + '"}', r"\$int"),
        ('{"$dict":{"a":1}}', r"\$dict"),
        ('{"$dict":[1]}', r"\$dict"),
        ('{"$map":[[1]]}', r"\$map"),
        ('{"$map":[["a",1]]}', r"\$map"),
        ('{"$map":[[{"a":1},1]]}', r"\$map"),
        ('{"$map":[[[{"$dict":{"$a":1}}],1]]}', r"\$map"),
        ('{"$frob":1}', r"the unknown tag \$frob; escape such a dict"),
        ('[1,{"a":[{"\\u0024bytes":5}]}]', r"\$bytes"),
        ('{"$dict":{"$bytes":{"$bytes":5}}}', r"\$bytes"),
    ],
)
@pytest.mark.parametrize("field", ["value", "key"])
def test_a_tag_that_means_nothing_is_refused_with_file_and_line(tmp_path, field, value, words):
    bad = GOOD[2].replace(b'"value":1' if field == "value" else b'"key":"x"', f'"{field}":{value}'.encode())
    path = tmp_path / "h.jsonl"
    path.write_bytes(b"".join([*GOOD[:2], bad, *GOOD[3:]]))
    with pytest.raises(HistoryError, match=rf"h\.jsonl: line 3 has .*{words}"):
        History.load(path)
    with pytest.raises(HistoryError, match=r"tag"):
        decode_line(bad)


TAGS = st.sampled_from(["$bytes", "$float", "$int", "$dict", "$map", "$no", "a"])
TEXTS = st.sampled_from(
    ["", "nan", "AA==", "AB==", "AAA=", "AAB=", "AAAA", "AA=A", "=AAA", "AA==AA==", "A+/9", "A-_9", BIG, "-" + BIG, "0x5", "x"]
) | st.text("AQgw=+/", max_size=9)  # fmt: skip
TAGGED = st.recursive(
    TEXTS | st.integers(0, 2) | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TAGS, inner, max_size=2)
    | st.lists(st.tuples(inner, inner), max_size=2).map(lambda pairs: {"$map": pairs}),
    max_leaves=6,
)  # fmt: skip


@given(TAGGED)
@settings(max_examples=500)
def test_both_readers_accept_the_same_and_agree_on_it(value):
    line = GOOD[0].replace(b'"value":1', b'"value":' + json.dumps(value).encode())
    try:
        meant = decode_line(line)
    except HistoryError:
        with pytest.raises(HistoryError, match="line 1 has"):
            History.parse(line)
        return
    history = History.parse(line)
    assert exact(history.op(0).value) == exact(meant.value)
    again = History.parse(line + encode_op(Op(1, 1, 7, Type.INVOKE, "write", "x", meant.value)))
    ids = [again.columns.record(at)[5] for at in (0, 1)]
    assert ids[0] == ids[1], "a value has one number, however it was written"


@pytest.mark.parametrize("name", ["index", "time", "process", "type", "f", "key", "value", "error"])
def test_a_field_that_is_there_twice_is_refused(name, tmp_path):
    line = b'{"index":0,"time":0,"process":0,"type":"invoke","f":"write","key":1,"value":{"a":1},"error":"e"}'
    fields = json.loads(line)
    twice = line[:-1] + f',"{name}":{json.dumps(fields[name])}'.encode() + b"}\n"
    inside = line.replace(b'{"a":1}', b'[{"a":1,"a":1}]') + b"\n"
    assert len(History.parse(line + b"\n")) == 1
    for text, which in ((twice, name), (inside, "a")):
        with pytest.raises(HistoryError, match=rf"line 1 has .*'?\"?{which}'?\"? twice"):
            History.parse(text)
        with pytest.raises(HistoryError, match=f"has the name '{which}' twice"):
            decode_line(text)
        (tmp_path / "h.json").write_bytes(b"[" + text + b"]")
        with pytest.raises(HistoryError, match=f"line 1: has the name '{which}' twice"):
            load(tmp_path / "h.json")


def test_time_and_index_go_forward():
    back = [invoke(1, "read", "x", time_ns=5, index=0), invoke(2, "read", "x", time_ns=4, index=1)]
    with pytest.raises(HistoryError, match="line 2 goes back in time"):
        History.from_ops(back)
    with pytest.raises(HistoryError, match="line 1 has index 3"):
        History.from_ops([invoke(1, "read", "x", time_ns=5, index=3)])


UNTIMED = [{"process": process, "type": type_, "f": f, "value": value} for process, f, value in ((0, "write", 1), (1, "write", 2), (2, "read", 1)) for type_ in ("invoke", "ok")]  # fmt: skip


def test_without_times_the_order_of_the_records_is_their_time():
    """At one instant all would be concurrent, and the stale read VALID."""
    history = History.parse("".join(f"{json.dumps(record)}\n" for record in UNTIMED).encode())
    assert [op.time_ns for op in history] == [0, 1, 2, 3, 4, 5]
    assert check(history, "register").verdict is Verdict.INVALID
    unstamped = [Op(-1, -1, op.process, op.type, op.f, op.key, op.value) for op in history]
    assert check(History.from_ops(unstamped), "register").verdict is Verdict.INVALID
    together = [Op(-1, 0, op.process, op.type, op.f, op.key, op.value) for op in history]
    assert check(History.from_ops(together), "register").verdict is Verdict.VALID, (
        "a time that is given counts"
    )


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ((None, 3), "line 2 has a time, and those before it have none"),
        ((3, None), "line 2 has no time, and those before it have"),
        ((-5, 3), "line 1 has the time -5; count nanoseconds from the first record on"),
    ],
)
def test_every_record_has_a_time_or_none_has(times, words):
    lines = [json.dumps(record | ({} if time is None else {"time": time})) for record, time in zip(UNTIMED, times, strict=False)]  # fmt: skip
    with pytest.raises(HistoryError, match=words):
        History.parse("\n".join(lines).encode())


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(HistoryError, match=r"none\.jsonl: cannot be read"):
        History.load(tmp_path / "none.jsonl")


BITS = 13_000  # the first integer that decimals do not carry


def test_an_integer_is_tagged_from_its_size_on_and_not_before():
    small, big = (1 << BITS - 1) - 1, 1 << BITS - 1
    for nested in (lambda value: value, lambda value: [value]):
        assert encode_value(nested(small)) == json.dumps(nested(small))
        assert encode_value(nested(big)) == json.dumps(nested({"$int": hex(big)}), separators=(",", ":"))
        assert encode_value(nested(-big)) == json.dumps(nested({"$int": hex(-big)}), separators=(",", ":"))
        assert decode_value(encode_value(nested(big))) == nested(big)
    with pytest.raises(HistoryError, match="only an integer too big for decimals is tagged"):
        decode_value(json.dumps({"$int": hex(small)}))


@pytest.mark.parametrize(
    "around",
    [lambda value: [value], lambda value: (value,), lambda value: {"a": value}, lambda value: {1: value}],
    ids=["list", "tuple", "dict", "map"],
)
def test_a_value_is_as_deep_as_is_allowed_and_no_deeper(around):
    def nested(depth, around):
        value = 1
        for _ in range(depth):
            value = around(value)
        return value

    encode_value(nested(MAX_DEPTH, around))
    encode_value({nested(MAX_DEPTH - 1, lambda value: (value,)): 1})
    for deeper in (nested(MAX_DEPTH + 1, around), {nested(MAX_DEPTH, lambda value: (value,)): 1}):
        with pytest.raises(HistoryError, match="nested more than 200 deep"):
            encode_value(deeper)


@pytest.mark.parametrize(
    "inner", [{}, {"ab": 1}, "ab", 5, [[1]], [[1, 2, 3]], [[1, 2], [1]], ["ab"], [{"a": 1, "b": 2}]]
)
def test_a_map_that_is_no_list_of_pairs_is_told_so(inner):
    with pytest.raises(HistoryError, match=r"cannot be read \(it is no list of pairs\)"):
        decode_value(json.dumps({"$map": inner}))


def test_the_greatest_time_is_never():
    """In the core it is the end of what has none. A nanosecond less is an instant like any other."""
    lines = [Op(-1, 0, 0, Type.INVOKE, "enqueue", None, 1), Op(-1, 1, 0, Type.OK, "enqueue", None, 1)]
    for time, known in ((2**63 - 1, False), (2**63 - 2, True)):
        empty = [Op(-1, time, 1, kind, "dequeue", None, None) for kind in (Type.INVOKE, Type.OK)]
        if known:
            assert check(History.from_ops([*lines, *empty]), "fifo-queue").anomaly == "false-empty"
        else:
            with pytest.raises(HistoryError, match="stands for never"):
                History.from_ops([*lines, *empty])
