"""What several runs come to together: the material of a review. Runs of one plan under several seeds are one *trial*.

    run folders ─┐              ┌─► trials     one configuration under one load and its faults, all its runs counted
                 ├─► Study ─────┼─► findings   (claim, anomaly, configuration), the smallest example, how often, what it needs
    campaign ────┘              └─► documented what the documentation promises, and the worst that any run said to it

A finding is counted among the runs of its configuration in which its claim was made. Which event it needs is known only where
`quorate attribute` was asked; that a fault was going on at the time is told as what it is, a coincidence.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.report import words
from harness.report.endings import alarms
from harness.report.folder import Bar, RunFiles
from harness.report.rows import documented_rows
from harness.report.scene import last_ns
from harness.search.event import NEEDED, UNDECIDED, essential


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration under a load and faults, and what its runs came to."""

    configuration: str
    world: str
    workload: str
    load: str  # `10 clients on 5 nodes, 100 operations a second, 20 s`
    runs: int
    outcomes: Mapping[str, int]  # class of outcome -> runs
    ops: int
    asked: tuple[str, ...]  # kinds of fault
    bit: Mapping[str, int]
    claims: Mapping[str, Mapping[str, int]]  # claim -> verdict -> runs
    kept: tuple[str, ...]  # the strongest levels that no run refuted; () if none was judged
    available: float | None  # the least share that was acknowledged while a fault was active
    reasons: tuple[str, ...]  # why runs have no verdict
    crashes: tuple[str, ...] = ()  # processes that ended and nobody asked them to, in sentences

    @property
    def clean(self) -> bool:
        """Did every claim hold in every run?"""
        return bool(self.claims) and all(set(each) == {"valid"} for each in self.claims.values())


@dataclass(frozen=True, slots=True)
class Found:
    """A violation, by its smallest example. `needs`: the event required, "" if nobody tried; `meanwhile`: faults that went on, None if not known."""

    claim: str
    anomaly: str
    configuration: str
    sentence: str
    drawing: str
    bars: Sequence[Bar]
    hits: int
    runs: int
    needs: str
    needs_told: str
    meanwhile: tuple[str, ...] | None
    again: str
    explain: str  # the command that finds out what it needs
    state: str = ""  # of a campaign: new, ongoing, rare, resolved

    @property
    def title(self) -> str:
        """`stale-read against linearizable`."""
        return f"{self.anomaly} against {self.claim}"


@dataclass(frozen=True, slots=True)
class Study:
    """Everything a review is written from. `runs` has a row for each run, or each item: what, seed, outcome, where."""

    subject: str
    trials: Sequence[Trial]
    findings: Sequence[Found]
    documented: Sequence[Mapping[str, str]]
    untested: Sequence[str]
    runs: Sequence[tuple[str, str, str, str]]
    versions: Sequence[str]


def study_of_runs(files: Sequence[RunFiles]) -> Study:
    """Of run folders."""
    groups: dict[str, list[RunFiles]] = {}
    for run in files:
        load = {key: value for key, value in run.plan.items() if key not in ("name", "seed", "claims")}
        groups.setdefault(json.dumps([load, run.results.get("world")], sort_keys=True, default=str), []).append(run)  # fmt: skip
    systems = dict.fromkeys(str(run.plan.get("system", {}).get("name", "the system")) for run in files)
    versions = dict.fromkeys(
        f"{name} {version}"
        for run in files
        for name, version in (run.environment.get("versions") or {}).items()
    )
    return Study(
        words.join(list(systems)),
        [trial_of(group) for group in groups.values()],
        found_in(files),
        answers(files),
        untested(files),
        [(str(run.results["name"]), str(run.results.get("seed", "–")), str(run.results["outcome"]), str(run.folder)) for run in files],
        list(versions),
    )  # fmt: skip


def configuration(plan: Mapping[str, Any]) -> str:
    """`kvstore mode=quorum n=3`: the plan's [system] on one line."""
    system = plan.get("system") or {}
    options = [f"{key}={words.flat(value)}" for key, value in sorted(system.items()) if key != "name"]
    return " ".join([str(system.get("name", "the system")), *options])


def load_words(nodes: int, clients: int, rate: float, seconds: float) -> str:
    """`10 clients on 5 nodes, 100 operations a second, for 20 s`."""
    speed = f"{rate:g} operations a second" if rate else "as fast as they can"
    return f"{words.plural(clients, 'client')} on {words.plural(nodes, 'node')}, {speed}, for {seconds:g} s"


def trial_of(group: Sequence[RunFiles]) -> Trial:
    """Runs of one plan."""
    plan, results = group[0].plan, [run.results for run in group]
    bit = Counter(str(fault["kind"]) for run in group for fault in run.faults if fault.get("bit"))
    asked = [*plan.get("faults", ()), *plan.get("strokes", ())]
    refuted = {name for each in results for name, result in levels_of(each).items() if result["verdict"] == "invalid"}  # fmt: skip
    judged = [name for name in levels_of(results[0]) if name not in refuted]
    under = [share for each in results if (share := (each.get("availability") or {}).get("under_faults")) is not None]  # fmt: skip
    return Trial(
        configuration(plan),
        {"sim": "simulator", "hosts": "hosts"}.get(str(results[0].get("world")), "unknown world"),
        str(plan.get("workload", "unknown")),
        load_words(int(plan.get("nodes", 5)), group[0].concurrency, float(plan.get("rate", 0)), float(plan.get("time_limit_s", 0))),
        len(group),
        Counter(str(each.get("class") or each["outcome"]) for each in results),
        sum(words.count_ops(each) for each in results),
        tuple(dict.fromkeys(str(fault["kind"]) for fault in asked)),
        bit,
        {name: Counter(str(each["claims"][name]["verdict"]) for each in results if name in each["claims"]) for name in dict.fromkeys(name for each in results for name in each["claims"])},
        strongest(judged),
        min(under, default=None),
        tuple(dict.fromkeys(str(each["reason"]) for each in results if each["outcome"] == "unknown")),
        tuple(f"seed {run.results.get('seed', '–')}: {alarm}" for run in group for alarm in (*run.changed, *alarms(run))),
    )  # fmt: skip


