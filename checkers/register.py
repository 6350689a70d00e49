"""Linearizability of registers, key by key, by the zone algorithm of the Rust core (`core/src/zones.rs`).

A history is linearizable exactly if each key's part is (locality), so keys are judged alone and merged. A key of which nothing was read is
untested: it is counted in `keys_untested`, and if all keys are such the answer is UNKNOWN.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from checkers.explain import sentence
from checkers.history import History
from checkers.op import Op
from checkers.verdict import Certificate, Result, Verdict, merge

UNTESTED = {"safe": "no read succeeded that had no write of its key beside it, so nothing was tested"}
Judged = tuple[int, str, str, bytes, int, int]
FEWEST = 3  # a write, one that replaced it, and a read
SMALLEST = 100  # keys whose cores are made least; a store with more bad keys has proof enough


def check_linearizable(history: History, *, threads: int | None = None) -> Result:
    """Judge every key. VALID has a witness (key after key), INVALID the core of one bad key, UNKNOWN a reason.

    `threads`, here and in all that judges by key: how many keys at once; None means one per core. The answer does not depend on it.
    """
    judged = history.columns.zones(threads or 0)
    bad = [place for place, answer in enumerate(judged) if answer[1] == "invalid"]
    for place in bad[:SMALLEST]:
        judged[place] = least(history, judged[place])
    return merged("linearizable", history, judged)


def least(history: History, answer: Judged) -> Judged:
    """The answer, with a core of which no read can be left out: two zones are in each other's way, and a smaller zone may be too."""
    key_id, word, anomaly, packed, size, observations = answer
    core = array("I")
    core.frombytes(packed)
    reads = [at for at in core if history.op(at).f == "read"] if len(core) > FEWEST else []
    for index in reads:
        fewer = array("I", (each for each in core if each != index))
        records = sorted(
            {at for each in fewer for at in (each, history.columns.pair(each)) if at is not None}
        )
        ops = map(history.op, records)
        alone = History.from_ops(
            Op(-1, op.time_ns, op.process, op.type, op.f, op.key, op.value, op.error) for op in ops
        )
        if [found[1:3] for found in alone.columns.zones(1)] == [(word, anomaly)]:
            core = fewer
    return key_id, word, anomaly, core.tobytes(), size, observations


def merged(checker: str, history: History, judged: Sequence[Judged]) -> Result:
    """One Result of the core's answers by key."""
    parts: dict[str, Result] = {}
    untested = 0
    for answer in judged:
        part = _part(checker, history, answer)
        if part is None:
            untested += 1
        else:
            parts[str(part.key) if isinstance(part.key, int) else repr(part.key)] = part
    verdict = merge(part.verdict for part in parts.values())
    bad = [part for part in parts.values() if part.verdict is Verdict.INVALID]
    stats = {
        "keys": len(judged),
        "keys_bad": len(bad),
        "keys_unknown": sum(part.verdict is Verdict.UNKNOWN for part in parts.values()),
        "keys_untested": untested,
        "ops": sum(answer[4] for answer in judged),
    }
    if not parts:
        reason = UNTESTED.get(
            checker,
            "no read and no compare-and-set succeeded, so nothing was tested; run longer, or look why they fail"
            if judged
            else "no client did anything, so nothing was tested; look whether this is the whole history",
        )
        return Result(checker, verdict, reason, stats=stats)
    if verdict is Verdict.VALID:
        ops = array("I")
        for part in parts.values():
            ops.extend(part.certificate.ops if part.certificate is not None else ())
        certificate = Certificate("witness", ops) if ops else None
        reason = f"{stats['ops']} operations on {len(parts)} keys: each key's fit the claim '{checker}'"
        return Result(checker, verdict, reason, certificate=certificate, stats=stats, parts=parts)
    first = next(part for part in parts.values() if part.verdict is verdict)
    reason = first.reason + (f" ({len(bad)} of {len(judged)} keys are bad)" if bad else "")
    return Result(checker, verdict, reason, first.anomaly, first.key, first.certificate, stats, parts)


def _part(checker: str, history: History, answer: Judged) -> Result | None:
    """The Result of one key; None if it was not tested."""
    key_id, word, text, packed, size, observations = answer
    key = history.key(key_id)
    ops = array("I")
    ops.frombytes(packed)
    stats = {"ops": size, "observations": observations}
    if word == "invalid":
        core = tuple(ops)
        reason = sentence(history, text, core)
        return Result(checker, Verdict.INVALID, reason, text, key, Certificate("core", core), stats)
    if word == "unknown":
        return Result(checker, Verdict.UNKNOWN, f"key {key!r}: {text}", key=key, stats=stats)
    if not observations:
        return None
    certificate = Certificate("witness", ops) if ops else None
    return Result(
        checker, Verdict.VALID, "an order that fits was found", key=key, certificate=certificate, stats=stats
    )
