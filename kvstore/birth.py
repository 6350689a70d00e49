"""A node's first start, and why an empty disk is no first start.

    disk empty ──► a token, durable ──Birth(token)──► every peer it knows     token new, or the same: recorded, durably
                                    ◄──BirthReply──   ok                      another token: it was here before
                   ok from a majority of them: born      another token anywhere: refuse to start

A node that has lost its disk has forgotten what it promised and acknowledged; if it took part under its old name, a quorum
could meet in it alone (amnesia: `store.md` S10). So it does nothing until it is *replaced*: KV.CLUSTER REPLACE puts it in the
document as a node whose data is gone, and `--replace` (`replace = true`) makes it wait for that instead of ending. One that was a spare, of no
partition yet, begins as soon as it is taken in; but not if it lost its disk after that had begun, for it may have acknowledged by then. A restored snapshot is an
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
            origin = self._restored.token if self._restored else ""
            self._token = f"{origin}{int(node.rng.random() * (1 << 53))}".encode()
            node.emit(node.overlay.write_meta(Meta(TOKEN, self._token)))
        if self._restored:
            text = f"is restored from snapshot {self._restored.label}, and waits for others that are"
            node.emit(Log(text, "restored"))
            node.membership.start()  # it may have members that the configuration does not know
        node.hold_all(self._ask)

    def _ask(self) -> None:
        if self.over:
            return
        node = self._node
        for peer in self._peers:
            if peer not in self._answered:
                node.send(peer, Birth(self._token))
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
        if known is None or (known.endswith(b"/") and message.token.startswith(known)):
            known = self._known[src] = message.token
            node.emit(node.overlay.write_meta(Meta(BIRTHS, msgspec.msgpack.encode(self._known))))
        fresh = known == message.token
        member = node.view.document.member(src) is not None
        node.hold_all(lambda: node.send(src, BirthReply(message.token, fresh, member)))

    def reply(self, src: str, message: BirthReply) -> None:
        """A witness's word."""
        if self.over or message.token != self._token:
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
            self._node.begin_life(self._node.incarnation)

    def offered(self, src: str, message: RingOffer) -> None:
        """A document: is it the one that makes us a member again?"""
        document: Document = unpacked(message.document)
        node, change = self._node, document.change
        member = document.member(node.name)
        if self._restored or not node.config.replace or member is None or change is None or self.over:
            return
        if change.lost == node.name or (change.node == node.name and not self._counted):
            self.over = True
            node.membership.offer(src, message)
            node.begin_life((member.lives << LIFE_SHIFT) + 1)
