"""The program that takes packets on a host: what it reads of them and writes into them. What the kernel makes of it: `tests/hosts`."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.worlds.hosts.queue_daemon import (
    TCP,
    UDP,
    Delay,
    Packet,
    Queue,
    attributes_in,
    mend_checksum,
    message,
    packets_in,
    payload_of,
)


def packet(protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytearray:
    """An IPv4 packet with no checksums."""
    if protocol == TCP:
        head = struct.pack(">HHIIBBHHH", 7, 9, 1, 1, (20 + len(options)) // 4 << 4, 24, 500, 0, 0) + options
    else:
        head = struct.pack(">HHHH", 7, 9, 8 + len(payload), 0)
    ends = socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
    total = 20 + len(head) + len(payload)
    return bytearray(
        struct.pack(">BBHHHBBH", 0x45, 0, total, 0, fragment, 64, protocol, 0) + ends + head + payload
    )


def sums_up(data: bytes) -> bool:
    """RFC 1071: words of the pseudo-header and the segment, checksum and all, add up to all ones."""
    segment = data[20:]
    text = data[12:20] + struct.pack(">HH", data[9], len(segment)) + segment
    text += b"\0" * (len(text) % 2)
    total = sum(text[at] << 8 | text[at + 1] for at in range(0, len(text), 2))
    return total % 0xFFFF == 0


@given(st.sampled_from([TCP, UDP]), st.binary(max_size=40), st.sampled_from([b"", bytes(12)]))
def test_a_mended_checksum_is_right_and_nothing_else_changes(
    protocol: int, payload: bytes, options: bytes
) -> None:
    data = packet(protocol, payload, options=options if protocol == TCP else b"")
    before = bytes(data)
    mend_checksum(data)
    assert sums_up(data)
    at = 20 + (16 if protocol == TCP else 6)
    assert bytes(data[:at]) + bytes(data[at + 2 :]) == before[:at] + before[at + 2 :]


@given(st.sampled_from([TCP, UDP]), st.binary(max_size=40), st.sampled_from([b"", bytes(12)]))
def test_the_payload_is_found_behind_all_headers(protocol: int, payload: bytes, options: bytes) -> None:
    data = packet(protocol, payload, options=options if protocol == TCP else b"")
    start, end = payload_of(bytes(data))
    assert bytes(data[start:end]) == payload


@pytest.mark.parametrize(
    "data",
    [packet(1, b"ping of ICMP, with more bytes"), packet(UDP, b"a later piece", fragment=185), packet(TCP, b"")[:30]],
)  # fmt: skip
def test_what_is_no_whole_tcp_or_udp_carries_nothing(data: bytearray) -> None:
    start, end = payload_of(bytes(data))
    assert start >= end


def test_packets_are_read_out_of_what_netlink_says() -> None:
    data = bytes(packet(UDP, b"abc"))
    there = message(3 << 8, 0, 7150, (1, struct.pack(">IHBx", 41, 8, 1)), (10, data))
    other = message(2, 0, 0)
    found = packets_in(there + other + there)
    assert [(each.number, each.data, each.source) for each in found] == [(41, data, "10.0.0.1")] * 2
    assert attributes_in(there[20:])[10] == data


def test_what_is_let_go_before_it_is_due_was_not_late() -> None:
    """The end of a delay lets everything go: packets that had just come made the average less than what was asked for, and the fault one that did not bite."""
    kernel, netlink = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernel, netlink:
        queue, data = Queue(netlink, 7150), bytes(packet(UDP, b"abc"))
        Delay(queue, "0", "0").take(Packet(1, data))
        act = Delay(queue, "600000", "0")
        act.take(Packet(2, data))
        queue.let_go(act, float("inf"))
        (_, touched, held_s) = queue.counts["10.0.0.1"]
        assert touched == 1
        assert held_s < 600
        verdicts = [attributes_in(kernel.recv(1000)[20:])[2] for _ in (1, 2)]
        assert [struct.unpack(">II", each) for each in verdicts] == [(1, 1), (1, 2)], "both are let through"
