"""KV.CLUSTER: the ring, and its changes. Any member takes them; one change is under way at a time.

    KV.CLUSTER STATUS                                     members, who is heard, the change under way
    KV.CLUSTER RING                                       the owner of each partition, now and as wanted
    KV.CLUSTER JOIN name host:port [RACK r] [WEIGHT w]    take a node in that was started with `joining = true`
    KV.CLUSTER LEAVE name                                 give its partitions to the others; stop it when it is no member
    KV.CLUSTER REPLACE lost [name host:port]              a node whose data is gone: by another, or by itself, empty; a replacement
                                                          that is lost as well, too
    KV.CLUSTER REBALANCE                                  every member its share
    KV.CLUSTER ABORT                                      turn back
    KV.CLUSTER SNAPSHOT name                              every member writes a copy of what it holds (`kvstore.snapshots`)
    KV.CLUSTER PLAN JOIN|LEAVE|REPLACE|REBALANCE ...      what it would move; changes nothing

A change is answered with the epoch at which it began; STATUS tells how far it is. What is refused has not begun. After a
time-out it may have: look at STATUS before you try again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from kvstore.claim import Share, loads, moved, rack_violations
from kvstore.config import ConfigError, address_checked, majority
from kvstore.document import (
    STEP_NAMES,
    ChangeError,
    Document,
    Member,
    aborted,
    joined,
    left,
    rebalanced,
    replaced,
)
from kvstore.driver import Alter
from kvstore.events import Failure, Value, size_of
from kvstore.launching import answer_with
from kvstore.ring import PARTITIONS
from kvstore.session import LATER, Later, RefusalError, Session, command, text
from kvstore.slices import PROMPT_MS, Page, Reading
from kvstore.snapshots import well_named

if TYPE_CHECKING:
    from kvstore.node import Node

Args = tuple[bytes, ...]
CHANGE_TIMEOUT_MS = 5_000.0


@command("KV.CLUSTER", 2, 0)
def kv_cluster(node: Node, session: Session, args: Args) -> Value | Later:
    """KV.CLUSTER STATUS | RING | JOIN | LEAVE | REPLACE | REBALANCE | ABORT | PLAN | SNAPSHOT."""
    word = args[1].upper()
    if word == b"STATUS" and len(args) == 2:
        return _status(node)
    if word == b"RING" and len(args) == 2:
        return _ring(node)
    if word == b"PLAN" and len(args) > 2:
        return _plan(node, session, _alteration(node, args[2].upper(), args[3:]))
    if word == b"SNAPSHOT" and len(args) == 3:
        name = text(args[2][:65])
        if len(name) > 64 or not well_named(name):
            raise RefusalError(
                "BADARG", f"'{name}' is no name for a snapshot; use letters, digits, - and _, 64 at most"
            )
        node.snapshots.begin(name, partial(answer_with, node, session))
        return LATER
    alter = _alteration(node, word, args[2:])
    try:
        alter(node.view.document)  # most mistakes are told at once
    except ChangeError as error:
        raise RefusalError("BADARG", str(error)) from None
    node.driver.change(alter, lambda op, value: node.respond(session, _began(value)), CHANGE_TIMEOUT_MS)
    return LATER


def _began(value: Value) -> Value:
    return {"epoch": int(value)} if isinstance(value, bytes) else value


# ---- what is asked for -----------------------------------------------------------------------------------------


def _alteration(node: Node, word: bytes, args: Args) -> Alter:
    n = max(node.buckets.counts())
    if word == b"JOIN" and len(args) >= 2:
        member = _member(args)
        return lambda document: joined(document, member, n)
    if word == b"LEAVE" and len(args) == 1:
        name = text(args[0])
        return lambda document: left(document, name, n)
    if word == b"REPLACE" and len(args) == 1:
        lost = text(args[0])
        return lambda document: replaced(document, lost, Member(lost, ""), n)
    if word == b"REPLACE" and len(args) >= 3:
        lost, member = text(args[0]), _member(args[1:])
        return lambda document: replaced(document, lost, member, n)
    if word == b"REBALANCE" and not args:
        return lambda document: rebalanced(document, n)
    if word == b"ABORT" and not args:
        return aborted
    raise RefusalError(
        "BADARG",
        "KV.CLUSTER does STATUS, RING, JOIN name host:port [RACK r] [WEIGHT w], LEAVE name, REPLACE lost [name host:port], "
        "REBALANCE, ABORT, PLAN with one of these, and SNAPSHOT name",
    )


def _member(args: Args) -> Member:
    name, address = text(args[0]), text(args[1])
    rack, weight = "", 1.0
    if len(args) % 2:
        raise RefusalError("BADARG", f"option '{text(args[-1])}' has no value")
    for option, value in zip(args[2::2], args[3::2], strict=True):
        if option.upper() == b"RACK":
            rack = text(value)
        elif option.upper() == b"WEIGHT":
            weight = _weight(value)
        else:
            raise RefusalError(
                "BADARG", f"a member has no option '{text(option)}'; there are RACK and WEIGHT"
            )
    if len(rack) > 64:
        raise RefusalError("BADARG", f"RACK '{rack[:64]}…' is longer than 64 letters")
    if not name or len(name) > 64 or any(c.isspace() or c == "\0" for c in name):
        raise RefusalError("BADARG", f"'{name[:64]}' is no name for a node; choose a word such as n6")
    try:
        return Member(name, address_checked(address), rack, weight)
    except ConfigError as error:
        raise RefusalError("BADARG", str(error)) from None


def _weight(value: bytes) -> float:
    try:
        weight = float(value)
    except ValueError:
        weight = 0.0
    if not 0.01 <= weight <= 100:
        raise RefusalError("BADARG", f"WEIGHT '{text(value[:64])}' is no number from 0.01 to 100")
    return weight


# ---- answers ---------------------------------------------------------------------------------------------------


def _status(node: Node) -> Value:
    document = node.view.document
    counts = node.ring.counts()
    nodes: dict[str, Value] = {}
    for member in document.members:
        name = member.name
        state = b"self" if name == node.name else b"reachable" if node.reachable(name) else b"unreachable"
        epoch = document.epoch if name == node.name else node.upkeep.epochs.get(name)
        nodes[name] = {
            "state": state,
            "epoch": epoch,
            "partitions": counts.get(name, 0),
            "address": member.address.encode(),
            "rack": member.rack.encode(),
            "unreadable": node.upkeep.told(name, "UNREADABLE").encode(),
        }
    members = document.names
    reachable = sum(node.reachable(member) for member in members)
    return {
        "node": node.name.encode(),
        "incarnation": node.incarnation,
        "epoch": document.epoch,
        "members": len(members),
        "reachable": reachable,
        "ready": int(node.ready and node.view.joined and reachable >= majority(len(members))),
        "stranger": int(not node.view.joined or not node.ready),
        "holders": [name.encode() for name in document.acceptors],
        "gone": [name.encode() for name in document.gone],
        "change": _change(document),
        "nodes": nodes,
    }


def _ring(node: Node) -> Value:
    document = node.view.document
    owners, wanted, members = ([name.encode() for name in names] for names in (document.owners, document.wanted, document.names))  # fmt: skip
    return {
        "epoch": document.epoch,
        "stranger": int(not node.view.joined or not node.ready),
        "change": node.view.under_way.encode(),
        "members": list[Value](members),
        "owners": list[Value](owners),
        "wanted": list[Value](wanted),
    }


def _change(document: Document) -> Value:
    change = document.change
    if change is None:
        return None
    steps = Counter(document.steps[:PARTITIONS])
    return {
        "kind": change.kind.encode(),
        "node": change.node.encode(),
        "back": int(change.back),
        "steps": {name: steps[step] for step, name in enumerate(STEP_NAMES)},
    }


def _plan(node: Node, session: Session, alter: Callable[[Document], Document]) -> Value | Later:
    """What a change would do, by what this node knows: nothing is changed. Walks the storage, a slice at a time."""
    before = node.view.document
    try:
        after = alter(before)
    except ChangeError as error:
        return Failure("BADARG", str(error))
    sizes = Counter[int]()

    def look(bucket: str, partition: int, page: Page) -> None:
        sizes[partition] += size_of(page)

    def done() -> None:
        node.respond(session, _planned(node, before, after, sizes))

    places = ((bucket, partition) for bucket in node.reader.buckets() for partition in range(PARTITIONS))
    node.slices.begin(Reading(node.reader, places, look, done), PROMPT_MS)
    return LATER


def _planned(node: Node, before: Document, after: Document, sizes: Counter[int]) -> Value:
    n = max(node.buckets.counts())
    fresh = moved(before.owners, after.wanted, n)
    held = sum(size > 0 for size in sizes.values()) or 1
    mean = sum(sizes.values()) / held
    carried = loads(after.wanted, n)
    shares = {member.name: Share(member.weight, member.rack) for member in after.members}
    return {
        "partitions": len(fresh),
        "replicas": sum(map(len, fresh.values())),
        "bytes_estimated": int(mean * sum(map(len, fresh.values()))),
        "rack_violations": rack_violations(after.wanted, shares, n),
        "owned": {name: after.wanted.count(name) for name in sorted(set(after.wanted))},
        "load_max_over_mean": f"{max(carried.values()) * len(carried) / sum(carried.values()):.3f}".encode(),
    }
