"""Where the key of an operation is, if it is not in its field `key`.

    --key-by 0          value [k, v]                   key k, value v             Jepsen's independent tuples
    --key-by account    value {"account": k, "to": 3}  key k, value {"to": 3}     if only "value" is left: what is in it

A completion may leave the key out, and then has its call's. A call without a value has its completion's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from checkers.history import History
from checkers.jsonl import HistoryError, encode_value
from checkers.op import MISSING, Op, Type

_NONE = object()


def keyed_by(history: History, selector: str) -> History:
    """The history with the keys that the selector finds. HistoryError names the operation in which it finds none."""
    if not selector or selector.startswith("-"):
        raise HistoryError(
            f"the key selector {selector!r} is no place; give a position from 0, or the name of a field of the values"
        )
    return History.from_ops(_keyed(history, int(selector) if selector.isdecimal() else selector))


def _keyed(history: History, place: int | str) -> Iterator[Op]:
    for op in history:
        if not isinstance(op.process, int):
            yield op
            continue
        call = op if op.type is Type.INVOKE else history.invocation(op.index)
        if call is None:
            yield op
            continue
        key = parted(call.value, place)[0]
        end = history.completion(call.index)
        if key is _NONE and end is not None:
            key = parted(end.value, place)[0]
        if key is _NONE:
            raise HistoryError(
                f"the value of {call.f} #{call.index} has no key at {place!r}: it is {_shown(call.value)}; see docs/formats.md for --key-by"
            )
        own, rest = parted(op.value, place)
        fits = own is not _NONE and encode_value(own) == encode_value(key)
        yield msgspec.structs.replace(op, key=key, value=rest if fits else op.value)


def parted(value: Any, place: int | str) -> tuple[Any, Any]:
    """The key and what is left of the value; `_NONE` and the value if there is none at that place."""
    if isinstance(place, int) and isinstance(value, list | tuple) and place < len(value):
        rest = [part for at, part in enumerate(value) if at != place]
        return value[place], rest[0] if len(rest) == 1 else rest
    if isinstance(place, str) and isinstance(value, dict) and place in value:
        fields = {name: part for name, part in value.items() if name != place}
        return value[place], fields["value"] if fields.keys() == {"value"} else fields or MISSING
    return _NONE, value


def _shown(value: Any) -> str:
    return "missing" if value is MISSING else repr(value)[:60]
