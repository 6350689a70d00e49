"""Readers hold a piece of the text, not the file: what stands in the first piece is told before the last is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from checkers import MISSING, History, HistoryError
from checkers.formats import load
from checkers.formats.edn import Reader
from checkers.formats.json_maps import Objects
from checkers.formats.logs import Lines
from checkers.formats.records import to_lines

EDN = "{:process %d, :type :invoke, :f :write, :value %d}\n"
JSON = '{"process": %d, "type": "invoke", "f": "write", "value": %d},\n'
LOG = "INFO  jepsen.util - %d     :invoke  :write  %d\n"
RECORDS = 400


class Tap:
    """Pieces of a text, and how many were taken."""

    def __init__(self, text: str, size: int) -> None:
        self.pieces = [text[at : at + size] for at in range(0, len(text), size)]
        self.taken = 0

    def __iter__(self) -> Iterator[str]:
        for piece in self.pieces:
            self.taken += 1
            yield piece


@pytest.mark.parametrize(
    ("read", "line", "begin"),
    [(lambda pieces: Reader(pieces, spread=True), EDN, ""), (lambda pieces: Reader(pieces, spread=True), EDN, "["),
     (Objects, JSON, "["), (Lines, LOG, "")],
    ids=["edn", "edn vector", "json", "log"],
)  # fmt: skip
@pytest.mark.parametrize("size", [7, 100, 3000])
def test_a_record_comes_before_the_text_ends(
    read: Callable[[Iterable[str]], Any], line: str, begin: str, size: int
) -> None:
    text = (
        begin
        + "".join(line % (number, number) for number in range(RECORDS)).rstrip(",\n")
        + "]" * bool(begin)
        + "\n"
    )
    tap = Tap(text, size)
    source = read(tap)
    lines = to_lines(source, source.where)
    needed = 0
    for number in range(RECORDS):
        assert b'"process":%d,' % number in next(lines)
        needed += len(line % (number, number))
        assert (tap.taken - 2) * size <= needed + 2 * len(line) + size, "it reads ahead"
    assert list(lines) == []
    assert tap.taken == len(tap.pieces)


@pytest.mark.parametrize(
    ("form", "line"),
    [("edn", EDN), ("jsonl", '{"process":%d,"type":"invoke","f":"write","value":%d}\n'), ("log", LOG)],
)
@pytest.mark.parametrize("asked", ["auto", "named"])
def test_what_comes_through_a_pipe_is_read_once(form: str, line: str, asked: str) -> None:
    """A pipe cannot be opened again for a second look."""
    reading, writing = os.pipe()
    try:
        os.write(writing, b"".join((line % (number, number)).encode() for number in range(9)))
        os.close(writing)
        history = load(f"/dev/fd/{reading}", form if asked == "named" else "auto")
    finally:
        os.close(reading)
    assert [op.value for op in history] == list(range(9))


@pytest.mark.parametrize(
    ("words", "value", "error"),
    [
        (":info :cas [1 2] :lost", [1, 2], "lost"),
        (":info :cas :lost", MISSING, "lost"),
        (":info :cas 7", 7, None),
        (":info :cas", MISSING, None),
        (":ok :cas :done", "done", None),
        (":ok :cas :done :late", "done", "late"),
    ],
)
def test_the_last_columns_of_a_log_are_a_value_and_an_error(
    words: str, value: object, error: str | None
) -> None:
    source = Lines([f"INFO  jepsen.util - 0 :invoke :cas [1 2]\nINFO  jepsen.util - 0 {words}\n"])
    *_, last = History.parse(b"".join(to_lines(source, source.where)))
    assert (last.value, last.error) == (value, error)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("0 :invoke :cas 1 2 3", "line 1: a value and perhaps an error expected, not '1 2 3'"),
        ("0 :invoke :cas ]", "line 1: a value expected, not ']'"),
    ],
)
def test_what_is_wrong_in_a_log_is_named(words: str, why: str) -> None:
    with pytest.raises(HistoryError) as caught:
        list(Lines([f"INFO  jepsen.util - {words}\n"]))
    assert str(caught.value).startswith(why), caught.value
