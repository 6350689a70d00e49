"""mutex-fencing: a lock may have two holders after a pause; its tokens must keep the older one out.

    acquire -> token      release      write [token, v]

    A: acquire -> 33  (paused; the lease ends)              write [33, …]      refused, or: stale-token
    B:                         acquire -> 34   write [34, …]

    duplicate-token     two acquires returned one token
    nonmonotonic-token  an acquire after another returned a smaller token
    stale-token         a write was accepted after one with a larger token had been
    unexpected          a write was accepted with a token that no acquire had returned or can have returned

From: Burrows, The Chubby lock service (OSDI 2006), 2.4, sequencers; Kleppmann, How to do distributed locking (2016). Jepsen judges a mutex by
linearizability only, which a lease never keeps under a pause; here holders that surely overlap are counted in `double-held-count` and do not fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from checkers.bespoke.calls import Call, Unfit, integer, named
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.history import History
from checkers.op import Type
from checkers.verdict import Result


def check_fencing(history: History) -> Result:
    """Tokens grow, and no write with an older one is accepted."""
    return judged("mutex-fencing", history, ("acquire", "release", "write"), _judge)


def _token_written(write: Call) -> int:
    if not isinstance(write.value, list) or len(write.value) != 2:
        raise Unfit(f"write #{write.index} lacks its token; [token, value] expected")
    return integer(write.value[0], write)


def _judge(calls: list[Call]) -> Outcome:
    grants = [call for call in named(calls, "acquire") if call.ok]
    writes = [call for call in named(calls, "write") if call.ok]
    granted: dict[int, Call] = {}
    findings = []
    for grant in grants:
        number = integer(grant.result, grant)
        if (other := granted.setdefault(number, grant)) is not grant:
            sentence = f"acquire #{other.index} and #{grant.index} both returned token {number}"
            findings.append(Finding("duplicate-token", sentence, [other, grant]))
    for older, newer in _turned_back(grants, lambda call: integer(call.result, call)):
        sentence = f"acquire #{newer.index} returned token {newer.result} after #{older.index} had returned {older.result}"
        findings.append(Finding("nonmonotonic-token", sentence, [older, newer]))
    for older, newer in _turned_back(writes, _token_written):
        sentence = (
            f"write #{newer.index} with token {_token_written(newer)} was accepted after write #{older.index} "
            f"with token {_token_written(older)} had been"
        )
        findings.append(Finding("stale-token", sentence, [older, newer]))
    unknown = any(call.possible and not call.ok for call in named(calls, "acquire"))
    for write in writes:
        source = granted.get(_token_written(write))
        if (source is None and not unknown) or (source is not None and write.ret < source.call):
            sentence = f"write #{write.index} was accepted with token {_token_written(write)}, which no acquire had returned"
            findings.append(Finding("unexpected", sentence, [write]))
    stats = {
        "acquire-count": len(grants),
        "write-count": len(writes),
        "double-held-count": _double_held(calls),
    }
    answered = [call for call in named(calls, "write") if call.type is not Type.INFO]
    untested = None
    if len(grants) < 2:
        untested = f"the lock was acquired {len(grants)} times; two at least are needed to compare tokens"
    elif not writes:
        untested = "no write was accepted, so whether tokens keep older holders out was not tested"
    elif len(answered) < 2:
        untested = (
            "only one write was answered; two at least are needed to see whether an older token is kept out"
        )
    return Outcome(
        f"{len(grants)} tokens grow, and {len(writes)} writes kept to them", findings, untested, stats
    )


def _turned_back(calls: Sequence[Call], rank: Callable[[Call], int]) -> list[tuple[Call, Call]]:
    """Pairs of which the later has the smaller number; for each later one, the largest earlier."""
    found, highest, at = [], None, 0
    by_return = sorted(calls, key=lambda call: call.ret)
    for call in calls:
        while at < len(by_return) and by_return[at].before(call):
            if highest is None or rank(by_return[at]) > rank(highest):
                highest = by_return[at]
            at += 1
        if highest is not None and rank(call) < rank(highest):
            found.append((highest, call))
    return found


def _double_held(calls: Sequence[Call]) -> int:
    """Acquires that returned while another process surely held the lock: between its acquire's return and its release's call."""
    holds: list[tuple[float, float, int]] = []
    held: dict[int, Call] = {}
    for call in calls:
        if call.f == "acquire" and call.ok:
            held[call.process] = call
        elif call.process in held and call.f == "release":
            start = held.pop(call.process)
            holds.append((start.ret, call.call, start.process))
    holds.sort()
    last, count = -1.0, 0
    for begin, end, _ in holds:
        count += begin < last
        last = max(last, end)
    return count
