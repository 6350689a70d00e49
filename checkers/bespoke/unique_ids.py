"""unique-ids: `generate` returns an id; no id is given out twice.

    generate -> 17      generate -> 18      generate -> 17      the last is a duplicate, whenever it was called

From: Jepsen, `checker/unique-ids` (jepsen/src/jepsen/checker.clj); the names in `stats` are its own. Mended: `range` is left out when ids of
several types have no common order; fewer than two ids are UNKNOWN, for one id cannot repeat, and so is a history in which an id is missing.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from checkers.bespoke.calls import Call, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged
from checkers.history import History
from checkers.op import MISSING
from checkers.verdict import Result

WORST = 48


def check_unique_ids(history: History) -> Result:
    """INVALID if an id was given out twice."""
    return judged("unique-ids", history, ("generate",), _judge)


def _judge(calls: list[Call]) -> Outcome:
    given: dict[Hashable, list[Call]] = {}
    without = next(
        (call for call in calls if call.ok and (call.result is MISSING or call.result is None)), None
    )
    for call in calls:
        if call.ok and call.result is not MISSING and call.result is not None:
            given.setdefault(token(call.result), []).append(call)
    twice = {value: found for value, found in given.items() if len(found) > 1}
    acked = sum(map(len, given.values()))
    worst = sorted(twice, key=lambda value: -len(twice[value]))[:WORST]
    stats: dict[str, Any] = {
        "attempted-count": len(calls),
        "acknowledged-count": acked,
        "duplicated-count": len(twice),
        "duplicated": [[plain(value), len(twice[value])] for value in worst],
    }
    ids = [plain(value) for value in given]
    if len({type(value) for value in ids}) == 1 and isinstance(ids[0], int | str | float):
        stats["range"] = [min(ids), max(ids)]
    findings = [
        Finding(
            "duplicate-id",
            f"generate #{twice[value][0].index} and #{twice[value][1].index} both returned {shown(plain(value))}",
            twice[value][:2],
        )
        for value in worst
    ]
    untested = None if acked > 1 else f"{acked} ids were given out; two at least are needed to see one repeat"
    if without is not None:
        untested = f"generate #{without.index} is ok without a value; record the id"
    return Outcome(f"{acked} ids were given out, all different", findings, untested, stats)
