"""Where the nodes are: the time a message needs from one site to another, on top of its delay within a site.

    sites = ["dallas", "london", "tokyo"]         n1 dallas ◄── 56.5 ms ──► n2 london        n4 is in dallas again, and so on
    [sim.between_ms]                               n1 dallas ◄── 71.5 ms ──► n3 tokyo
    london.tokyo = 130                             n2 london ──── 130 ms ──► n3 tokyo         and back, unless tokyo.london is given too

Of ten cities the times are known here: half of the round trips, averaged over September 2024, that a cloud with machines in all of them
publishes (the table "Inter-region latency" of IBM Cloud's VPC). They are round figures for planning. Who has measured says `between_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.plan_toml import PlanError, nearest

WAY_MS_MAX: Final = 60_000.0
CITIES: Final = ("dallas", "toronto", "washington", "frankfurt", "london", "madrid", "osaka", "sydney", "tokyo", "sao-paulo")  # fmt: skip
ROUND_TRIPS_MS: Final = (
    (34, 31, 123, 113, 118, 150, 185, 143, 145),  # from dallas to those after it
    (19, 93, 83, 107, 170, 215, 162, 131),
    (91, 76, 88, 174, 214, 167, 118),
    (13, 29, 233, 250, 230, 197),
    (27, 244, 261, 243, 187),
    (258, 275, 257, 206),
    (122, 9, 292),
    (115, 328),
    (285,),
)
KNOWN_MS: Final[Mapping[tuple[str, str], float]] = {
    pair: round_trip / 2
    for src, row in zip(CITIES, ROUND_TRIPS_MS, strict=False)
    for dst, round_trip in zip(CITIES[CITIES.index(src) + 1 :], row, strict=True)
    for pair in ((src, dst), (dst, src))
}
"""(site, site) -> milliseconds one way."""


def checked_sites(sites: Any, between_ms: Any) -> None:
    """Raises PlanError if the two options do not say how far every site is from every other."""
    if not isinstance(sites, Sequence) or not all(isinstance(site, str) and site for site in sites):
        raise PlanError(f"[sim] sites is {sites!r}; it is a list of names, the first node's first")
    given = between(between_ms)
    if given and not sites:
        raise PlanError("[sim] between_ms has a meaning with sites only; say where the nodes are, or leave it out")  # fmt: skip
    for pair, ms in given.items():
        for site in pair:
            if site not in sites:
                raise PlanError(f"[sim] between_ms names {site!r}, and no node is there{nearest(site, sorted(set(sites)))}")  # fmt: skip
        if pair[0] == pair[1]:
            raise PlanError(f"[sim] between_ms has {pair[0]!r} twice; within a site it is latency_ms")
        if not 0 <= ms <= WAY_MS_MAX:
            raise PlanError(f"[sim] between_ms has {ms!r} from {pair[0]} to {pair[1]}; it is in milliseconds, 0 to {WAY_MS_MAX:g}")  # fmt: skip
    for src in sites:
        for dst in sites:
            _way_ms(src, dst, given)


def between(table: Any) -> dict[tuple[str, str], float]:
    """The option as {(from, to): milliseconds}."""
    words = (
        f"[sim] between_ms is {table!r}; write a table [sim.between_ms] with lines like london.tokyo = 120"
    )
    if not isinstance(table, Mapping) or not all(isinstance(row, Mapping) for row in table.values()):
        raise PlanError(words)
    found = {(src, dst): ms for src, row in table.items() for dst, ms in row.items()}
    if not all(type(ms) in (int, float) for ms in found.values()):
        raise PlanError(words)
    return found


def sited(nodes: Sequence[str], sites: Sequence[str]) -> dict[str, str]:
    """Where each node is: the sites by turns; nothing where none are given."""
    return {node: sites[place % len(sites)] for place, node in enumerate(nodes)} if sites else {}


def ways_s(
    nodes: Sequence[str], sites: Sequence[str], between_ms: Mapping[str, Any]
) -> dict[tuple[str, str], float]:
    """{(node, node): seconds from the one's site to the other's}; empty where no sites are given. Raises PlanError."""
    given, at = between(between_ms), sited(nodes, sites)
    return {(src, dst): _way_ms(at[src], at[dst], given) / 1000 for src in at for dst in at}


def _way_ms(src: str, dst: str, given: Mapping[tuple[str, str], float]) -> float:
    if src == dst:
        return 0.0
    for found in (given.get((src, dst)), given.get((dst, src)), KNOWN_MS.get((src, dst))):
        if found is not None:
            return found
    strange = next((site for site in (src, dst) if site not in CITIES), src)
    raise PlanError(f"[sim] nobody knows how far {src!r} is from {dst!r}; add {src}.{dst} = MILLISECONDS to [sim.between_ms], or use cities that are known{nearest(strange, CITIES)}")  # fmt: skip
