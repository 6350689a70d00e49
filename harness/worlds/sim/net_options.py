"""How the simulated network is: the plan's [sim] table, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from harness.plan import PlanError
from harness.plan_options import PRIORITIES as PRIORITIES
from harness.worlds.sim.sites import checked_sites

LATENCIES: Final = ("constant", "uniform", "exponential", "lognormal")
STREAMS: Final = ("one", "links")
DELAYS = "delays"
SAMPLES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NetOptions:
    """The plan's [sim] table. Delays in virtual milliseconds, one way; the others are probabilities per message."""

    latency: str = "exponential"  # distribution of the delay between nodes
    latency_ms: float = 1.0  # its mean
    measured_ms: Sequence[
        float
    ] = ()  # in place of a distribution: delays that were measured, one of them drawn for each message
    sites: Sequence[str] = ()  # of the first node, the second, and so on, and from the start again
    between_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # from site to site, on top
    latency_ms_min: float = 0.1  # no message is faster
    client_latency_ms: float = 0.1  # between a client and its node, constant, never lost
    loss: float = 0.0
    duplicate: float = 0.01
    reorder: float = 0.1  # may overtake earlier messages of its link
    streams: str = "one"  # all draws from one random stream, or from one for each link and kind of message
    schedule: str = (
        DELAYS  # priorities: of the links, in a random order; no message is faster than latency_ms
    )
    hold_ms: float = 50.0  # the longest that a message waits for those on links before its own
    changes_s: Sequence[float] = ()  # times at which the link whose turn it is becomes the last

    def __post_init__(self) -> None:
        if self.latency not in LATENCIES:
            raise PlanError(f"[sim] latency is {self.latency!r}; use one of {', '.join(LATENCIES)}")
        if self.streams not in STREAMS:
            raise PlanError(f"[sim] streams is {self.streams!r}; use one of {', '.join(STREAMS)}")
        if self.schedule not in (DELAYS, PRIORITIES):
            raise PlanError(f"[sim] schedule is {self.schedule!r}; use one of {DELAYS}, {PRIORITIES}")
        if not all(type(at_s) in (int, float) and at_s >= 0 for at_s in self.changes_s):
            raise PlanError(
                f"[sim] changes_s is {self.changes_s!r}; it is a list of times in seconds, each 0 or more"
            )
        if not all(type(ms) in (int, float) and 0 <= ms <= 60_000 for ms in self.measured_ms):
            raise PlanError("[sim] measured_ms is a list of delays in milliseconds, each 0 to 60000")
        if len(self.measured_ms) > SAMPLES_MAX:
            raise PlanError(
                f"[sim] measured_ms has {len(self.measured_ms):,} delays; {SAMPLES_MAX:,} at most"
            )
        checked_sites(self.sites, self.between_ms)
        for name in ("measured_ms", "sites") if self.schedule == PRIORITIES else ():
            if getattr(self, name):
                raise PlanError(f'[sim] {name} and schedule = "{PRIORITIES}", under which no delay is drawn, do not go together; leave one out')  # fmt: skip
        for name in ("loss", "duplicate", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise PlanError(f"[sim] {name} is {getattr(self, name)!r}; it is a probability from 0 to 1")
        for name in ("latency_ms", "latency_ms_min", "client_latency_ms", "hold_ms"):
            if not 0 <= getattr(self, name) <= 60_000:
                raise PlanError(f"[sim] {name} is {getattr(self, name)!r}; it is in milliseconds, 0 to 60000")

    @staticmethod
    def parse(table: Mapping[str, Any]) -> NetOptions:
        """Read the plan's [sim] table; an unknown name is refused."""
        own: dict[str, Any] = {"latency": str, "streams": str, "schedule": str}
        own |= {
            "changes_s": (list, tuple),
            "measured_ms": (list, tuple),
            "sites": (list, tuple),
            "between_ms": Mapping,
        }
        kinds = {field.name: own.get(field.name, (int, float)) for field in fields(NetOptions)}
        for name, value in table.items():
            if name not in kinds:
                raise PlanError(f"[sim] has no option {name!r}; there are: {', '.join(kinds)}")
            if not isinstance(value, kinds[name]) or isinstance(value, bool):
                kind = {str: "word", (int, float): "number", Mapping: "table"}.get(kinds[name], "list")
                raise PlanError(f"[sim] {name} = {value!r} is not a {kind}")
        return NetOptions(**table)
