"""One operation, one line of JSON; and back, exactly.

    {"index":0,"time":123,"process":0,"type":"invoke","f":"write","key":3,"value":17}

`time` is in nanoseconds. An absent `value` is MISSING, an absent `key` or `error` is None. What comes back equals what went in and has
the same type: `0`, `0.0`, `false`, `""`, `"0"` and `null` are six different values. What JSON lacks is tagged:

    bytes            {"$bytes": "<base64>"}          nan, inf            {"$float": "nan"}
    very big ints    {"$int": "0x…"}                 a dict with a $key  {"$dict": {…}}     other keys  {"$map": [[k, v], …]}

A tuple comes back as a list: JSON has one sequence. Anything else (a set, an object) is a HistoryError, not a guess.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from checkers.huge import Huge
from checkers.op import MISSING, Op, Type

MAX_DEPTH: Final = 200
_BITS_AS_DECIMAL: Final = 13_000  # Python refuses decimal texts of more than 4300 digits
_WORDS: Final = {kind.word: kind for kind in Type}
_TYPE_WORDS: Final = tuple(kind.word for kind in Type)
_REQUIRED: Final = ("process", "type", "f")
_FIELDS: Final = frozenset(("index", "time", "process", "type", "f", "key", "value", "error"))
_dumps: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_quoted: Final = lru_cache(maxsize=256)(_dumps)  # the few names of functions


class HistoryError(ValueError):
    """A history that cannot be trusted: one sentence with the place, what is wrong, and what to do."""


def encode_op(op: Op) -> bytes:
    """Return the line of `op`, with its newline. HistoryError if a value has no exact form."""
    process, key, value = op.process, op.key, op.value
    line = (
        f'{{"index":{op.index},"time":{op.time_ns},"process":{process if type(process) is int else encode_value(process)}'
        f',"type":"{_TYPE_WORDS[op.type]}","f":{_quoted(op.f)}'
    )
    if key is not None:
        line += f',"key":{encode_value(key)}'
    if value is not MISSING:
        line += f',"value":{encode_value(value)}'
    if op.error is not None:
        line += f',"error":{_dumps(op.error)}'
    return (line + "}\n").encode()


def encode_value(value: Any) -> str:
    """Return the JSON text of one value, tagged where JSON has no form for it."""
    if type(value) is int and value.bit_length() < _BITS_AS_DECIMAL:
        return str(value)
    return _dumps(_plain(value, 0))


def decode_line(line: bytes | str) -> Op:
    """Return the op of one line. HistoryError says what is wrong with the line; the caller adds which line."""
    try:
        fields = json.loads(line, object_pairs_hook=once)
    except HistoryError:
        raise
    except (ValueError, RecursionError) as error:
        raise HistoryError(f"not JSON ({error}); each line must be one operation") from error
    if not isinstance(fields, dict):
        raise HistoryError("not a JSON object; each line must be one operation")
    for name in _REQUIRED:
        if name not in fields:
            raise HistoryError(f"the field {name!r} is missing; add it")
    if unknown := fields.keys() - _FIELDS:
        raise HistoryError(
            f"the field {min(unknown)!r} is unknown; remove it (known: {', '.join(sorted(_FIELDS))})"
        )
    if fields["type"] not in _WORDS:
        raise HistoryError(f"type is {fields['type']!r}; use one of {', '.join(_WORDS)}")
    return Op(
        index=_integer(fields, "index"),
        time_ns=_integer(fields, "time"),
        process=_process(fields["process"]),
        type=_WORDS[fields["type"]],
        f=_text(fields, "f"),
        key=decode_plain(fields.get("key")),
        value=decode_plain(fields["value"]) if "value" in fields else MISSING,
        error=_text(fields, "error") if fields.get("error") is not None else None,
    )


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these names and values. HistoryError if it has a name twice: which value is meant, nobody can tell."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for name in names if names.count(name) > 1)
        raise HistoryError(f"has the name {name!r} twice in one object; leave one")
    return found


def decode_value(text: bytes | str) -> Any:
    """Return the value of a text that `encode_value` wrote, or of any JSON text."""
    if type(text) is bytes and text.isdigit() and (len(text) == 1 or text[0] != ord("0")):
        return int(text)  # the usual value, a tenth of the time
    return decode_plain(json.loads(text))


def decode_plain(value: Any) -> Any:
    """Return the value with its tags undone. HistoryError for a tag that means nothing."""
    if isinstance(value, list):
        return list(map(decode_plain, value))
    if not isinstance(value, dict):
        return value
    tag = next((name for name in value if name.startswith("$")), None)
    if tag is None:
        return {name: decode_plain(item) for name, item in value.items()}
    if len(value) != 1:
        raise HistoryError(f"an object with the tag {tag!r} has other fields; a tag stands alone")
    return _untag(tag, value[tag])


def _plain(value: Any, depth: int) -> Any:
    """The value in terms that JSON has, tags for the rest."""
    if depth > MAX_DEPTH:
        raise HistoryError(f"a value is nested more than {MAX_DEPTH} deep; record something flatter")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() < _BITS_AS_DECIMAL else {"$int": hex(value)}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if isinstance(value, (list, tuple)):
        return [_plain(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return _plain_dict(value, depth)
    raise HistoryError(
        f"a value of type {type(value).__name__} has no JSON form; record numbers, text, bytes, lists or dicts"
    )


def _plain_dict(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    """A dict: as it is, escaped when a key looks like a tag, or as sorted pairs when a key is not text."""
    if all(isinstance(name, str) for name in value):
        plain = {name: _plain(item, depth + 1) for name, item in value.items()}
        return {"$dict": plain} if any(name.startswith("$") for name in plain) else plain
    pairs = [[_plain(name, depth + 1), _plain(item, depth + 1)] for name, item in value.items()]
    return {"$map": sorted(pairs, key=lambda pair: _dumps(pair[0]))}


def _untag(tag: str, inner: Any) -> Any:
    """The value that `{tag: inner}` stands for. A value has one text only, so what JSON can say itself is not tagged."""
    untag = _UNTAG.get(tag)
    if untag is None:
        raise HistoryError(f"the tag {tag!r} is unknown; escape such a dict as {{'$dict': …}}")
    try:
        return untag(inner)
    except (TypeError, ValueError, AttributeError) as error:
        raise HistoryError(
            f"the tag {tag!r} cannot be read ({error}); write values with encode_value"
        ) from error


def _untag_bytes(inner: Any) -> bytes:
    value = base64.b64decode(inner, validate=True)
    if base64.b64encode(value).decode() != inner:
        raise ValueError("base64 with stray bits or padding")
    return value


def _untag_float(inner: Any) -> float:
    if inner not in ("nan", "inf", "-inf"):
        raise ValueError(f"{inner!r} is none of nan, inf, -inf")
    return float(inner)


def _untag_int(inner: Any) -> int:
    value = int(inner, 16)
    if value.bit_length() < _BITS_AS_DECIMAL or hex(value) != inner:
        raise ValueError("only an integer too big for decimals is tagged")
    return Huge(value)


def _untag_dict(inner: Any) -> dict[str, Any]:
    if not any(name.startswith("$") for name in inner):
        raise ValueError("no name in it begins with $")
    return {name: decode_plain(item) for name, item in inner.items()}


def _untag_map(inner: Any) -> dict[Any, Any]:
    if not isinstance(inner, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in inner):
        raise ValueError("it is no list of pairs")
    if all(isinstance(name, str) for name, _ in inner):
        raise ValueError("all its keys are text")
    return {_hashable(decode_plain(name)): decode_plain(item) for name, item in inner}


_UNTAG: Final[dict[str, Callable[[Any], Any]]] = {
    "$bytes": _untag_bytes,
    "$float": _untag_float,
    "$int": _untag_int,
    "$dict": _untag_dict,
    "$map": _untag_map,
}


def _hashable(value: Any) -> Any:
    """A dict key that was a tuple came as a list; as a key it must be a tuple again."""
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value


def _integer(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, -1)
    if type(value) is not int:
        raise HistoryError(f"{name} is {value!r}; it must be an integer")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise HistoryError(f"{name} is {value!r}; it must be text")
    return value


def _process(value: Any) -> int | str:
    if type(value) is int or isinstance(value, str):
        return value
    raise HistoryError(f"process is {value!r}; it must be an integer or a name")
