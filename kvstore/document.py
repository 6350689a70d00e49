"""The ring document: who is a member, who owns what, and how far a change has come. One value, agreed by consensus.

    owners ──┐  a change of members makes a second table, `wanted`, and walks every partition from one to the other:
    wanted ──┘
               step of a partition    reads             writes                              next when
               OLD                    maj(old)          maj(old)                            there is room
               BOTH_OLD               maj(old)          maj(old) and maj(new)               newcomers have streamed
               BOTH_NEW               maj(new)          maj(old) and maj(new)               epoch adopted
               NEW                    maj(new)          maj(new)                            all are: owners = wanted

    old = the first n distinct owners clockwise in `owners`, new = the same in `wanted`; so one table serves every n.
    The register that holds this document walks too, from `acceptors` to `seats`, as if it were partition META.

Rule 1. Each change of the document raises `epoch`; `since[p]` is the epoch at which partition p last changed. Every request
about a key carries `since[p]`, and only equals talk: what changes elsewhere does not disturb it.
Rule 2. A partition leaves a step only when so many of its old and its new replicas have durably adopted the epoch of that
step that they meet every majority (`blocking`): no request of an earlier epoch can find its quorum any more.
Rule 3. To go back is to go on with the two tables exchanged (`aborted`).
Rule 4. A replacement that is lost too stands in the place of the first, blank, and is itself replaced from the beginning (`taken_over`). Nobody who
is left changes: with S the other replicas of a partition, every quorum so far has had a majority less one from S, and from then on each has a
majority from S; of n replicas these meet, as (m - 1) + m > n - 1. Requests from before are refused: all partitions change at this epoch.

Design: RAMBO (Lynch and Shvartsman 2002) and Cassandra's TCM, per partition. `tests/explorers` looks for schedules that break
it, with each rule left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from kvstore.claim import Share, claim
from kvstore.config import majority
from kvstore.ring import PARTITIONS, Ring, walk

OLD: Final = 0
BOTH_OLD: Final = 1
BOTH_NEW: Final = 2
NEW: Final = 3
STEP_NAMES: Final = ("old", "write both, read old", "write both, read new", "new")
META: Final = PARTITIONS  # what follows the last partition in `since` and `steps`
ACCEPTORS_MAX: Final = 5


class Member(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A node. `lives` counts the disks it has had: a new one makes it a stranger to its own past."""

    name: str
    address: str
    rack: str = ""
    weight: float = 1.0
    lives: int = 0


