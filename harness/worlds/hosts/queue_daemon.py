"""Runs on a host, on the standard library alone: takes packets that iptables queues (NFQUEUE), and does to them what no rule can.

    mangle INPUT ──► -s PEER -j NFQUEUE --queue-num Q --queue-bypass ──┬─► delay: each is let go when it is due
                                                                       ├─► reorder: some are held, others pass them
                                                                       ├─► duplicate: a copy of some goes in again, by a raw socket
                                                                       └─► corrupt: one bit of what some carry is flipped

Only `duplicate` and `corrupt` look at the bytes of packets. `--queue-bypass`: without this program packets go through as they are. On
SIGTERM everything held is let go. The file PLACE/counts has a line for each source: how many packets were seen and how many touched, and for how
long those were held on average, in milliseconds.

    python3 -c 'import sys; sys.path.insert(0, DIRECTORY); import queue_daemon as q; q.main(*sys.argv[1:])' \
        QUEUE PLACE delay DELAY_MS JITTER_MS | reorder SHARE DELAY_MS | duplicate SHARE | corrupt SHARE wrong|right

    who calls it ──► python3 ── binds the queue ── forks ──► exits 0: what comes now is taken     or a trace and 1, and nothing goes on
                                                     └────► PLACE/pid, its own session, PLACE/log

So nobody has to ask again and again whether it is there. It is called while a fault is to begin, on all hosts at once, so it is imported
(compiled once) and imports little: half of the time that Python took to begin went for modules and for compiling this file.

A flipped bit leaves the checksum `wrong`, and the receiver's kernel drops the packet; or the checksum is made `right`, and the program
there gets the byte. Reference: linux/netfilter/nfnetlink_queue.h; a message is nlmsghdr, nfgenmsg, then attributes padded to four bytes.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import socket
import struct
import time

NETLINK_NETFILTER, SOL_NETLINK, NO_ENOBUFS, SO_RCVBUFFORCE = 12, 270, 5, 33
PACKET, VERDICT, CONFIG = (3 << 8 | message for message in (0, 1, 2))
REQUEST, ACK, ERROR = 1, 4, 2
BIND, COPY_PACKET, FAIL_OPEN, GSO, ACCEPT = 1, 2, 1, 4, 1
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
HEADER, VERDICT_OF, PAYLOAD = 1, 2, 10
QUEUE_PACKETS_MAX, BUFFER_BYTES, STATS_EVERY_S = 20_000, 8 << 20, 0.1
IP_HEADER_BYTES, PACKET_BYTES_MAX = 20, 65_535
TCP, UDP = 6, 17


def chance() -> float:
    """Between 0 and 1; of the kernel, for the module `random` takes longer to import than to draw a run's worth."""
    return int.from_bytes(os.urandom(7), "big") / (1 << 56)


class Packet:
    """What the kernel tells of a packet: its id, and as much of it as was asked for."""

    __slots__ = ("data", "number")

    def __init__(self, number: int, data: bytes) -> None:
        self.number, self.data = number, data

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
        self._heard: list[socket.socket | int] = [netlink]  # what ends the wait for packets
        self.counts: dict[str, list[float]] = {}  # by source: seen, touched, seconds that those were held
        self._netlink, self._queue = netlink, queue
        self._heap: list[tuple[float, int, float, str]] = []  # due, id, since, source

    def end_on(self, number: int) -> None:
        """This signal is the end, at once: it ends the wait for packets too."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake)
        signal.signal(number, self._stop)
        self._heard.append(woken)

    def _stop(self, *_: object) -> None:
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
        if self._netlink in select.select(self._heard, [], [], timeout_s)[0]:
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
        hit = chance() < self.share and self.strike(packet)
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
        self.queue.hold(packet, max(0.0, self._delay_s + self._jitter_s * (2 * chance() - 1)))


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
        if chance() < self.share:
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
        data[start + int(chance() * (end - start))] ^= 1 << int(chance() * 8)
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


def apart(place: str) -> None:
    """Go on as a process of one's own. Its pid, and the tick in which it was born, are in `place` before who called us is told that it goes on."""
    child = os.fork()
    if not child:
        os.setsid()
        log = os.open(f"{place}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        for here, there in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
            os.dup2(here, there)  # who called us waits until nobody holds its end
        return
    try:
        with open(f"/proc/{child}/stat") as file:
            born = file.read().rpartition(")")[2].split()[19]
        for name, text in (("pid.born", born), ("pid", str(child))):
            with open(f"{place}/{name}", "w") as file:
                file.write(f"{text}\n")
    except OSError:
        os.kill(child, signal.SIGKILL)
        raise
    os._exit(0)


def main(number: str, place: str, act: str, *asked: str) -> None:
    """Act on packets until SIGTERM."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.setsockopt(SOL_NETLINK, NO_ENOBUFS, 1)
    netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    netlink.bind((0, 0))
    queue, stats = Queue(netlink, int(number)), f"{place}/counts"
    acting = ACTS[act](queue, *asked)
    bind(netlink, int(number), whole=acting.whole)
    queue.end_on(signal.SIGTERM)
    write(stats, queue)
    apart(place)
    next_s = time.monotonic() + STATS_EVERY_S
    while not queue.over:
        queue.turn(acting, STATS_EVERY_S)
        if time.monotonic() >= next_s:
            write(stats, queue)
            next_s = time.monotonic() + STATS_EVERY_S
    queue.let_go(acting, float("inf"))
    write(stats, queue)
