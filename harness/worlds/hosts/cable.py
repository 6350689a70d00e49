"""A host whose cable is out, for all but the harness's SSH: nothing of the system comes in or goes out, and nobody is told.

    INPUT  ─┐
            ├──► QUORATE-off ──► to or from the clients' port, from or to a peer: DROP       pkts 60: the evidence
    OUTPUT ─┘

What leaves is dropped too: the kernel says goodbye for a process that is killed, and a machine without power does not. The cable
itself stays in, because faults are ended over it; who only pings the host is answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from harness.control import Connection
from harness.worlds.hosts.packets import ADDRESS, OFF, restore, take_away

HOOKS: Final = ("INPUT", "OUTPUT")


def unplug(connection: Connection, port: int, peers: Iterable[str]) -> None:
    """Drop what the system gets and sends, from now on, or still. `peers` are IPv4 addresses."""
    rules = [f"-p tcp --dport {port}", f"-p tcp --sport {port}"]
    for peer in peers:
        assert ADDRESS.fullmatch(peer), peer
        rules += [f"-s {peer}", f"-d {peer}"]
    filled = [f":{OFF} - [0:0]", *(f"-A {OFF} {rule} -j DROP" for rule in rules)]
    is_out = f"iptables -w -n -L {OFF} >/dev/null 2>&1"
    connection.shell(f"{is_out} || " + restore([*filled, *(f"-I {hook} 1 -j {OFF}" for hook in HOOKS)]))


def plug_in(connection: Connection) -> int:
    """Let everything through again, verified; how many packets were dropped."""
    return dropped(take_away(connection, OFF, list(HOOKS)))


def dropped(listing: str) -> int:
    """The packets of `iptables -nvxL` that met a DROP: the first column."""
    rows = (line.split() for line in listing.splitlines())
    return sum(int(row[0]) for row in rows if len(row) > 2 and row[2] == "DROP")
