"""The histories of the table: long random ones and small hard ones, as JSON lines for us and as plain lines for Porcupine."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from heapq import heapify, heapreplace
from pathlib import Path
from typing import NamedTuple

NEVER = 1 << 62


class Row(NamedTuple):
    """One operation, times in ns. `out` is what a read returned or a cas expected; None is the value before any write."""

    process: int
    key: int
    f: str
    arg: int | None
    out: int | None
    status: str
    call: int
    end: int


def register(
    ops: int,
    clients: int,
    *,
    values: int = 0,
    cas: float = 0.0,
    info: float = 0.0,
    keys: int = 1,
    stale: bool = False,
    seed: int = 1,
) -> list[Row]:
    """Valid by construction: each operation takes effect at a random instant of its interval; half of them read.

    `values` 0 means that no value is written twice. `stale`: one read in the last tenth returns what was surely overwritten.
    """
    rng = random.Random(seed)
    free = [(rng.randrange(1_000_000), client) for client in range(clients)]
    heapify(free)
    plan = []
    for n in range(ops):
        call, client = free[0]
        end = call + rng.randrange(500_000, 1_500_000)
        heapreplace(free, (end + 1 + rng.randrange(100_000), client))
        plan.append((rng.randint(call, end), n, call, end, client))
    held: list[int | None] = [None] * keys
    written: list[list[int]] = [[] for _ in range(keys)]
    rows, renamed, fresh = [], {}, clients
    for _, n, call, end, client in sorted(plan):
        key, roll, new = rng.randrange(keys), rng.random(), rng.randint(1, values) if values else n + 1
        process, status = renamed.get(client, client), "ok"
        if roll < cas:
            fits = rng.random() < 0.5
            old = held[key] if fits else -2
            rows.append(Row(process, key, "cas", new, old, "ok" if fits else "fail", call, end))
            held[key] = new if fits else held[key]
        elif roll < 0.5 + cas / 2:
            rows.append(Row(process, key, "read", None, held[key], "ok", call, end))
        else:
            if rng.random() < info * 2:
                status, renamed[client], fresh = "info", fresh, fresh + 1
            rows.append(Row(process, key, "write", new, None, status, call, end))
            held[key] = new
            written[key].append(new)
    if stale:
        late = next(n for n in range(ops * 95 // 100, ops) if rows[n].f == "read")
        old = written[rows[late].key][len(written[rows[late].key]) // 2]
        rows[late] = rows[late]._replace(out=old)
    return rows


def _write(value: int, call: int, end: int, status: str = "ok") -> tuple[str, int, str, int, int]:
    return ("write", value, status, call, end)


def _read(value: int, call: int, end: int) -> tuple[str, int, str, int, int]:
    return ("read", value, "ok", call, end)


def shapes(k: int) -> Iterator[tuple[str, str, list[Row]]]:
    """Small histories that defeat a search, with their verdict."""
    storm = [_write(10 + n, 10, 20) for n in range(k)]
    yield "first-of-k", "valid", _rows([*storm, _read(10, 30, 31)])
    yield "none-of-k", "invalid", _rows([_write(1, 0, 1), *storm, _read(1, 30, 31)])
    late = [_read(9 + k - n, 30 + 2 * n, 31 + 2 * n) for n in range(k)]
    yield "reversed-reads", "valid", _rows([*[_write(10 + n, 10, 10 * k + 1000) for n in range(k)], *late])
    seen = [_read(10 + n, 10, 20) for n in range(k)]
    stale = [_write(1, 0, 1), _write(2, 2, 3), *storm, *seen, _read(1, 10, 20)]
    yield "stale-in-storm", "invalid", _rows(stale)
    batches = []
    for begin in range(0, 1000, 10):
        batches += [_write(begin * k + n, begin, begin + 5) for n in range(k)]
        batches.append(_read(begin * k, begin + 6, begin + 7))
    yield "batches", "valid", _rows(batches)
    lost = [_write(10_000 + n, 0, NEVER, "info") for n in range(k)]
    pairs = [
        op for n in range(100) for op in (_write(n, 10 + 4 * n, 11 + 4 * n), _read(n, 12 + 4 * n, 13 + 4 * n))
    ]
    yield "crashed-valid", "valid", _rows([*lost, *pairs])
    yield "crashed-invalid", "invalid", _rows([*lost, *pairs, _read(50, 1000, 1001)])


def _rows(ops: Sequence[tuple[str, int, str, int, int]]) -> list[Row]:
    return [
        Row(n, 0, f, value if f == "write" else None, value if f == "read" else None, status, call, end)
        for n, (f, value, status, call, end) in enumerate(ops)
    ]


def save(rows: Sequence[Row], ours: Path, theirs: Path) -> None:
    """Both files."""
    with ours.open("w") as file:
        file.writelines(our_lines(rows))
    save_plain(rows, theirs)


def our_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Records in order of time, a call before a return at the same instant."""

    def text(value: int | None) -> str:
        return "null" if value is None else str(value)

    events = []
    for n, row in enumerate(rows):
        head = f'{{"process":{row.process},"f":"{row.f}","key":{row.key},"type":'
        given = f"[{text(row.out)},{row.arg}]" if row.f == "cas" else text(row.arg)
        shown = text(row.out) if row.f == "read" else given
        events.append((row.call, 0, n, f'{head}"invoke","value":{given},"time":{row.call}}}\n'))
        if row.status != "info":
            events.append((row.end, 1, n, f'{head}"{row.status}","value":{shown},"time":{row.end}}}\n'))
    events.sort()
    return (line for *_, line in events)


def save_plain(rows: Sequence[Row], path: Path) -> None:
    """Only Porcupine's."""

    def number(value: int | None) -> int:
        return -1 if value is None else value

    with path.open("w") as file:
        for row in rows:
            end = NEVER if row.status == "info" else row.end
            old, out = (number(row.out), -1) if row.f == "cas" else (-1, number(row.out))
            file.write(f"{row.key} {row.f[0]} {number(row.arg)} {old} {out} {row.status} {row.call} {end}\n")


def grown(model: str, ops: int, clients: int = 10, seed: int = 1) -> Iterator[bytes]:
    """A counter or an append-list: each operation takes effect in the middle of its interval. A list is read where it is short, or it would
    be quadratic to write down: one append in so many starts a fresh key."""
    rng = random.Random(seed)
    held: list[int] = []
    total, key, records = 0, 0, []
    for at in range(ops):
        middle, half = at * 1000, rng.randint(1, clients * 500)
        if model == "append-list":
            if len(held) == 40 and rng.random() < 0.1:
                held, key = [], key + 1
            grow = rng.random() < 0.5 and len(held) < 40
            if grow:
                held.append(at)
            f, given, shown = ("append", f"{at}", f"{at}") if grow else ("read", "null", f"{held}")
        else:
            grow = rng.random() < 0.5
            total += grow
            f, given, shown = ("add", "1", "1") if grow else ("read", "null", f"{total}")
        head = f'{{"process":{at},"f":"{f}","key":{key},"type":'
        records.append((middle - half, 0, at, f'{head}"invoke","value":{given}'))
        records.append((middle + half, 1, at, f'{head}"ok","value":{shown}'))
    records.sort()
    return (f'{line},"time":{when + 10**7}}}\n'.encode() for when, _, _, line in records)
