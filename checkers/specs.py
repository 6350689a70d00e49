"""The built-in objects again, in plain Python and sharing no code with the core: what the oracle and the validator believe.

A step takes `(state, f, value, result)` and returns the next state, or INCONSISTENT. `result` is MISSING where nobody knows it. States hold the
`mark` of a value: Python takes 1, 1.0 and True for one value, and cannot put a list into a set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from checkers.jsonl import decode_value, encode_value
from checkers.op import MISSING
from checkers.search import INCONSISTENT

Step = Callable[[Any, str, Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Marked:
    """A value that is neither an integer nor text nor null, by its JSON."""

    text: str

    def __repr__(self) -> str:
        return repr(decode_value(self.text))


def mark(value: Any) -> Any:
    """What stands for the value in a state. It can be hashed, and two are equal exactly if the values are equal and of one type."""
    return value if value is None or type(value) in (int, str) else Marked(encode_value(value))


def _if(fits: bool, state: Any) -> Any:
    return state if fits else INCONSISTENT


def _register(state: Any, f: str, value: Any, result: Any) -> Any:
    if f == "read":
        return _if(result is MISSING or mark(result) == state, state)
    if f == "cas":
        return _if(state == mark(value[0]), mark(value[1]))
    return mark(value)


def _mutex(state: bool, f: str, value: Any, result: Any) -> Any:
    return _if(state != (f == "acquire"), f == "acquire")


def _counter(state: int, f: str, value: Any, result: Any) -> Any:
    return state + value if f == "add" else _if(result is MISSING or mark(result) == state, state)


def _set(state: frozenset[Any], f: str, value: Any, result: Any) -> Any:
    if f == "add":
        return state | {mark(value)}
    if f == "remove":
        return state - {mark(value)}
    if result is MISSING:
        return state
    if f == "contains":
        return _if((mark(value) in state) is result[1], state)
    return _if(len(result) == len(state) and set(map(mark, result)) == state, state)


def _queue(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    if f == "enqueue":
        return (*state, mark(value))
    if not state:
        return _if(result is MISSING or result is None, state)
    return _if(result is MISSING or mark(result) == state[0], state[1:])


def _stack(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    if f == "push":
        return (*state, mark(value))
    if not state:
        return _if(result is MISSING or result is None, state)
    return _if(result is MISSING or mark(result) == state[-1], state[:-1])


def _priority(state: tuple[int, ...], f: str, value: Any, result: Any) -> Any:
    if f == "insert":
        return tuple(sorted((*state, value)))
    return _stack(state, "pop", value, result)


def _list(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    if f == "append":
        return (*state, mark(value))
    return _if(result is MISSING or tuple(map(mark, result)) == state, state)


def _kv(state: str, f: str, value: Any, result: Any) -> Any:
    if f == "get":
        return _if(result is MISSING or result == state, state)
    return value if f == "put" else state + value


def _txn(state: tuple[tuple[Any, Any], ...], f: str, value: Any, result: Any) -> Any:
    values = dict(state)
    for kind, key, item in value if result is MISSING else result:
        if kind == "write":
            values[mark(key)] = mark(item)
        elif result is not MISSING and values.get(mark(key)) != mark(item):
            return INCONSISTENT
    return tuple(sorted(values.items(), key=repr))


def _fetched(state: int, f: str, value: Any, result: Any) -> Any:
    return _if(result is MISSING or mark(result) == state, state + 1 if f == "fetch-add" else state)


def _revised(state: tuple[int, Any, bool], f: str, value: Any, result: Any) -> Any:
    """The last revision, or the least that it can be; the value; is the revision known?"""
    last, held, known = state
    if f == "write":
        if result is MISSING:
            return last + 1, mark(value), False
        return _if(type(result) is int and result > last, (result, mark(value), True))
    if result is MISSING:
        return state
    fits = mark(result[1]) == held and (result[0] == last if known else result[0] >= last)
    return _if(fits, (result[0], held, True))


SPECS: Final[dict[str, tuple[Any, Step]]] = {
    "register": (None, _register),
    "cas-register": (None, _register),
    "multi-register": ((), _txn),
    "mutex": (False, _mutex),
    "counter": (0, _counter),
    "grow-set": (frozenset(), _set),
    "set": (frozenset(), _set),
    "queue": ((), _queue),
    "stack": ((), _stack),
    "priority-queue": ((), _priority),
    "append-list": ((), _list),
    "kv": ("", _kv),
    "fetch-and-add": (0, _fetched),
    "revisions": ((0, None, True), _revised),
}
