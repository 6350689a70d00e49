"""The built-in objects again, in plain Python and sharing no code with the core: what the oracle and the validator believe.

A step takes `(state, f, value, result)` and returns the next state, or INCONSISTENT. `result` is MISSING where nobody knows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from checkers.op import MISSING
from checkers.search import INCONSISTENT

Step = Callable[[Any, str, Any, Any], Any]


def _if(fits: bool, state: Any) -> Any:
    return state if fits else INCONSISTENT


def _register(state: Any, f: str, value: Any, result: Any) -> Any:
    if f == "read":
        return _if(result is MISSING or result == state, state)
    if f == "cas":
        return _if(state == value[0], value[1])
    return value


def _mutex(state: bool, f: str, value: Any, result: Any) -> Any:
    return _if(state != (f == "acquire"), f == "acquire")


def _counter(state: int, f: str, value: Any, result: Any) -> Any:
    return state + value if f == "add" else _if(result is MISSING or result == state, state)


def _set(state: frozenset[Any], f: str, value: Any, result: Any) -> Any:
    if f == "add":
        return state | {value}
    if f == "remove":
        return state - {value}
    if result is MISSING:
        return state
    if f == "contains":
        return _if((value in state) == result[1], state)
    return _if(sorted(result) == sorted(state), state)


def _queue(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    if f == "enqueue":
        return (*state, value)
    if not state:
        return _if(result is MISSING or result is None, state)
    return _if(result is MISSING or result == state[0], state[1:])


def _stack(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    if f == "push":
        return (*state, value)
    if not state:
        return _if(result is MISSING or result is None, state)
    return _if(result is MISSING or result == state[-1], state[:-1])


def _priority(state: tuple[int, ...], f: str, value: Any, result: Any) -> Any:
    if f == "insert":
        return tuple(sorted((*state, value)))
    return _stack(state, "pop", value, result)


def _list(state: tuple[Any, ...], f: str, value: Any, result: Any) -> Any:
    return (*state, value) if f == "append" else _if(result is MISSING or tuple(result) == state, state)


def _kv(state: str, f: str, value: Any, result: Any) -> Any:
    if f == "get":
        return _if(result is MISSING or result == state, state)
    return value if f == "put" else state + value


def _txn(state: tuple[tuple[Any, Any], ...], f: str, value: Any, result: Any) -> Any:
    values = dict(state)
    for kind, key, item in value if result is MISSING else result:
        if kind == "write":
            values[key] = item
        elif result is not MISSING and values.get(key) != item:
            return INCONSISTENT
    return tuple(sorted(values.items()))


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
}