class Change(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What is under way: kind is join, leave, replace or rebalance. `lost` is the node whose data is gone, if any."""

    kind: str
    node: str
    lost: str = ""
    back: bool = False


class Document(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """See the head of this file. `wanted`, `steps` and `seats` are empty while nothing changes. `gone`: ids that are used up."""

    epoch: int
    cluster: str
    members: tuple[Member, ...]
    owners: tuple[str, ...]
    since: tuple[int, ...]
    acceptors: tuple[str, ...]
    change: Change | None = None
    wanted: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    seats: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def member(self, name: str) -> Member | None:
        """The member of that name."""
        return next((member for member in self.members if member.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """Every member's name, sorted."""
        return tuple(member.name for member in self.members)

    def step(self, partition: int) -> int:
        """How far a partition is."""
        return self.steps[partition] if self.steps else OLD

    def sets(self, partition: int, n: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Its old and its new replicas, or the acceptors of META; the same twice while nothing changes."""
        if partition == META:
            return self.acceptors, self.seats or self.acceptors
        old = walk(self.owners, partition, n)
        return old, walk(self.wanted, partition, n) if self.wanted else old

    def blank(self, name: str, partition: int) -> bool:
        """Whether that member has lost its data of this partition and has not got it back."""
        change = self.change
        return change is not None and change.lost == name and self.steps[partition] < BOTH_NEW


class ChangeError(Exception):
    """A change of the ring that cannot be made now: one sentence with what to do."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Document)


def packed(document: Document) -> bytes:
    """As bytes: equal documents, equal bytes."""
    return _ENCODER.encode(document)


def unpacked(data: bytes) -> Document:
    """The inverse. Raises msgspec.DecodeError."""
    return _DECODER.decode(data)


def first(addresses: Mapping[str, str], cluster: str = "", acceptors: Iterable[str] = ()) -> Document:
    """Epoch 1, of members that are all known: a striped ring. Every one of them makes the same document."""
    names = sorted(addresses)
    members = tuple(Member(name, addresses[name]) for name in names)
    chosen = tuple(acceptors) or tuple(names[: _odd(len(names))])
    return Document(1, cluster, members, Ring.striped(names).owners, (1,) * (PARTITIONS + 1), chosen)


def blocking(size: int) -> int:
    """How many of so many replicas it takes to meet every majority of them."""
    return size - majority(size) + 1


# ---- beginning a change ----------------------------------------------------------------------------------------


def joined(document: Document, member: Member, n: int) -> Document:
    """Begin to take a new member in. Raises ChangeError."""
    _idle(document)
    if document.member(member.name) is not None:
        raise ChangeError(f"{member.name} is a member already; a node that lost its disk comes by replace")
    if member.name in document.gone:
        raise ChangeError(f"{member.name} was a member once and its name is used up; choose another")
    members = _with(document.members, member)
    return _begun(document, members, Change("join", member.name), _claimed(document, members, (), n))


def left(document: Document, name: str, n: int) -> Document:
    """Begin to let a member go. Raises ChangeError."""
    _idle(document)
    _known(document, name)
    if len(document.members) == 1:
        raise ChangeError(f"{name} is the only member; there is nobody to take its data")
    wanted = _claimed(document, document.members, (name,), n)
    return _begun(document, document.members, Change("leave", name), wanted)


def replaced(document: Document, lost: str, member: Member, n: int) -> Document:
    """Begin to put `member` in the place of `lost`, whose data is gone; or `lost` itself, with an empty disk, in its own."""
    document = taken_over(document, lost)
    _idle(document)
    old = _known(document, lost)
    if member.name == lost:
        again = msgspec.structs.replace(old, address=member.address or old.address, lives=old.lives + 1)
        change = Change("replace", lost, lost)
        return _begun(document, _with(document.members, again), change, document.owners)
    if document.member(member.name) is not None or member.name in document.gone:
        raise ChangeError(f"{member.name} is, or was, a member; a replacement has a name of its own")
    wanted = tuple(member.name if owner == lost else owner for owner in document.owners)
    members = _with(
        document.members, msgspec.structs.replace(member, rack=member.rack or old.rack, weight=old.weight)
    )
    return _begun(document, members, Change("replace", member.name, lost), wanted)


def taken_over(document: Document, lost: str) -> Document:
    """Rule 4: if it is `lost` that takes another's place, the document in which it has taken it, as nobody's data; else as it is."""
    change = document.change
    if change is None or change.kind != "replace" or change.node != lost:
        return document
    seats = document.acceptors
    if document.step(META) in (BOTH_NEW, NEW):
        seats = document.seats
    elif change.lost in seats:
        seats = tuple(sorted(lost if name == change.lost else name for name in seats))
    ended = _ended(msgspec.structs.replace(document, seats=seats))
    return msgspec.structs.replace(ended, since=(document.epoch + 1,) * (PARTITIONS + 1))


def rebalanced(document: Document, n: int) -> Document:
    """Begin to give every member its share. Raises ChangeError when each has it."""
    _idle(document)
    wanted = _claimed(document, document.members, (), n)
    if wanted == document.owners:
        raise ChangeError("every member has its share already; there is nothing to move")
    return _begun(document, document.members, Change("rebalance", ""), wanted)


def aborted(document: Document) -> Document:
    """Turn back: the same walk with the tables exchanged. Raises ChangeError."""
    change = document.change
    if change is None:
        raise ChangeError("no change is under way")
    if change.back:
        raise ChangeError("the change is being taken back already")
    if change.kind == "replace":
        raise ChangeError(
            f"{change.lost} has lost its data, so there is no way back; let {change.node} finish, or replace {change.node} if that is lost too"
        )
    epoch = document.epoch + 1
    mirrored = tuple(NEW - step for step in document.steps)
    return msgspec.structs.replace(
        document, epoch=epoch, change=msgspec.structs.replace(change, back=True), steps=mirrored,
        owners=document.wanted, wanted=document.owners, acceptors=document.seats, seats=document.acceptors,
    )  # fmt: skip


# ---- going on with it --------------------------------------------------------------------------------------


def advanced(document: Document, ready: Iterable[int], starting: Iterable[int]) -> Document:
    """Take these partitions one step on, and begin these. When all are NEW the change is over."""
    assert document.change is not None
    epoch = document.epoch + 1
    steps, since = list(document.steps), list(document.since)
    for partition in (*ready, *starting):
        steps[partition] += 1
        since[partition] = epoch
    made = msgspec.structs.replace(document, epoch=epoch, steps=tuple(steps), since=tuple(since))
    return _ended(made) if all(step == NEW for step in steps) else made


def _ended(document: Document) -> Document:
    change = document.change
    assert change is not None
    leaving = {
        "join": change.node if change.back else "",
        "leave": "" if change.back else change.node,
        "replace": change.lost if change.lost != change.node else "",
    }.get(change.kind, "")
    members = tuple(member for member in document.members if member.name != leaving)
    gone = tuple(sorted({*document.gone, leaving})) if leaving else document.gone
    return msgspec.structs.replace(
        document, members=members, owners=document.wanted, acceptors=document.seats, wanted=(), steps=(), seats=(),
        change=None, gone=gone,
    )  # fmt: skip


def moving(document: Document) -> list[int]:
    """The partitions in transit."""
    return [p for p, step in enumerate(document.steps) if step in (BOTH_OLD, BOTH_NEW)]


def still(document: Document) -> list[int]:
    """The partitions that have yet to begin."""
    return [p for p, step in enumerate(document.steps) if step == OLD]


def newcomers(document: Document, partition: int, n: int) -> tuple[str, ...]:
    """The nodes that have to stream this partition: new among its replicas, or robbed of their data."""
    if partition == META:
        return ()  # whoever changes the register writes it to both
    old, new = document.sets(partition, n)
    change = document.change
    lost = change.lost if change is not None else ""
    return tuple(node for node in new if node not in old or node == lost)


def pullers(document: Document, partition: int, n: int) -> tuple[str, ...]:
    """The nodes that have to be told what the old replicas hold: newcomers; and where replicas go and none comes, those who stay.

    A cluster of fewer than n nodes shrinks so. What is held by those who go alone, or by them and one more, must not go with them.
    """
    fresh = newcomers(document, partition, n)
    if partition == META:
        return fresh
    old, new = document.sets(partition, n)
    if len(new) >= len(old):
        return fresh
    return tuple(node for node in new if node in fresh or node in old)


def sources(document: Document, partition: int, n: int, puller: str) -> tuple[tuple[str, ...], int]:
    """Whom to stream from, and of how many: so many that every acknowledged write is met. Who stays has met itself.

    None are needed (0) when every copy is lost, which happens to buckets of one replica only; or when who stays has all that a majority has.
    """
    old, _ = document.sets(partition, n)
    change = document.change
    lost = change.lost if change is not None else ""
    there = tuple(node for node in old if node not in (lost, puller))
    need = blocking(len(old)) - (puller in old and puller != lost)
    return there, 0 if not there and need == 1 else need


def leavers(document: Document, partition: int, n: int) -> tuple[str, ...]:
    """The old replicas that will be none, but for one whose data is gone: what one of them alone holds would go with it."""
    old, new = document.sets(partition, n)
    change = document.change
    lost = change.lost if change is not None else ""
    return tuple(node for node in old if node not in (*new, lost))


def barred(document: Document, partition: int, n: int, adopted: frozenset[str] | set[str]) -> bool:
    """Rule 2: whether those who adopted meet every majority of the old and of the new replicas."""
    change = document.change
    lost = change.lost if change is not None else ""
    for replicas in document.sets(partition, n):
        if replicas != (lost,) and sum(node in adopted for node in replicas) < blocking(len(replicas)):
            return False
    return True


def startable(document: Document, counts: Sequence[int], per_node: int) -> list[int]:
    """Partitions that may begin: all that move nothing, and so many that no node streams more than `per_node` at a time.

    Call it when those that have begun have streamed.
    """
    busy: dict[str, int] = {}
    found = []
    for partition in still(document):
        nodes = _streaming(document, partition, counts)
        if all(busy.get(node, 0) < per_node for node in nodes):
            for node in nodes:
                busy[node] = busy.get(node, 0) + 1
            found.append(partition)
    return found


def _streaming(document: Document, partition: int, counts: Sequence[int]) -> set[str]:
    return {node for n in counts for node in pullers(document, partition, n)}


# ---- parts -------------------------------------------------------------------------------------------------


def _begun(
    document: Document, members: tuple[Member, ...], change: Change, wanted: tuple[str, ...]
) -> Document:
    """Partitions whose order of owners stays the same are NEW at once."""
    n = len(members)
    seats = _seats(document.acceptors, wanted)
    same = change.lost != change.node or not change.lost
    steps = [
        NEW if same and walk(document.owners, p, n) == walk(wanted, p, n) else OLD for p in range(PARTITIONS)
    ]
    steps.append(NEW if same and seats == document.acceptors else OLD)
    return msgspec.structs.replace(
        document, epoch=document.epoch + 1, members=members, change=change, wanted=wanted, steps=tuple(steps), seats=seats,
    )  # fmt: skip


def _seats(acceptors: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Who shall hold the document: those who do, and others in the place of those who go; never fewer than there were."""
    staying = sorted(set(wanted))
    kept = [name for name in acceptors if name in staying]
    size = min(max(_odd(min(len(staying), 3)), len(acceptors)), len(staying))
    fresh = [name for name in staying if name not in kept]
    return tuple(sorted([*kept, *fresh[: max(0, size - len(kept))]]))


def _odd(members: int) -> int:
    return min(ACCEPTORS_MAX, members - 1 + members % 2)


def _claimed(
    document: Document, members: Sequence[Member], leaving: Sequence[str], n: int
) -> tuple[str, ...]:
    shares = {
        member.name: Share(member.weight, member.rack) for member in members if member.name not in leaving
    }
    return claim(document.owners, shares, n)


def _with(members: tuple[Member, ...], member: Member) -> tuple[Member, ...]:
    kept = [each for each in members if each.name != member.name]
    return tuple(sorted([*kept, member], key=lambda each: each.name))


def _known(document: Document, name: str) -> Member:
    member = document.member(name)
    if member is None:
        raise ChangeError(f"{name} is no member; there are {', '.join(document.names)}")
    return member


def _idle(document: Document) -> None:
    if document.change is not None:
        raise ChangeError(
            f"a change is under way ({document.change.kind} {document.change.node}); wait for it or abort it"
        )
