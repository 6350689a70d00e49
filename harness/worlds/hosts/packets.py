"""Partitions on a host: packets of chosen peers are dropped, in an iptables chain of our own.

    INPUT ──► QUORATE ──► -s 10.213.0.1 -j DROP      pkts 17   ◄── the evidence
         │           └──► -s 10.213.0.4 -j DROP      pkts  9
         └──► everybody else's rules, untouched

Rules match a peer's address and nothing else; the harness's own address is never among them, so a host that is cut
off from its peers still answers SSH and clients.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from harness.control import Connection, ControlError

CHAIN: Final = "QUORATE"
ADDRESS: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")

_REMOVE: Final = f"""
while iptables -w -C INPUT -j {CHAIN} 2>/dev/null; do iptables -w -D INPUT -j {CHAIN} || exit 1; done
if iptables -w -n -L {CHAIN} >/dev/null 2>&1; then iptables -w -F {CHAIN} && iptables -w -X {CHAIN} || exit 1; fi
iptables -w -S | grep -E -e '(^-N|-j|^-A) {CHAIN}( |$)' || true
"""


def drop(connection: Connection, sources: Iterable[str]) -> None:
    """Drop what comes from these IPv4 addresses, from now on. A source that is dropped already keeps its count."""
    lines = [
        f"iptables -w -n -L {CHAIN} >/dev/null 2>&1 || iptables -w -N {CHAIN}",
        f"iptables -w -C INPUT -j {CHAIN} 2>/dev/null || iptables -w -I INPUT 1 -j {CHAIN}",
    ]
    for source in sources:
        assert ADDRESS.fullmatch(source), source
        rule = f"{CHAIN} -s {source} -j DROP"
        lines.append(f"iptables -w -C {rule} 2>/dev/null || iptables -w -A {rule}")
    connection.shell("set -e\n" + "\n".join(lines))


def dropped(connection: Connection) -> dict[str, int]:
    """Packets dropped so far by each rule of ours: {source address: count}. Empty if there is no rule."""
    listing = connection.shell(f"iptables -w -nvxL {CHAIN} 2>/dev/null || true").stdout
    return parse_counters(listing)


def remove(connection: Connection) -> None:
    """Take our chain away, and look that it is gone. Raises ControlError if it is not."""
    left = connection.shell(_REMOVE).stdout.strip()
    if left:
        raise ControlError(
            f"{connection.host.label}: iptables rules of ours are left: {left.splitlines()[0]}; "
            f"remove them with `iptables -F {CHAIN}`."
        )


def parse_counters(listing: str) -> dict[str, int]:
    """Read `iptables -nvxL`: columns pkts, bytes, target, prot, opt, in, out, source, destination."""
    counts: dict[str, int] = {}
    for line in listing.splitlines():
        columns = line.split()
        if len(columns) >= 9 and columns[0].isdigit() and columns[2] == "DROP":
            counts[columns[7]] = counts.get(columns[7], 0) + int(columns[0])
    return counts
