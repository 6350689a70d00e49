"""A node's first start, and why an empty disk is no first start.

    disk empty ──► a token, durable ──Birth(token)──► every peer it knows     token new, or the same: recorded, durably
                                    ◄──BirthReply──   ok                      another token: it was here before
                   ok from a majority of them: born      another token anywhere: refuse to start

A node that has lost its disk has forgotten what it promised and acknowledged; if it took part under its old name, a quorum
could meet in it alone (amnesia: `store.md` S10). So it does nothing until it is *replaced*: KV.CLUSTER REPLACE puts it in the
document as a node whose data is gone, and `--replace` (`replace = true`) makes it wait for that instead of ending. That is witnessed as well, once for
each time it is replaced ("token#lives"): a second disk that is lost while the first is being filled has to be replaced by itself, for the first may
have acknowledged by then.

    Document(lost = me, lives = 2) ──► Birth(token#2) ──► the other members     recorded, if what they know has fewer lives, or is the same
                                    ◄── BirthReply ──     ok from a majority: born, in life 2;  another token#2: wait for life 3

A witness whose own disk came later than the cluster (it has joined, or was replaced) has not seen the births before: of a member that it has no record
of it cannot tell, and its word does not count (`LATE`). Else, once the disks of all witnesses were replaced, an empty one would be taken for new.

One that was a spare, of no partition yet, begins as soon as it is taken in; but not if it lost its disk after that had begun. A restored snapshot is an
empty disk in this sense: it has no incarnation. It is born if the others are restored from the same snapshot (`kvstore.snapshots`):
their record of its birth is then the beginning of its token, up to the "/", and the first token that begins so is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from kvstore.config import majority
from kvstore.document import Document, unpacked
from kvstore.events import Halt, Log, Meta
from kvstore.messages_ring import Birth, BirthReply, RingOffer

if TYPE_CHECKING:
    from kvstore.node import Node

TOKEN: Final = "birth"
BIRTHS: Final = "births"
RETRY_MS: Final = 100.0
LIFE_SHIFT: Final = 20  # a disk's incarnations begin at its number << LIFE_SHIFT
RESTORED: Final = "restored"
LATE: Final = ""  # among the births a disk knows: it does not know all


class Restored(msgspec.Struct, frozen=True, array_like=True):
    """On a restored disk: from which snapshot, at which epoch of the ring, and an incarnation above all before it."""

    label: str
    epoch: int
    before: int

    @property
    def token(self) -> str:
        """How the token of a birth begins."""
        return f"{self.label}@{self.epoch}/"


class Births:
    """Asks for this node's own birth, and witnesses those of others."""

    def __init__(self, node: Node) -> None:
        self._node = node
        stored = node.reader.meta(BIRTHS)
        self._known: dict[str, bytes] = (
            msgspec.msgpack.decode(stored, type=dict[str, bytes]) if stored else {}
        )
        self._token = node.reader.meta(TOKEN) or b""
        restored = node.reader.meta(RESTORED)
        self._restored = msgspec.msgpack.decode(restored, type=Restored) if restored else None
        self._peers = node.view.peers if restored else tuple(node.config.peers)  # who has to witness
        self._ok: set[str] = set()
        self._answered: set[str] = set()
        self._counted = False  # a peer knew it as a member when it began to wait
        self._offer: tuple[str, RingOffer] | None = (
            None  # the document with which a life begins once that is recorded
        )
        self._claim = b""  # "token#lives", lives as the document says
        self._others: tuple[str, ...] = ()  # the other members, as it says
        self._claimed: set[str] = set()  # who of them has recorded it
        self._confirmed = 0  # the lives of the last claim that so many recorded
        self._doubted: set[str] = set()  # peers of whom, or to whom, it was said that this cannot be known
        self._spent = 0  # and of one that another disk of this node had made before
        self.waits = False  # to be replaced
        self.over = False  # born, or refused for good

    def needed(self, incarnation: bytes | None) -> bool:
        """Whether this start has to be witnessed."""
        bugs = self._node.config.bugs
        return incarnation is None and bool(self._peers) and "blank_disk_same_id" not in bugs

    def begin(self) -> None:
        """Ask, until enough have answered; or wait to be replaced."""
        node = self._node
        if not self._token:
            self._draw()
        if self._restored:
            text = f"is restored from snapshot {self._restored.label}, and waits for others that are"
            node.emit(Log(text, "restored"))
            node.membership.start()  # it may have members that the configuration does not know
        node.hold_all(self._ask)

    def _draw(self) -> None:
        origin = self._restored.token if self._restored else ""
        self._token = f"{origin}{int(self._node.rng.random() * (1 << 53))}".encode()
        self._node.emit(self._node.overlay.write_meta(Meta(TOKEN, self._token)))

    def _ask(self) -> None:
        if self.over:
            return
        node = self._node
        for peer in self._peers:
            if peer not in self._answered:
                node.send(peer, Birth(self._token))
        self._ask_anew()
        node.schedule(node.moment.clock.mono_ms + RETRY_MS, self._ask)

    def may_ask(self, args: tuple[bytes, ...]) -> bool:
        """Whether a node that is not born answers this command: one that waits to be taken in tells its status."""
        waits = self.waits or self._node.config.joining
        words = [arg.upper() for arg in args[:2]]
        return waits and (words[:1] in ([b"AUTH"], [b"HELLO"]) or words == [b"KV.CLUSTER", b"STATUS"])

    def handlers(self) -> dict[type, Callable[[str, Any], None]]:
        """What a node may hear before it is born."""
        return {Birth: self.witness, BirthReply: self.reply, RingOffer: self.offered}

    def witness(self, src: str, message: Birth) -> None:
        """Record a birth, unless another is recorded."""
        node, known = self._node, self._known.get(src)
        member = node.view.document.member(src)
        if known is None and b"#" not in message.token and member is not None and member.lives:
            node.send(src, BirthReply(message.token, fresh=False, member=True))  # it had a disk before
            return
        if known is None and b"#" not in message.token and self._late(src):
            self._doubt(src, f"cannot tell whether {src}, whose disk is empty, has been here before")
            node.send(src, BirthReply(message.token, fresh=False, member=member is not None, sure=False))
            return
        again = known is not None and _lives(message.token) > _lives(known)
        if known is None or again or (known.endswith(b"/") and message.token.startswith(known)):
            known = self._known[src] = message.token
            self._save()
        fresh = known == message.token
        node.hold_all(lambda: node.send(src, BirthReply(message.token, fresh, member is not None)))

    def _late(self, src: str) -> bool:
        """Whether that node may have been here before this disk was: not if it is just being taken in."""
        document = self._node.view.document
        me, change = document.member(self._node.name), document.change
        if LATE not in self._known and not (me and me.lives):
            return False
        if document.member(src) is None:
            return not document.epoch  # nobody has told us yet who is a member
        return change is None or change.node != src

    def _doubt(self, peer: str, text: str) -> None:
        if peer not in self._doubted:
            self._doubted.add(peer)
            self._node.emit(Log(text, "birth"))

    def _save(self) -> None:
        self._node.emit(self._node.overlay.write_meta(Meta(BIRTHS, msgspec.msgpack.encode(self._known))))

    def _come_late(self) -> None:
        """This disk has not seen every birth."""
        self._known[LATE] = b""
        self._save()

    def reply(self, src: str, message: BirthReply) -> None:
        """A witness's word."""
        if self._claim and message.token == self._claim:
            self._replied(src, message)
            return
        if self.over or message.token != self._token:
            return
        if not message.sure:
            name = self._node.name
            what = (
                f"if {name} has been, start it with --replace and send KV.CLUSTER REPLACE {name} to a member"
            )
            self._doubt(
                src, f"{src} cannot tell whether {name}, whose disk is empty, has been here before; {what}"
            )
            return
        self._answered.add(src)
        self._counted |= message.member
        if self.waits:
            return
        name = self._node.name
        if not message.fresh and self._restored:
            self.over = True
            text = f"{name} is restored from snapshot {self._restored.label}, and {src} is not, or has seen another disk made of it: "
            what = "restore every node, each once; or begin with an empty disk and KV.CLUSTER REPLACE"
            self._node.emit(Halt(text + what))
            return
        if not message.fresh and self._node.config.replace:
            self.waits = True
            self._node.emit(Log(f"{name} has lost its data and waits for KV.CLUSTER REPLACE {name}", "lost"))
            return
        if not message.fresh:
            self.over = True
            self._node.emit(
                Halt(
                    f"{name} has an empty disk, and {src} remembers it with another: it may have acknowledged what it "
                    f"does not know any more. Start it with --replace and send KV.CLUSTER REPLACE {name} to a member"
                )
            )
            return
        self._ok.add(src)
        if len(self._ok) >= majority(len(self._peers)):
            self.over = True
            if self._node.config.joining:
                self._come_late()
            self._node.begin_life(self._node.incarnation)

    # ---- replaced ----

    def offered(self, src: str, message: RingOffer) -> None:
        """A document: is it the one that makes us a member again?"""
        document: Document = unpacked(message.document)
        node, change = self._node, document.change
        member = document.member(node.name)
        if self._restored or not node.config.replace or member is None or change is None or self.over:
            return
        if change.node != node.name:
            self._offer, self._claim = None, b""  # another one takes its place
            return
        if change.lost == node.name:
            self._offer = (src, message)
            self._claim_as(document, member.lives)
        elif not self._counted and len(self._answered) >= majority(len(self._peers)):
            self._begin_anew(src, message, member.lives)  # a spare that nobody has counted on

    def confirmed(self) -> bool:
        """Whether this node, which lives, may be filled; if it is replaced, others must know this disk for the one that is."""
        document = self._node.view.document
        change, member = document.change, document.member(self._node.name)
        if change is None or member is None or not change.lost == change.node == member.name:
            return True
        if self._confirmed < member.lives:
            self._claim_as(document, member.lives)
        return self._confirmed >= member.lives

    def _claim_as(self, document: Document, lives: int) -> None:
        """Have this disk recorded as the one that is filled now."""
        node = self._node
        if lives <= self._spent:
            return
        if not self._token:
            self._draw()
        claim = self._token + b"#%d" % lives
        if claim != self._claim:
            self._claim, self._claimed = claim, set()
        self._others = tuple(name for name in document.names if name != node.name)
        if not self._others:
            self._confirmed = lives
        node.membership.meet(document)
        node.hold_all(self._ask_anew)

    def _ask_anew(self) -> None:
        for name in self._others:
            if self._claim and name not in self._claimed:
                self._node.send(name, Birth(self._claim))

    def _replied(self, src: str, message: BirthReply) -> None:
        name, lives = self._node.name, _lives(self._claim)
        if not message.fresh:
            self._spent, self._claim = lives, b""
            text = f"{name} has lost its data again, while it was being replaced, and waits for another KV.CLUSTER REPLACE {name}"
            self._node.emit(Log(text, "lost"))
            return
        self._claimed.add(src)
        if len(self._claimed) < majority(len(self._others)):
            return
        self._confirmed, self._claim = lives, b""
        if self._offer is not None and not self.over:
            self._begin_anew(*self._offer, lives)

    def _begin_anew(self, src: str, message: RingOffer, lives: int) -> None:
        self.over = True
        self._come_late()
        self._node.membership.offer(src, message)
        self._node.begin_life((lives << LIFE_SHIFT) + 1)


def _lives(token: bytes) -> int:
    """How often its node had been replaced when it was made."""
    return int(token.rpartition(b"#")[2]) if b"#" in token else 0
