"""Histories as drawings: one row a client, one column an instant. For examples, tests and questions.

    A: |--w 1--|          |--r 1--|          ok: closed by a bar
    B:     |--w y 2--x                       failed: closed by an x; here of key y, elsewhere of key x
    C:        |--w 3- - - - -                nobody knows: open end. What follows in the row is a fresh process
    D:  |--cas 1 2--|    |--r nil--|         compare-and-set; nil is the value before any write

Numbers are integers, other words are text, `?` is a result that was not seen. Two things in one column happen at one instant.
"""

from __future__ import annotations

import re
from typing import Any, Final

from checkers.history import History
from checkers.jsonl import HistoryError
from checkers.op import MISSING, Op, Type

KEY: Final = "x"
_ROW: Final = re.compile(r"(?P<name>\w+):(?P<lane>.*)")
_OP: Final = re.compile(r"\|-*(?P<f>w|r|cas)(?P<words>(?: (?:\w+|\?))+)-+(?P<end>\||x|(?: -)+)")
_NAMES: Final = {"w": "write", "r": "read", "cas": "cas"}
_KINDS: Final = {"|": Type.OK, "x": Type.FAIL}

_Event = tuple[int, int, Op]


def parse_drawing(text: str) -> History:
    """The history that the rows draw; a column is a millisecond. Lines that are blank or begin with # are skipped.

    HistoryError names the line, what is wrong and what to do.
    """
    events: list[_Event] = []
    process = 0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        row = _ROW.fullmatch(line.strip())
        if row is None:
            raise HistoryError(f"line {number} is no row; write `A: |--w 1--|`")
        margin = len(line) - len(line.lstrip()) + row.start("lane")
        process = _lane(events, row["lane"], margin, process + 1, number)
    events.sort(key=lambda event: event[:2])
    return History.from_ops(op for _, _, op in events)


def _lane(events: list[_Event], lane: str, margin: int, process: int, number: int) -> int:
    """Add one row's events. Returns the last process that it used."""
    at = 0
    for found in _OP.finditer(lane):
        if lane[at : found.start()].strip():
            break
        at = found.end()
        call, end = (found.start() + margin) * 1_000_000, (found.end() - 1 + margin) * 1_000_000
        f = _NAMES[found["f"]]
        key, value = _arguments(f, found["words"].split(), number)
        argument = MISSING if f == "read" else value
        events.append((call, 0, Op(-1, call, process, Type.INVOKE, f, key, argument)))
        kind = _KINDS.get(found["end"])
        if kind is None:
            process += 1
            continue
        events.append((end, 1, Op(-1, end, process, kind, f, key, value if kind is Type.OK else argument)))
    if rest := lane[at:].strip():
        raise HistoryError(
            f"line {number} cannot be read from {rest[:20]!r} on; write `|--w 1--|`, `|--r x 1--x` or `|--w 2- - -`"
        )
    return process


def _arguments(f: str, words: list[str], number: int) -> tuple[Any, Any]:
    """Key and value of an operation's words."""
    wants = 2 if f == "cas" else 1
    if len(words) not in (wants, wants + 1):
        raise HistoryError(
            f"line {number}: a {f} takes {wants} value(s), and a key before them if you like; got {' '.join(words)!r}"
        )
    key = _value(words[0]) if len(words) > wants else KEY
    values = [_value(word) for word in words[-wants:]]
    return key, values if f == "cas" else values[0]


def _value(word: str) -> Any:
    if word == "?":
        return MISSING
    if word == "nil":
        return None
    return int(word) if word.isdecimal() else word
