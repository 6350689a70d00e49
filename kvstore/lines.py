"""One line per key: ops of one node that would outbid each other go one after the other.

    enter(first) -> True      enter(second) -> False      leave(first) -> second      leave(second) -> None

It is about speed and request ids, not about safety: other nodes have lines of their own.
"""

from __future__ import annotations

from collections import deque

from kvstore.flows.steps import Op


class Lines:
    """Who waits for which key; the first in a line has its turn."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[tuple[str, bytes], deque[Op]] = {}

    def enter(self, op: Op) -> bool:
        """Stand in line; True if it is this op's turn at once."""
        op.turn = True
        place = (op.bucket.name, op.key)
        line = self._lines.get(place)
        if line is None:
            self._lines[place] = deque((op,))
            return True
        line.append(op)
        return False

    def leave(self, op: Op) -> Op | None:
        """The op is done; whose turn it is now, if somebody's begins. Ops that are done while they wait are passed over."""
        place = (op.bucket.name, op.key)
        line = self._lines[place]
        if line[0] is not op:
            return None
        while line and line[0].done:
            line.popleft()
        if line:
            return line[0]
        del self._lines[place]
        return None
