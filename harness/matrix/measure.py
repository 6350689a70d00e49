"""One run of a cell, measured: small enough to come back from another process and to be a line of a file.

    plan, seed ─► simulate, or run on hosts ─► history ─► levels, staleness, latency, availability, what was lost

How far stale reads were behind is kept read by read (`harness.clustered.points_of`), for a quantile of a cell is one of all its runs.

Lost: a key whose last reads (after the heal) all miss an acknowledged write. A read misses a write that was acknowledged before the read's
call, and called after the write that the read returned had been acknowledged. Of keys that are not registers (something else than a write changes
them, or reads return several values) it is not told; the claims of such a run say what was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from checkers import History
from checkers.bespoke.calls import Call, calls_of, token
from checkers.levels import LEVELS
from checkers.op import MISSING
from checkers.staleness import ages_ns, versions_behind
from checkers.stats import done_within
from checkers.verdict import Verdict
from harness.clustered import points_of
from harness.hosted import HOSTS, SIM, TRIES_MAX, Place, run_on_hosts
from harness.made import Made
from harness.plan import Plan
from harness.results import CRASH, INFRASTRUCTURE
from harness.simulate import simulate_run
from harness.worlds import WorldError

ANY: Final = "any"
RECORDS: Final = 2  # the form of `Measured` as a line of a file


class Measured(msgspec.Struct, frozen=True):
    """A run. `outcome` is the verdict of its claims, "crash" or, on hosts, "infrastructure"; `levels` what each level got, UNKNOWN in place of VALID where the run
    itself is in doubt. Times are in ms, shares are pairs (how many, of how many).
    """

    cell: int
    seed: int
    outcome: str
    reason: str
    levels: dict[str, str] = {}
    stale: tuple[int, int] = (0, 0)  # definitely stale reads, of reads
    behind_versions: list[int] = []  # by how many acknowledged versions, of each stale read, ascending
    behind_ms: list[float] = []  # for how long the first write that it missed had been acknowledged
    behind_max: tuple[int, float] = (0, 0.0)  # versions, ms
    delta_ms: float | None = None  # None: not measured, or no shift is enough
    done: tuple[int, int] = (0, 0)  # operations that ended ok, of all
    done_under: dict[
        str, tuple[int, int]
    ] = {}  # of those called under a fault of this kind that bit; and under any
    lost_keys: tuple[int, int] = (0, 0)
    latency_ms: dict[str, dict[str, float]] = {}  # f -> quantile -> ms
    core_ops: int = 0  # operations in the shortest proof of a violation
    anomaly: str = ""
    proof: str = ""  # in one sentence
    drawing: str = ""
    digest: str = ""  # of history and faults
    claims: dict[str, str] = {}  # what each claim got
    world: str = SIM
    tries: int = 1  # on hosts; those before the last ended in trouble with the world


def measure(cell: int, plan: Plan, place: Place | None = None, folder: Path = Path()) -> Measured:
    """Make the run. A crash of the harness or the system is a record too. On hosts it leaves a run folder in `folder`; trouble with the world is tried again."""
    known = Measured(cell, plan.seed, CRASH, "", world=SIM if place is None else HOSTS)
    for tries in range(1, TRIES_MAX + 1):
        try:
            run = simulate_run(plan) if place is None else run_on_hosts(plan, place, folder)
            return replace(measured(cell, plan, run), world=known.world, tries=tries)
        except Exception as error:
            trouble = place is not None and isinstance(error, WorldError)
            outcome = INFRASTRUCTURE if trouble else CRASH
            known = replace(known, outcome=outcome, reason=f"{type(error).__name__}: {error}", tries=tries)
            if not trouble:
                break
    return known


def measured(cell: int, plan: Plan, run: Made) -> Measured:
    """What a run is worth."""
    results = run.results
    stale, core = results["staleness"], results["core"] or {}
    deltas = results["atomicity"]
    by_f = results["stats"]["stats"]["by_f"].values()
    return Measured(
        cell=cell,
        seed=plan.seed,
        outcome=run.verdict.value,
        reason=str(results["reason"]),
        levels=levels_of(run.verdict, results["levels"]),
        stale=(stale.get("stale_reads", 0), stale.get("reads", 0)),
        behind_versions=points_of(versions_behind(run.history)) if stale else [],
        behind_ms=[round(ns / 1e6, 6) for ns in points_of(ages_ns(run.history))] if stale else [],
        behind_max=(stale.get("worst_staleness_versions", 0), stale.get("worst_staleness_ms", 0.0)),
        delta_ms=delta_of(deltas),
        done=(
            sum(count["ok"] for count in by_f),
            sum(sum(count.values()) for count in by_f),
        ),
        done_under=done_under(run.history, run.faults),
        lost_keys=lost_keys(run.history, int(plan.time_limit_s * 1e9)),
        latency_ms=results["latency_ms"],
        core_ops=sum(op["type"] == "invoke" for op in core.get("ops", ())),
        anomaly=core.get("anomaly") or "",
        proof=core.get("sentence", ""),
        drawing=core.get("drawing", ""),
        digest=run.digest,
        claims={name: str(found["verdict"]) for name, found in results["claims"].items()},
    )


def delta_of(shifts: Mapping[str, Any]) -> float | None:
    """Of the worst key; None if one has none, or was not measured."""
    unknown = not shifts.get("delta_ms") or shifts["keys_without_delta"] or shifts["keys_skipped"]
    return None if unknown else float(shifts["delta_ms"]["max"])


def levels_of(outcome: Verdict, results: Mapping[str, Any]) -> dict[str, str]:
    """The verdicts; a run that tested too little acquits nobody."""
    found = {level: str(results[level]["verdict"]) for level in LEVELS if level in results}
    doubtful = outcome is Verdict.UNKNOWN
    return {k: "unknown" if doubtful and v == "valid" else v for k, v in found.items()}


def done_under(history: History, faults: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """(ended ok, all) of the calls made while a fault of each kind was there that bit; ANY: under one of them."""
    windows = [(str(f["kind"]), (int(f["start_ns"]), int(f["end_ns"]))) for f in faults if f["bit"]]
    if not windows:
        return {}
    found = {ANY: done_within(history, [window for _, window in windows])}
    for kind in sorted({kind for kind, _ in windows}):
        found[kind] = done_within(history, [window for of, window in windows if of == kind])
    return found


def lost_keys(history: History, load_end_ns: int) -> tuple[int, int]:
    """(keys that lost an acknowledged write, keys that were read after the load)."""
    by_key: dict[Any, list[Call]] = {}
    for call in calls_of(history):
        by_key.setdefault(call.key, []).append(call)
    judged = [_lost(calls, load_end_ns) for calls in by_key.values()]
    known = [lost for lost in judged if lost is not None]
    return sum(known), len(known)


def _writes(call: Call) -> bool:
    """Whether it puts one value in the place of another."""
    return call.f == "write" and not isinstance(call.value, Mapping) and call.value is not MISSING


def _lost(calls: Sequence[Call], load_end_ns: int) -> bool | None:
    """Whether every late read misses an acknowledged write; None if there is no late read, or no register."""
    late = [call for call in calls if call.f == "read" and call.ok and call.call >= load_end_ns]
    if not late or not all(call.f == "read" or _writes(call) for call in calls):
        return None
    writes = [call for call in calls if call.f == "write" and call.possible]
    wrote = {token(call.value): call for call in writes}

    def misses(read: Call) -> bool:
        seen = wrote.get(token(read.result))
        if seen is None and read.result is not None:
            return False  # nobody knows how old it is
        return any(w.before(read) and (seen is None or seen.before(w)) for w in writes)

    return all(misses(read) for read in late)
