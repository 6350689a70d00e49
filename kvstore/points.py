"""Named points in a node's life at which it hurts most to be struck, told from its effects. Pure: the node itself knows nothing of them.

    point         the node has just
    hint          written down what a replica that is away has missed       (on disk only with the next commit)
    read-repair   sent a replica the newer version that a read has found
    epoch         adopted a document of the ring                            (on disk only with the next commit)
    stream        sent, or asked for, a page of a partition that moves
    promise       promised a ballot to a proposer
    fsync         begun to commit: what is in it will be lost in a crash

CrashTuner finds most of its bugs by crashing nodes just after they touch what they know of each other (Lu et al., SOSP 2019). `fsync` is told by who
drives the node, for an effect does not say when the disk begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from kvstore.events import Effect, Meta, Record, Send, Write
from kvstore.hints import PREFIX
from kvstore.membership import DOCUMENT
from kvstore.messages import Repair
from kvstore.messages_cas import Promise
from kvstore.messages_ring import Page, Scan

HINT, READ_REPAIR, EPOCH, STREAM, PROMISE, FSYNC = (
    "hint",
    "read-repair",
    "epoch",
    "stream",
    "promise",
    "fsync",
)
SENT: Final = {Repair: READ_REPAIR, Promise: PROMISE, Page: STREAM, Scan: STREAM}


def points_of(effects: Sequence[Effect]) -> Iterator[str]:
    """The points that a node has come to in a step, `fsync` left out."""
    for effect in effects:
        if isinstance(effect, Send):
            if (point := SENT.get(type(effect.message))) is not None:
                yield point
        elif isinstance(effect, Write):
            yield from filter(None, map(_written, effect.rows))


def _written(row: object) -> str | None:
    if isinstance(row, Meta):
        return EPOCH if row.name == DOCUMENT else None
    hint = isinstance(row, Record) and row.bucket.startswith(PREFIX) and row.value is not None
    return HINT if hint else None
