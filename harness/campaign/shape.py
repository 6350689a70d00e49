r"""The shape of a violation: its core made as small as it gets, and written so that two runs with the same bug have the same text.

    core of the run                      fewest calls, loosest order              renamed, in an order of its own
    P7 |-w 104-|                         a  |---w 104---|
    P9           |-w 107-|          ──►  b                |---w 107---|      ──►  write a, write b after 1, read a after 2
    P2                     |-r 104-|     c                              |-r 104
    P3  |-r 90-|

A call is left out, a call is begun earlier or ended later, the processes are taken away, as long as the same claim is broken in the same way: what
stays is what the violation needs. Then values, keys and processes are named as they come (`harness.campaign.canonical`). Of a core that stays large
only the calls are counted: nobody would compare more.

Reference: Lamport, "On interprocess communication", 1986 (precedence).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, permutations
from typing import Final, NamedTuple

from checkers.history import History
from checkers.op import Op, Type
from harness.campaign.canonical import Call, Relations, canonical, ending, pattern

TESTS_MAX: Final = 400  # judgements of smaller cores; what they do not bring about stays as it is
CALLS_MAX: Final = 12  # that are written out
Breaks = Callable[[History], bool]  # is the same claim broken in the same way?


class Shape(NamedTuple):
    """What is left of a core as text, and its pattern: what two runs with the same bug have in common. Both are "" without a core."""

    text: str
    pattern: str


def shape_of(history: History, core: Sequence[int], breaks: Breaks) -> Shape:
    """The shape of the violation that the operations `core` prove."""
    calls = calls_of(history, core)
    tests = iter(range(TESTS_MAX))

    def still(tried: Sequence[Call]) -> bool:
        return next(tests, None) is not None and bool(tried) and breaks(history_of(tried))

    own_proof = still(calls)  # else the core says it only with what is around it
    calls = _fewer(calls, still) if own_proof else calls
    if not calls or len(calls) > CALLS_MAX:
        return Shape(_counted(calls), _counted(calls))
    if not own_proof:
        return _written(calls, relations(calls), processes=True)
    alone = [call._replace(process=seat) for seat, call in enumerate(calls)]
    if still(alone):
        return _loosest(alone, still, processes=False)
    own = frozenset((a, b) for a, b in relations(calls) if calls[a].process == calls[b].process)
    if all(map(still, _one_by_one(calls))):  # what one process did before another began means nothing
        return _written(calls, own, processes=True)
    return _loosest(calls, still, processes=True)


def _written(calls: Sequence[Call], related: Relations, *, processes: bool) -> Shape:
    text = canonical(calls, related, processes=processes)
    return Shape(text, pattern(calls, related) or text)


def calls_of(history: History, core: Sequence[int]) -> list[Call]:
    """The calls of a core, in the order in which they were made."""
    made = []
    for index in sorted(core):
        op, done = history.op(index), history.completion(index)
        if op.type is not Type.INVOKE or not isinstance(op.process, int):
            continue
        ended = done if done is not None and done.type is not Type.INVOKE else None
        open_ = ended is None or ended.type is Type.INFO
        made.append(Call(op.process, op, ended, op.index, None if open_ or ended is None else ended.index))
    return made


def history_of(calls: Sequence[Call]) -> History:
    """The calls as a history of their own; what never returned ends when all is over."""
    last = max(chain((call.begin for call in calls), (call.end or 0 for call in calls))) + 1
    marks = sorted(
        chain.from_iterable(((call.begin, place, call.op), (call.end or last, place, call.done)) for place, call in enumerate(calls)),
        key=lambda mark: mark[:2],
    )  # fmt: skip
    ops = [(calls[place].process, op) for _, place, op in marks if op is not None]
    return History.from_ops(
        Op(index, index * 1_000_000, process, op.type, op.f, op.key, op.value, op.error) for index, (process, op) in enumerate(ops)
    )  # fmt: skip


def _fewer(calls: list[Call], still: Callable[[Sequence[Call]], bool]) -> list[Call]:
    for call in reversed(calls):
        without = [other for other in calls if other is not call]
        if still(without):
            calls = without
    return calls


def _loosest(calls: list[Call], still: Callable[[Sequence[Call]], bool], processes: bool) -> Shape:
    """Let calls begin before others have returned, and return after others have begun, in every order; the least of all that come of it."""
    judged: dict[Relations, bool] = {}
    waiting, ends = [calls], list[tuple[int, int, Shape]]()
    while waiting:
        state, loosest = waiting.pop(), True
        for tried in chain.from_iterable(_moves(state, place) for place in range(len(calls))):
            if (related := relations(tried)) not in judged:
                judged[related] = still(tried)
                waiting += [tried] if judged[related] else []
            loosest &= not judged[related]
        if loosest:
            related = relations(state)
            shape = _written(state, related, processes=processes)
            ends.append((len(related), len(shape.text), shape))
    return min(ends)[2]


def _one_by_one(calls: Sequence[Call]) -> Iterator[list[Call]]:
    """All that a process did, then all that the next did, in every order of the processes."""
    long = 2 + max(max(call.begin, call.end or 0) for call in calls)
    for order in permutations(sorted({call.process for call in calls})):
        late = {process: place * long for place, process in enumerate(order)}
        yield [
            call._replace(begin=call.begin + late[call.process], end=None if call.end is None else call.end + late[call.process])
            for call in calls
        ]  # fmt: skip


def relations(calls: Sequence[Call]) -> Relations:
    """Which call had returned before which began."""
    return frozenset(
        (a, b) for a, one in enumerate(calls) for b, other in enumerate(calls) if one.before(other)
    )


def _moves(calls: list[Call], place: int) -> Iterator[list[Call]]:
    """One relation less: past the last return before its begin, past the first begin after its end. Never past its own process."""
    spread = [
        call._replace(begin=2 * call.begin, end=None if call.end is None else 2 * call.end) for call in calls
    ]
    call = spread[place]
    ends = [other for other in spread if other.before(call)]
    if ends and (latest := max(ends, key=lambda other: other.end or 0)).process != call.process:
        yield [*spread[:place], call._replace(begin=(latest.end or 0) - 1), *spread[place + 1 :]]
    begins = [other for other in spread if call.before(other)]
    if begins and (first := min(begins, key=lambda other: other.begin)).process != call.process:
        yield [*spread[:place], call._replace(end=first.begin + 1), *spread[place + 1 :]]


def _counted(calls: Sequence[Call]) -> str:
    names = sorted(call.op.f + ending(call) for call in calls)
    return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