def levels_of(results: Mapping[str, Any]) -> Mapping[str, Any]:
    """The levels that were judged for comparison."""
    levels: Mapping[str, Any] = results.get("levels") or {}
    return levels


def strongest(kept: Sequence[str]) -> tuple[str, ...]:
    """Of levels, those that no other of them implies."""
    from checkers.levels import below

    return tuple(name for name in kept if not any(name in below(other) for other in kept))


def found_in(files: Sequence[RunFiles]) -> list[Found]:
    """Each claim that a configuration broke in one way, told by the run with the fewest operations in its proof."""
    shown: dict[tuple[str, str, str], list[RunFiles]] = {}
    for run in files:
        for claim, result in run.results.get("claims", {}).items():
            if result["verdict"] == "invalid":
                key = (claim, str(result.get("anomaly") or "violation"), configuration(run.plan))
                shown.setdefault(key, []).append(run)
    return [found_of(key, runs, files) for key, runs in shown.items()]


def found_of(key: tuple[str, str, str], shown: Sequence[RunFiles], files: Sequence[RunFiles]) -> Found:
    """One finding. A run whose proof is of this very claim is the better example."""
    claim, anomaly, where = key

    def rank(run: RunFiles) -> tuple[bool, int]:
        return not proves(run, claim), len(run.core_bars) or 10**9

    best = min(shown, key=rank)
    asked = [run for run in files if configuration(run.plan) == where and claim in run.results.get("claims", {})]  # fmt: skip
    bars = best.core_bars if proves(best, claim) else []
    core = best.results.get("core") or {}
    needs, told = needed(next((run.attribution for run in shown if attributed(run, claim)), {}))
    return Found(
        claim, anomaly, where, str(best.results["claims"][claim]["reason"]), str(core.get("drawing", "")) if bars else "", bars,
        len(shown), len(asked), needs, told, meanwhile(bars, best.faults) if bars else None, str(best.results.get("command", "")),
        f"quorate attribute {shlex.quote(str(best.folder))}" if best.results.get("world") in ("sim", "hosts") else "",
    )  # fmt: skip


def proves(run: RunFiles, claim: str) -> bool:
    """Is the proof in the run's results that of this claim?"""
    core = run.results.get("core") or {}
    return bool(core.get("sentence") == run.results["claims"][claim]["reason"])


def attributed(run: RunFiles, claim: str) -> bool:
    """Did somebody find out what the violation of this claim needs?"""
    return bool(run.attribution) and run.attribution.get("claim") in (claim, None)


def needed(attribution: Mapping[str, Any]) -> tuple[str, str]:
    """(the event required, the sentence that says how that is known); empty if nobody tried, or could tell."""
    if not attribution:
        return "", ""
    verdicts = {str(each["without"]): str(each["verdict"]) for each in attribution["variants"]}
    told = words.sentence(str(attribution["sentence"]))
    needs = essential([name for name, verdict in verdicts.items() if verdict == NEEDED])
    if UNDECIDED in verdicts.values() and not needs:
        return "", told
    return words.join(needs) or "none of those that were left out", told


def meanwhile(bars: Sequence[Bar], faults: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The faults that went on while the operations of the proof did."""
    low, high = min(bar.start_ns for bar in bars), max(last_ns(bar) for bar in bars)
    return tuple(
        dict.fromkeys(
            str(fault["kind"])
            for fault in faults
            if fault.get("bit")
            and int(fault.get("start_ns") or 0) <= high
            and (fault.get("end_ns") is None or int(fault["end_ns"]) >= low)
        )
    )


def answers(files: Sequence[RunFiles]) -> list[dict[str, str]]:
    """Each sentence of the documentation for each configuration that was asked, with the gravest verdict any run gave."""
    grave = ("invalid", "unknown", "valid")
    worst: dict[tuple[str, ...], dict[str, str]] = {}
    silent: dict[tuple[str, ...], dict[str, str]] = {}
    for run in files:
        for row in documented_rows(run):
            sentence = (row["says"], row["source"], row["name"])
            if row["verdict"] not in grave:
                silent.setdefault(sentence, {**row, "configuration": "–"})
                continue
            key = (*sentence, configuration(run.plan))
            if key not in worst or grave.index(row["verdict"]) < grave.index(worst[key]["verdict"]):
                worst[key] = {**row, "configuration": key[-1]}
    asked = {key[:3] for key in worst}
    return [*worst.values(), *(row for key, row in silent.items() if key not in asked)]


def untested(files: Sequence[RunFiles]) -> list[str]:
    """What not one of the runs tested, in the order in which they say so."""
    lists = [words.not_tested(run.results, run.faults) for run in files]
    common = set(lists[0]).intersection(*lists[1:])
    return [line.replace(" in this run", " in any run") for line in lists[0] if line in common]


def never_bit(trials: Iterable[Trial]) -> Iterator[tuple[str, str]]:
    """(kind, configuration) of faults that plans ask for and that bit in none of their runs."""
    for trial in trials:
        yield from ((kind, trial.configuration) for kind in trial.asked if not trial.bit.get(kind))
