"""Troubles by iptables on a host: packets of chosen peers, in chains of our own, one for each trouble.

    INPUT ──► QUORATE ──► QUORATE-3 ──► -s 10.213.0.1                              pkts 60   ◄── seen
         │           │             └──► -s 10.213.0.1 -m statistic … 0.3 -j DROP   pkts 17   ◄── touched: the evidence
         │           └──► QUORATE-4 ──► -s 10.213.0.4 -j DROP                      pkts  9
         └──► everybody else's rules, untouched

Rules match a peer's address and nothing else; the harness's own address is never among them, so a host that is cut
off from its peers still answers SSH and clients. A chain is filled in one transaction of iptables-restore. Packets for
a program of ours are queued in the table mangle, for who lets them go lets them go past the rest of the table they are in.
A reset is not answered by a reset: the peer's own must arrive.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.trouble import DUPLICATE, QUEUED, RESET, Touch, Trouble

CHAIN: Final = "QUORATE"
OFF: Final = f"{CHAIN}-off"  # of a host whose cable is out: `cable`
OURS: Final = f"{CHAIN}(-([0-9]+(-(requests|answers))?|off))?"  # requests, answers: `client_packets`
ADDRESS: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
ACTS: Final = ("DROP", "REJECT", "NFQUEUE")
NOBODY: Final = "192.0.2.1"  # an address of documentation (RFC 5737)
QUEUE_FIRST: Final = 7150

LEFT: Final = "LEFT"
REMEDY: Final = "remove it with `quorate hosts heal`"
HEAL: Final = f"""
for table in filter mangle; do
  chains=$(iptables -w -t $table -S 2>/dev/null | sed -n -E 's/^-N ({OURS})$/\\1/p')
  if [ -n "$chains" ]; then
    echo "$(iptables -w -t $table -S | grep -c -E -e '^-A {CHAIN}-[a-z0-9-]+ .*-j ({"|".join(ACTS)})') rules are removed"
    for chain in $chains; do
      for hook in INPUT OUTPUT; do
        while iptables -w -t $table -C $hook -j $chain 2>/dev/null; do iptables -w -t $table -D $hook -j $chain || break; done
      done
      iptables -w -t $table -F $chain
    done
    for chain in $chains; do iptables -w -t $table -X $chain; done
    if iptables -w -t $table -S | grep -q -E -e '(^-N|-j|^-A) {OURS}( |$)'; then echo "rules of ours are {LEFT}"; fi
  fi
done
"""
"""Shell that takes all our chains away, and prints what it found."""


def table_of(kind: str) -> str:
    """The table in which a kind of trouble has its rules."""
    return "mangle" if kind in QUEUED else "filter"


def rules(trouble: Trouble, slot: int, match: str) -> list[str]:
    """What is done to the packets that match: first they are counted, if not all are touched."""
    some = f"-m statistic --mode random --probability {trouble.share:.9f} " if trouble.share < 1 else ""
    if trouble.kind in QUEUED:
        match += " ! -i lo" * (trouble.kind == DUPLICATE)  # where the copies come in
        return [f"{match} -j NFQUEUE --queue-num {QUEUE_FIRST + slot} --queue-bypass"]
    act = "-j DROP"
    if trouble.kind == RESET:
        match += f"{'' if '-p tcp' in match else ' -p tcp'} --tcp-flags RST NONE"
        act = "-j REJECT --reject-with tcp-reset"
    return [match, f"{match} {some}{act}"] if some else [f"{match} {act}"]


def begin(connection: Connection, trouble: Trouble, slot: int, sources: Iterable[str]) -> None:
    """Do to what comes from these IPv4 addresses what the trouble says, from now on."""
    chain, table = f"{CHAIN}-{trouble.number}", f"-t {table_of(trouble.kind)}"
    connection.shell(
        f"set -e\niptables -w {table} -n -L {CHAIN} >/dev/null 2>&1 || iptables -w {table} -N {CHAIN}\n"
        f"iptables -w {table} -C INPUT -j {CHAIN} 2>/dev/null || iptables -w {table} -I INPUT 1 -j {CHAIN}\n"
        + restore([*_filled(chain, trouble, slot, sources), f"-A {CHAIN} -j {chain}"], table_of(trouble.kind))
    )


def probe(connection: Connection, trouble: Trouble) -> str:
    """Why this host cannot do it; nothing if it can. The rules are made in a chain that no packet meets, and removed."""
    lines, table = _filled(f"{CHAIN}-0", trouble, 0, [NOBODY]), table_of(trouble.kind)
    made = connection.shell(restore(lines, table), check=False)
    connection.shell(restore([f"-F {CHAIN}-0", f"-X {CHAIN}-0"], table), check=False)
    if made.status == 0:
        return ""
    said = " ".join(made.stderr.split()) or f"exit status {made.status}"
    return f"iptables there refuses the rule `{lines[-1]}` ({said})"


def _filled(chain: str, trouble: Trouble, slot: int, sources: Iterable[str]) -> list[str]:
    lines = [f":{chain} - [0:0]"]
    for source in sources:
        assert ADDRESS.fullmatch(source), source
        lines += [f"-A {chain} {rule}" for rule in rules(trouble, slot, f"-s {source}")]
    return lines


def restore(lines: list[str], table: str = "filter") -> str:
    """The command that does these lines of iptables-save in one transaction."""
    text = "\n".join([f"*{table}", *lines, "COMMIT", ""])
    return f"printf %s {shlex.quote(text)} | iptables-restore -w --noflush"


def take_away(connection: Connection, chain: str, jumps: list[str], table: str = "filter") -> str:
    """Remove a chain and the jumps to it, and look that it is gone. Its listing, with counts; nothing when there is none.

    Raises ControlError if it is still there.
    """
    lines = [*(f"-D {jump} -j {chain}" for jump in jumps), f"-F {chain}", f"-X {chain}"]
    listing = connection.shell(
        f"iptables -w -t {table} -nvxL {chain} 2>/dev/null || exit 0\n{restore(lines, table)} || true\n"
        f"iptables -w -t {table} -n -L {chain} >/dev/null 2>&1 && echo {LEFT}; true"
    ).stdout
    if listing.endswith(f"{LEFT}\n"):
        raise ControlError(f"{connection.host.label}: the iptables chain {chain} of ours is left; {REMEDY}.")
    return listing


def end(connection: Connection, trouble: Trouble) -> Mapping[str, Touch]:
    """Take the trouble's chain away, and look that it is gone; what it did: {source address: (seen, touched)}.

    Nothing when there is none. Raises ControlError if it is still there.
    """
    chain = f"{CHAIN}-{trouble.number}"
    return parse_counters(take_away(connection, chain, [CHAIN], table_of(trouble.kind)))


def parse_counters(listing: str) -> dict[str, Touch]:
    """Read `iptables -nvxL`: columns pkts, bytes, target (none where packets are only counted), prot, opt, in, out, source, destination."""
    seen: dict[str, int] = {}
    hit: dict[str, int] = {}
    for line in listing.splitlines():
        columns = line.split()
        if len(columns) < 8 or not columns[0].isdigit() or columns[2] == "RETURN":
            continue
        acts = columns[2] in ACTS
        source = columns[7] if acts else columns[6]
        counts = hit if acts else seen
        counts[source] = counts.get(source, 0) + int(columns[0])
    return {source: Touch(seen.get(source, count), count) for source, count in hit.items()}
