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
