"""tape.jsonl: the tape of a run as a file. A line for each stream, each with a sum of its own, so that damage has a name.

{"tape": 1, "plan": "5e0c…"}                                             the sum of the plan.toml that it belongs to
{"stream": "net", "sum": "91d3…", "draws": [0.1318, 0.0211, …]}          what `random` gave
{"stream": "node/n1", "sum": "77ab…", "draws": [0.4404, [2, 3], …]}      [2, 3]: `getrandbits` gave 2, of 3 bits
{"streams": 2}                                                           the end; without it the file was cut off
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.worlds.sim.tape import Draw, TapeError

NAME: Final = "tape.jsonl"
FORMAT: Final = 1
_encode, _decode = msgspec.json.encode, msgspec.json.decode


def written(draws: Mapping[str, Sequence[Draw]], plan: str) -> bytes:
    """The file of a tape of the run of a plan, which is given as text."""
    lines = [_encode({"tape": FORMAT, "plan": _sum(plan.encode())})]
    lines += [
        _encode({"stream": name, "sum": _sum(_encode(drawn)), "draws": drawn})
        for name, drawn in draws.items()
    ]
    lines.append(_encode({"streams": len(draws)}))
    return b"".join(line + b"\n" for line in lines)


def read_tape(path: Path, plan: str) -> dict[str, list[Draw]]:
    """The tape in a file. Raises TapeError: no tape, damaged, cut off, or of another plan."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TapeError(f"{path} cannot be read: {error.strerror}") from None
    head, *parts, end, rest = _parsed(path, lines)
    if head.get("tape") != FORMAT:
        raise TapeError(f"{path} is no tape of format {FORMAT}: it begins with {lines[0][:60].decode(errors='replace')!r}")  # fmt: skip
    if rest or end.keys() != {"streams"}:
        raise TapeError(f"{path} was cut off after line {len(parts) + 1}: the line that ends a tape is missing; record it anew")  # fmt: skip
    if head.get("plan") != _sum(plan.encode()):
        raise TapeError(f"{path} is the tape of another plan: the plan.toml beside it was changed since")
    tape = dict(_stream(path, number, part) for number, part in enumerate(parts, 2))
    if len(tape) != end["streams"] or len(tape) != len(parts):
        raise TapeError(f"{path} has {len(tape)} streams, and its last line says {end['streams']!r}")
    return tape


def _parsed(path: Path, lines: Sequence[bytes]) -> list[dict[str, Any]]:
    """The lines as tables, four at least; an empty one for the end of the file."""
    tables = []
    for number, line in enumerate(lines, 1):
        try:
            table = _decode(line) if line else {}
        except (msgspec.DecodeError, RecursionError):
            raise TapeError(f"{path}:{number}: no line of a tape; record it anew") from None
        tables.append(table if isinstance(table, dict) else {})
    return tables + [{}] * (3 - len(tables))


def _stream(path: Path, number: int, table: Mapping[str, Any]) -> tuple[str, list[Draw]]:
    name, draws = table.get("stream"), table.get("draws")
    if not isinstance(name, str) or not isinstance(draws, list):
        raise TapeError(f"{path}:{number}: no stream of a tape")
    if table.get("sum") != _sum(_encode(draws)):
        raise TapeError(f"{path}:{number}: stream {name!r} was changed: its draws do not have the sum that stands beside them")  # fmt: skip
    try:
        return name, msgspec.convert(draws, list[Draw])
    except msgspec.ValidationError as error:
        raise TapeError(f"{path}:{number}: stream {name!r} has what is no draw: {error}") from None


def _sum(data: bytes) -> str:
    return sha256(data).hexdigest()[:16]
