"""Runs on a host, on the standard library alone: takes packets that iptables queues (NFQUEUE), and does to them what no rule can.

    mangle INPUT ──► -s PEER -j NFQUEUE --queue-num Q --queue-bypass ──┬─► delay: each is let go when it is due
                                                                       ├─► reorder: some are held, others pass them
                                                                       ├─► duplicate: a copy of some goes in again, by a raw socket
                                                                       └─► corrupt: one bit of what some carry is flipped

Only `duplicate` and `corrupt` look at the bytes of packets. `--queue-bypass`: without this program packets go through as they are. On
SIGTERM everything held is let go. The file STATS is there as soon as the queue is bound: a line for each source, with how many packets
were seen and how many touched, and for how long those were held on average, in milliseconds.

    python3 queue_daemon.py QUEUE STATS delay DELAY_MS JITTER_MS | reorder SHARE DELAY_MS | duplicate SHARE | corrupt SHARE wrong|right

A flipped bit leaves the checksum `wrong`, and the receiver's kernel drops the packet; or the checksum is made `right`, and the program
there gets the byte. Reference: linux/netfilter/nfnetlink_queue.h; a message is nlmsghdr, nfgenmsg, then attributes padded to four bytes.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from typing import Any, NamedTuple

NETLINK_NETFILTER, SOL_NETLINK, NO_ENOBUFS, SO_RCVBUFFORCE = 12, 270, 5, 33
PACKET, VERDICT, CONFIG = (3 << 8 | message for message in (0, 1, 2))
REQUEST, ACK, ERROR = 1, 4, 2
BIND, COPY_PACKET, FAIL_OPEN, GSO, ACCEPT = 1, 2, 1, 4, 1
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
HEADER, VERDICT_OF, PAYLOAD = 1, 2, 10
QUEUE_PACKETS_MAX, BUFFER_BYTES, STATS_EVERY_S = 20_000, 8 << 20, 0.1
IP_HEADER_BYTES, PACKET_BYTES_MAX = 20, 65_535
TCP, UDP = 6, 17


class Packet(NamedTuple):
    """What the kernel tells of a packet: its id, and as much of it as was asked for."""

    number: int
    data: bytes

    @property
    def source(self) -> str:
        """The IPv4 address it comes from."""
        return socket.inet_ntoa(self.data[12:16])


def message(kind: int, flags: int, queue: int, *attributes: tuple[int, bytes]) -> bytes:
    """One netlink message about a queue."""
    body = struct.pack(">BBH", 0, 0, queue)
    for attribute, value in attributes:
        padding = b"\0" * (-len(value) % 4)
        body += struct.pack("=HH", 4 + len(value), attribute) + value + padding
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def bind(netlink: socket.socket, queue: int, *, whole: bool) -> None:
    """Take the queue. `whole` packets come as on the wire, with checksums; else only their heads. Raises OSError if the kernel refuses."""
    flags = FAIL_OPEN if whole else FAIL_OPEN | GSO
    copied = PACKET_BYTES_MAX if whole else IP_HEADER_BYTES
    for attributes in (
        [(CFG_CMD, struct.pack(">BBH", BIND, 0, socket.AF_INET))],
        [(CFG_PARAMS, struct.pack(">IB", copied, COPY_PACKET))],
        [(CFG_QUEUE_MAXLEN, struct.pack(">I", QUEUE_PACKETS_MAX))],
        [(CFG_FLAGS, struct.pack(">I", flags)), (CFG_MASK, struct.pack(">I", FAIL_OPEN | GSO))],
    ):
        netlink.send(message(CONFIG, REQUEST | ACK, queue, *attributes))
        answer = netlink.recv(65536)
        _, kind = struct.unpack_from("=IH", answer)
        (error,) = struct.unpack_from("=i", answer, 16)
        if kind == ERROR and error:
            raise OSError(-error, os.strerror(-error))


def packets_in(answer: bytes) -> list[Packet]:
    """The packets in what was received."""
    found, at = [], 0
    while at + 20 <= len(answer):
        length, kind = struct.unpack_from("=IH", answer, at)
        if kind == PACKET:
            attributes = attributes_in(answer[at + 20 : at + length])
            (number,) = struct.unpack_from(">I", attributes[HEADER])
            found.append(Packet(number, attributes.get(PAYLOAD, bytes(IP_HEADER_BYTES))))
        at += max(16, length + -length % 4)
    return found


def attributes_in(body: bytes) -> dict[int, bytes]:
    """The attributes of one message, by their numbers."""
    found, at = {}, 0
    while at + 4 <= len(body):
        length, attribute = struct.unpack_from("=HH", body, at)
        found[attribute & 0x3FFF] = body[at + 4 : at + length]
        at += max(4, length + -length % 4)
    return found


class Queue:
    """The queue's packets, and what was done to them so far."""

    def __init__(self, netlink: socket.socket, queue: int) -> None:
        self.over = False
        self.counts: dict[str, list[float]] = {}  # by source: seen, touched, seconds that those were held
        self._netlink, self._queue = netlink, queue
        self._heap: list[tuple[float, int, float, str]] = []  # due, id, since, source

    def stop(self, *_: Any) -> None:
        """Called on SIGTERM."""
        self.over = True

    def count(self, source: str, hit: bool, held_s: float = 0.0) -> None:
        """Of a packet that was touched, or only seen."""
        counts = self.counts.setdefault(source, [0, 0, 0.0])
        counts[1] += hit
        counts[2] += held_s

    def accept(self, number: int, data: bytes | None = None) -> None:
        """Let a packet go, changed if there is `data`."""
        changed = [] if data is None else [(PAYLOAD, data)]
        verdict = struct.pack(">II", ACCEPT, number)
        self._netlink.send(message(VERDICT, REQUEST, self._queue, (VERDICT_OF, verdict), *changed))

    def hold(self, packet: Packet, late_s: float) -> None:
        """Keep a packet's id until then."""
        now = time.monotonic()
        heapq.heappush(self._heap, (now + late_s, packet.number, now, packet.source))

    def turn(self, act: Act, timeout_s: float) -> None:
        """Wait for packets or for the next that is due; take in what came, let go what is due."""
        if self._heap:
            timeout_s = min(timeout_s, max(0.0, self._heap[0][0] - time.monotonic()))
        if select.select([self._netlink], [], [], timeout_s)[0]:
            for packet in packets_in(self._netlink.recv(1 << 20)):
                self.counts.setdefault(packet.source, [0, 0, 0.0])[0] += 1
                act.take(packet)
        self.let_go(act, time.monotonic())

    def let_go(self, act: Act, until: float) -> None:
        """Those that are due by then."""
        while self._heap and self._heap[0][0] <= until:
            due, number, since, source = heapq.heappop(self._heap)
            self.accept(number)
            now = time.monotonic()
            hit = act.was_touched(number, is_due=due <= now)
            self.count(source, hit, now - since if hit else 0.0)


