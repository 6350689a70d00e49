"""Why a small core has no sequential order, where that needs no trying: what each read returned forces an order, and the order is a circle.

    process 0   write x 1 ──session order──► read y nil
                    ▲                            │ read before it was written
                    │ read before                ▼
    process 1   read x nil ◄──session order── write y 2

Two rules, until nothing new follows, for a read that returned what w wrote and any other write u of its key, in whichever order all keys have:

    u comes before the read    ─► u comes before w                 (else the read had returned u, or something later)
    w comes before u           ─► the read comes before u          (the value before any write is of a w that comes before all)

They are sound for every order that keeps sessions, so a circle proves that there is none. They are not complete: of two ways to go on each may be
a dead end, and then there is no circle to show; deciding is NP-complete. Reference: Gibbons & Korach, Testing shared memories, 1997.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from checkers.bespoke.calls import token
from checkers.history import History
from checkers.op import Type
from checkers.order import FORCED, READS, REPLACED, SESSION
from checkers.verdict import Edge

OPS_MAX: Final = 64
Edges = dict[tuple[int, int], Edge]


def circle(history: History, core: Sequence[int]) -> tuple[Edge, ...]:
    """The shortest circle that these calls are forced into, from its first call on; empty if none is, or they are not of registers alone."""
    if len(core) > OPS_MAX or any(history.op(call).f not in ("read", "write") for call in core):
        return ()
    writes = _writes(history, core)
    reads = _reads(history, core, writes)
    if writes is None or reads is None:
        return ()
    taken = {write for _, _, write in reads} | {call for call in core if _ended(history, call)}
    known = _known(history, [call for call in core if call in taken], reads)
    while True:
        before = len(known)
        later = {call: _after(call, known) for call in core}
        for ends, edge in _forced(history, reads, writes, later, taken):
            known.setdefault(ends, edge)
        if found := _shortest(known):
            return found
        if len(known) == before:
            return ()


Write = dict[tuple[object, object], int]
"""By key and value."""


def _ended(history: History, call: int) -> bool:
    end = history.completion(call)
    return end is not None and end.type is Type.OK


def _writes(history: History, core: Sequence[int]) -> Write | None:
    """None if a value is written twice, or null, which is there before any write: then it is not known which write a read saw."""
    found: Write = {}
    for call in core:
        op = history.op(call)
        if op.f == "write":
            name = (token(op.key), token(op.value))
            if name in found or op.value is None:
                return None
            found[name] = call
    return found


def _reads(history: History, core: Sequence[int], writes: Write | None) -> list[tuple[int, object, int | None]] | None:  # fmt: skip
    """(read, its key, the write that it saw or None); None if one saw what no write of the core wrote."""
    found = []
    for call in core:
        op, end = history.op(call), history.completion(call)
        if op.f != "read" or end is None or end.type is not Type.OK:
            continue
        seen = None if end.value is None else (writes or {}).get((token(op.key), token(end.value)))
        if seen is None and end.value is not None:
            return None
        found.append((call, token(op.key), seen))
    return found


def _known(history: History, calls: Sequence[int], reads: Sequence[tuple[int, object, int | None]]) -> Edges:
    """Session order, and reads-from."""
    sessions: dict[object, list[int]] = {}
    for call in sorted(calls):
        sessions.setdefault(history.op(call).process, []).append(call)
    steps = (step for session in sessions.values() for step in pairwise(session))
    edges = {(one, other): Edge(one, other, SESSION) for one, other in steps}
    return edges | {(write, read): Edge(write, read, READS) for read, _, write in reads if write is not None}


def _after(call: int, known: Edges) -> set[int]:
    """What comes after a call, as far as it is known."""
    seen, waiting = set[int](), [call]
    while waiting:
        at = waiting.pop()
        fresh = {other for one, other in known if one == at} - seen
        seen |= fresh
        waiting += fresh
    return seen


def _forced(
    history: History, reads: Sequence[tuple[int, object, int | None]], writes: Write | None, later: dict[int, set[int]], taken: set[int | None]
) -> Iterator[tuple[tuple[int, int], Edge]]:  # fmt: skip
    """What the two rules add, by its ends. A write of unknown outcome that nobody read may never have been, and forces nothing."""
    for read, key, seen in reads:
        for (other_key, _), other in (writes or {}).items():
            if other_key != key or other == seen or other not in taken:
                continue
            if seen is None or other in later[seen]:
                yield (read, other), Edge(read, other, REPLACED, () if seen is None else (seen,))
            elif read in later[other]:
                yield (other, seen), Edge(other, seen, FORCED, (read,))


def _shortest(known: Edges) -> tuple[Edge, ...]:
    """By breadth first, from each call; of as short ones that with the first call."""
    best: tuple[Edge, ...] = ()
    for start in sorted({one for one, _ in known}):
        found = _round(start, known)
        if found and (not best or len(found) < len(best)):
            best = found
    return best


def _round(start: int, known: Edges) -> tuple[Edge, ...]:
    came, waiting = dict[int, Edge](), deque([start])
    while waiting:
        at = waiting.popleft()
        for (one, other), edge in known.items():
            if one != at or other in came:
                continue
            came[other] = edge
            if other == start:
                path = [edge]
                while path[-1].before != start:
                    path.append(came[path[-1].before])
                return tuple(reversed(path))
            waiting.append(other)
    return ()
