"""EDN values: what is written comes back, in pieces too; what is no EDN is a HistoryError with its place."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from checkers import MISSING, HistoryError, Op, Type
from checkers.formats.edn import MAX_DEPTH, Keyword, Reader, parse
from checkers.formats.edn_text import write_op, write_value
from checkers.jsonl import decode_value, encode_value

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**3900, 0.0, -0.0, float("inf"), "\ud800", "\n;\"\\", "#x", "1"]),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["#inst", "#a/b", "#quorate/int", "#"]), inner)
        | st.dictionaries(st.integers(), inner)
    ),
    max_leaves=8,
)


def exact(value):
    """A form in which 0, 0.0, -0.0, False and "0" differ, at any depth."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    if isinstance(value, dict):
        return {(type(name), name): exact(item) for name, item in value.items()}
    return type(value), value if isinstance(value, int) else repr(value)


@settings(deadline=None)
@given(VALUES, st.integers(1, 9))
@example({"#inst": [1]}, 1)
def test_what_is_written_comes_back(value, size):
    text = write_value(value)
    assert "\n" not in text
    assert exact(parse(text)) == [exact(value)]
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert exact(list(Reader(pieces))) == [exact(value)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{:f :cas, :value [1 2]} ; end", {"f": "cas", "value": [1, 2]}),
        ("(1 2N -3 +4)", [1, 2, -3, 4]),
        ("#{30 4 :a}", [4, 30, "a"]),
        ("#{1 -9007199254740992 -9007199254740991}", [-9007199254740991, 1, -9007199254740992]),
        ("1.5M", 1.5),
        ("1e3", 1000.0),
        ('#inst "2015-01-01"', {"#inst": "2015-01-01"}),
        ("#jepsen.history.Op{:index 0}", {"#jepsen.history.Op": {"index": 0}}),
        ("#:a{:b 1 :c/d 2}", {"a/b": 1, "c/d": 2}),
        ('#:a{"b" 1 5 2}', {"b": 1, 5: 2}),
        ("[1 #_ {:x 2} 3 #_#_ 4 5]", [1, 3]),
        ("{[1 [2]] true}", {(1, (2,)): True}),
        (r"[\a \newline \u0041 \( \,]", ["a", "\n", "A", "(", ","]),
        (r'"a\nb\u00e9\\"', "a\nbé\\"),
        ('"two\nlines"', "two\nlines"),
        (":can't-join", "can't-join"),
        ("##-Inf", -math.inf),
    ],
)
def test_what_clojure_writes(text, value):
    assert exact(decode_value(encode_value(parse(text)))) == [exact(value)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[1 2", r"line 1, column 1: the text ends inside this; it was cut off, '\]' expected"),
        ("[1\n 2)", r"line 2, column 3: '\]' expected, not '\)'"),
        ("]", "line 1, column 1: a value expected, not ']'"),
        ('\n "abc', "line 2, column 2: a text begins here and is not closed"),
        ("{:a 1 :b}", "column 9: a map has a key without a value"),
        ("{:a 1 :a 2}", "the same key twice"),
        ('{:a 1 "a" 2}', "the same key twice"),
        ("{1 2, 1.0 3}", "the same key twice"),
        ("#{1 1}", "the same element twice"),
        ("{{} 1}", "a map as a key"),
        ("1/2", "expected, not '1/2'"),
        ("007", "expected, not '007'"),
        ("@x", "expected, not '@x'"),
        ("\xa0", "expected, not"),
        ("1.00000000000000000001M", "has no exact form"),
        ("9" * 5000, "more than 4,000 digits"),
        (r'"\q"', "has an escape"),
        (r"\lots", "a character such as"),
        ("#", "ends inside this"),
        ('# "a"', "a tag such as #inst expected"),
        ('#quorate/bytes "?"', "cannot be read"),
        ("##Foo 1", "a value such as .* expected, not '##Foo'"),
        (":@x", "a value such as .* expected, not ':@x'"),
        ("1" + "x" * 39, "expected, not '1x{39}'"),
        ("1" + "x" * 40, "expected, not '1x{39}…'"),
        (":", "a value such as .* expected, not ':'"),
        ("\\ ", "a value such as"),
        ("#:a 5", "a tag such as #inst expected, not '#:a'"),
        ("[" * 100_000, "nested more than 150 deep"),
        ("#a " * 100_000, "nested more than 150 deep"),
    ],
)
def test_what_is_no_edn_is_refused_with_its_place(text, fault):
    with pytest.raises(HistoryError, match=fault):
        parse(text)


