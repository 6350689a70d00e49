"""Gossip: every `gossip_ms` each node reconciles what it knows with two others (`kvstore.scuttlebutt`).

    own entries     EPOCH        the ring epoch it uses
                    LOAD         operations in progress
                    OLDEST_HINT  wall ms of the oldest version it keeps for anybody, "inf" if none,
                    HINTS_AT     and when that was so, about: wall ms of its own
                    SUSPECTS     peers it suspects
                    UNREADABLE   what is damaged there and could not be mended, in words
                    CLIENT_PORT  where it serves clients
                    HANDED_OVER  of one that is to leave: the ring epoch at which it kept nothing for anybody

One partner is drawn from those that seem alive; with a small chance one of the others, so that a healed cut is noticed
from both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from kvstore.config import NodeConfig
from kvstore.messages import Message
from kvstore.messages_repair import GossipAck, GossipAck2, GossipSyn
from kvstore.replica import Moment
from kvstore.scuttlebutt import Delta, Digest, Knowledge

FAN_OUT = 2
BYTES_MAX = 64 << 10  # of news in one message
OTHER_CHANCE = 0.1  # to try one that seems dead as well
About = TypeVar("About", Delta, Digest)


class Rng(Protocol):
    """The part of random.Random that gossip uses."""

    def random(self) -> float:
        """A number in [0, 1)."""


class Gossip:
    """One node's gossip. `entries()` gives what it says about itself now."""

    def __init__(
        self,
        config: NodeConfig,
        incarnation: int,
        moment: Moment,
        rng: Rng,
        *,
        send: Callable[[str, Message], None],
        schedule: Callable[[float, Callable[[], None]], None],
        alive: Callable[[str], bool],
        entries: Callable[[], dict[str, str]],
        peers: Callable[[], tuple[str, ...]],
    ) -> None:
        self._peers = peers
        self.knowledge = Knowledge(config.name, incarnation)
        self._config = config
        self._moment = moment
        self._rng = rng
        self._send = send
        self._schedule = schedule
        self._alive = alive
        self._entries = entries

    def begin_life(self, incarnation: int) -> None:
        """What this node says is of this incarnation: nobody believes one below that of its last life."""
        self.knowledge = Knowledge(self._config.name, incarnation)

    def start(self) -> None:
        """Begin to gossip."""
        if self._config.gossip_ms > 0:
            jitter = 0.9 + 0.2 * self._rng.random()
            self._schedule(self._moment.clock.mono_ms + self._config.gossip_ms * jitter, self._round)

    def _round(self) -> None:
        self.start()
        for name, value in self._entries().items():
            self.knowledge.say(name, value)
        syn = GossipSyn(self.knowledge.digests())
        for peer in self._partners():
            self._send(peer, syn)

    def _partners(self) -> list[str]:
        peers = sorted(self._peers())
        living = [peer for peer in peers if self._alive(peer)]
        others = [peer for peer in peers if peer not in living]
        chosen: list[str] = []
        while living and len(chosen) < FAN_OUT:
            chosen.append(living.pop(int(self._rng.random() * len(living))))
        if others and (not chosen or self._rng.random() < OTHER_CHANCE):
            chosen.append(others[int(self._rng.random() * len(others))])
        return chosen

    def forget(self, peer: str) -> None:
        """A member that has left for good."""
        self.knowledge.forget(peer)

    def syn(self, src: str, message: GossipSyn) -> None:
        """Answer with news, and with what is lacking here."""
        news = self.knowledge.deltas(message.digests, complete=True, bytes_max=BYTES_MAX)
        wanted = self.knowledge.lacking(self._of_members(message.digests))
        if news or wanted:
            self._send(src, GossipAck(news, wanted))

    def ack(self, src: str, message: GossipAck) -> None:
        """Learn, and send what was wanted."""
        self.knowledge.learn(self._of_members(message.deltas))
        if message.wanted:
            news = self.knowledge.deltas(message.wanted, complete=False, bytes_max=BYTES_MAX)
            if news:
                self._send(src, GossipAck2(news))

    def ack2(self, src: str, message: GossipAck2) -> None:
        """Learn."""
        self.knowledge.learn(self._of_members(message.deltas))

    def _of_members(self, told: Iterable[About]) -> list[About]:
        """What is about other members: whoever has left is told of by itself, and by those who have not heard of that yet."""
        members = self._peers()
        return [each for each in told if each.node in members]
