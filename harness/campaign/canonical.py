r"""A few calls written so that all that are alike have the same text, whatever their values, keys and processes are called.

    write 104 by 7, write 107 by 9, read 104 by 2    ┐
    write 31 by 2, write 33 by 0, read 31 by 9       ┴─►    write a, write b after 1, read a after 2

"after 1" means that call 1 had returned before this one began; what follows from that by itself is not said. The order of the calls is the one that
canonical labelling gives: colours are refined by what is before, behind, of the same process, of the same key and of the same value; calls that
stay alike are tried in every order, and the least text wins.

The pattern of the calls is coarser: which value's calls are before which other's. Of the three above it is "a before b, b before a", and so it is of
many that differ in who read what on the way.

Reference: McKay & Piperno, "Practical graph isomorphism, II", 2014.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, permutations
from typing import Any, Final, NamedTuple

from checkers.jsonl import encode_value
from checkers.op import MISSING, Op, Type

CHOICES_MAX: Final = (
    300  # among calls that stay alike; then the first is taken, and calls that are alike may have two texts
)
VALUES_MAX: Final = 6  # of a pattern
Relations = frozenset[tuple[int, int]]  # (a, b): call a had returned when call b began


class Call(NamedTuple):
    """One operation of the core. `begin` and `end` are places in time; `end` is None if it never returned for certain."""

    process: int
    op: Op
    done: Op | None
    begin: int
    end: int | None

    def before(self, other: Call) -> bool:
        """Had it returned when the other began?"""
        return self.end is not None and self.end < other.begin


def canonical(calls: Sequence[Call], related: Relations, *, processes: bool) -> str:
    """The text of the calls. `processes`: who called what is part of it."""
    shown = _Shown(calls, related, processes)
    return min(map(shown.text, shown.orders(shown.ranks(), iter(range(CHOICES_MAX)))))


class _Shown:
    """Calls that are to be put in an order of their own. `before[b]` has the places of the calls that had returned when call b began."""

    def __init__(self, calls: Sequence[Call], related: Relations, processes: bool) -> None:
        every = range(len(calls))
        self.calls, self.processes = calls, processes
        self.before = [{a for a in every if (a, b) in related} for b in every]
        self.behind = [{b for b in every if (a, b) in related} for a in every]
        self.with_it = [
            {b for b in every if processes and calls[a].process == calls[b].process} for a in every
        ]
        self.keys = [encode_value(call.op.key) for call in calls]
        self.of_key = [{b for b in every if self.keys[a] == self.keys[b]} for a in every]
        self.held = [[encode_value(atom) for atom in _atoms(_values(call))] for call in calls]

    def orders(self, ranks: list[int], choices: Iterator[int]) -> Iterator[list[int]]:
        """All orders that the colours leave open: of the first calls that are alike, each is put first once."""
        ranks = self.refined(ranks)
        alike = sorted(rank for rank in set(ranks) if ranks.count(rank) > 1)
        if not alike:
            yield sorted(range(len(ranks)), key=ranks.__getitem__)
            return
        for first in (place for place, rank in enumerate(ranks) if rank == alike[0]):
            chosen = [2 * rank + (rank >= alike[0] and place != first) for place, rank in enumerate(ranks)]
            yield from self.orders(chosen, choices)
            if next(choices, None) is None:
                return

    def ranks(self) -> list[int]:
        """What can be said of a call by itself, and how many are before and behind it."""
        return _numbered([
            (len(self.before[place]), -len(self.behind[place]), call.op.value is MISSING, call.op.f, ending(call), _named(_values(call), {}))
            for place, call in enumerate(self.calls)
        ])  # fmt: skip

    def refined(self, ranks: list[int]) -> list[int]:
        """Colours by the colours of what a call is related to, until no more classes come of it."""
        related = tuple(zip(self.before, self.behind, self.with_it, self.of_key, strict=True))
        while True:
            used: dict[bytes | str, list[tuple[int, int]]] = {}
            for rank, atoms in zip(ranks, self.held, strict=True):
                for position, atom in enumerate(atoms):
                    used.setdefault(atom, []).append((rank, position))
            finer = _numbered([
                (rank, [sorted(ranks[at] for at in part) for part in parts], [sorted(used[atom]) for atom in atoms])
                for rank, parts, atoms in zip(ranks, related, self.held, strict=True)
            ])  # fmt: skip
            if len(set(finer)) == len(set(ranks)):
                return finer
            ranks = finer

    def text(self, order: Sequence[int]) -> str:
        """The calls in this order, everything named as it comes."""
        names: dict[Any, str] = {}
        seats: dict[int, int] = {}
        key_seats: dict[Any, int] = {}
        said = []
        for at in order:
            call = self.calls[at]
            who = f"P{seats.setdefault(call.process, len(seats))} " if self.processes else ""
            of = f" of key {key_seats.setdefault(self.keys[at], len(key_seats))}" if len(set(self.keys)) > 1 else ""  # fmt: skip
            values = "".join(f" {_named(value, names)}" for value in _values(call))
            last = {a for a in self.before[at] if not self.behind[a] & self.before[at]}
            after = [str(place) for place, a in enumerate(order, 1) if a in last]
            when = f" after {' and '.join(after)}" if after else ""
            said.append(f"{who}{call.op.f}{values}{of}{ending(call)}{when}")
        return ", ".join(said)


def _numbered(told: Sequence[Any]) -> list[int]:
    places = {repr(each): place for place, each in enumerate(sorted(told))}
    return [places[repr(each)] for each in told]


def ending(call: Call) -> str:
    """How it came out, if not well."""
    return "" if call.done is not None and call.done.type is Type.OK else " failed" if call.end is not None else " open"  # fmt: skip


def _values(call: Call) -> list[Any]:
    """The argument, and the result if it is another value."""
    given, came = (
        call.op.value,
        call.done.value if call.done is not None and call.done.type is Type.OK else MISSING,
    )
    known = [] if given is MISSING else [given]
    return (
        known if came is MISSING or (known and encode_value(came) == encode_value(given)) else [*known, came]
    )


def _atoms(value: Any) -> Iterator[Any]:
    """What values are made of, nothing excepted: that there is none is said as it is."""
    if isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_atoms, value))
    elif isinstance(value, dict):
        yield from chain.from_iterable(map(_atoms, chain.from_iterable(value.items())))
    elif value is not None and not isinstance(value, bool):
        yield value


def pattern(calls: Sequence[Call], related: Relations) -> str:
    """Which value's calls are before which other's; "" if there is nothing of the kind, or more values than anybody compares."""
    held = [
        {(encode_value(call.op.key), encode_value(atom)) for atom in _atoms(_values(call))} for call in calls
    ]
    edges = {(one, other) for a, b in related for one in held[a] for other in held[b] if one != other}
    values = sorted(set(chain.from_iterable(edges)))
    if len(values) > VALUES_MAX:
        return ""
    texts = []
    for order in permutations(values):
        names = {value: _letters(place) for place, value in enumerate(order)}
        texts.append(sorted(f"{names[one]} before {names[other]}" for one, other in edges))
    return ", ".join(min(texts))


def _named(value: Any, names: dict[Any, str]) -> str:
    """The value with its parts named: a, b, … as they come."""
    if isinstance(value, list | tuple):
        return f"[{' '.join(_named(part, names) for part in value)}]"
    if isinstance(value, dict):
        return f"{{{' '.join(f'{_named(key, names)}:{_named(part, names)}' for key, part in value.items())}}}"
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    return names.setdefault(encode_value(value), _letters(len(names)))


def _letters(number: int) -> str:
    more, last = divmod(number, 26)
    return (_letters(more - 1) if more else "") + chr(ord("a") + last)