@settings(deadline=None)
@given(st.text() | st.text(alphabet='[](){}#_"\\:;,^ 019.NMeak\n'), st.integers(1, 5))
def test_any_text_is_values_or_a_history_error_and_pieces_do_not_matter(text, size):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert outcome([text]) == outcome(pieces)


def outcome(pieces):
    try:
        return exact(list(Reader(pieces, spread=True)))
    except HistoryError as error:
        return str(error)


def test_a_vector_is_spread_and_each_value_has_its_place():
    reader = Reader(["[1\n ", "[2 ", "3]\n  4]"], spread=True)
    assert [(value, reader.where()) for value in reader] == [
        (1, "line 1, column 2"),
        ([2, 3], "line 2, column 2"),
        (4, "line 3, column 3"),
    ]
    with pytest.raises(HistoryError, match="line 1, column 5: nothing expected"):
        list(Reader(["[1] 2"], spread=True))


def test_an_integer_of_any_size_comes_back():
    assert parse(write_value(-(2**20_000))) == [-(2**20_000)]


def test_keywords_are_text_and_known_apart():
    word, text = parse(':a "a"')
    assert word == text
    assert (type(word), type(text)) == (Keyword, str)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_how_deep_a_value_may_be():
    deepest = nested(MAX_DEPTH - 10)
    assert parse(write_value(deepest)) == [deepest]
    with pytest.raises(HistoryError, match="nested more than"):
        write_value(nested(MAX_DEPTH - 9))
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH) != []
    with pytest.raises(HistoryError, match="column 151: values are nested more than 150 deep"):
        parse("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


@pytest.mark.parametrize("value", [{"#quorate/bytes": "QQ=="}, {"#quorate/int": "0x1"}, {"#a": 1, "#b": 2}])
def test_a_map_that_looks_like_a_value_of_ours_stays_a_map(value):
    assert parse(write_value(value)) == [value]


@pytest.mark.parametrize(("time_ns", "told"), [(0, ":time 0, "), (7, ":time 7, "), (-1, "")])
def test_a_time_is_written_if_there_is_one(time_ns, told):
    line = write_op(Op(3, time_ns, 0, Type.INVOKE, "read", None, MISSING)).decode()
    assert line == f"{{:index 3, {told}:process 0, :type :invoke, :f :read}}\n"


def test_who_may_be_a_process_in_edn():
    def written(process):
        return write_op(Op(0, 0, process, Type.INFO, "start", None, MISSING)).decode()

    assert ":process :nemesis," in written("nemesis")
    assert ":process 4," in written(4)
    with pytest.raises(HistoryError, match="the process 'client' has no form"):
        written("client")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([["r", 1, None], ["append", "x", 2]], '[[:r 1 nil] [:append "x" 2]]'),
        ([["r"], "r"], '[["r"] "r"]'),
        ([["r"], []], '[["r"] []]'),
        ([[1, 2]], "[[1 2]]"),
        ("r", '"r"'),
        (None, "nil"),
    ],
)
def test_operations_of_a_transaction_have_keywords_for_names(value, text):
    assert f":value {text}}}" in write_op(Op(0, 0, 0, Type.INVOKE, "txn", None, value)).decode()


@pytest.mark.parametrize(("bits", "tagged"), [(12_999, False), (13_000, True)])
def test_integers_of_thousands_of_digits_are_written_by_their_bits(bits, tagged):
    value = 1 << (bits - 1)
    text = write_value(value)
    assert text.startswith("#quorate/int") is tagged
    assert parse(text) == [value]


def test_a_number_has_as_many_digits_as_are_allowed():
    assert parse("9" * 4000) == [10**4000 - 1]
    with pytest.raises(HistoryError, match="more than 4,000 digits"):
        parse("9" * 4001)


def test_what_is_remembered_of_words_is_bounded():
    """A text of ever new words may be as long as it likes: the memory for them is not."""
    reader = Reader([" ".join(map(str, range(70_000))), " " + "x" * 63, " " + "y" * 64, " end"])
    assert len(list(reader)) == 70_003
    assert len(reader._atoms) == 1 << 16
    short = Reader([" ".join(["x" * 63, "y" * 64, "end"])])
    assert len(list(short)) == 3
    assert {"x" * 63, "end"} <= short._atoms.keys()
    assert "y" * 64 not in short._atoms
