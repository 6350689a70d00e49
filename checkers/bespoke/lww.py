"""lww: the last writer wins. Which acknowledged writes did it cost?

    write v -> {"value": v, "version": [time, node]}      read, final-read -> the same, or null

    skew loss     an acknowledged write was called after the winner's had returned, and lost all the same: its node's clock was behind
    lost-write    a final-read has a version below that of an acknowledged write
    new-version   a final-read has a value with a higher version than its write was acknowledged with: so an old value hides a newer one
    old-version   a final-read has a value with a lower version than its write was acknowledged with: so it may lose to an older value
    diverged      two final-reads differ, and no write that may have come between them explains it (`agreement`)
    unexpected, aborted-read, future-read     see `origins`

A skew loss is what lww does under clock skew: counted in `skew-loss-count`, the greatest distance in `worst-skew-loss-ms`, and no violation.
Versions are compared as the lists they are; a node is a number or text. Values are unique. A final-read is made after the heal, when the replicas had time to agree.

From: Thomas, A majority consensus approach (TODS 1979), the Thomas write rule; Kingsbury, Call me maybe: Cassandra (2013), for the losses. Jepsen has
no such checker.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from checkers.bespoke.agreement import AGREE, DIVERGED, Step, agreement, between, step_by
from checkers.bespoke.calls import Call, Unfit, argument, integer, named, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.bespoke.origins import Origins
from checkers.history import History
from checkers.verdict import Result

_Version = tuple[int, int, int | str]  # the second: 0 if the node is a number, 1 if it is text


def check_lww(history: History) -> Result:
    """The final reads have the highest version; losses by skew are counted."""
    return judged("lww", history, ("write", "read", "final-read"), _judge)


def _version(call: Call) -> _Version | None:
    """The version in an ok result; None for a read of nothing. Raises Unfit."""
    if call.f != "write" and call.result is None:
        return None
    version = call.result.get("version") if isinstance(call.result, dict) else None
    if not isinstance(version, list) or len(version) != 2:
        raise Unfit(
            f'{call.f} #{call.index} returned {shown(call.result)}; {{"value": …, "version": [time, node]}} expected'
        )
    time, node = version
    if type(node) is not int and type(node) is not str:
        raise Unfit(
            f"{call.f} #{call.index} has the node {shown(node)} in its version; a number or text expected"
        )
    return integer(time, call), int(type(node) is str), node


def _step(origins: Origins, first: Call, second: Call) -> Step:
    """Has the version grown, by a write that may have come between?"""
    before, after = _version(first), _version(second)
    if before is None or after is None:
        same = before == after
    else:
        same = token(first.result.get("value")) == token(second.result.get("value"))
    if same:
        return AGREE if before == after else DIVERGED  # a write has one version
    if after is None or (before is not None and after <= before):
        return DIVERGED
    writes = origins.possible(token(second.result.get("value")))
    return step_by([write for write in writes if between(write, first, second)])


def _writes(origins: Origins, *reads: Call) -> list[Call]:
    """Those of what these reads show."""
    values = [token(read.result.get("value")) for read in reads if _version(read) is not None]
    return [write for value in values for write in origins.possible(value)]


def _other_version(anomaly: str, write: Call, read: Call) -> Finding:
    given = shown(write.result["version"])
    sentence = f"final-read #{read.index} has {shown(read.result)}, and write #{write.index} was acknowledged with {given}"
    return Finding(anomaly, sentence, [write, read])


def _judge(calls: list[Call]) -> Outcome:
    writes = named(calls, "write")
    origins = Origins.of(writes)
    if again := next((found for found in origins.calls.values() if len(found) > 1), None):
        raise Unfit(f"{shown(again[0].value)} is written twice; write each value once")
    acked = [(write, version) for write in writes if write.ok and (version := _version(write))]
    for write, _ in acked:
        if "value" in write.result and token(write.result["value"]) != argument(write):
            raise Unfit(f"write #{write.index} returned another value than it was given")
    reads = [read for read in named(calls, "read", "final-read") if read.ok]
    if len({version[1] for call in (*writes, *reads) if call.ok and (version := _version(call))}) > 1:
        raise Unfit("some versions name the node by a number and some by text; these have no order")
    version_of = {argument(write): (version, write) for write, version in acked}
    findings: list[Finding] = []
    losses: dict[int, float] = {}
    for read in reads:
        version = _version(read)
        value = None if version is None else token(read.result.get("value"))
        if value is not None and (wrong := origins.wrong(value, read)) is not None:
            findings.append(wrong)
            continue
        if read.f != "final-read":
            continue
        if version is not None and value in version_of and version > version_of[value][0]:
            findings.append(_other_version("new-version", version_of[value][1], read))
            continue
        above = [one for one in acked if one[0].before(read) and (version is None or one[1] > version)]
        if above:
            write = max(above, key=lambda one: one[1])[0]
            sentence = f"final-read #{read.index} has {shown(read.result)}, and write #{write.index} was acknowledged with {shown(write.result['version'])}"
            findings.append(Finding("lost-write", sentence, [write, read]))
        elif version is not None and value in version_of and version < version_of[value][0]:
            findings.append(_other_version("old-version", version_of[value][1], read))
        winner = origins.calls[value][0] if value is not None else None
        for write, _ in acked:
            if winner is not None and winner.before(write) and write.before(read):
                losses[write.index] = (write.call - winner.ret) / 1e6
    finals = named(reads, "final-read")
    unsure: str | None = None
    if not findings:
        findings, unsure = agreement(finals, partial(_step, origins), partial(_writes, origins))
    stats: dict[str, Any] = {
        "acknowledged-count": len(acked),
        "final-read-count": len(finals),
        "skew-loss-count": len(losses),
        "skew-losses": sorted(losses),
        "worst-skew-loss-ms": max(losses.values(), default=0.0),
    }
    untested = unsure if finals else "there is no final-read, so which write won was not tested"
    reason = f"{len(finals)} final reads have the highest version; {len(losses)} acknowledged writes lost to earlier ones"
    idle = None
    if all(read.result is None for read in reads):
        untested = untested or too_late(writes, finals)
    if not acked and all(read.result is None for read in reads):
        idle = "no write was acknowledged and none was seen, so nothing was tested"
    return Outcome(reason, findings, untested, stats, idle)
