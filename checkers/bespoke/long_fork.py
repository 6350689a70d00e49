"""long-fork: two reads that see two writes in opposite orders. Parallel snapshot isolation allows it, snapshot isolation does not.

    write x          write y
    read  x = 1, y = nil        read  x = nil, y = 1         no order of the two writes explains both

Operations are transactions: [["w", k, v]] writes one key, [["r", k, v], …] reads several. Each key is written at most once.

From: Jepsen, `jepsen.tests.long-fork` (jepsen/src/jepsen/tests/long_fork.clj); Sovran, Power, Aguilera, Li, Transactional storage for geo-replicated
systems (SOSP 2011). Its `reads-count`, `early-read-count` (all nil) and `late-read-count` (none nil). Mended: reads of different groups are compared
on the keys that they share; values nobody wrote are found, if writes are recorded at all.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from itertools import permutations
from typing import Any, Final

from checkers.bespoke.calls import Call, Unfit, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.history import History
from checkers.verdict import Result

FUNCTIONS: Final = ("txn", "read", "write")
_Write = tuple[Hashable, Call]


def check_long_fork(history: History) -> Result:
    """INVALID if two reads disagree on the order of two writes."""
    return judged("long-fork", history, FUNCTIONS, _judge)


def _micro(value: Any, call: Call) -> list[tuple[str, Hashable, Any]]:
    """The micro-operations. Raises Unfit."""
    if not isinstance(value, list) or not all(isinstance(item, list) and len(item) == 3 for item in value):
        raise Unfit(f'{call.f} #{call.index} is no list of ["r", key, value] or ["w", key, value]')
    return [(str(f), token(key), item) for f, key, item in value]


def _judge(calls: list[Call]) -> Outcome:
    written, reads = _sort(calls)
    values: dict[Hashable, Hashable] = {}
    findings: list[Finding] = []
    forks: dict[tuple[Hashable, Hashable], Call] = {}
    pairs: dict[frozenset[Hashable], int] = {}
    for read, seen in reads:
        for key, value in seen.items():
            if value is None:
                continue
            if values.setdefault(key, token(value)) != token(value):
                raise Unfit(f"key {shown(plain(key))} was seen with two values; write each key once")
            if written and (wrong := _from_nowhere(read, key, value, written)) is not None:
                findings.append(wrong)
        for one, two in permutations(seen, 2):
            pairs[frozenset((one, two))] = pairs.get(frozenset((one, two)), 0) + 1
            if seen[one] is None or seen[two] is not None:
                continue
            forks.setdefault((one, two), read)
            if (other := forks.get((two, one))) is not None:
                findings.insert(0, _fork(other, read, two, one))
    stats = {
        "reads-count": len(reads),
        "early-read-count": sum(all(item is None for item in seen.values()) for _, seen in reads),
        "late-read-count": sum(None not in seen.values() for _, seen in reads),
    }
    compared = any(count > 2 for count in pairs.values())
    untested = None if compared else "no two reads share two keys, so nothing was tested"
    idle = None if values else "no read saw a write, so nothing was tested"
    reason = f"{len(reads)} reads agree on an order of the writes they show"
    return Outcome(reason, findings, untested, stats, idle)


def _sort(
    calls: list[Call],
) -> tuple[dict[Hashable, _Write], list[tuple[Call, dict[Hashable, Any]]]]:
    """The write of each key, one that failed if there is no other, and the reads with what they saw."""
    written: dict[Hashable, _Write] = {}
    reads = []
    for call in calls:
        micro = _micro(call.value, call)
        writes = [(key, token(item)) for f, key, item in micro if f == "w"]
        for key, value in writes:
            if call.possible and key in written and written[key][1].possible:
                raise Unfit(f"key {shown(plain(key))} is written twice; write each key once")
            if call.possible or key not in written:
                written[key] = (value, call)
        if writes and len(micro) > 1:
            raise Unfit(f"{call.f} #{call.index} writes and does more; a write stands alone")
        if call.ok and not writes:
            reads.append((call, {key: item for _, key, item in _micro(call.result, call)}))
    return written, reads


def _from_nowhere(
    read: Call, key: Hashable, value: Any, written: Mapping[Hashable, _Write]
) -> Finding | None:
    """A value that no write can have left. The core has a write too, for without any nothing is known of what was written."""
    of_key = written.get(key)
    if of_key is not None and of_key[0] == token(value) and of_key[1].possible:
        return None
    _, write = of_key if of_key is not None else next(iter(written.values()))
    told = f"{read.f} #{read.index} saw {shown(plain(key))} = {shown(value)}, which nobody wrote"
    if of_key is not None and of_key[0] == token(value):
        told = f"{read.f} #{read.index} saw {shown(plain(key))} = {shown(value)}, but {write.f} #{write.index} had failed"
    return Finding("unexpected", told, [write, read])


def _fork(a: Call, b: Call, first: Hashable, second: Hashable) -> Finding:
    x, y = shown(plain(first)), shown(plain(second))
    sentence = f"{a.f} #{a.index} saw the write of {x} and not that of {y}; {b.f} #{b.index} saw that of {y} and not that of {x}"
    return Finding("long-fork", sentence, [a, b])
