"""Troubles of the links between a host and its clients: whoever connects to the clients' port and is not a node, nor the host itself.

    INPUT  ──► QUORATE-3-requests ──► -i lo, and from a node: RETURN ──► -p tcp --dport 7000 -j DROP       what they ask
    OUTPUT ──► QUORATE-3-answers  ──► -o lo, and to a node: RETURN   ──► -p tcp --sport 7000 -j DROP       what they are answered

Answers are dropped where they are made, for the clients' machine is nobody's to change. With answers alone dropped a request takes effect
and nobody hears of it: its operation is `info`. TCP sends again what was dropped, so it arrives after the heal, too. SSH is not touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from harness.control import Connection
from harness.nemesis.grudges import ANSWERS, REQUESTS
from harness.worlds.hosts.packets import ADDRESS, CHAIN, parse_counters, restore, rules, table_of, take_away
from harness.worlds.trouble import Touch, Trouble

HOOKS: Final[Mapping[str, str]] = {REQUESTS: "INPUT", ANSWERS: "OUTPUT"}
_SIDES: Final[Mapping[str, tuple[str, str, str]]] = {
    REQUESTS: ("-i lo", "-s", "--dport"),
    ANSWERS: ("-o lo", "-d", "--sport"),
}


def begin(
    connection: Connection, trouble: Trouble, slot: int, way: str, port: int, peers: Iterable[str]
) -> None:
    """Do to what goes this way what the trouble says, from now on. `peers` are the IPv4 addresses of the other nodes."""
    chain, table = _chain(trouble, way), table_of(trouble.kind)
    local, end, port_of = _SIDES[way]
    lines = [f":{chain} - [0:0]", f"-A {chain} {local} -j RETURN"]
    for peer in peers:
        assert ADDRESS.fullmatch(peer), peer
        lines.append(f"-A {chain} {end} {peer} -j RETURN")
    lines += [f"-A {chain} {rule}" for rule in rules(trouble, slot, f"-p tcp {port_of} {port}")]
    connection.shell(restore([*lines, f"-I {HOOKS[way]} 1 -j {chain}"], table))


def end(connection: Connection, trouble: Trouble, way: str) -> Touch:
    """Let everything through again, verified; what it did."""
    listing = take_away(connection, _chain(trouble, way), [HOOKS[way]], table_of(trouble.kind))
    return next(iter(parse_counters(listing).values()), Touch(0, 0))


def _chain(trouble: Trouble, way: str) -> str:
    return f"{CHAIN}-{trouble.number}-{way}"
