"""From what a checker finds in one key's calls to a Result; keys are judged alone and merged.

    History ─► calls by key ─► a checker's Outcome per key ─► Result, with `parts` if there are several keys

INVALID if there is a finding, else UNKNOWN if something was not tested, else VALID. A key that is UNKNOWN spoils a VALID, as in Jepsen's
`independent/checker` (jepsen/src/jepsen/independent.clj), unless it is idle: nothing was done to it, and another key was judged. Operations that the model does not have make the key UNKNOWN: what they did is not known.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from checkers.bespoke.calls import OBSERVERS, Call, Unfit, calls_of
from checkers.history import History
from checkers.jsonl import encode_value
from checkers.verdict import Certificate, Result, Verdict, merge


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation: its class, one sentence, and the calls that show it."""

    anomaly: str
    sentence: str
    core: Sequence[Call]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a checker found in one key: violations, worst first; or what is missing for a VALID; or why it is VALID.

    `idle`: no update was acknowledged and none was seen, so a claim about updates says nothing of this key.
    """

    reason: str
    findings: Sequence[Finding] = ()
    untested: str | None = None
    stats: Mapping[str, Any] = field(default_factory=dict)
    idle: str | None = None


Judge = Callable[[list[Call]], Outcome]


def judged(
    checker: str, history: History, functions: Collection[str] | None, judge: Judge, *, keyed: bool = True
) -> Result:
    """Judge each key with `judge`; all keys at once if not `keyed`. `functions`: what the model has; None if it has all."""
    groups: dict[str, list[Call]] = {}
    for call in calls_of(history):
        if functions is None or call.f not in OBSERVERS:
            groups.setdefault(encode_value(call.key if keyed else None), []).append(call)
    parts = [
        _part(checker, calls[0].key if keyed else None, calls, functions, judge) for calls in groups.values()
    ]
    if not parts:
        names = "" if functions is None else f" ({', '.join(sorted(functions))})"
        return Result(
            checker,
            Verdict.UNKNOWN,
            f"no client called anything that can be judged{names}: nothing was tested",
        )
    return parts[0] if len(parts) == 1 else _merged(checker, parts)


def too_late(updates: Iterable[Call], reads: Iterable[Call]) -> str | None:
    """Why reads that show nothing have tested nothing, though updates were acknowledged: none of these was before a read was called."""
    last = max((read.call for read in reads), default=-math.inf)
    ends = [update.ret for update in updates if update.ok]
    if not ends or last == -math.inf or min(ends) < last:
        return None
    return "no update had been acknowledged when it was read, and none was seen, so nothing was tested; read after the updates"


def _part(
    checker: str, key: Any, calls: list[Call], functions: Collection[str] | None, judge: Judge
) -> Result:
    """One key's Result."""
    try:
        if strange := sorted({call.f for call in calls if functions is not None and call.f not in functions}):
            raise Unfit(
                f"the model '{checker}' has no {', '.join(map(repr, strange))}; it has {', '.join(sorted(functions or ()))}"
            )
        outcome = judge(calls)
    except Unfit as error:
        return Result(checker, Verdict.UNKNOWN, str(error), key=key)
    stats = dict(outcome.stats)
    if not outcome.findings:
        missing = outcome.untested or outcome.idle
        if outcome.idle is not None:
            stats["idle"] = True
        verdict = Verdict.VALID if missing is None else Verdict.UNKNOWN
        return Result(checker, verdict, missing or outcome.reason, key=key, stats=stats)
    stats["anomalies"] = dict(Counter(finding.anomaly for finding in outcome.findings))
    first = outcome.findings[0]
    more = len(outcome.findings) - 1
    reason = f"{first.anomaly}: {first.sentence}" + (f" (and {more} more)" if more else "")
    core = tuple(dict.fromkeys(sorted(call.index for call in first.core)))
    return Result(
        checker, Verdict.INVALID, reason, first.anomaly, key, Certificate("core", core), stats=stats
    )


def _merged(checker: str, results: Sequence[Result]) -> Result:
    """One Result of several keys'."""
    parts = {str(part.key) if isinstance(part.key, int) else repr(part.key): part for part in results}
    busy = [part for part in results if "idle" not in part.stats]
    verdict = merge(part.verdict for part in busy or results)
    worst = [part for part in busy or results if part.verdict is verdict]
    stats = {
        "keys": len(results),
        "keys_bad": sum(part.verdict is Verdict.INVALID for part in results),
        "keys_unknown": sum(part.verdict is Verdict.UNKNOWN for part in busy),
        "keys_untested": len(results) - len(busy),
    }
    if verdict is Verdict.VALID:
        return Result(
            checker,
            verdict,
            f"each of {len(busy)} keys fits the claim '{checker}'",
            stats=stats,
            parts=parts,
        )
    first = worst[0]
    reason = f"key {first.key!r}: {first.reason} ({len(worst)} of {len(results)} keys are {verdict.value})"
    return Result(checker, verdict, reason, first.anomaly, first.key, first.certificate, stats, parts)
