"""What must never be otherwise, looked at while the store runs: a broken one ends the node, with a message.

    one tag is one value       wherever two copies of a version meet: a replica (`kvstore.absorb`), an acceptor, a reader
    tags never go back         versions and promises of a key (`kvstore.overlay`); the engine has a guard of its own
    promised >= accepted       both rows of a state are written together (`kvstore.acceptor`, rule 2)
    epochs never go back       (`kvstore.view`)
    acknowledged <= synced     storage reports only what was written (`kvstore.overlay`), and what waits for it is held

To go on with a broken promise would turn one wrong node into wrong answers everywhere. Drivers treat the error as a crash: the
server logs it and ends with status 255, the simulator ends the run. Rejected: to refuse the one key and go on. Who made the second
value is not known, so nothing that node says about any key is worth more (Chandra, Griesemer, Redstone, Paxos Made Live, 2007, section 6.2).
"""

from __future__ import annotations

from kvstore.events import Record, Tag


class BrokenInvariantError(Exception):
    """The node found itself in a state that its rules exclude. What it says is for whoever mends it."""


def one_value(what: str, tag: Tag, mine: bytes | None, theirs: bytes | None) -> None:
    """Two copies of one version must be the same. Raises BrokenInvariantError; neither value is told, for logs are read by many."""
    dropped = tag.expires_ms > 0 and (mine is None or theirs is None)  # after its deadline: `kvstore.scrub`
    if mine != theirs and not dropped:
        raise BrokenInvariantError(
            f"{what} has two values under one tag {tag.hlc}@{tag.node}.{tag.incarnation}"
        )


def not_lower(record: Record, before: Record) -> None:
    """A version that is written over another must not be older. Raises BrokenInvariantError."""
    if record.tag < before.tag:
        raise BrokenInvariantError(
            f"key {record.key!r} in {record.bucket} would go back from {before.tag} to {record.tag}"
        )


def promised_first(accepted: Record, promised: Tag) -> None:
    """No ballot is accepted that is not promised too. Raises BrokenInvariantError."""
    if accepted.tag > promised:
        raise BrokenInvariantError(
            f"key {accepted.key!r} in {accepted.bucket} has accepted {accepted.tag} and promised no more than {promised}"
        )
