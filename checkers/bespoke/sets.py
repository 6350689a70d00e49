"""set: add elements, read the set once at the end; what was acknowledged must be there.

    attempts = added (called)       acknowledged = added (ok)       read = the last ok read

    lost       = acknowledged - read           unexpected = read - attempts
    recovered  = (read & attempts) - acknowledged                             VALID if lost and unexpected are empty

From: Jepsen, `checker/set` (jepsen/src/jepsen/checker.clj); the names in `stats` are its own. Mended: an add that had not returned when the
final read was called is not lost; an element of a failed add is an aborted-read, one of a later add a future-read; an element that the read
shows twice is a violation and not passed over. An add that ran during the read is not demanded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

from checkers.bespoke.calls import Call, intervals, items, named, order, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.verdict import Result


def check_set(history: History) -> Result:
    """Judge adds against the last ok read."""
    return judged("set", history, ("add", "read"), _judge)


def _judge(calls: list[Call]) -> Outcome:
    adds = Origins.of(named(calls, "add"))
    reads = [read for read in named(calls, "read") if read.ok]
    if not reads:
        untested = "the set was never read, so nothing was tested; read it at the end"
        return Outcome("", untested=untested, stats={"attempt-count": len(adds.calls)})
    final = max(reads, key=lambda read: (read.ret, read.index))
    seen = Counter(token(item) for item in items(final))
    findings, lost = _lost(adds, final, seen)
    wrong = {value: found for value in order(seen) if (found := adds.wrong(value, final)) is not None}
    findings += list(wrong.values())
    twice = {value: count for value, count in seen.items() if count > 1}
    for value in order(twice):
        sentence = f"read #{final.index} returned {shown(plain(value))} {twice[value]} times"
        findings.append(Finding("duplicate-element", sentence, [final]))
    stats = _stats(adds, seen, lost, set(wrong))
    stats["duplicated-count"] = len(twice)
    stats["duplicated"] = intervals(twice)
    idle = None
    if not any(map(adds.acked, adds.calls)) and not seen:
        idle = "no add was acknowledged and no element was seen, so nothing was tested"
    return Outcome(
        f"the last read shows every element acknowledged before it, of {len(adds.calls)} attempted",
        findings,
        None if seen else too_late(named(calls, "add"), [final]),
        stats,
        idle,
    )


def _lost(adds: Origins, final: Call, seen: Counter[Hashable]) -> tuple[list[Finding], set[Hashable]]:
    """Elements acknowledged before the final read that it does not show."""
    findings, lost = [], set()
    for value in order(adds.calls):
        proof = next((add for add in adds.calls[value] if add.before(final)), None)
        if proof is not None and value not in seen:
            lost.add(value)
            sentence = (
                f"add {shown(plain(value))} #{proof.index} was acknowledged, and the last read #{final.index} "
                f"does not show it"
            )
            findings.append(Finding("lost", sentence, [proof, final]))
    return findings, lost


def _stats(
    adds: Origins, seen: Counter[Hashable], lost: set[Hashable], unexpected: set[Hashable]
) -> dict[str, Any]:
    acked = {value for value in adds.calls if adds.acked(value)}
    good = {value for value in seen if value not in unexpected}
    return {
        "attempt-count": len(adds.calls),
        "acknowledged-count": len(acked),
        "ok-count": len(good),
        "lost-count": len(lost),
        "recovered-count": len(good - acked),
        "unexpected-count": len(unexpected),
        "ok": intervals(good),
        "lost": intervals(lost),
        "recovered": intervals(good - acked),
        "unexpected": intervals(unexpected),
    }