class Act:
    """What is done to packets."""

    whole = False

    def __init__(self, queue: Queue, *asked: str) -> None:
        self.queue = queue
        self.share = float(asked[0])

    def take(self, packet: Packet) -> None:
        """A packet has come."""
        hit = random.random() < self.share and self.strike(packet)
        if not hit:
            self.queue.accept(packet.number)
        self.queue.count(packet.source, hit)

    def strike(self, packet: Packet) -> bool:
        """Do it to this packet and let it go; False, and nothing is done, where it cannot be."""
        raise NotImplementedError

    def was_touched(self, number: int, *, is_due: bool) -> bool:
        """Whether a packet that was held and is let go has been touched; at the end of all one may not be due yet, and was not held for as long as asked."""
        return is_due


class Delay(Act):
    """Every packet is late, give or take."""

    def __init__(self, queue: Queue, *asked: str) -> None:
        super().__init__(queue, "1")
        self._delay_s, self._jitter_s = (float(text) / 1000 for text in asked)

    def take(self, packet: Packet) -> None:
        """Hold it."""
        self.queue.hold(packet, max(0.0, self._delay_s + random.uniform(-self._jitter_s, self._jitter_s)))


class Reorder(Act):
    """Some packets are held while others pass. One is touched if another of its source has passed it."""

    def __init__(self, queue: Queue, *asked: str) -> None:
        super().__init__(queue, *asked)
        self._late_s = float(asked[1]) / 1000
        self._held: dict[str, set[int]] = {}  # by source, those that nobody has passed yet
        self._passed: set[int] = set()

    def take(self, packet: Packet) -> None:
        """Hold it, or let it pass those that are held."""
        held = self._held.setdefault(packet.source, set())
        if random.random() < self.share:
            held.add(packet.number)
            self.queue.hold(packet, self._late_s)
        else:
            self.queue.accept(packet.number)
            self._passed |= held
            held.clear()

    def was_touched(self, number: int, *, is_due: bool) -> bool:
        """Whether another has passed it."""
        for held in self._held.values():
            held.discard(number)
        touched = number in self._passed
        self._passed.discard(number)
        return touched


