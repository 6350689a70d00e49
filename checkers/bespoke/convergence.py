"""convergence: when all is quiet, every replica holds the same.

    digest   -> {"n1": "9f3a", "n2": "9f3a", "n3": "9f3a"}       asked of every node after the heal; null: the node did not answer
    snapshot -> the same at any time
    a node's part may also be {"digest": "9f3a", "delivered": [17, 18, …]}: the updates it has applied, by their values

    diverged             the last digest has nodes that differ, and no update was under way. One of unknown outcome may come at any time: where there
                         is one, the digest before must have shown the same two nodes with the same two digests, so that it did not come between
    sec-violation        two nodes had applied the same updates and did not hold the same (strong eventual consistency), at any time
    missing-update       the last digest has a node without an acknowledged update

All other operations may be in the history too. Digests without a key are of all keys. With `delivered`, every ok call other than a read must be in it by its value.

From: Shapiro, Preguiça, Baquero, Zawirski, Conflict-free replicated data types (SSS 2011), definitions 2.2 and 2.3. Jepsen has no such checker.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from checkers.bespoke.agreement import between
from checkers.bespoke.calls import OBSERVERS, Call, Unfit, named, plain, shown, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.history import History
from checkers.op import MISSING, Type
from checkers.verdict import Result

READS: Final = frozenset(("read", "final-read", "get", "contains", "poll"))
_View = tuple[Hashable, frozenset[Hashable] | None]


def check_convergence(history: History) -> Result:
    """Compare the replicas in the last digest, and all that had the same updates."""
    keyed = any(
        op.f in OBSERVERS and op.key is not None
        for op in history
        if op.type is Type.INVOKE and isinstance(op.process, int)
    )
    return judged("convergence", history, None, _judge, keyed=keyed)


def _views(call: Call) -> dict[str, _View]:
    """Each answering node's digest and updates. Raises Unfit."""
    if not isinstance(call.result, dict):
        raise Unfit(
            f"{call.f} #{call.index} returned {shown(call.result)}; an object from node to digest expected"
        )
    found: dict[str, _View] = {}
    for node, view in call.result.items():
        if view is None:
            continue
        if not isinstance(view, dict):
            found[str(node)] = (token(view), None)
        elif "digest" in view and isinstance(view.get("delivered", []), list):
            delivered = view.get("delivered")
            seen = None if delivered is None else frozenset(map(token, delivered))
            found[str(node)] = (token(view["digest"]), seen)
        else:
            raise Unfit(f"{call.f} #{call.index} has no digest of node {node}")
    return found


def _judge(calls: list[Call]) -> Outcome:
    observed = [call for call in calls if call.f in OBSERVERS and call.ok]
    digests = named(observed, "digest")
    findings = _unequal(observed)
    if not digests:
        return Outcome("", findings, "no digest was taken, so whether the replicas agree was not tested")
    last = digests[-1]
    views = _views(last)
    silent = sorted(str(node) for node, view in last.result.items() if view is None)
    updates = [call for call in calls if call.f not in OBSERVERS | READS]
    untested = None
    if len({digest for digest, _ in views.values()}) > 1:
        untested, core = _unquiet(digests, updates)
        told = ", ".join(f"{node} {shown(plain(digest))}" for node, (digest, _) in sorted(views.items()))
        if untested is None:
            before = f", and two of them as in digest #{core[0].index}" if len(core) > 1 else ""
            sentence = f"in digest #{last.index} the nodes differ{before}: {told}"
            findings.append(Finding("diverged", sentence, core))
    elif not any(seen for _, seen in views.values()):
        untested = too_late(updates, [last])
    findings += _missing(calls, last, views)
    if len(views) < 2:
        untested = f"digest #{last.index} has {len(views)} nodes; two at least are needed to compare"
    elif silent:
        untested = f"in digest #{last.index} these nodes did not answer: {', '.join(silent)}"
    stats: dict[str, Any] = {
        "digest-count": len(digests),
        "node-count": len(views),
        "update-count": len(updates),
        "early-digest-diverged-count": sum(
            len({digest for digest, _ in _views(call).values()}) > 1 for call in digests[:-1]
        ),
    }
    idle = None
    if not any(call.ok for call in updates) and not any(seen for _, seen in views.values()):
        idle = "no update was acknowledged, so whether the replicas agree on any was not tested"
    return Outcome(f"{len(views)} nodes hold the same", findings, untested, stats, idle)


def _unquiet(digests: list[Call], updates: list[Call]) -> tuple[str | None, list[Call]]:
    """Why replicas that differ in the last digest may still come to agree; if there is no reason, the digests that show that they do not."""
    last = digests[-1]
    busy = [update for update in updates if between(update, last, last)]
    differ = f"in digest #{last.index} the nodes differ, but"
    if (sure := next((update for update in busy if update.ok), None)) is not None:
        return f"{differ} {sure.f} #{sure.index} was under way; take a digest when nothing is", []
    if not busy:
        return None, [last]
    before = next((digest for digest in reversed(digests) if digest.before(last)), None)
    if before is not None and _same_two(_views(before), _views(last)):
        return None, [before, last]
    late = busy[0]
    return (
        f"{differ} {late.f} #{late.index}, whose outcome is unknown, may have come meanwhile; take two digests, one after the other",
        [],
    )


def _same_two(before: dict[str, _View], after: dict[str, _View]) -> bool:
    """Do two nodes that differ hold what they held before?"""
    return (
        len({digest for node, (digest, _) in after.items() if node in before and before[node][0] == digest})
        > 1
    )


def _unequal(observed: list[Call]) -> list[Finding]:
    """Views of the same updates with different digests."""
    first: dict[frozenset[Hashable], tuple[Hashable, Call, str]] = {}
    findings = []
    for call in observed:
        for node, (digest, seen) in sorted(_views(call).items()):
            if seen is None:
                continue
            known, where, other = first.setdefault(seen, (digest, call, node))
            if known != digest:
                sentence = (
                    f"{other} in {where.f} #{where.index} and {node} in {call.f} #{call.index} had applied the same "
                    f"{len(seen)} updates and did not hold the same"
                )
                findings.append(Finding("sec-violation", sentence, [where, call]))
    return findings


def _missing(calls: list[Call], last: Call, views: dict[str, _View]) -> list[Finding]:
    findings = []
    for call in calls:
        if call.f in OBSERVERS | READS or not call.before(last) or call.value is MISSING:
            continue
        for node, (_, seen) in sorted(views.items()):
            if seen is not None and token(call.value) not in seen:
                sentence = f"{call.f} {shown(call.value)} #{call.index} was acknowledged, and {node} has not applied it in digest #{last.index}"
                findings.append(Finding("missing-update", sentence, [call, last]))
    return findings
