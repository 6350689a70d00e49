"""Slow links by tc on a host: a bucket of tokens (tbf) for each peer, under a root that lets all else through.

    eth0 ──► htb 7150: ──► class 7150:101 ──► tbf 64 kbit      to 10.213.0.1      overlimits 41: packets that waited
                  │   └──► class 7150:102 ──► tbf 64 kbit      to 10.213.0.4
                  └──► everything else, SSH and clients too: straight through

A bucket holds one packet of the largest size, so little traffic waits too. What leaves is shaped, so each end of a slow
link does its own direction. The root qdisc of the device is ours meanwhile; one that somebody else has put there is never
replaced: the kernel's own default has the handle 0, and comes back by itself.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.control import Connection, ControlError
from harness.worlds.hosts.packets import LEFT, REMEDY
from harness.worlds.trouble import QUEUE_S, Touch

HANDLE: Final = "7150:"
PEERS_MAX: Final = 256  # of one trouble
_DEVICES: Final = f"tc qdisc show 2>/dev/null | sed -n -E 's/^qdisc htb {HANDLE} dev ([^ ]+) root.*/\\1/p'"
_DEVICE_TO: Final = "ip -o route get {} | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p'"
_SOMEBODYS: Final = "^qdisc [^ ]+ [0-9a-f]+: root"
_DEFAULT: Final = "^qdisc [^ ]+ 0: root"

HEAL: Final = f"""
for device in $({_DEVICES}); do
  tc qdisc del dev $device root handle {HANDLE} && echo "the rate limit of $device is removed"
done
if [ -n "$({_DEVICES})" ]; then echo "rate limits of ours are {LEFT}"; fi
"""
"""Shell that takes all our shaping away, and prints what it found."""


def minor(slot: int, place: int) -> int:
    """The class of a trouble's peer: slots keep the peers of troubles at the same time apart."""
    assert 0 <= place < PEERS_MAX, place
    return (slot + 1) * PEERS_MAX + place


def begin(connection: Connection, rate_kbit: float, slot: int, peers: Sequence[str]) -> None:
    """Let no more than this go to each of these IPv4 addresses, from now on."""
    devices = devices_to(connection, peers)
    bare = sorted({device for device, _, is_ours in devices if not is_ours})
    lines = [f"qdisc add dev {device} root handle {HANDLE} htb default 0" for device in bare]
    for place, (peer, (device, mtu, _)) in enumerate(zip(peers, devices, strict=True)):
        flow = f"{HANDLE}{minor(slot, place):x}"
        lines += [
            f"class add dev {device} parent {HANDLE} classid {flow} htb rate 10gbit quantum 60000",
            f"qdisc add dev {device} parent {flow} tbf rate {rate_kbit * 1000:.0f}bit burst {mtu + 32} latency {1000 * QUEUE_S:.0f}ms",
            f"filter add dev {device} parent {HANDLE} protocol ip prio {slot + 1} u32 match ip dst {peer}/32 flowid {flow}",
        ]
    connection.shell("\n".join(["tc -batch - <<'END'", *lines, "END"]))


def devices_to(connection: Connection, peers: Sequence[str]) -> list[tuple[str, int, bool]]:
    """For each peer the device that leads to it, the largest packet there, and whether its root is ours already. Raises ControlError."""
    told = connection.shell(
        "printf 'route get %s\\n' " + " ".join(map(shlex.quote, peers)) + " | ip -o -batch -\n"
        f"{_DEVICES} | sed 's/^/ours /'\ngrep . /sys/class/net/*/mtu"
    ).stdout
    ours = re.findall(r"^ours (\S+)$", told, re.MULTILINE)
    mtus = {device: int(mtu) for device, mtu in re.findall(r"^/sys/class/net/(\S+)/mtu:(\d+)$", told, re.MULTILINE)}  # fmt: skip
    found = []
    for peer in peers:
        route = re.search(rf"^(?:\w+ )?{re.escape(peer)} (?:\S+ )*?dev (\S+) ", told, re.MULTILINE)
        if route is None or route[1] not in mtus:
            raise ControlError(f"{connection.host.label}: no device there leads to {peer}: see `ip route get {peer}`.")  # fmt: skip
        found.append((route[1], mtus[route[1]], route[1] in ours))
    return found


def end(connection: Connection, slot: int, peers: Sequence[str]) -> Mapping[str, Touch]:
    """Let everything through again, verified; what was seen and what had to wait: {address: (packets, of them)}."""
    flows = [f"{HANDLE}{minor(slot, place):x}" for place in range(len(peers))]
    told = connection.shell(
        f"for device in $({_DEVICES}); do\n"
        "tc -s -j qdisc show dev $device; echo\n"
        f"tc filter del dev $device parent {HANDLE} prio {slot + 1} 2>/dev/null\n"
        f"for flow in {' '.join(flows)}; do tc class del dev $device classid $flow 2>/dev/null; done\n"
        f'if [ -z "$(tc class show dev $device)" ]; then tc qdisc del dev $device root handle {HANDLE}; fi\n'
        f"tc class show dev $device | grep -q -E -e ' ({'|'.join(flows)}) ' && echo {LEFT}\n"
        "done; true"
    ).stdout
    if LEFT in told:
        raise ControlError(f"{connection.host.label}: a rate limit of ours is left; {REMEDY}.")
    by_flow = parse_qdiscs(told)
    return {peer: by_flow[flow] for peer, flow in zip(peers, flows, strict=True) if flow in by_flow}


def parse_qdiscs(text: str) -> dict[str, Touch]:
    """Read `tc -s -j qdisc show`, a line a device: by parent class, packets and how many of them waited or were dropped."""
    touches = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        qdiscs: list[dict[str, Any]] = json.loads(line)
        for qdisc in qdiscs:
            if qdisc.get("kind") == "tbf":
                seen = int(qdisc["packets"]) + int(qdisc["drops"])
                waited = int(qdisc["overlimits"]) + int(qdisc["drops"])
                touches[str(qdisc["parent"])] = Touch(seen, min(seen, waited))
    return touches


def probe(connection: Connection, peer: str) -> str:
    """Why this host cannot slow its link to the peer; nothing if it can. A root that slows nothing is put there for a moment."""
    tried = connection.shell(
        "command -v tc >/dev/null || { echo 'it has no tc (`apt-get install iproute2` there)'; exit 0; }\n"
        f"device=$({_DEVICE_TO.format(shlex.quote(peer))})\n"
        f"found=$(tc qdisc show dev \"$device\" | grep -E -e '{_SOMEBODYS}' | grep -v -E -e '{_DEFAULT}')\n"
        'if [ -n "$found" ]; then echo "somebody has set up a queueing discipline there: $found"; exit 0; fi\n'
        "{ "
        f'tc qdisc add dev "$device" root handle {HANDLE} htb default 0 &&\n'
        f'tc class add dev "$device" parent {HANDLE} classid {HANDLE}1 htb rate 10gbit quantum 60000 &&\n'
        f'tc qdisc add dev "$device" parent {HANDLE}1 tbf rate 1mbit burst 10000 latency 1000ms; }} 2>&1 ||\n'
        "echo 'tc there lacks htb or tbf'\n"
        f"{{ {HEAL} }} >/dev/null 2>&1"
    )
    return ": ".join(reversed(tried.stdout.split("\n")[:-1]))
