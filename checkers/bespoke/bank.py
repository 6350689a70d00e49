"""bank: transfers between accounts; every read sees the same total.

    transfer {"from": a, "to": b, "amount": n}      read -> {a: 40, b: 60}

    wrong-total      the balances do not add up to the total       nil-balance      an account has no balance
    negative-value   a balance is below zero                       unexpected-key   an account that there is not

From: Jepsen, `jepsen.tests.bank` (jepsen/src/jepsen/tests/bank.clj), with its `read-count`, `error-count`, `first-error` and `errors` by type. Mended:
its total and accounts are options of the test; a history alone has neither, so the total is that of the first read, and an account is one that
the first read or a transfer names. One read alone has then nothing to compare with: UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from checkers.bespoke.calls import Call, Unfit, integer, named, plain, token
from checkers.bespoke.judging import Finding, Outcome, judged, too_late
from checkers.history import History
from checkers.verdict import Result


def check_bank(history: History, total: int | None = None, *, negative_balances: bool = False) -> Result:
    """Every read's total; `total` if it is known, `negative_balances` if they are allowed."""
    return judged(
        "bank",
        history,
        ("transfer", "read"),
        lambda calls: _judge(calls, total, negative_balances=negative_balances),
    )


def _balances(read: Call) -> dict[Any, Any]:
    if not isinstance(read.result, dict):
        raise Unfit(f"read #{read.index} returned no balances; an object from account to balance expected")
    return read.result


def _judge(calls: list[Call], total: int | None, *, negative_balances: bool) -> Outcome:
    reads = [read for read in named(calls, "read") if read.ok]
    if not reads:
        return Outcome("", untested="no read succeeded, so nothing was tested", stats={"read-count": 0})
    first = next((read for read in reads if None not in _balances(read).values()), reads[0])
    accounts = _accounts(calls, first)
    expected = total if total is not None else _sum(first)
    findings = []
    for read in reads:
        core = [read] if total is not None or read is first else [first, read]
        found = _error(read, accounts, expected, core, negative_balances=negative_balances)
        if found is not None:
            findings.append(found)
    stats: dict[str, Any] = {"read-count": len(reads), "error-count": len(findings), "total": expected}
    if findings:
        stats["first-error"] = {"type": findings[0].anomaly, "op": findings[0].core[-1].index}
        stats["errors"] = _by_type(findings)
    untested = idle = None
    if total is None and len(reads) < 2:
        untested = "there is one read and no known total, so nothing to compare it with"
    transfers = named(calls, "transfer")
    still = total is None and all(read.result == first.result for read in reads)
    if still:
        untested = untested or too_late(transfers, reads)
    if still and not any(call.ok for call in transfers):
        idle = "no transfer was acknowledged and none was seen, so nothing was tested"
    return Outcome(f"{len(reads)} reads all have the total {expected}", findings, untested, stats, idle)


def _accounts(calls: list[Call], first: Call) -> set[Hashable]:
    """The accounts that the first read or a transfer names. Text and number are one account: JSON has only text."""
    names: list[Any] = list(_balances(first))
    for transfer in named(calls, "transfer"):
        if not isinstance(transfer.value, dict) or not {"from", "to", "amount"} <= transfer.value.keys():
            raise Unfit(f"transfer #{transfer.index} lacks from, to or amount")
        names += [transfer.value["from"], transfer.value["to"]]
    return {str(plain(token(name))) for name in names}


def _sum(read: Call) -> int:
    return sum(integer(balance, read) for balance in _balances(read).values() if balance is not None)


def _error(
    read: Call, accounts: set[Hashable], expected: int, core: list[Call], *, negative_balances: bool
) -> Finding | None:
    """What is wrong with a read, in Jepsen's order of types."""
    balances, told = _balances(read), f"read #{read.index}"
    if strange := [name for name in balances if str(name) not in accounts]:
        return Finding("unexpected-key", f"{told} has the account {strange[0]!r}, which there is not", core)
    if empty := [name for name, balance in balances.items() if balance is None]:
        return Finding("nil-balance", f"{told} has no balance for account {empty[0]!r}", [read])
    if (found := _sum(read)) != expected:
        return Finding("wrong-total", f"{told} adds up to {found}, not {expected}", core)
    if not negative_balances and (low := min(balances.values(), default=0)) < 0:
        return Finding("negative-value", f"{told} has a balance of {low}", [read])
    return None


def _by_type(findings: list[Finding]) -> dict[str, dict[str, Any]]:
    """Jepsen's summary: count, first, last by type."""
    found: dict[str, dict[str, Any]] = {}
    for finding in findings:
        at = finding.core[-1].index
        kind = found.setdefault(finding.anomaly, {"count": 0, "first": at})
        kind["count"] += 1
        kind["last"] = at
    return found