class Duplicate(Act):
    """A copy of some packets comes in once more, over the loopback device, which the rule leaves out."""

    whole = True

    def __init__(self, queue: Queue, *asked: str) -> None:
        super().__init__(queue, *asked)
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def strike(self, packet: Packet) -> bool:
        """The packet, and its copy."""
        self.queue.accept(packet.number)
        self._raw.sendto(packet.data, (socket.inet_ntoa(packet.data[16:20]), 0))
        return True


class Corrupt(Act):
    """One bit of what some packets carry is flipped. Packets that carry nothing are let through."""

    whole = True

    def __init__(self, queue: Queue, *asked: str) -> None:
        super().__init__(queue, *asked)
        self._mends = asked[1] == "right"

    def strike(self, packet: Packet) -> bool:
        """Flip a bit of TCP's or UDP's payload."""
        start, end = payload_of(packet.data)
        if start >= end:
            return False
        data = bytearray(packet.data)
        data[random.randrange(start, end)] ^= 1 << random.randrange(8)
        if self._mends:
            mend_checksum(data)
        self.queue.accept(packet.number, bytes(data))
        return True


def payload_of(data: bytes) -> tuple[int, int]:
    """Where what a TCP or UDP packet carries begins and ends; (0, 0) of any other, and of a later fragment."""
    transport = 4 * (data[0] & 15)
    (total, _, fragment) = struct.unpack_from(">HHH", data, 2)
    least = {TCP: 20, UDP: 8}.get(data[9])
    if least is None or fragment & 0x1FFF or len(data) < transport + least:
        return 0, 0
    header = 4 * (data[transport + 12] >> 4) if data[9] == TCP else least
    return transport + header, min(total, len(data))


def mend_checksum(data: bytearray) -> None:
    """Set the checksum of TCP or UDP anew (RFC 793, 768: over a pseudo-header too)."""
    transport = 4 * (data[0] & 15)
    at = transport + (16 if data[9] == TCP else 6)
    data[at : at + 2] = b"\0\0"
    segment = bytes(data[transport:])
    text = bytes(data[12:20]) + struct.pack(">HH", data[9], len(segment)) + segment
    text += b"\0" * (len(text) % 2)
    total = sum(struct.unpack(f">{len(text) // 2}H", text))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into(">H", data, at, ~total & 0xFFFF or 0xFFFF)


ACTS: dict[str, type[Act]] = {"delay": Delay, "reorder": Reorder, "duplicate": Duplicate, "corrupt": Corrupt}


def write(path: str, queue: Queue) -> None:
    """The counts, by renaming."""
    with open(f"{path}.new", "w") as file:
        for source, (seen, hit, held_s) in sorted(queue.counts.items()):
            file.write(f"{source} {seen} {hit} {1000 * held_s / hit if hit else 0.0:.3f}\n")
    os.replace(f"{path}.new", path)


def main(number: int, stats: str, act: str, *asked: str) -> None:
    """Act on packets until SIGTERM."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.setsockopt(SOL_NETLINK, NO_ENOBUFS, 1)
    netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    netlink.bind((0, 0))
    queue = Queue(netlink, number)
    acting = ACTS[act](queue, *asked)
    bind(netlink, number, whole=acting.whole)
    signal.signal(signal.SIGTERM, queue.stop)
    write(stats, queue)
    next_s = time.monotonic() + STATS_EVERY_S
    while not queue.over:
        queue.turn(acting, STATS_EVERY_S)
        if time.monotonic() >= next_s:
            write(stats, queue)
            next_s = time.monotonic() + STATS_EVERY_S
    queue.let_go(acting, float("inf"))
    write(stats, queue)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
