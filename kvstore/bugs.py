"""Bugs we can switch on, to prove that the framework finds them.

Each name is a deliberate mistake of a kind real stores have made. A run with one of them must end INVALID
by the checker named; a run without any must not. Nothing else in the store depends on this table.

None is on unless the configuration names it (`bugs = ["…"]`). A node that is started with one says so, and INFO has it under `seeded_bugs`.
"""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """A deliberate mistake."""

    mistake: str
    found_by: str
    under: str


TABLE: dict[str, Bug] = {
    "register.read_no_writeback": Bug(
        "a register read returns the newest version without making sure that a majority holds it",
        "linearizable",
        "a slow, paused or cut-off replica",
    ),
    "register.one_phase_write": Bug(
        "a register write stores under its own clock without asking a majority for the newest tag",
        "linearizable",
        "clock skew",
    ),
    "register.optimistic_retag": Bug(
        "a register write skips the query and, when a replica reports a newer tag, stores the same value"
        " again under a bigger one: the value becomes visible under two tags",
        "linearizable",
        "concurrent writers",
    ),
    "cas.read_no_accept": Bug(
        "a cas read returns the newest accepted state without making sure that a majority holds it",
        "linearizable",
        "message loss",
    ),
    "cas.fail_no_accept": Bug(
        "a condition that is false is answered after the prepare round, whoever holds the state it saw",
        "linearizable",
        "message loss",
    ),
    "cas.retry_reports_second_outcome": Bug(
        "a proposer whose accept found no quorum evaluates the operation again and reports that outcome,"
        " though the first may have taken effect",
        "linearizable",
        "lost acknowledgements",
    ),
    "cas.promise_not_persisted": Bug(
        "an acceptor keeps its promises in memory only",
        "linearizable",
        "crash and restart",
    ),
    "cas.next_not_promised": Bug(
        "an acceptor answers an accept that asks for its next promise, and does not make it",
        "linearizable",
        "message loss",
    ),
    "retry.duplicate_apply": Bug(
        "the request id of a command is ignored, so a retry takes effect again",
        "linearizable",
        "time-outs and clients that retry",
    ),
    "dot.per_key_counter_reuse": Bug(
        "a replica that has lost a key's state goes on under its old actor and counts that key's dots from one"
        " again, so an old dot gets a new value",
        "mv-register",
        "a disk that was emptied",
    ),
    "orswot.union_if_both": Bug(
        "the join of two or-sets keeps all dots of an element that is on both sides (riak_dt #82)",
        "the laws of the join (tests/kvstore/test_crdt_laws.py)",
        "adds and removals beside each other",
    ),
    "orswot.dominance_shortcut": Bug(
        "the join of two or-sets takes the side with the greater clock as it is (riak_dt #78)",
        "or-set, convergence",
        "adds and removals beside each other",
    ),
    "join.no_barrier": Bug(
        "a change of the ring goes from step to step without waiting until replicas have adopted it",
        "linearizable",
        "a node that joins or leaves under load",
    ),
    "join.no_epoch_reject": Bug(
        "replicas serve requests of an earlier ring epoch",
        "linearizable",
        "a node that joins or leaves under load, and coordinators that learn of it late",
    ),
    "join.no_dual_write": Bug(
        "while a partition moves, writes need a majority of one set of replicas only",
        "linearizable",
        "a node that joins or leaves under load",
    ),
    "join.stream_from_one": Bug(
        "a newcomer copies a partition from one old replica instead of from as many as meet every majority",
        "linearizable",
        "a node that joins, and a replica that has missed writes",
    ),
    "join.source_not_adopted": Bug(
        "an old replica is copied from before it has adopted the epoch, and may acknowledge an old write afterwards",
        "linearizable",
        "a node that joins, and messages that take long",
    ),
    "blank_disk_same_id": Bug(
        "a node that lost its disk takes part again under its name as if nothing had happened",
        "linearizable",
        "a disk that is wiped",
    ),
    "ack_before_fsync": Bug(
        "a replica acknowledges before its storage has committed",
        "linearizable",
        "crashes that lose unsynced writes",
    ),
    "hlc.not_persisted": Bug(
        "the clock's upper bound and the incarnation in tags are forgotten at a restart, so a tag can be"
        " issued twice or behind an acknowledged one",
        "linearizable, or the node itself: one tag is one value (kvstore/invariants.py)",
        "a crash and a clock set back",
    ),
    "read_error_as_notfound": Bug(
        'a record that cannot be read is answered as "not found" and counts in the quorum',
        "linearizable",
        "a bit flip on one disk",
    ),
    "merkle.ignores_tombstones": Bug(
        "the trees that replicas compare leave deletions out, so a missed one is never found",
        "convergence",
        "a deletion during a partition",
    ),
    "hint.unsynced": Bug(
        "hints are kept in memory and written only when their target is back, or some seconds have passed",
        "convergence",
        "a replica that is away, and a crash of whoever keeps its hints",
    ),
    "hint.dropped_on_ring_change": Bug(
        "all hints are given up when the ring changes, as if it were for the new ring to make up for them",
        "convergence",
        "a node that joins while a replica is away",
    ),
    "strict_counts_hints": Bug(
        "a hint that is kept for a suspected owner counts as its acknowledgement, though the bucket is strict",
        "linearizable",
        "a partition, when it ends and suspicion lasts",
    ),
    "tombstone.early_purge": Bug(
        "a tombstone is purged for its age alone, while a replica may still hold the deleted value",
        "linearizable",
        "a replica that is away for longer than the grace",
    ),
    "phi.wall_clock": Bug(
        "the failure detector reads the wall clock, so that after it was set back a death goes unnoticed",
        "convergence",
        "a clock that is set back",
    ),
}
