"""What the reference store's documentation says of a mode: its promise, its rounds, what breaks it. Each sentence names where it is shown.

`quorate advise` puts it beside what follows from N, R and W alone (`harness.advice`) and beside what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from harness.advice import BAD, COST, GOOD, Statement
from harness.plan import PlanError
from kvstore.config import ATOMIC, BucketConfig, ConfigError, bucket

CONFIG: Final = "kvstore/config.py"
PROMISES: Final[Mapping[str, tuple[str, str]]] = {
    "eventual": ("Replicas become alike once faults are over; a read may return anything that was ever written.", CONFIG),
    "quorum": ("A read meets the acknowledged writes if R + W > N; nothing is promised about reads of a write in progress.", CONFIG),
    "monotonic": ("A read repairs before it answers, so that no later read goes behind it, as long as clocks agree.", "kvstore/flows/lww.py"),
    "session": ("Each connection sees what it wrote and what it has seen; others may see less.", "tests/kvstore/test_sessions.py"),
    "register": ("Linearizable reads and writes of each key, whatever clocks do.", "tests/explorers/test_quorums.py"),
    "cas": ("Linearizable reads, writes, conditions and counters of each key, whatever clocks do.", "tests/explorers/test_paxos.py"),
    "siblings": ("No acknowledged write is lost unless a later one has seen it; concurrent writes stay side by side.", "tests/sim/test_causal_claims.py"),
    "crdt": ("Replicas that have seen the same updates are alike; no acknowledged update is lost.", "tests/kvstore/test_crdt_laws.py"),
}  # fmt: skip
ROUNDS: Final = {
    "register": "A write takes two rounds, a read one, and a second when its replicas disagree.",
    "cas": "A write takes two rounds, one from a node's third change of a key in a row on; a read one, more when an accept is in doubt.",
    "siblings": "A write takes one round after a commit of its coordinator, a read one.",
    "crdt": "An update takes one round after a commit of its coordinator, a read one.",
}


def advise(options: Mapping[str, Any]) -> Sequence[Statement]:
    """What is documented of a bucket with these options. Raises PlanError as the store would refuse them."""
    given = {
        k: options[k]
        for k in ("mode", "n", "r", "w", "read_repair", "sloppy", "type", "durability")
        if options.get(k) is not None
    }
    try:
        made = bucket("default", **given)
    except ConfigError as error:
        raise PlanError(str(error)) from None
    return tuple(_of(made))  # fmt: skip


def _of(made: BucketConfig) -> Iterator[Statement]:
    text, source = PROMISES[made.mode]
    yield Statement(GOOD, f"Mode {made.mode}: {text}", source)
    yield Statement(COST, ROUNDS.get(made.mode, "A write and a read take one round each."), "docs/store.md")
    if made.kind == "lww":
        yield Statement(
            BAD,
            "The newest version is the one with the highest clock: when clocks disagree, or a node restarts, an acknowledged write may lose against an older one.",
            "docs/decisions/0004-a-restarted-clock-runs-ahead.md; tests/sim/test_violations.py",
        )
    if made.sloppy:
        yield Statement(
            BAD,
            "Stand-ins acknowledge writes in place of owners that are cut off: an acknowledged write may not be read until it is handed over.",
            "tests/sim/test_sloppy_claims.py",
        )
    if not made.lasting.awaited:
        yield Statement(
            BAD,
            "Writes are acknowledged before they are on any disk: what replicas took in last is gone if enough of them lose power.",
            "tests/sim/test_durability_claims.py",
        )
    if made.mode in ATOMIC:
        yield Statement(
            COST,
            "Without a majority of a key's replicas there is neither a read nor a write.",
            "docs/store.md",
        )
    if made.read_repair == "blocking":
        yield Statement(
            COST,
            "A read that finds replicas behind waits until W of them have what it returns: one more round, and no answer if they are away.",
            "kvstore/flows/lww.py",
        )
    elif made.read_repair == "async":
        yield Statement(
            GOOD,
            "A read mends the replicas that it finds behind, after it has answered: stale reads of hot keys end sooner than predicted from delays alone.",
            "kvstore/flows/lww.py",
        )
