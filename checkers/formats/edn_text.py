"""Values and operations to EDN text, so that `edn.parse` gives them back.

    None  True  1.5  "text"  [1, 2]  {"a": 1}          nil  true  1.5  "text"  [1 2]  {"a" 1}
    inf   bytes                very big ints           ##Inf   #quorate/bytes "…"   #quorate/int "0x…"

Text is always written as text, never as a keyword: what was read from `:a` comes out as `"a"`.
"""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any, Final

from checkers.formats.edn import MAX_DEPTH
from checkers.jsonl import HistoryError
from checkers.op import MISSING, Op

_BITS_AS_DECIMAL: Final = 13_000
_TAG: Final = re.compile(r"#[A-Za-z][A-Za-z0-9._/-]*")
_KEYWORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_quoted: Final = json.JSONEncoder().encode


def write_value(value: Any, depth: int = 0) -> str:
    """The EDN text of one value. HistoryError for what has no form."""
    if depth > MAX_DEPTH - 10:
        raise HistoryError(f"a value is nested more than {MAX_DEPTH - 10} deep; record something flatter")
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value)) if value.bit_length() < _BITS_AS_DECIMAL else f'#quorate/int "{value:#x}"'
    if isinstance(value, str):
        return _quoted(str(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else _special(value)
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(write_value(item, depth + 1) for item in value)}]"
    if isinstance(value, dict):
        return _write_map(value, depth)
    if isinstance(value, (bytes, bytearray)):
        return f'#quorate/bytes "{base64.b64encode(value).decode("ascii")}"'
    raise HistoryError(
        f"a value of type {type(value).__name__} has no EDN form; use numbers, text, bytes, lists or dicts"
    )


def _special(value: float) -> str:
    return "##NaN" if math.isnan(value) else "##Inf" if value > 0 else "##-Inf"


def _write_map(value: dict[Any, Any], depth: int) -> str:
    """A map, or the tagged literal that `edn` reads as such a map."""
    if len(value) == 1:
        [(name, item)] = value.items()
        if isinstance(name, str) and _TAG.fullmatch(name) and not name.startswith("#quorate/"):
            return f"{name} {write_value(item, depth + 1)}"
    pairs = (f"{write_value(name, depth + 1)} {write_value(item, depth + 1)}" for name, item in value.items())
    return "{" + ", ".join(pairs) + "}"


def write_op(op: Op) -> bytes:
    """One record as a line of Jepsen's EDN, with its newline."""
    if type(op.process) is not int and op.process != "nemesis":
        raise HistoryError(f"the process {op.process!r} has no form in EDN; use integers, and 'nemesis'")
    fields = [f":index {op.index}", f":time {op.time_ns}"] if op.time_ns >= 0 else [f":index {op.index}"]
    process = op.process if type(op.process) is int else ":nemesis"
    fields += [f":process {process}", f":type :{op.type.word}", f":f {_word(op.f)}"]
    if op.key is not None:
        fields.append(f":key {write_value(op.key)}")
    if op.value is not MISSING:
        fields.append(f":value {_write_txn(op.value) if op.f == 'txn' else write_value(op.value)}")
    if op.error is not None:
        fields.append(f":error {write_value(op.error)}")
    return f"{{{', '.join(fields)}}}\n".encode()


def _word(name: str) -> str:
    """A keyword if the name can be one, or else text."""
    return f":{name}" if _KEYWORD.fullmatch(name) else write_value(name)


def _write_txn(value: Any) -> str:
    """Micro-operations, their names as keywords."""
    if not isinstance(value, list) or not all(
        isinstance(item, list) and item and isinstance(item[0], str) for item in value
    ):
        return write_value(value)
    items = (f"[{' '.join([_word(item[0]), *map(write_value, item[1:])])}]" for item in value)
    return f"[{' '.join(items)}]"
