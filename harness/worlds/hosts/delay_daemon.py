"""Runs on a host, on the standard library alone: holds packets that iptables queues (NFQUEUE) and lets each go when it is due.

    mangle INPUT ──► -s PEER -j NFQUEUE --queue-num Q --queue-bypass ──► heap by due time ──► accept

Only ids of packets are held, never their bytes. `--queue-bypass`: without this program packets are not delayed, but not
lost either. On SIGTERM everything held is let go. The file STATS always holds two numbers: how many packets were let
go, and the mean time they were held, in milliseconds; it is there as soon as the queue is bound.

    python3 delay_daemon.py QUEUE DELAY_MS JITTER_MS STATS

Reference: linux/netfilter/nfnetlink_queue.h; a message is nlmsghdr, nfgenmsg, then attributes padded to four bytes.
"""

import heapq
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from typing import Any

NETLINK_NETFILTER, SOL_NETLINK, NO_ENOBUFS, SO_RCVBUFFORCE = 12, 270, 5, 33
PACKET, VERDICT, CONFIG = (3 << 8 | message for message in (0, 1, 2))
REQUEST, ACK, ERROR = 1, 4, 2
BIND, COPY_META, FAIL_OPEN, GSO, ACCEPT = 1, 1, 1, 4, 1
CFG_CMD, CFG_PARAMS, CFG_QUEUE_MAXLEN, CFG_MASK, CFG_FLAGS = 1, 2, 3, 4, 5
QUEUE_PACKETS_MAX, BUFFER_BYTES, STATS_EVERY_S = 20_000, 8 << 20, 0.1


def message(kind: int, flags: int, queue: int, *attributes: tuple[int, bytes]) -> bytes:
    """One netlink message about a queue."""
    body = struct.pack(">BBH", 0, 0, queue)
    for attribute, value in attributes:
        padding = b"\0" * (-len(value) % 4)
        body += struct.pack("=HH", 4 + len(value), attribute) + value + padding
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def bind(netlink: socket.socket, queue: int) -> None:
    """Take the queue. Raises OSError if the kernel refuses."""
    flags = FAIL_OPEN | GSO
    for attributes in (
        [(CFG_CMD, struct.pack(">BBH", BIND, 0, socket.AF_INET))],
        [(CFG_PARAMS, struct.pack(">IB", 0, COPY_META))],
        [(CFG_QUEUE_MAXLEN, struct.pack(">I", QUEUE_PACKETS_MAX))],
        [(CFG_FLAGS, struct.pack(">I", flags)), (CFG_MASK, struct.pack(">I", flags))],
    ):
        netlink.send(message(CONFIG, REQUEST | ACK, queue, *attributes))
        answer = netlink.recv(65536)
        _, kind = struct.unpack_from("=IH", answer)
        (error,) = struct.unpack_from("=i", answer, 16)
        if kind == ERROR and error:
            raise OSError(-error, os.strerror(-error))


def packet_ids(answer: bytes) -> list[int]:
    """The ids of the packets in what was received."""
    ids, at = [], 0
    while at + 20 <= len(answer):
        length, kind = struct.unpack_from("=IH", answer, at)
        if kind == PACKET:
            (number,) = struct.unpack_from(
                ">I", answer, at + 24
            )  # the packet's header is the first attribute
            ids.append(number)
        at += max(16, length + -length % 4)
    return ids


class Delay:
    """The packets that are held."""

    def __init__(self, netlink: socket.socket, queue: int, delay_s: float, jitter_s: float) -> None:
        self.count, self.held_s, self.over = 0, 0.0, False
        self._netlink, self._queue = netlink, queue
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._heap: list[tuple[float, int, float]] = []  # due, id, since

    def stop(self, *_: Any) -> None:
        """Called on SIGTERM."""
        self.over = True

    def turn(self, timeout_s: float) -> None:
        """Wait for packets or for the next that is due; take in what came, let go what is due."""
        if self._heap:
            timeout_s = min(timeout_s, max(0.0, self._heap[0][0] - time.monotonic()))
        if select.select([self._netlink], [], [], timeout_s)[0]:
            now = time.monotonic()
            for number in packet_ids(self._netlink.recv(1 << 20)):
                late_s = max(0.0, self._delay_s + random.uniform(-self._jitter_s, self._jitter_s))
                heapq.heappush(self._heap, (now + late_s, number, now))
        self._let_go(time.monotonic())

    def let_all_go(self) -> None:
        """At the end."""
        self._let_go(float("inf"))

    def _let_go(self, until: float) -> None:
        while self._heap and self._heap[0][0] <= until:
            _, number, since = heapq.heappop(self._heap)
            verdict = struct.pack(">II", ACCEPT, number)
            self._netlink.send(message(VERDICT, REQUEST, self._queue, (2, verdict)))
            self.count += 1
            self.held_s += time.monotonic() - since


def write(path: str, delay: Delay) -> None:
    """The counts, by renaming."""
    mean_ms = 1000 * delay.held_s / delay.count if delay.count else 0.0
    with open(f"{path}.new", "w") as file:
        file.write(f"{delay.count} {mean_ms:.3f}\n")
    os.replace(f"{path}.new", path)


def main(queue: int, delay_ms: float, jitter_ms: float, stats: str) -> None:
    """Delay packets until SIGTERM."""
    netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    netlink.setsockopt(SOL_NETLINK, NO_ENOBUFS, 1)
    netlink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    netlink.bind((0, 0))
    bind(netlink, queue)
    delay = Delay(netlink, queue, delay_ms / 1000, jitter_ms / 1000)
    signal.signal(signal.SIGTERM, delay.stop)
    write(stats, delay)
    next_s = time.monotonic() + STATS_EVERY_S
    while not delay.over:
        delay.turn(STATS_EVERY_S)
        if time.monotonic() >= next_s:
            write(stats, delay)
            next_s = time.monotonic() + STATS_EVERY_S
    delay.let_all_go()
    write(stats, delay)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
