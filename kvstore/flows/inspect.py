"""Flows that look or administer rather than serve data: every replica's version, and creating a bucket."""

from __future__ import annotations

from kvstore.flows.steps import Ask, Flow, Op
from kvstore.messages import BucketOffer, BucketOpen, Query


def raw(op: Op) -> Flow:
    """Ask every replica, wait for all of them or the deadline; `op.waiting` holds what each said."""
    ask = Ask(Query, op.replicas, len(op.replicas))
    yield ask.rest()
    op.waiting = ask
    op.answer()


def create_bucket(op: Op) -> Flow:
    """Create `op.bucket` at every member, in two rounds.

    Round one: every member durably promises to accept no other definition under this name. Round two: every
    member opens it. Two different definitions can never both get all the promises, so at most one is ever
    opened, and a node serves a bucket only once it is open there. It needs all members up; repeating it is
    harmless.
    """
    yield Ask(BucketOffer, op.replicas, len(op.replicas))
    yield Ask(BucketOpen, op.replicas, len(op.replicas))
    op.answer()
