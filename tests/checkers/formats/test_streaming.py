"""Readers hold a piece of the text, not the file: what stands in the first piece is told before the last is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from checkers import MISSING, History, HistoryError
from checkers.formats import load
from checkers.formats.edn import TOKEN_MAX, Reader
from checkers.formats.json_maps import OBJECT_MAX, Objects
from checkers.formats.logs import LINE_MAX, Lines
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
        ("1.5.6 :invoke :cas 1", "line 1: a value such as"),
    ],
)
def test_what_is_wrong_in_a_log_is_named(words: str, why: str) -> None:
    with pytest.raises(HistoryError) as caught:
        list(Lines([f"INFO  jepsen.util - {words}\n"]))
    assert str(caught.value).startswith(why), caught.value


class Endless:
    """A text that never ends: the beginning, then one piece again and again. Who asks for more than is allowed is stopped."""

    def __init__(self, begin: str, again: str, allowed: int) -> None:
        self.begin, self.again, self.allowed, self.taken = begin, again, allowed, 0

    def __iter__(self) -> Iterator[str]:
        yield self.begin
        while self.taken < self.allowed:
            self.taken += 1
            yield self.again
        raise AssertionError(f"{self.taken} pieces were taken")


MIB = 1 << 20


def test_an_object_or_a_line_that_does_not_end_is_given_up_at_its_limit() -> None:
    with pytest.raises(HistoryError, match="line 1: a JSON object expected"):
        list(Objects(Endless('[{"f":"', "a" * MIB, 40)))
    with pytest.raises(HistoryError, match="line 2: is longer than 16,777,216 characters"):
        list(Lines(Endless("\n", "a" * MIB, 18)))
    with pytest.raises(
        HistoryError, match="line 1, column 2: something is longer than 16,777,216 characters"
    ):
        list(Reader(Endless(' "', "a" * MIB, 18)))


@pytest.mark.parametrize(
    ("read", "begin", "held", "again"),
    [(Objects, '[{"f":"', OBJECT_MAX + 1, '"'), (Lines, "", LINE_MAX, "b"), (Reader, '"', TOKEN_MAX, "b")],
    ids=["json", "log", "edn"],
)
def test_what_is_just_as_long_as_is_allowed_is_read_on(
    read: Callable[[Iterable[str]], Any], begin: str, held: int, again: str
) -> None:
    """One more piece is asked for at the limit itself: of an object, the bracket before it is no part."""
    with pytest.raises(AssertionError, match="1 pieces were taken"):
        list(read(Endless(begin + "a" * (held - len(begin)), again, 1)))


def test_more_of_a_long_object_is_taken_in_pieces_as_large_as_what_is_held() -> None:
    """What is cut off is decoded again only when there is twice as much of it, or a long object would be decoded many times."""
    source = Tap("", 1)
    source.pieces = ['{"f":', "1", "}", " ", " ", " ", " ", " "]
    assert next(iter(Objects(source))) == {"f": 1}
    assert source.taken == 6
    source = Tap("", 1)
    source.pieces = ['{"f":', "1}   ", " "]
    assert next(iter(Objects(source))) == {"f": 1}
    assert source.taken == 2


def test_a_bracket_that_closes_no_array_is_refused() -> None:
    with pytest.raises(HistoryError, match=r"line 2: '\{' expected, not ']'"):
        list(Objects(['{"f":"a"}\n]']))
