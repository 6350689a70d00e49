"""The table of bespoke checkers: name -> how to judge, what the operations must look like, and what it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from checkers.bespoke.bank import check_bank
from checkers.bespoke.convergence import check_convergence
from checkers.bespoke.counter import check_counter
from checkers.bespoke.crdt_counter import check_g_counter, check_pn_counter
from checkers.bespoke.fencing import check_fencing
from checkers.bespoke.log import check_append_log
from checkers.bespoke.long_fork import check_long_fork
from checkers.bespoke.lww import check_lww
from checkers.bespoke.or_set import check_or_set
from checkers.bespoke.queues import check_queue, check_total_queue, check_total_queue_at_least_once
from checkers.bespoke.set_full import check_set_full, check_set_full_linearizable
from checkers.bespoke.sets import check_set
from checkers.bespoke.siblings import check_mv_register, check_mv_register_session
from checkers.bespoke.unique_ids import check_unique_ids
from checkers.special import check_special
from checkers.verdict import Result


@dataclass(frozen=True, slots=True)
class Model:
    """One row: the checker, the shape of the operations, and one sentence. `transactions`: may they be 'txn'?

    `is_object`: it is an object with a sequential meaning, and `check` takes an engine and a budget too.
    """

    check: Callable[..., Result]
    shape: str
    meaning: str
    transactions: bool = False
    is_object: bool = False


_ADD_READ = "add v; read -> [v, …]"
_QUEUE = "enqueue v; dequeue -> v or null; drain -> [v, …]"
_SIBLINGS = 'write {"value": v, "seen": […]}; read, final-read -> [v, …]'

BESPOKE: Final[Mapping[str, Model]] = {
    "set": Model(check_set, _ADD_READ, "The last read shows every element acknowledged before it."),
    "set-full": Model(
        check_set_full, _ADD_READ, "An element that was seen is not gone from the reads after."
    ),
    "set-full-linearizable": Model(
        check_set_full_linearizable, _ADD_READ, "An element that was seen is in every later read."
    ),
    "queue": Model(check_queue, _QUEUE, "What comes out had been put in, and not more often."),
    "total-queue": Model(check_total_queue, _QUEUE, "What was put in comes out exactly once."),
    "total-queue-at-least-once": Model(
        check_total_queue_at_least_once, _QUEUE, "What was put in comes out, once or more often."
    ),
    "unique-ids": Model(check_unique_ids, "generate -> id", "No id is given out twice."),
    "counter": Model(
        check_counter,
        "add n; read -> n",
        "Each read lies within what was surely and what was possibly added.",
    ),
    "counter-exact": Model(
        partial(check_special, model="counter"),
        "add 1; read -> n",
        "A counter of increments is linearizable.",
    ),
    "g-counter": Model(
        check_g_counter,
        "add n; read, final-read -> n",
        "The replicas of a growing counter end with the sum of the adds.",
    ),
    "pn-counter": Model(
        check_pn_counter,
        "add n; read, final-read -> n",
        "The replicas of a counter end with the sum of the adds.",
    ),
    "bank": Model(
        check_bank,
        'transfer {"from": a, "to": b, "amount": n}; read -> {a: n, …}',
        "Every read has the same total, and no account is overdrawn.",
    ),
    "long-fork": Model(
        check_long_fork,
        'txn [["w", k, v]]; txn [["r", k, v], …]',
        "No two reads see two writes in opposite orders.",
        transactions=True,
    ),
    "mutex-fencing": Model(
        check_fencing,
        "acquire -> token; release; write [token, v]",
        "Tokens grow, and an older one is refused after a newer.",
    ),
    "append-log": Model(
        check_append_log,
        "append v -> [offset, v]; poll, read -> [[offset, v], …]",
        "Records keep their offsets, and readers pass over none.",
    ),
    "mv-register": Model(
        check_mv_register, _SIBLINGS, "Each write stays until a write that saw it replaces it."
    ),
    "mv-register-session": Model(
        check_mv_register_session,
        _SIBLINGS,
        "The same, and no session loses what it has read, unless it was replaced.",
    ),
    "or-set": Model(
        check_or_set,
        "add v; remove v; read, final-read -> [v, …]",
        "An add that no remove can have seen stays.",
    ),
    "lww": Model(
        check_lww,
        'write v -> {"value": v, "version": [t, node]}; read, final-read -> the same',
        "The highest version wins; what that cost is counted.",
    ),
    "convergence": Model(
        check_convergence,
        "digest, snapshot -> {node: digest}; anything else",
        "When all is quiet, every replica holds the same.",
    ),
}
