"""What every explorer is watched by: a register's linearizability, decided step by step (Wing and Gong 1993).

The monitor keeps every *configuration* that explains what was seen: the register's value, and which of the operations that
are still running have taken effect already. An answer keeps the configurations in which it could have been given; none
left is a violation. An operation without an answer stays running for ever. Monitors are values: they can be hashed.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Call(NamedTuple):
    """`kind`: read, write (argument: the value), cas (argument: old, new; answers whether it took effect)."""

    number: int
    kind: str
    argument: Any = None


Configuration = tuple[Any, frozenset[tuple[int, Any]]]  # value, {(operation that took effect, its answer)}


class Monitor(NamedTuple):
    """`running` calls, and the configurations left."""

    running: tuple[Call, ...] = ()
    configurations: frozenset[Configuration] = frozenset([(None, frozenset())])

    def begin(self, call: Call) -> Monitor:
        """An operation is called."""
        return self._replace(running=(*self.running, call))

    def end(self, number: int, answer: Any) -> Monitor:
        """It is answered."""
        left = frozenset(
            (value, done - {(number, answer)}) for value, done in self._closed() if (number, answer) in done
        )
        return Monitor(tuple(call for call in self.running if call.number != number), left)

    def never(self, number: int) -> Monitor:
        """It surely had no effect."""
        left = frozenset(
            (value, done) for value, done in self.configurations if all(each != number for each, _ in done)
        )
        return Monitor(tuple(call for call in self.running if call.number != number), left)

    @property
    def violated(self) -> bool:
        """Nothing explains what was seen."""
        return not self.configurations

    def _closed(self) -> set[Configuration]:
        """Whatever running operations may have taken effect by now."""
        found = set(self.configurations)
        work = list(found)
        while work:
            value, done = work.pop()
            for call in self.running:
                if all(number != call.number for number, _ in done):
                    after, answer = _step(value, call)
                    new = (after, done | {(call.number, answer)})
                    if new not in found:
                        found.add(new)
                        work.append(new)
        return found


def _step(value: Any, call: Call) -> tuple[Any, Any]:
    if call.kind == "read":
        return value, value
    if call.kind == "write":
        return call.argument, None
    old, new = call.argument
    return (new, True) if value == old else (value, False)


class Regular(NamedTuple):
    """Weak regularity, step by step (Lamport 1986; several writers: Shao, Welch, Pierce, Lee 2011): a read shows a write that had begun, and
    none that another one had followed by the time the read began. Each value is written once; None is what was there at first.

    `followed`: the values that an ended write came after. `floors`: of each running read, those it must not show.
    """

    running: tuple[Call, ...] = ()
    begun: frozenset[Any] = frozenset([None])
    ended: frozenset[Any] = frozenset([None])
    before: frozenset[tuple[Any, frozenset[Any]]] = frozenset()
    followed: frozenset[Any] = frozenset()
    floors: frozenset[tuple[int, frozenset[Any]]] = frozenset()
    violated: bool = False

    def begin(self, call: Call) -> Regular:
        """An operation is called."""
        made = self._replace(running=(*self.running, call))
        if call.kind == "read":
            return made._replace(floors=self.floors | {(call.number, self.followed)})
        return made._replace(
            begun=self.begun | {call.argument}, before=self.before | {(call.argument, self.ended)}
        )

    def end(self, number: int, answer: Any) -> Regular:
        """It is answered."""
        call = next(each for each in self.running if each.number == number)
        left = self._replace(running=tuple(each for each in self.running if each != call))
        if call.kind == "read":
            floor = dict(self.floors)[number]
            return left._replace(
                floors=self.floors - {(number, floor)}, violated=answer in floor or answer not in self.begun
            )
        return left._replace(
            ended=self.ended | {call.argument}, followed=self.followed | dict(self.before)[call.argument]
        )
