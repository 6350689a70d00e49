"""Every error a client can get, and whether it is definite.

*Definite*: surely no effect, now or later; a history records `fail`. *Indefinite*: it may have taken
effect, or may yet (a message still on its way, a repair); a history records `info`. A checker believes this
table, so a wrong "definite" makes a wrong verdict. Two rules follow.

Rule 1. A code that is not in the table is indefinite.
Rule 2. Once a mutation has been handed to the network or to storage, only an indefinite code may be
answered. A refusal
        by all replicas does not help: the network may hold a duplicate of the same message, and a replica
        whose clock has moved on may accept it.

The node keeps rule 2 in one place (`kvstore.node`), whatever a flow says.
"""

from __future__ import annotations

from typing import NamedTuple

CASFAIL, FORGOTTEN = "CASFAIL", "FORGOTTEN"


class Row(NamedTuple):
    """One error code."""

    definite: bool
    meaning: str


TABLE: dict[str, Row] = {
    "ERR": Row(True, "the command could not be understood; nothing was done"),
    "BADARG": Row(True, "an argument is wrong; nothing was done"),
    "WRONGCLASS": Row(True, "the bucket's mode cannot do this; nothing was done"),
    "SIBLINGS": Row(True, "the key has several values beside each other; read them with KV.GET"),
    "CTXUNSEEN": Row(
        True, "the replicas that answered have not seen what the context names; nothing was sent"
    ),
    "NOAUTH": Row(True, "the connection has not authenticated; nothing was done"),
    "NOPERM": Row(True, "the user may not do this; nothing was done"),
    "WRONGPASS": Row(True, "the password is wrong; nothing was done"),
    "NOPROTO": Row(True, "the protocol version is not spoken here; nothing was done"),
    "UNAVAILABLE": Row(True, "the key has fewer replicas than the request needs; nothing was sent"),
    "OVERLOADED": Row(True, "too many requests are in progress; nothing was done"),
    "LOADING": Row(True, "the node is stopping; nothing was done, another node will do it"),
    "NOQUORUM": Row(True, "too many replicas refused before any change was sent"),
    "STALE": Row(True, "the replicas know another ring epoch; no change was sent"),
    "CLOCKSKEW": Row(True, "clocks are too far apart; no change was sent"),
    CASFAIL: Row(True, "the condition was false, in the order of all operations; nothing was changed"),
    "TIMEOUT": Row(False, "not enough replicas answered in time; a write may or may yet take effect"),
    "INDEFINITE": Row(False, "the write may or may yet take effect"),
    FORGOTTEN: Row(
        False, "an earlier try may have taken effect, too many changes ago to tell; do not try again"
    ),
}


def definite(code: str) -> bool:
    """True if an error with this code proves that the request had and will have no effect. Unknown codes
    prove nothing.
    """
    row = TABLE.get(code)
    return row is not None and row.definite
