"""Histories of any object in few words: rows (f, argument, result, status, call, ret), each a process of its own unless one is given."""

from __future__ import annotations

from checkers import MISSING, History, invoke
from checkers.op import Op

NONE = MISSING


def rows(found: list[tuple]) -> History:
    """A row is (f, argument, result, status, call, ret) and may end with a process."""
    events: list[tuple[int, int, int, Op]] = []
    for n, row in enumerate(found):
        f, argument, result, status, call, ret, *process = row
        who = process[0] if process else n
        events.append((call, 0, n, invoke(who, f, value=argument, time_ns=call)))
        end = invoke(who, f, value=argument, time_ns=ret)
        if status == "ok":
            events.append((ret, 1, n, invoke(who, f, value=result, time_ns=ret).ok()))
        elif status == "fail":
            events.append((ret, 1, n, end.fail("refused")))
    return History.from_ops(op for *_, op in sorted(events, key=lambda event: event[:3]))


def one_by_one(*ops: tuple) -> History:
    """(f, argument[, result[, status[, process]]]): one after the other, ok unless said."""
    found = []
    for n, op in enumerate(ops):
        f, argument, *rest = op
        result = rest[0] if rest else argument
        status = rest[1] if len(rest) > 1 else "ok"
        found.append((f, argument, result, status, 10 * n, 10 * n + 5, *rest[2:]))
    return rows(found)
