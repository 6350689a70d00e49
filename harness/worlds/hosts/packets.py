"""Troubles by iptables on a host: packets of chosen peers, in chains of our own, one for each trouble.

    INPUT ──► QUORATE ──► QUORATE-3 ──► -s 10.213.0.1                              pkts 60   ◄── seen
         │           │             └──► -s 10.213.0.1 -m statistic … 0.3 -j DROP   pkts 17   ◄── dropped: the evidence
         │           └──► QUORATE-4 ──► -s 10.213.0.4 -j DROP                      pkts  9
         └──► everybody else's rules, untouched

Rules match a peer's address and nothing else; the harness's own address is never among them, so a host that is cut
off from its peers still answers SSH and clients. A chain is filled in one transaction of iptables-restore.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from harness.control import Connection, ControlError
from harness.worlds.trouble import Touch, Trouble

CHAIN: Final = "QUORATE"
OURS: Final = f"{CHAIN}(-[0-9]+)?"
ADDRESS: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}")

LEFT: Final = "LEFT"
REMEDY: Final = "remove it with `quorate hosts heal`"
HEAL: Final = f"""
chains=$(iptables -w -S | sed -n -E 's/^-N ({OURS})$/\\1/p')
if [ -n "$chains" ]; then
  echo "$(iptables -w -S | grep -c -E -e '^-A {CHAIN}-[0-9]+ .*-j ') rules are removed"
  while iptables -w -C INPUT -j {CHAIN} 2>/dev/null; do iptables -w -D INPUT -j {CHAIN} || break; done
  for chain in $chains; do iptables -w -F $chain; done
  for chain in $chains; do iptables -w -X $chain; done
  if iptables -w -S | grep -q -E -e '(^-N|-j|^-A) {OURS}( |$)'; then echo "rules of ours are {LEFT}"; fi
fi
"""
"""Shell that takes all our chains away, and prints what it found."""


def begin(connection: Connection, trouble: Trouble, sources: Iterable[str]) -> None:
    """Do to what comes from these IPv4 addresses what the trouble says, from now on."""
    chain = f"{CHAIN}-{trouble.number}"
    lines = ["*filter", f":{chain} - [0:0]"]
    for source in sources:
        assert ADDRESS.fullmatch(source), source
        lines += [f"-A {chain} -s {source} {what}".rstrip() for what in rules(trouble)]
    table = "\n".join([*lines, f"-A {CHAIN} -j {chain}", "COMMIT"])
    connection.shell(
        f"set -e\niptables -w -n -L {CHAIN} >/dev/null 2>&1 || iptables -w -N {CHAIN}\n"
        f"iptables -w -C INPUT -j {CHAIN} 2>/dev/null || iptables -w -I INPUT 1 -j {CHAIN}\n"
        f"iptables-restore -w --noflush <<'END'\n{table}\nEND"
    )


def rules(trouble: Trouble) -> list[str]:
    """What is done to the packets of one source: first they are counted, if not all are touched."""
    if trouble.share >= 1:
        return ["-j DROP"]
    return ["", f"-m statistic --mode random --probability {trouble.share:.9f} -j DROP"]


def end(connection: Connection, number: int) -> Mapping[str, Touch]:
    """Take the trouble's chain away, and look that it is gone; what it did: {source address: (seen, dropped)}.

    Nothing when there is none. Raises ControlError if it is still there.
    """
    chain = f"{CHAIN}-{number}"
    listing = connection.shell(
        f"iptables -w -nvxL {chain} 2>/dev/null || exit 0\n"
        f"iptables-restore -w --noflush <<'END' || true\n"
        f"*filter\n-D {CHAIN} -j {chain}\n-F {chain}\n-X {chain}\nCOMMIT\nEND\n"
        f"iptables -w -n -L {chain} >/dev/null 2>&1 && echo {LEFT}; true"
    ).stdout
    if listing.endswith(f"{LEFT}\n"):
        raise ControlError(f"{connection.host.label}: the iptables chain {chain} of ours is left; {REMEDY}.")
    return parse_counters(listing)


def remove(connection: Connection) -> None:
    """Take all our chains away, and look that they are gone. Raises ControlError if they are not."""
    if LEFT in connection.shell(HEAL).stdout:
        raise ControlError(f"{connection.host.label}: iptables rules of ours are left; {REMEDY}.")


def parse_counters(listing: str) -> dict[str, Touch]:
    """Read `iptables -nvxL`: columns pkts, bytes, target (none where packets are only counted), prot, opt, in, out, source, destination."""
    seen: dict[str, int] = {}
    hit: dict[str, int] = {}
    for line in listing.splitlines():
        columns = line.split()
        if len(columns) < 8 or not columns[0].isdigit():
            continue
        acts = columns[2] == "DROP"
        source = columns[7] if acts else columns[6]
        counts = hit if acts else seen
        counts[source] = counts.get(source, 0) + int(columns[0])
    return {source: Touch(seen.get(source, count), count) for source, count in hit.items()}
