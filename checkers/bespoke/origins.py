"""Where did a value come from? The question that every checker asks of what was read.

unexpected      nobody was ever asked to add it (or write, enqueue, append it)
aborted-read    only calls that failed would have added it (or the client called them failed wrongly)
future-read     it was returned before the first call that could add it
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from checkers.bespoke.calls import Call, argument, plain, shown
from checkers.bespoke.judging import Finding


@dataclass(slots=True)
class Origins:
    """The calls that introduce values, by value."""

    calls: dict[Hashable, list[Call]] = field(default_factory=dict)

    @classmethod
    def of(cls, adds: Iterable[Call]) -> Origins:
        """Index these calls by argument."""
        found = cls()
        for add in adds:
            found.calls.setdefault(argument(add), []).append(add)
        return found

    def acked(self, value: Hashable) -> bool:
        """Was it surely added?"""
        return any(add.ok for add in self.calls.get(value, ()))

    def possible(self, value: Hashable) -> Sequence[Call]:
        """The calls that may have added it."""
        return [add for add in self.calls.get(value, ()) if add.possible]

    def wrong(self, value: Hashable, reader: Call) -> Finding | None:
        """What is wrong with the reader's having returned this value?"""
        adds, what = self.calls.get(value, []), shown(plain(value))
        told = f"{reader.f} #{reader.index} returned {what}"
        if not adds:
            return Finding("unexpected", f"{told}, which nobody added", [reader])
        if not any(add.possible for add in adds):
            which = f"{adds[0].f} #{adds[0].index}"
            sentence = f"{told}, but {which} had failed (or the client called it failed wrongly)"
            return Finding("aborted-read", sentence, [reader, adds[0]])
        first = min((add for add in adds if add.possible), key=lambda add: add.call)
        if reader.ret < first.call:
            sentence = f"{told} before {first.f} #{first.index} was called"
            return Finding("future-read", sentence, [reader, first])
        return None
