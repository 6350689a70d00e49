"""What the reference store's documentation says of a mode: its promise, its rounds, what breaks it. Each sentence names where it is shown.

`quorate advise` puts it beside what follows from N, R and W alone (`harness.advice`) and beside what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from harness.advice import BAD, COST, GOOD, Statement, Told
from harness.plan import PlanError
from kvstore.config import ATOMIC, CLOCKS, BucketConfig, ConfigError, bucket
from kvstore.config_checks import choice
from workloads.kvstore_system import BUCKET_OPTIONS

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


NO_CLOCK: Final[Mapping[str, tuple[str, str]]] = {
    "register": ("a write asks a majority for the newest version and goes above it.", "tests/kvstore/test_schedules.py; Lynch & Shvartsman, FTCS 1997"),
    "cas": ("a write goes above every ballot that a majority has promised.", "tests/explorers/test_paxos.py; Rystsov, CASPaxos, 2018"),
    "siblings": ("which version replaces which is told by the dots that its writer had seen.", "kvstore/causal.py; Preguiça et al., Dotted Version Vectors, 2010"),
    "crdt": ("which update covers which is told by the dots that its writer had seen.", "kvstore/causal.py; Shapiro et al., Conflict-Free Replicated Data Types, SSS 2011"),
}  # fmt: skip
CLOCKS_TOLD: Final[Mapping[str, tuple[str, str]]] = {
    "hlc": (GOOD, "Hybrid clocks: a write is above every version that its node has heard of, also after its clock was set back."),
    "wall": (BAD, "Bare wall clocks: a write may lose even against one that its node has heard of, by any skew, or after its clock was set back."),
}  # fmt: skip
OPTIONS: Final = (*BUCKET_OPTIONS, "clock")


def advise(options: Mapping[str, Any]) -> Told:
    """What is documented of a bucket with these options, on nodes with this `clock`. Raises PlanError as the store would refuse them."""
    for option in options:
        if option not in OPTIONS:
            raise PlanError(f"kvstore has no {option!r} to say anything of; there are: {', '.join(OPTIONS)}")
    given = {name: value for name, value in options.items() if name in BUCKET_OPTIONS and value is not None}
    clock = options.get("clock") or CLOCKS[0]
    try:
        choice("the node", "clock", clock, CLOCKS)
        made = bucket("default", **given)
    except ConfigError as error:
        raise PlanError(str(error)) from None
    said = (
        *_of_mode(made),
        *_of_clocks(made, clock),
        *_of_sloppy(made),
        *_of_durability(made),
        *_of_repair(made),
    )
    return Told(said, sloppy=made.sloppy, durable=made.lasting.awaited)


def _of_mode(made: BucketConfig) -> Iterator[Statement]:
    text, source = PROMISES["eventual" if made.sloppy else made.mode]
    named = f"Mode {made.mode}{' with stand-ins' if made.sloppy else ''}"
    yield Statement(GOOD, f"{named}: {text}", source)
    yield Statement(COST, ROUNDS.get(made.mode, "A write and a read take one round each."), "docs/store.md")
    if made.mode in ATOMIC:
        text = "Without a majority of a key's replicas there is neither a read nor a write."
        yield Statement(COST, text, "docs/store.md; Gilbert & Lynch, SIGACT News 2002")


def _of_clocks(made: BucketConfig, clock: str) -> Iterator[Statement]:
    """Who decides which of two versions is newer."""
    if (apart := NO_CLOCK.get(made.kind)) is not None:
        text, source = apart
        yield Statement(GOOD, f"Clocks decide nothing: {text}", source)
        return
    yield Statement(
        BAD,
        "The newest version is the one with the highest clock: when clocks disagree, or a node restarts, an acknowledged write may lose against an "
        "older one; with a skew of d, against one that was acknowledged up to d before it.",
        "docs/decisions/0004-a-restarted-clock-runs-ahead.md; tests/sim/test_violations.py",
    )
    kind, text = CLOCKS_TOLD[clock]
    yield Statement(kind, text, "kvstore/hlc.py; Kulkarni et al., Logical Physical Clocks, OPODIS 2014")


def _of_sloppy(made: BucketConfig) -> Iterator[Statement]:
    """What stand-ins give, and what they take."""
    if not made.sloppy:
        return
    text = f"A write is accepted wherever {made.w} nodes can be reached, owners or not, if there are nodes beyond the {made.n} replicas."
    yield Statement(GOOD, text, "kvstore/sloppy.py; DeCandia et al., Dynamo, SOSP 2007, section 4.6")
    text = "Stand-ins acknowledge writes in place of owners that are cut off: an acknowledged write may not be read until it is handed over, and goes with the stand-in's disk."
    yield Statement(BAD, text, "kvstore/sloppy.py; tests/sim/test_sloppy_claims.py")


def _of_durability(made: BucketConfig) -> Iterator[Statement]:
    """What a power cut may take, and what it costs that it may not."""
    if not made.lasting.awaited:
        young = (
            "in since the last fsync, whenever that was,"
            if made.durability == "never"
            else f"in during the last {made.lasting.within_ms / 1000:g} s"
        )
        text = f"Durability {made.durability}: writes are acknowledged before they are on any disk; what replicas took {young} is gone if enough of them lose power."
        yield Statement(BAD, text, "kvstore/durability.py; tests/sim/test_durability_claims.py")
        return
    text = f"Durability {made.durability}: a replica answers once a write is on its disk, so a power cut of all of them loses nothing acknowledged."
    yield Statement(GOOD, text, "kvstore/durability.py; tests/sim/test_durability_claims.py")
    later = (
        f" that begins up to {made.lasting.within_ms:g} ms later, so that others may join"
        if made.lasting.within_ms
        else ""
    )
    yield Statement(
        COST,
        f"Each write waits for an fsync{later}.",
        "kvstore/durability.py; DeWitt et al., Main Memory Database Systems, SIGMOD 1984",
    )


def _of_repair(made: BucketConfig) -> Iterator[Statement]:
    """What a read does about replicas that are behind."""
    if made.read_repair == "blocking":
        text = "A read that finds replicas behind waits until W of them have what it returns: one more round, and no answer if they are away."
        yield Statement(COST, text, "kvstore/flows/lww.py")
    elif made.read_repair == "async":
        text = "A read mends the replicas that it finds behind, after it has answered: stale reads of hot keys end sooner than predicted from delays alone."
        yield Statement(GOOD, text, "kvstore/flows/lww.py")
    elif made.mode not in ATOMIC:
        text = "Reads mend nothing: a replica that missed a write stays behind until hints or anti-entropy reach it."
        yield Statement(BAD, text, "docs/store.md; DeCandia et al., Dynamo, SOSP 2007, section 4.7")
