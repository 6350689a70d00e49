"""The two readers of EDN, the one in Rust and the one in Python: what the first accepts, the second reads the same."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from checkers import HistoryError
from checkers._core import Columns
from checkers.formats import load
from checkers.formats.files import _lines, _source, _texts
from checkers.history import History
from checkers.jsonl import encode_op

DATA = Path(__file__).parents[4] / "shared" / "data"
VALUES = (
    "nil", "true", "false", "0", "-1", "17", "9007199254740993", "123456789012345678901", "1.5", "-0.0", "1e3", "1N", "007", "-0",
    ":a", ":b/c", ":read", ":can't", "a", "<init>", "a$b", "nilly", "-x", "a#b", '"a"', '"b"', '"é\\n\\u0041"', '"\\q"', '"two\nlines"', "\\a", '#inst "2015"', "##Inf",
    "[]", "[1 2]", "(1 2)", "[:x nil]", "[:x 1]", "[:y [1 2]]", '["x" 3]', "[[:r 1 nil]]", "[[:w :x 2] [:append 1 3]]",
    "#{3 1 2}", "#{1 1}", "#{:a 1}", "{1 10, 0 5}", "{:from 1, :to 2}", '{"a" 1 :a 2}', '{"$x" 1}', "{[1] 2}", "{}", "{:a}", "#_ 1 2",
    "é", "[1 ; note\n 2]", "##NaN", "{:$map 1}", '{"#inst" 1}', "[" * 40 + "]" * 40,
)  # fmt: skip
PLAIN = (
    "nil",
    "1",
    "2",
    "3",
    "[1 2]",
    "[:x 1]",
    "[:x nil]",
    "[:x [1 2]]",
    ":a",
    '"b"',
    "#{2 1}",
    "{1 2}",
    "1.5",
)


def slow(path: Path) -> History:
    """The history by the reader in Python."""
    with path.open("rb") as file:
        return History.stream(_lines(_source("edn", _texts(file, b""))))


def fast(path: Path) -> History | None:
    columns = Columns.load_edn(str(path))
    return None if columns is None else History(columns)


def told(history: History) -> list[bytes]:
    """Every record, to its types."""
    return [encode_op(op) for op in history]


def difference(path: Path) -> str | None:
    """What is not the same; None if all is, or the fast one leaves the file to the other."""
    found = fast(path)
    if found is None:
        return None
    try:
        expected = slow(path)
    except HistoryError as error:
        return f"refused by the reader in Python: {error}"
    return (
        None if told(found) == told(expected) and found.warnings == expected.warnings else "another history"
    )


def record(rng: random.Random, types: dict[int, str], values: tuple[str, ...]) -> str:
    process = rng.randrange(4)
    kind = rng.choice((":ok", ":ok", ":fail", ":info")) if process in types else ":invoke"
    f = types.pop(process, None) or rng.choice((":read", ":write", ":cas", ":add", ":txn", '"read"'))
    if kind == ":invoke":
        types[process] = f
    if rng.random() < 0.02:
        process, kind = (
            rng.choice((":nemesis", "nil", '"nemesis"', "-3")),
            rng.choice((":info", ":invoke", ":ok", '"ok"')),
        )
    fields = [f":process {process}", f":type {kind}", f":f {f}"]
    if rng.random() < 0.9:
        fields.append(f":value {rng.choice(values)}")
    for share, name, choices in (
        (0.2, ":time", ("5", "17", "nil", "1.5")),
        (0.05, ":index", ("1", "nil", "900")),
        (0.1, ":error", (":timeout", '"why"', "nil", '[:a "b" 1 nil true]', "{:a 1}", "[1.5]", '["\\n"]')),
        (0.05, ":key", ("1", "nil", ":x")),
        (0.1, ":node", VALUES),
        (0.01, ":type", (":ok",)),
    ):
        if rng.random() < share:
            fields.append(f"{name} {rng.choice(choices)}")
    rng.shuffle(fields)
    tag = "#jepsen.history.Op" if rng.random() < 0.05 else ""
    return tag + "{" + rng.choice((", ", " ", ",\n")).join(fields) + "}"


def text_of(rng: random.Random) -> bytes:
    types: dict[int, str] = {}
    values = PLAIN if rng.random() < 0.7 else VALUES
    values = tuple(rng.choice(values) for _ in range(rng.randint(1, 4)))
    records = [record(rng, types, values) for _ in range(rng.randint(0, 12))]
    begin, between, end = rng.choice(
        (
            ("", "\n", "\n"),
            ("[", " ", "]"),
            ("(", ";é\n", ")"),
            ("; x\n[", " ; y\n", "]\n"),
            ("\ufeff", "", ""),
        )
    )
    text = bytearray((begin + between.join(records) + end).encode())
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        at = rng.randrange(len(text) + 1)
        text[at : at + rng.randrange(3)] = rng.choice(
            (b"", b"{", b"]", b'"', b" ", b"\\", b";", b"#", b"\xff", b"1", b":", b"nil")
        )
    return bytes(text)


@pytest.mark.parametrize("seed", range(4))
def test_random_texts_read_the_same(seed: int, tmp_path: Path) -> None:
    rng, accepted = random.Random(f"edn {seed}"), 0
    path = tmp_path / "history.edn"
    rounds = max(300, int(os.environ.get("QUORATE_FUZZ", "0")) // 100)
    for _ in range(rounds):
        path.write_bytes(text_of(rng))
        assert difference(path) is None, path.read_bytes()
        accepted += fast(path) is not None
    assert accepted > rounds / 10


def test_every_value_reads_the_same(tmp_path: Path) -> None:
    path, accepted = tmp_path / "history.edn", set()
    for value in VALUES:
        path.write_text(
            f"[{{:process 0 :type :invoke :f :write :value {value}}} {{:process 0 :type :ok :f :write :value {value}}}]"
        )
        assert difference(path) is None, value
        accepted |= {value} if fast(path) is not None else set()
    assert accepted >= {
        "nil",
        "17",
        "1.5",
        ":b/c",
        '"a"',
        "[1 2]",
        "(1 2)",
        "#{3 1 2}",
        "{1 10, 0 5}",
        "{:from 1, :to 2}",
    }


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no other people's histories in {DATA}")
def test_other_peoples_files_read_the_same() -> None:
    paths = sorted(
        path for path in DATA.glob("**/*") if path.suffix == ".edn" or path.parent.name == "kv-logs"
    )
    assert [str(path) for path in paths if difference(path)] == []
    left = {path.name for path in paths if fast(path) is None}
    assert left <= {
        "bad-analysis.edn",
        "comments.edn",
        "paper-example.edn",
        "rw-register.edn",
        "list-append-gh-30.edn",
        "long-fork.edn",
    }
    assert len(paths) > 100


def test_a_record_longer_than_a_piece_and_a_cut_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    big = f"#{{{' '.join(map(str, range(80_000)))}}}"
    text = "\n".join(
        f'{{:process {n} :type :invoke :f :read}}{{:process {n} :type :ok :f :read :value {big if n == 700 else n} :x "é\\n"}}'
        for n in range(6_000)
    )
    path.write_text(text)
    assert difference(path) is None
    assert fast(path) is not None
    for cut in (1, 2, 3, 5, 8, 40):
        path.write_text(text[:-cut])
        assert fast(path) is None


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    path.write_text("{:process 0 :type :invoke :f :read}\n{:process 0 :type :okay :f :read}\n")
    with pytest.raises(HistoryError, match=r"history\.edn: line 2, column 1: :type is :okay; one of :invoke"):
        load(path)


def test_a_keyword_and_a_text_must_not_become_one(tmp_path: Path) -> None:
    path = tmp_path / "history.edn"
    path.write_text(
        '{:process 0 :type :invoke :f :write :value :a}\n{:process 1 :type :invoke :f :write :value "a"}\n'
    )
    assert fast(path) is None
    with pytest.raises(HistoryError, match="both the keyword :a and the text 'a'"):
        load(path)
