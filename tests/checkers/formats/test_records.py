"""Jepsen's conventions: pairing, keys in values, times that run backwards, transactions; and what is refused, with its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers import MISSING, History, HistoryError, Op, Type, UnknownModel, Verdict, check, invoke
from checkers.formats import dump, load, sniff
from checkers.formats.files import _lines, _source, _texts

CALL = "{:process 0, :type :invoke, :f :write, :value 1}\n"
OK = CALL.replace("invoke", "ok")


def in_python(path, form):
    """As `load`, but EDN of the common shape too by the reader that knows all of it."""
    with path.open("rb") as file:
        head = file.read()
        try:
            if (sniff(head) if form == "auto" else form) != "edn":
                return load(path, form)
            return History.stream(_lines(_source("edn", _texts(file, head))))
        except HistoryError as error:
            told = str(error)
            raise HistoryError(told if told.startswith(f"{path}: ") else f"{path}: {told}") from None


@pytest.fixture(params=[load, in_python], ids=["quick", "python"])
def read(tmp_path, request):
    def read(text, form="auto"):
        path = tmp_path / "history"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return request.param(path, form)

    return read


def rows(history):
    return [(op.process, op.type.word, op.f, op.key, op.value, op.error) for op in history]


@pytest.mark.parametrize("shape", ["{}", "[{}]", "({})", "; a note\n[{}] ; the end", "\ufeff{}"])
@pytest.mark.parametrize("tag", ["", "#jepsen.history.Op"])
def test_one_vector_or_a_map_a_line(read, shape, tag):
    history = read(shape.format(tag + CALL + tag + OK))
    assert rows(history) == [(0, "invoke", "write", None, 1, None), (0, "ok", "write", None, 1, None)]


def test_nil_is_missing_but_for_what_was_read_or_written(read):
    text = """
      {:process 0, :type :invoke, :f :read, :value nil}   {:process 0, :type :ok, :f :read, :value nil}
      {:process 0, :type :invoke, :f :write, :value nil}  {:process 0, :type :ok, :f :write, :value nil}
      {:process 0, :type :invoke, :f :read}               {:process 0, :type :fail, :f :read, :value nil, :error :timed-out}
      {:process 1, :type :invoke, :f :cas, :value [1 2]}  {:process 1, :type :info, :f :cas, :value [1 2], :error [:a "b"]}
    """
    assert [(value, error) for *_, value, error in rows(read(text, "edn"))] == [
        (MISSING, None), (None, None), (None, None), (MISSING, None), (MISSING, None), (MISSING, "timed-out"),
        ([1, 2], None), ([1, 2], '["a" "b"]'),
    ]  # fmt: skip


def test_the_nemesis_is_no_client(read):
    nemesis = '{:process :nemesis, :type :info, :f :start, :value {:n1 #{"n2"}}}\n'
    history = read(nemesis + nemesis + CALL + OK)
    assert [op.process for op in history] == ["nemesis", "nemesis", 0, 0]
    assert history.op(0).value == {"n1": ["n2"]}


def test_independent_tuples_are_key_and_value(read):
    text = """{:process 0, :type :invoke, :f :write, :value [7 1]}
              {:process 1, :type :invoke, :f :read, :value [:x nil]}
              {:process 0, :type :ok, :f :write, :value [7 1]}
              {:process 1, :type :ok, :f :read, :value [:x 5]}
              {:process 0, :type :invoke, :f :cas, :value [7 [1 2]]}
              {:process 0, :type :info, :f :cas, :value :timeout}"""
    assert [(key, value) for _, _, _, key, value, _ in rows(read(text))] == [
        (7, 1), ("x", MISSING), (7, 1), ("x", 5), (7, [1, 2]), (7, MISSING),
    ]  # fmt: skip


READ = "{:process 9, :type :invoke, :f :read, :value [7 nil]}"


@pytest.mark.parametrize(
    ("before", "keyed"),
    [
        ("", True),
        ("{:process :nemesis, :type :invoke, :f :start, :value nil}", True),
        ("{:process 0, :type :invoke, :f :write, :value [7 1]} {:process 0, :type :info, :f :write, :value :lost}", True),
        ("{:process 0, :type :invoke, :f :cas, :value [7 [1 2]]}", True),
        ("{:process 0, :type :invoke, :f :cas, :value [7 [1 2 3]]}", False),
        ("{:process 0, :type :invoke, :f :cas, :value [7 1]}", False),
        ("{:process 0, :type :invoke, :f :write, :value [1 2 3]}", False),
        ("{:process 0, :type :invoke, :f :write, :value 1}", False),
        ("{:process 0, :type :invoke, :f :write, :key 1, :value [7 1]}", False),
    ],
)  # fmt: skip
def test_the_first_read_tells_unless_a_value_before_it_is_no_pair(read, before, keyed):
    history = read(before + READ, "edn")
    assert history.op(len(history) - 1).key == (7 if keyed else None)


@pytest.mark.parametrize(("value", "keyed"), [("[7 [1 2]]", True), ("[7 1]", False)])
def test_without_a_read_a_cas_of_a_pair_tells(read, value, keyed):
    history = read(f"{{:process 0, :type :invoke, :f :{'cas' if keyed else 'write'}, :value {value}}}", "edn")
    assert history.op(0).key == (7 if keyed else None)


def test_a_cas_among_writes_tells_wherever_it_stands(read):
    write, cas = (
        f"{{:process {n}, :type :invoke, :f :{f}, :value {v}}}"
        for n, f, v in ((0, "write", "[7 1]"), (1, "cas", "[7 [1 2]]"))
    )
    assert [op.key for op in read(cas + write, "edn")] == [7, 7]
    assert [op.key for op in read(write + cas, "edn")] == [7, 7]


@pytest.mark.parametrize("value", ["8", "[8]", "[7 1 2]", "nil"])
def test_a_value_that_is_no_pair_where_all_are_is_refused(read, value):
    with pytest.raises(HistoryError, match=r"\[key value\] expected, as in the records before"):
        read(READ + f"{{:process 0, :type :invoke, :f :write, :value {value}}}", "edn")


@pytest.mark.parametrize(("end", "value"), [("[1 2 3]", [1, 2, 3]), ("8", 8), (":x", "x")])
def test_where_all_are_pairs_an_end_that_is_none_is_a_result(read, end, value):
    history = read(READ + f"{{:process 9, :type :ok, :f :read, :value {end}}}", "edn")
    assert (history.op(1).key, history.op(1).value) == (7, value)


@pytest.mark.parametrize(("given", "shown"), [("true", "True"), ("1.0", "1.0")])
def test_a_key_that_is_equal_but_another_is_refused(read, given, shown):
    keyed = CALL.replace(":f", ":key 1, :f") + OK.replace(":f", f":key {given}, :f")
    with pytest.raises(HistoryError, match=f"the key is {shown}; 1 expected"):
        read(keyed, "edn")


@pytest.mark.parametrize("item", ["[:r 1]", "[:r 1 2 3]", "[1 2 3]", "[[:r] 1 2]", "[:x 1 2]", ":rxy"])
def test_a_list_of_other_things_is_no_transaction(read, item):
    history = read(f"{{:process 0, :type :invoke, :f :write, :value [{item} [:r 1 nil]]}}", "edn")
    assert history.op(0).f == "write"


def test_a_function_that_is_a_list_is_refused(read):
    with pytest.raises(HistoryError, match=r":f is \[1\]; the function's name expected"):
        read("{:process 0, :type :invoke, :f [1], :value [1 2]}", "edn")


def test_of_two_words_that_are_texts_the_first_is_named(read):
    calls = [
        f"{{:process {n}, :type :invoke, :f :write, :value {v}}}"
        for n, v in enumerate((":b", '"b"', ":a", '"a"'))
    ]
    with pytest.raises(HistoryError, match="both the keyword :a and the text 'a'"):
        read("".join(calls), "edn")


@pytest.mark.parametrize(
    ("record", "name"),
    [("{:process 0, :f :read}", "type"), (READ + "{:process 0, :type :invoke, :f :write}", "value")],
)
def test_what_is_absent_is_called_absent(read, record, name):
    with pytest.raises(HistoryError, match=f":{name} is absent"):
        read(record, "edn")


@pytest.mark.parametrize("name", ["1", '"#jepsen.history.Operation"', '"jepsen.history.Op"'])
def test_only_a_map_that_is_called_an_op_is_unwrapped(read, name):
    with pytest.raises(HistoryError, match=":type is absent"):
        read(f"{{{name} {CALL.strip()}}}", "edn")


@pytest.mark.parametrize(("length", "shown"), [(57, "k" * 57 + "';"), (58, "k" * 58 + "'…;")])
def test_a_long_value_is_cut_in_a_sentence(read, length, shown):
    other = OK.replace(":f", f':key "{"k" * length}", :f')
    with pytest.raises(HistoryError) as caught:
        read(CALL.replace(":f", ":key 1, :f") + other, "edn")
    assert f"the key is '{shown}" in str(caught.value)


@pytest.mark.parametrize("value", ["nil", "[1 2]"])
def test_pairs_alone_are_no_tuples(read, value):
    text = f"""{{:process 0, :type :invoke, :f :cas, :value [1 2]}} {{:process 0, :type :ok, :f :cas, :value [1 2]}}
               {{:process 0, :type :invoke, :f :read, :value {value}}} {{:process 0, :type :ok, :f :read, :value 2}}"""
    assert [op.key for op in read(text)] == [None] * 4


def test_time_follows_the_order_of_the_records(read):
    text = "".join(
        f"{{:process {n}, :type :invoke, :f :read, :time {time}, :index {index}}}"
        for n, (time, index) in enumerate([(10, 5), (3, 6), (10, 9), (50, 10)])
    )
    assert [(op.index, op.time_ns) for op in read(text)] == [(0, 10), (1, 11), (2, 12), (3, 50)]
    assert [op.time_ns for op in read(CALL + OK)] == [0, 1]


def test_equal_times_do_not_hide_a_stale_read(read):
    text = CALL + OK + CALL.replace("1}", "2}") + OK.replace("1}", "2}")
    text += "{:process 1, :type :invoke, :f :read} {:process 1, :type :ok, :f :read, :value 1}"
    assert check(read(text.replace(":process", ":time 0, :process"))).verdict is Verdict.INVALID


def test_without_a_process_the_only_open_call_is_completed(read):
    bare = [text.replace(":process 0, ", "") for text in (CALL, OK)]
    history = read("{:type :invoke, :f :read}" + bare[0] + bare[1] + "{:type :ok, :f :read, :value 1}")
    assert [history.columns.pair(at) for at in range(4)] == [3, 2, 1, 0]
    assert [op.process for op in history] == [0, 1, 1, 0]
    with pytest.raises(HistoryError, match=r"line 3, column 1: there are 2 open calls of :write"):
        read(bare[0] * 2 + bare[1])


@pytest.mark.parametrize("value", ["[[:r 1 nil]]", '[["append", 1, 2], ["r", 3, null]]'])
def test_transactions_are_refused_by_name(read, value):
    as_json = '[{"process":0,"type":"invoke","f":"read","value":' + value + "}]"
    as_edn = "{:process 0, :type :invoke, :value " + value + "}"
    history = read(as_json if '"' in value else as_edn)
    assert history.op(0).f == "txn"
    with pytest.raises(HistoryError, match="transactions are not checked yet"):
        check(history)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (CALL + CALL, "line 2, column 1: process 0 has a call still open"),
        (OK, "line 1, column 1: process 0 has no open call"),
        (CALL + OK.replace("write", "read"), "line 2, column 1: :f is :read; :write expected"),
        (CALL + OK.replace("ok", "info") + CALL, "line 3, column 1: process 0 goes on after its :info"),
        (CALL + "{:type :ok, :f :write}", "line 2, column 1: some records of clients have a :process"),
        (CALL.replace("0", ":a"), "line 1, column 1: :process is :a; an integer or :nemesis expected"),
        (CALL.replace("0", "true"), ":process is True"),
        (CALL.replace("invoke", "call"), "line 1, column 1: :type is :call; one of :invoke"),
        ("{:process 0, :type :invoke, :f 3}", ":f is 3; the function's name expected"),
        ("{:process 0, :type :invoke}", ":f is absent"),
        (CALL + "[1]", r"line 2, column 1: a map such as .* expected, not \[1\]"),
        (CALL.replace(":f", ":time 1.5, :f"), ":time is 1.5; an integer"),
        (CALL.replace(":f", ":index 3, :f") + OK.replace(":f", ":index 3, :f"), "line 2, column 1: :index is 3 after 3"),
        (CALL.replace(":f", f":time {1 << 62}, :f"), "line 1, column 1: :time is 4611686018427387904; an integer"),
        (CALL.replace("0", f"{1 << 62}"), "line 1, column 1: :process is 4611686018427387904; an integer or"),
        (CALL.replace(":f", f":index {1 << 62}, :f"), "line 1, column 1: :index is 4611686018427387904 after -1"),
        (CALL.replace(":f", ":index true, :f"), "line 1, column 1: :index is True"),
        (CALL.replace(":f", ":key 1, :f") + OK.replace(":f", ":key 2, :f"), "line 2, column 1: the key is 2; 1 expected"),
        (CALL.replace("1}", ":x}") + OK.replace("1}", '"x"}'), "both the keyword :x and the text 'x'"),
        (CALL.encode() + b'{:process "\xff"}', "line 2: is not UTF-8"),
        (CALL + "{:process", "line 2, column 1: the text ends inside this"),
        ("no history", "line 1: begins like no history"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_place(read, text, fault):
    with pytest.raises(HistoryError, match=f"history: {fault}" if fault.startswith("line") else fault):
        read(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[{"type":"invoke","f":"read","process":0},\n{"type":"ok","f":"read","process":0}', "line 2: ']' expected, not the end"),
        ('[{"type":"invoke","f":"read","process":0}\n{"type":', "line 2: ',' expected, not '{'"),
        ('[{"type":"invoke","f":"read","process":0},\n{"type": oops}]', "line 2: a JSON object expected, not 'oops}]'"),
        ('{"type":"invoke","f":"read","process":0}\n{"type":"o', "line 2: a JSON object expected; the text ends inside it, so it was cut off"),
        ('{"type":', "line 1: a JSON object expected; the text ends inside it"),
        ('{"value":' + "9" * 5000 + "}", "line 1: a JSON object expected, with no number of thousands of digits"),
        ('[{"type":"invoke","f":"read","process":0}] 1', "line 1: nothing expected after the array, not '1'"),
        ("[1]", "line 1: '{' expected, not '1'"),
        ('[{"value":' + "[" * 100_000, "line 1: values are nested too deep"),
        ('[{"type":"invoke","process":0,"f":"write","value":' + "[" * 500 + "]" * 500 + "}]", "line 1: a value is nested more than"),
    ],
)  # fmt: skip
def test_json_that_is_refused(read, text, fault):
    with pytest.raises(HistoryError) as caught:
        read(text, "json")
    assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("begin", "between", "end"), [("[", ",", "]"), ("", "\n", ""), ("", "", ""), (" [ ", " , ", " ] ")]
)
def test_json_is_an_array_or_objects_one_after_another(read, begin, between, end):
    objects = [f'{{"type":"{kind}","f":"read","process":0,"value":null}}' for kind in ("invoke", "ok")]
    assert [op.type.word for op in read(begin + between.join(objects) + end, "json")] == ["invoke", "ok"]


@pytest.mark.parametrize(
    "line", ["INFO  jepsen.util - 0\t:invoke", "INFO  jepsen.util - 0\t:ok\t:read\t]", "garbage"]
)
def test_a_log_line_that_is_no_operation_is_refused(read, line):
    with pytest.raises(HistoryError, match="history: line 3: "):
        read(f"INFO  jepsen.core - hello\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\n{line}\n")


def test_a_log(read):
    history = read(
        "INFO  jepsen.util - 0\t:invoke\t:read\tnil\n"
        "INFO [2020-01-01 10:00:00,1] jepsen worker 0 - jepsen.util 0\t:ok\t:read\t[1 2]\n"
        "INFO  jepsen.util - :nemesis\t:info\t:start\tnil\n"
        "INFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:info\t:cas\t:timed-out\n"
    )
    assert rows(history)[1::2] == [
        (0, "ok", "read", None, [1, 2], None),
        (1, "invoke", "cas", None, [1, 2], None),
    ]
    assert rows(history)[4] == (1, "info", "cas", None, MISSING, "timed-out")


@pytest.mark.parametrize("form", ["auto", "jsonl"])
def test_jsonl_is_read_as_ever(read, form):
    assert rows(read('{"process":0,"type":"invoke","f":"read"}\n', form)) == [
        (0, "invoke", "read", None, MISSING, None)
    ]
    assert len(read("", form)) == 0


def test_a_format_there_is_not(read, tmp_path):
    with pytest.raises(HistoryError, match="there is no format 'xml'; use one of: auto, jsonl"):
        read(CALL, "xml")
    with pytest.raises(HistoryError, match="'log' cannot be written"):
        dump(History.from_ops([]), tmp_path / "out", "log")
    with pytest.raises(HistoryError, match="none: cannot be read"):
        load(tmp_path / "none")
    with pytest.raises(UnknownModel):
        check(tmp_path / "none", "registre")


VALUES = st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.binary()


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["write", "add", "a b"]), VALUES, VALUES, st.sampled_from(Type), st.text()),
        max_size=9,
    )
)
def test_a_history_comes_back_from_edn_and_from_jsonl(tmp_path_factory, calls):
    """Times without ties, and completions that say something: those EDN keeps exactly."""
    folder = tmp_path_factory.mktemp("formats")
    ops = []
    for process, (f, key, value, kind, error) in enumerate(calls):
        value = MISSING if value is None and f == "a b" else value
        ops.append(invoke(process, f, key, value, time_ns=2 * len(ops), index=len(ops)))
        if kind is not Type.INVOKE:
            result = MISSING if value is None else value
            ops.append(
                Op(
                    len(ops),
                    2 * len(ops),
                    process,
                    kind,
                    f,
                    key,
                    result,
                    error if kind is not Type.OK else None,
                )
            )
    history = History.from_ops(ops)
    for form in ("edn", "jsonl"):
        dump(history, folder / form, form)
        assert list(load(folder / form, form)) == list(history) == ops
        assert not ops or list(load(folder / form)) == ops


GOOD = (
    CALL
    + OK
    + '{:process :nemesis, :type :info, :f :kill, :value #{1}}\n[{"type": "invoke"}]INFO  jepsen.util - '
).encode()


@settings(deadline=None)
@given(
    st.binary()
    | st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 4), st.binary(max_size=2)), max_size=4
    ).map(lambda cuts: mutated(GOOD, cuts)),
    st.sampled_from(["auto", "edn", "json", "log", "jsonl"]),
)
def test_any_bytes_are_a_history_or_a_history_error(tmp_path_factory, text, form):
    path = tmp_path_factory.mktemp("fuzz") / "history"
    path.write_bytes(text)
    try:
        ops = list(load(path, form))
    except HistoryError as error:
        ops = [str(error)]
    assert all(isinstance(op, Op) or op for op in ops)


def mutated(text, cuts):
    for at, size, new in cuts:
        text = text[:at] + new + text[at + size :]
    return text


@pytest.mark.parametrize(
    ("head", "form"),
    [(b'{"index":0', "jsonl"), (b"{:index", "edn"), (b'[ {"a"', "json"), (b"[{:a", "edn"), (b"INFO  jepsen.util", "log"), (b" \n", "jsonl")],
)  # fmt: skip
def test_the_first_characters_tell_the_format(head, form):
    assert sniff(head) == form
